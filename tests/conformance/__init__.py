"""Asks a Snowflake account what the stand-in answers, and compares: `make conformance`.

It creates objects of its own on a trial account, under one name that nobody has, and drops them,
whatever happens. `DRY_RUN=1` prints the statements.

    python -m tests.conformance --connection NAME [--report FILE]
    python -m tests.conformance --dry-run
"""
