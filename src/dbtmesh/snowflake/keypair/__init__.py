"""A Snowflake user's key pairs: files on this machine, keys that the account accepts, rotation."""
