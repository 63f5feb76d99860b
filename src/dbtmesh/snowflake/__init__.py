"""Access on Snowflake: roles and grants, as a member's SQL files define them, and key pairs.

To change what a member is granted, change the SQL in `template/{{ member }}/snowflake/`: `plan`,
`apply` and `verify` read these files. `statements` defines the SQL that they understand. A new
audit is a new file in `snowflake/audit/` there.
"""
