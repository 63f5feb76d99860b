"""Asks Snowflake or GitHub what the stand-in for it answers, and compares: `make conformance`.

Everything that it creates has a name that nobody has, and is taken away again, whatever happens.
`DRY_RUN=1` prints each statement or request.

    python -m tests.conformance --connection NAME [--report FILE]     a trial account on Snowflake
    python -m tests.conformance --repository OWNER/NAME               an empty repository on GitHub
    python -m tests.conformance --dry-run [--repository OWNER/NAME]
"""
