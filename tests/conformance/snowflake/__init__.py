"""What Snowflake is asked, as SQL."""
