"""Checks what dbt left in target/ (manifest.json, run_results.json, catalog.json) before it is
used.
"""
