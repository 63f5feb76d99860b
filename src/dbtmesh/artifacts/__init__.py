"""What dbt left in target/ (manifest.json, run_results.json, catalog.json): can it be trusted?"""
