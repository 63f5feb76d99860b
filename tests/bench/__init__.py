"""The design's budgets as ratios, measured in one run: `python -m tests.bench` (make bench).

Each module here registers benches by name (see `lab.bench`); a new module is found by itself.
"""
