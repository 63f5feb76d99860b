"""The gate: compares a new interface with the published one, and refuses what breaks readers.

To add a rule, add it to `rules.Rule` and `rules.RULES`, and yield it as a `Finding` from the module
of its subject: `model_changes`, `column_changes`, `constraint_changes`, `version_changes` or
`consumer_changes`; `compare` calls them. What kind of change a data type had, in its length or
collation too, `warehouse.types` decides as a `TypeChange`; `column_changes.RULE_OF` has its rule.
`impact` finds the readers that a change concerns, and `verdict` decides. The cases are in
tests/data/interface_changes.yml, the table in docs/gate.md.
"""
