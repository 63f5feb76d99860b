"""Manages a Snowflake user's key pairs: files on this machine, keys in the account, rotation."""
