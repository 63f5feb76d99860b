"""Checks dbt's artifacts in target/ (manifest.json, run_results.json, catalog.json) before use."""
