"""The questions for Snowflake, as SQL."""
