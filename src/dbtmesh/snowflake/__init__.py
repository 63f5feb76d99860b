"""Access on Snowflake: roles and grants as the SQL files of a member say, and key pairs.

To change what a member is granted, change the SQL in `template/{{ member }}/snowflake/`: `plan`,
`apply` and `verify` read these files, and `statements` says what they may hold. A new audit is a
new file in `snowflake/audit/` there.
"""
