"""Compares the answers of Snowflake or GitHub with those of its stand-in: `make conformance`.

Everything that it creates has a unique name, and is removed again in any case. `DRY_RUN=1` prints
each statement or request.

    python -m tests.conformance --connection NAME [--report FILE]     a trial account on Snowflake
    python -m tests.conformance --repository OWNER/NAME               an empty repository on GitHub
    python -m tests.conformance --dry-run [--repository OWNER/NAME]
"""
