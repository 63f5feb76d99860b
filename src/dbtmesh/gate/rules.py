"""Defines the gate's rules: each kind of change, its severity and its way out.

`compare` and the modules `…_changes` detect the changes. Everything that an interface lists is
promised to readers, with or without a contract. Changes of descriptions, tags, docs and meta,
except for `consumers`, break nobody and have no rule.

- Notice. A deprecation date that leaves readers too little time breaks them: see `deprecation`. A
  model that has a date when it is first published has no readers yet.
- Consumers. A list in `meta.consumers` excludes every project that is not in it, so it breaks them.
  If records show who reads the model, and the list excludes none of them, the change is only risky:
  a project that is about to read the model has recorded nothing yet.
- The latest version. A reader without a version gets another model when the latest version moves,
  so the old and the new latest version are compared like one model that changed. After the old
  one's deprecation date, incompatibilities of the new one do not stop a publication.

dbt's own rule is `ModelNode.same_contract` (`state:modified.contract`). It considers contracted
models only, and only what breaks a contract. These rules also cover access, names, relations, order
and versions. tests/test_gate.py compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from dbtmesh.gate.deprecation import NOTICE_DAYS


class Severity(StrEnum):
    """The effect of a change on readers, worst first."""

    BREAKING = "breaking"
    RISKY = "risky"
    FINE = "fine"


class Rule(StrEnum):
    """The kinds of changes, in the order in which they are listed within one severity."""

    ADAPTER_CHANGED = "adapter_changed"
    MODEL_REMOVED = "model_removed"
    MODEL_NOT_PUBLIC = "model_not_public"
    VERSION_REMOVED = "version_removed"
    MODEL_UNVERSIONED = "model_unversioned"
    CONSUMERS_LIMITED = "consumers_limited"
    CONSUMER_REMOVED = "consumer_removed"
    MODEL_EPHEMERAL = "model_ephemeral"
    RELATION_MOVED = "relation_moved"
    LATEST_INCOMPATIBLE = "latest_incompatible"
    CONTRACT_DROPPED = "contract_dropped"
    COLUMN_REMOVED = "column_removed"
    COLUMN_RENAMED = "column_renamed"
    COLUMN_RECASED = "column_recased"
    TYPE_CHANGED = "type_changed"
    NOT_NULL_DROPPED = "not_null_dropped"
    UNIQUE_DROPPED = "unique_dropped"
    PRIMARY_KEY_DROPPED = "primary_key_dropped"
    DEPRECATION_SHORT_NOTICE = "deprecation_short_notice"
    LATEST_MOVED = "latest_moved"
    TYPE_RESIZED = "type_resized"
    TYPE_UNDECLARED = "type_undeclared"
    COLUMN_REORDERED = "column_reordered"
    COLUMN_UNLISTED = "column_unlisted"
    READ_UNLISTED = "read_unlisted"
    FOREIGN_KEY_DROPPED = "foreign_key_dropped"
    CHECK_DROPPED = "check_dropped"
    CUSTOM_DROPPED = "custom_dropped"
    CONSTRAINT_CHANGED = "constraint_changed"
    CONSUMERS_NAMED = "consumers_named"
    CONSTRAINTS_UNENFORCED = "constraints_unenforced"
    DEPRECATION_ADVANCED = "deprecation_advanced"
    MODEL_ADDED = "model_added"
    VERSION_ADDED = "version_added"
    MODEL_VERSIONED = "model_versioned"
    MODEL_RETIRED = "model_retired"
    MATERIALIZATION_CHANGED = "materialization_changed"
    CONSUMERS_WIDENED = "consumers_widened"
    CONTRACT_ADDED = "contract_added"
    COLUMN_ADDED = "column_added"
    TYPE_DECLARED = "type_declared"
    CONSTRAINT_ADDED = "constraint_added"
    DEPRECATION_SET = "deprecation_set"
    DEPRECATION_POSTPONED = "deprecation_postponed"
    GROUP_CHANGED = "group_changed"


class Ruling(NamedTuple):
    """The severity of a change, the reason, and the way to make it without breaking readers.

    way_out: a template with `{model}`, `{before}` and `{new_version}` (see `Change.of`).
    """

    severity: Severity
    why: str
    way_out: str = "{new_version}"


_BREAKING, _RISKY, _FINE = Severity
_RETIRE = "bring {model} back, give it a deprecation_date, and remove it on that date"

RULES: Mapping[Rule, Ruling] = {
    Rule.ADAPTER_CHANGED: Ruling(
        _BREAKING,
        "The relation is on another warehouse, which readers do not query.",
        "publish to another environment of the registry",
    ),
    Rule.MODEL_REMOVED: Ruling(_BREAKING, "Queries that read the model fail.", _RETIRE),
    Rule.MODEL_NOT_PUBLIC: Ruling(
        _BREAKING,
        "The model exists, but is no longer public.",
        "publish {model} again (`access: public`, not ephemeral); to retire it, give it a"
        " deprecation_date first",
    ),
    Rule.VERSION_REMOVED: Ruling(
        _BREAKING,
        "Readers pinned to the version fail before the date they were given, or without any date.",
        _RETIRE,
    ),
    Rule.MODEL_UNVERSIONED: Ruling(
        _BREAKING,
        "A `ref` with a version, such as `v=1`, no longer resolves.",
        "keep {model} as a version",
    ),
    Rule.CONSUMERS_LIMITED: Ruling(
        _BREAKING,
        "Projects that read the model and are not named in `consumers` are refused.",
        "name every project that reads {model} in its `meta.consumers`",
    ),
    Rule.CONSUMER_REMOVED: Ruling(
        _BREAKING,
        "The project no longer gets a source for the model, and its lineage check fails.",
        "keep the project in `meta.consumers` of {model} until it has stopped reading it",
    ),
    Rule.MODEL_EPHEMERAL: Ruling(
        _BREAKING,
        "An ephemeral model has no relation that another project could read.",
        "materialize {model} as a table or a view",
    ),
    Rule.RELATION_MOVED: Ruling(
        _BREAKING,
        "Readers query the relation by database, schema and name; the old table is"
        " no longer updated, or is dropped.",
        "set database, schema and alias so that {model} stays {before}, or {new_version}",
    ),
    Rule.LATEST_INCOMPATIBLE: Ruling(
        _BREAKING,
        "A `ref` without a version now resolves to an incompatible version.",
        "keep `latest_version: {before}` until the deprecation_date of {model} has come: readers"
        " pin `v={before}` or move before it",
    ),
    Rule.CONTRACT_DROPPED: Ruling(
        _BREAKING,
        "dbt no longer enforces columns and types.",
        "set `contract: {{enforced: true}}` on {model} again",
    ),
    Rule.COLUMN_REMOVED: Ruling(_BREAKING, "Queries that use the column fail."),
    Rule.COLUMN_RENAMED: Ruling(
        _BREAKING,
        "Queries that use the old name fail. A column of the same type is in its position.",
        "publish the column under both names, or {new_version}",
    ),
    Rule.COLUMN_RECASED: Ruling(
        _BREAKING,
        "The stored name differs in case, so on Snowflake it is another column.",
        "keep the column's spelling and `quote`, or {new_version}",
    ),
    Rule.TYPE_CHANGED: Ruling(
        _BREAKING, "Comparisons, joins and casts in readers' queries change meaning, or fail."
    ),
    Rule.NOT_NULL_DROPPED: Ruling(
        _BREAKING, "Rows with nulls silently drop out of readers' joins and filters."
    ),
    Rule.UNIQUE_DROPPED: Ruling(_BREAKING, "Duplicates silently multiply rows in readers' joins."),
    Rule.PRIMARY_KEY_DROPPED: Ruling(
        _BREAKING, "Duplicates and nulls silently change the result of readers' joins."
    ),
    Rule.DEPRECATION_SHORT_NOTICE: Ruling(
        _BREAKING,
        f"On that date the model may be removed. Readers need at least {NOTICE_DAYS} days to move.",
        f"give a deprecation_date {NOTICE_DAYS} days ahead, or later",
    ),
    Rule.LATEST_MOVED: Ruling(
        _RISKY,
        "A `ref` without a version now resolves to another version. It is compatible, or the old"
        " version's date has come.",
        "keep {model} and `latest_version: {before}` until readers have tried the new one",
    ),
    Rule.TYPE_RESIZED: Ruling(
        _RISKY,
        "The size or the collation changed, or NOT NULL inside the type: values may be "
        "cut, no longer fit, or be null.",
    ),
    Rule.TYPE_UNDECLARED: Ruling(
        _RISKY,
        "The type may be the same, but is no longer guaranteed.",
        "declare the data_type",
    ),
    Rule.COLUMN_REORDERED: Ruling(
        _RISKY,
        "Queries by position break: `insert … select *`, `union all`.",
        "restore the order of the columns, or {new_version}",
    ),
    Rule.COLUMN_UNLISTED: Ruling(
        _RISKY,
        "Without a contract, the column came from dbt's catalog, and this build has "
        "none: the column may be gone.",
        "list the column, or publish a build with a catalog (`dbt docs generate` after it)",
    ),
    Rule.READ_UNLISTED: Ruling(
        _RISKY,
        "A model without a contract changed, and a reader uses a column that it does not "
        "list: the column may be gone.",
        "list every column of {model}, and set `contract: {{enforced: true}}`",
    ),
    Rule.FOREIGN_KEY_DROPPED: Ruling(_RISKY, "Inner joins along the key may lose rows."),
    Rule.CHECK_DROPPED: Ruling(_RISKY, "Values that violate the check may appear."),
    Rule.CUSTOM_DROPPED: Ruling(
        _RISKY,
        "Only the author of the constraint knows what it guaranteed.",
    ),
    Rule.CONSTRAINT_CHANGED: Ruling(
        _RISKY, "A check, foreign key or custom constraint guarantees something else."
    ),
    Rule.CONSUMERS_NAMED: Ruling(
        _RISKY,
        "All recorded readers keep access; a project without a record loses it.",
        "name every project that reads {model} in its `meta.consumers`",
    ),
    Rule.CONSTRAINTS_UNENFORCED: Ruling(
        _RISKY,
        "Only tables enforce constraints; now they are only documented.",
        "keep {model} a table or incremental",
    ),
    Rule.DEPRECATION_ADVANCED: Ruling(
        _RISKY, "The date is earlier than announced.", "keep the deprecation_date {before}"
    ),
    Rule.MODEL_ADDED: Ruling(_FINE, "Nobody reads it yet."),
    Rule.VERSION_ADDED: Ruling(_FINE, "Readers keep the version that they pinned, or the latest."),
    Rule.MODEL_VERSIONED: Ruling(
        _FINE, "A `ref` without a version finds the latest, which is compared with the old model."
    ),
    Rule.MODEL_RETIRED: Ruling(_FINE, "Its published deprecation date has come."),
    Rule.MATERIALIZATION_CHANGED: Ruling(_FINE, "Readers select from tables and views alike."),
    Rule.CONSUMERS_WIDENED: Ruling(_FINE, "More projects may read the model."),
    Rule.CONTRACT_ADDED: Ruling(_FINE, "More is guaranteed than before."),
    Rule.COLUMN_ADDED: Ruling(_FINE, "No query uses it yet."),
    Rule.TYPE_DECLARED: Ruling(_FINE, "More is guaranteed than before."),
    Rule.CONSTRAINT_ADDED: Ruling(_FINE, "More is guaranteed than before."),
    Rule.DEPRECATION_SET: Ruling(_FINE, "Readers are notified in time."),
    Rule.DEPRECATION_POSTPONED: Ruling(_FINE, "Readers get more time."),
    Rule.GROUP_CHANGED: Ruling(_FINE, "Only the owner changes."),
}
