"""The gate: compares a new interface with the published one, and refuses what breaks readers.

To add a rule, add it to `rules.Rule` and `rules.RULES`, and yield it as a `Finding` from the module
of its subject: `model_changes`, `column_changes`, `constraint_changes`, `version_changes` or
`consumer_changes`; `compare` calls them. `warehouse.types` classifies a change of a data type, its
length or its collation as a `TypeChange`, and `column_changes.RULE_OF` maps that to a rule.
`impact` finds the readers that a change affects, and `verdict` decides. The cases are in
tests/data/interface_changes.yml, and the table is in docs/gate.md.
"""
