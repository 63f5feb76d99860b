"""Measures the design's budgets as ratios in one run: `python -m tests.bench` (make bench).

Each module here registers benches by name (see `lab.bench`). New modules are found automatically.
"""
