"""Judge how a project's public interface changed: breaking, risky or fine for its readers.

An interface is a dbt manifest (schema v12) that holds public models only; nodes that say they are
not public, or are no models, are passed over, so a full manifest works as well. Everything here is
pure: two decoded manifests in, a list of `Change` out. `RULES` is the whole rulebook.

What counts as the same is decided by what the warehouse stores, not by how it is spelled:

- Names. Snowflake stores an unquoted name in upper case and a quoted one as it is; DuckDB ignores
  case altogether.
- Types. Snowflake's spellings of one type are one (docs.snowflake.com, "Summary of data types"):
  `integer` is `number(38,0)`, `string` is `varchar(16777216)`, `timestamp` is `timestamp_ntz(9)`
  (the default TIMESTAMP_TYPE_MAPPING), `real` is `float`. Whole numbers (scale 0) and numbers with
  a fraction are two types, because clients read them as two (int and Decimal); any other
  precision, scale, length or collation is another size of the same type. DuckDB's own table differs
  in widths: there `integer` is 32 bits, `bigint` 64, `decimal` is `decimal(18,3)`, and `float` and
  `double` are two sizes. Lengths of text count on DuckDB too, though it ignores them, because the
  same models run on Snowflake. If the engines differ, or a type is spelled as only Snowflake spells
  it, both sides are read as Snowflake's. Types inside of types (`array(integer)`, `integer[]`,
  `struct(a integer)`) are compared by the same rules. NOT NULL inside of one counts as a size: it
  is the same type, and readers that take it apart meet a null where there was none, or the other
  way round, so it is risky. A type in neither table is its own text.
- Constraints. A primary key promises unique and not null; unique over fewer columns promises more;
  it does not matter whether a constraint stands at the column or at the model, or what it is
  called. A foreign key is known by its columns and by the last name of its target, because dbt
  writes the target as `ref('m')` after `parse` and as a relation after `compile`.

- Notice. A deprecation date takes a model out of the promise once it has come, so a date that comes
  sooner than NOTICE_DAYS after it is published, or is moved there, breaks like the removal it
  allows. Once a date has come, readers have had their notice; a model that is published with a
  date from the first day had no reader before.
- Consumers. A list in `meta.consumers` refuses all who are not in it, so it breaks them. Where it
  is known who reads the model, and the list leaves none of them out, it is risky: one that is about
  to read it has put nothing on record yet (`weighed`).
- The latest version. Who reads a model without a version gets another one when the latest moves, so
  the old and the new latest are compared like one model that changed: columns, contract, who may
  read it, and until when. Once the old one's date has come, what the new one lacks stops nothing.

What an interface lists is promised, contracted or not: readers were shown it. Descriptions, meta
(but for `consumers`), tags and docs break nobody and are not listed at all.

dbt's own rule is `ModelNode.same_contract` (`state:modified.contract`). It looks at contracted
models only and stops at what breaks a contract. This one also follows access, names, relations,
order and versions. tests/test_contract.py holds the two against each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from dbtmesh.manifest.interface import shared_with

Manifest = Mapping[str, Any]
Node = Mapping[str, Any]


class Severity(StrEnum):
    """What a change does to readers, worst first."""

    BREAKING = "breaking"
    RISKY = "risky"
    FINE = "fine"


class Rule(NamedTuple):
    severity: Severity
    why: str
    # How to get the change to readers without breaking them; `{…}` as in `_way_out`.
    way_out: str = "{new_version}"


@dataclass(frozen=True)
class Change:
    """One difference between two interfaces, judged.

    `model` is the name a dbt selector takes (`orders`, `orders.v1`), `unique_id` the published
    node it concerns, by which readers are found; of a change to the whole project `model` is the
    project's name and `unique_id` is empty. `column` is the name readers know, the old one if there
    is one. `way_out` is empty for a change that is fine.
    """

    severity: Severity
    rule: str
    model: str
    unique_id: str
    column: str | None
    before: str | None
    after: str | None
    message: str
    way_out: str

    @property
    def where(self) -> str:
        return f"{self.model}.{self.column}" if self.column else self.model


NOTICE_DAYS = 14
"""How long readers know of a deprecation date, at least, before it comes."""

_BREAKING, _RISKY, _FINE = Severity
_RETIRE = "bring {model} back, give it a deprecation_date, and remove it on that date"

# In the order in which a model's changes are listed within one severity.
RULES: Mapping[str, Rule] = {
    "adapter_changed": Rule(
        _BREAKING,
        "Readers query the engine they know; on another one they find nothing.",
        "publish to another environment of the registry",
    ),
    "model_removed": Rule(_BREAKING, "Whatever reads the model fails.", _RETIRE),
    "model_not_public": Rule(
        _BREAKING,
        "The model still exists, but not for other projects.",
        "publish {model} again (`access: public`, not ephemeral); to retire it, give it a"
        " deprecation_date first",
    ),
    "version_removed": Rule(
        _BREAKING,
        "Readers pinned to the version fail before the date they were given, or without any.",
        _RETIRE,
    ),
    "model_unversioned": Rule(
        _BREAKING,
        "A `ref` with a version resolves to nothing once the model has none.",
        "keep {model} as a version",
    ),
    "consumers_limited": Rule(
        _BREAKING,
        "Projects that read the model and are not named in `consumers` are refused.",
        "name every project that reads {model} in its `meta.consumers`",
    ),
    "consumer_removed": Rule(
        _BREAKING,
        "The project's sync leaves the model out, and its check refuses what reads it.",
        "keep the project in `meta.consumers` of {model} until it has moved",
    ),
    "model_ephemeral": Rule(
        _BREAKING,
        "An ephemeral model has no relation that another project could read.",
        "materialize {model} as a table or a view",
    ),
    "relation_moved": Rule(
        _BREAKING,
        "Readers query the relation by database, schema and name; the old one goes stale or away.",
        "set database, schema and alias so that {model} stays {before}, or {new_version}",
    ),
    "latest_incompatible": Rule(
        _BREAKING,
        "A `ref` without a version now means a version that breaks what read the old one.",
        "keep `latest_version: {before}` until the deprecation_date of {model} has come: readers"
        " pin `v={before}` or move before it",
    ),
    "contract_dropped": Rule(
        _BREAKING,
        "Nothing holds columns and types to what was promised any more.",
        "set `contract: {{enforced: true}}` on {model} again",
    ),
    "column_removed": Rule(_BREAKING, "Whatever names the column fails."),
    "column_renamed": Rule(
        _BREAKING,
        "Whatever names the column fails; one of the same type took its place.",
        "publish the column under both names, or {new_version}",
    ),
    "column_recased": Rule(
        _BREAKING,
        "The stored name differs in case, so on Snowflake it is another column.",
        "keep the column's spelling and `quote`, or {new_version}",
    ),
    "type_changed": Rule(
        _BREAKING, "Comparisons, joins and casts of readers mean something else, or fail."
    ),
    "not_null_dropped": Rule(_BREAKING, "Nulls drop out of readers' joins and filters, unseen."),
    "unique_dropped": Rule(_BREAKING, "Duplicates multiply rows in readers' joins, unseen."),
    "primary_key_dropped": Rule(
        _BREAKING, "Duplicates and nulls change the result of readers' joins, unseen."
    ),
    "deprecation_short_notice": Rule(
        _BREAKING,
        "On its date the model may go, and readers get too little time to move.",
        f"give a deprecation_date {NOTICE_DAYS} days ahead, or later",
    ),
    "latest_moved": Rule(
        _RISKY,
        "A `ref` without a version now means another version, which still has what the old had, or"
        " the old one's date has come.",
        "keep {model} and `latest_version: {before}` until readers have tried the new one",
    ),
    "type_resized": Rule(
        _RISKY,
        "The same type in another size or collation, or NOT NULL inside of it comes or goes: values"
        " may be cut, no longer fit, or be null.",
    ),
    "type_undeclared": Rule(
        _RISKY, "The type may well be the same, but is no longer promised.", "declare the data_type"
    ),
    "column_reordered": Rule(
        _RISKY,
        "By name nothing changes; `insert … select *` and `union all` go by position.",
        "restore the order of the columns, or {new_version}",
    ),
    "foreign_key_dropped": Rule(_RISKY, "Inner joins along the key may lose rows."),
    "check_dropped": Rule(_RISKY, "Values that were ruled out may come."),
    "custom_dropped": Rule(_RISKY, "What the constraint promised, only its author knows."),
    "constraint_changed": Rule(
        _RISKY, "A check, foreign key or custom constraint promises something else."
    ),
    "consumers_named": Rule(
        _RISKY,
        "All who are on record as readers may read on; who has not recorded it yet is refused.",
        "name every project that reads {model} in its `meta.consumers`",
    ),
    "constraints_unenforced": Rule(
        _RISKY,
        "Only tables carry constraints; after the move they are written down but not enforced.",
        "keep {model} a table or incremental",
    ),
    "deprecation_advanced": Rule(
        _RISKY,
        "Readers planned with the later date.",
        "keep the deprecation_date {before}",
    ),
    "model_added": Rule(_FINE, "Nobody reads it yet."),
    "version_added": Rule(_FINE, "Readers keep the version that they pinned, or the latest."),
    "model_versioned": Rule(
        _FINE, "A `ref` without a version finds the latest, which is compared with the old model."
    ),
    "model_retired": Rule(_FINE, "Its published deprecation date has come."),
    "materialization_changed": Rule(_FINE, "Readers select from tables and views alike."),
    "consumers_widened": Rule(_FINE, "More projects may read the model."),
    "contract_added": Rule(_FINE, "More is promised than before."),
    "column_added": Rule(_FINE, "Nobody names it yet."),
    "type_declared": Rule(_FINE, "More is promised than before."),
    "constraint_added": Rule(_FINE, "More is promised than before."),
    "deprecation_set": Rule(_FINE, "This is how readers are told, in time."),
    "deprecation_postponed": Rule(_FINE, "Readers get more time."),
    "group_changed": Rule(_FINE, "Another owner, the same data."),
}

_SEVERITY_ORDER = {severity: place for place, severity in enumerate(Severity)}
_RULE_ORDER = {rule: place for place, rule in enumerate(RULES)}


class _Finding(NamedTuple):
    """A change, before it is known to which model it belongs."""

    rule: str
    message: str
    before: str | None = None
    after: str | None = None
    column: str | None = None


# --- Types -------------------------------------------------------------------------------------


class _Type(NamedTuple):
    """size: of a type that holds others, the sizes of these."""

    family: str
    size: tuple[Any, ...]


def _spellings(table: Iterable[tuple[str, tuple[int, ...], str]]) -> dict[str, _Type]:
    return {
        name.strip(): _Type(family, size)
        for family, size, names in table
        for name in names.split(",")
    }


# family, size if none is given, spellings
_SNOWFLAKE = _spellings(
    [
        ("number", (38, 0), "number,decimal,dec,numeric"),
        ("number", (38, 0), "int,integer,bigint,smallint,tinyint,byteint"),
        ("float", (), "float,float4,float8,double,double precision,real"),
        ("varchar", (16777216,), "varchar,string,text,nvarchar,nvarchar2"),
        ("varchar", (16777216,), "char varying,nchar varying,character varying"),
        ("varchar", (1,), "char,nchar,character"),
        ("binary", (8388608,), "binary,varbinary"),
        ("boolean", (), "boolean,bool"),
        ("date", (), "date"),
        ("time", (9,), "time"),
        ("timestamp_ntz", (9,), "timestamp_ntz,timestampntz,timestamp,datetime"),
        ("timestamp_ntz", (9,), "timestamp without time zone"),
        ("timestamp_tz", (9,), "timestamp_tz,timestamptz,timestamp with time zone"),
        ("timestamp_ltz", (9,), "timestamp_ltz,timestampltz,timestamp with local time zone"),
    ]
)
# As `duckdb_types()` lists them. Unsigned numbers are left out: they are types of their own.
_DUCKDB = _spellings(
    [
        ("number", (18, 3), "decimal,dec,numeric"),
        ("number", (3, 0), "tinyint,int1"),
        ("number", (5, 0), "smallint,int2,int16,short"),
        ("number", (10, 0), "integer,int,int4,int32,signed,integral"),
        ("number", (19, 0), "bigint,int8,int64,long"),
        ("number", (38, 0), "hugeint,int128"),
        ("float", (24,), "float,float4,real"),
        ("float", (53,), "double,float8,double precision"),
        ("varchar", (16777216,), "varchar,string,text,nvarchar,character varying"),
        ("varchar", (16777216,), "char,bpchar,character"),
        ("binary", (8388608,), "blob,bytea,binary,varbinary"),
        ("boolean", (), "boolean,bool,logical"),
        ("date", (), "date"),
        ("time", (6,), "time"),
        ("timestamp_ntz", (0,), "timestamp_s"),
        ("timestamp_ntz", (3,), "timestamp_ms"),
        ("timestamp_ntz", (6,), "timestamp,datetime,timestamp_us,timestamp without time zone"),
        ("timestamp_ntz", (9,), "timestamp_ns"),
        ("timestamp_tz", (6,), "timestamptz,timestamp with time zone"),
    ]
)
_ONLY_SNOWFLAKE = _SNOWFLAKE.keys() - _DUCKDB.keys()

_COLLATE = re.compile(r"\s*\bcollate\s+")
_SIZED = re.compile(r"([^()]*?)\s*(?:\((\d+(?:,\d+)*)\))?\s*([^()]*)")
_PUNCTUATION = re.compile(r"\s*([(),<>\[\]:])\s*")
_LIST = re.compile(r"(.+)(\[\d*\])")
_NESTED = re.compile(r"(array|map|object|struct|row|union)\((.+)\)")
_FIELD = re.compile(r"(\"(?:[^\"]|\"\")*\"|[^\s()\[\]]+(?= )) ?(.+)")
_NOT_NULL = re.compile(r"(.+?) ?\bnot null")
_WORD = re.compile(r"\"(?:[^\"]|\"\")*\"|'[^']*'|[^\"']")


def _plain(text: str) -> str:
    return _PUNCTUATION.sub(r"\1", " ".join(text.lower().split()))


@lru_cache(maxsize=4096)
def _split_type(text: str) -> tuple[str, tuple[int, ...], str]:
    """Name, numbers in parentheses, and collation; `timestamp(3) with time zone` has them inside.

    A type with anything but numbers in parentheses is all name.
    """
    base, *collation = _COLLATE.split(_plain(text), maxsplit=1)
    base = base.replace(")", ") ").strip()
    sized = _SIZED.fullmatch(base)
    if sized is None:
        return base, (), "".join(collation)
    head, numbers, tail = sized.groups()
    sizes = tuple(map(int, numbers.split(","))) if numbers else ()
    return f"{head} {tail}".strip(), sizes, "".join(collation)


class _Inner(NamedTuple):
    """A type inside of another; name: of a field."""

    name: str
    type: str
    not_null: bool


@lru_cache(maxsize=4096)
def _take_apart(text: str) -> tuple[str, tuple[_Inner, ...]]:
    """What holds, and the types that it holds: `array(integer)`, `integer[3]`; a plain one none."""
    text = _plain(text)
    if many := _LIST.fullmatch(text):
        return many[2], (_Inner("", many[1], not_null=False),)
    if not (nested := _NESTED.fullmatch(text)):
        return "", ()
    kind = nested[1].replace("row", "struct")
    inner = []
    for part in _split_commas(nested[2]):
        bare = _NOT_NULL.fullmatch(part)
        name, data_type = "", bare[1] if bare else part
        if kind in ("object", "struct", "union") and (field := _FIELD.fullmatch(data_type)):
            name, data_type = field.groups()
        inner.append(_Inner(name, data_type, not_null=bool(bare)))
    return kind, tuple(inner)


def _split_commas(text: str) -> list[str]:
    """At commas outside of parentheses and quotes."""
    parts, depth = [""], 0
    for word in _WORD.findall(text):
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if word == "," and not depth:
            parts.append("")
        else:
            parts[-1] += word
    return parts


def _only_snowflake(text: str) -> bool:
    """Is it spelled as only Snowflake spells it, or is something inside of it?"""
    inner = _take_apart(text)[1]
    if inner:
        return any(_only_snowflake(each.type) for each in inner)
    return _split_type(text)[0] in _ONLY_SNOWFLAKE


def _read_type(text: str, adapter: str) -> _Type:
    holder, inner = _take_apart(text)
    if inner:
        held = [_read_type(each.type, adapter) for each in inner]
        names = [f"{e.name} {t.family}" for e, t in zip(inner, held, strict=True)]
        sizes = tuple((t.size, e.not_null) for e, t in zip(inner, held, strict=True))
        return _Type(f"{holder}({','.join(names)})", sizes)
    return _read_plain_type(text, adapter)


def _read_plain_type(text: str, adapter: str) -> _Type:
    name, sizes, collation = _split_type(text)
    table = _DUCKDB if adapter == "duckdb" else _SNOWFLAKE
    plain = table.get(name, _Type(name, ()))
    family, default = plain.family, plain.size
    if family == "number":
        # number(10) is number(10,0), whatever the scale of a bare number is.
        sizes = (*sizes, 0) if len(sizes) == 1 else sizes
        family = "decimal" if (sizes or default)[1] else "whole number"
    size = sizes or default
    return _Type(family, (*size, collation) if collation else size)


@lru_cache(maxsize=4096)
def _type_rule(old: str | None, new: str | None, adapter: str) -> str | None:
    if not old or not new:
        if not old and not new:
            return None
        return "type_undeclared" if old else "type_declared"
    if _only_snowflake(old) or _only_snowflake(new):
        adapter = "snowflake"
    before, after = _read_type(old, adapter), _read_type(new, adapter)
    if before == after:
        return None
    return "type_resized" if before.family == after.family else "type_changed"


def type_change(old: str | None, new: str | None, adapter: str = "snowflake") -> Severity | None:
    """How readers of a column fare if its `data_type` goes from `old` to `new`; None: the same.

    Another type is breaking, another size of the same type risky. A type no longer declared is
    risky, one newly declared is fine. `adapter` is `metadata.adapter_type`; all but `duckdb` are
    read as Snowflake.
    """
    rule = None if old == new else _type_rule(old, new, adapter)
    return RULES[rule].severity if rule else None


def same_type(old: str | None, new: str | None, adapter: str = "snowflake") -> bool:
    """Whether two spellings mean one type on `adapter`, size included."""
    return type_change(old, new, adapter) is None


# --- Names -------------------------------------------------------------------------------------

_IDENTIFIER = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_LAST_NAME = re.compile(r"[\w$]+")
_REF_VERSION = re.compile(r"\b(?:v|version)\s*=\s*['\"]?(\w+)")


def _stored(name: str, quoted: bool, adapter: str) -> str:
    return name if quoted and adapter != "duckdb" else name.upper()


def _columns_by_name(node: Node, adapter: str) -> dict[str, tuple[str, Node]]:
    """Stored name → name as declared, and the column; in the declared order."""
    columns: Mapping[str, Node] = node.get("columns") or {}
    return {
        _stored(name, bool(column.get("quote")), adapter): (name, column)
        for name, column in columns.items()
    }


def _location(node: Node, adapter: str) -> tuple[str, ...]:
    """Database, schema and identifier as stored, by their fields and by `relation_name`.

    Whether a name is quoted stands in `relation_name` only. Both are looked at, so that a manifest
    in which they disagree does not hide a move.
    """
    written = _IDENTIFIER.findall(node.get("relation_name") or "")
    fields = [node.get("database"), node.get("schema"), node.get("alias") or node.get("name")]
    quoted = [name.startswith('"') for name in written]
    if len(quoted) != len(fields):
        quoted = [False] * len(fields)
    return (
        *(_stored(str(name), q, adapter) for name, q in zip(fields, quoted, strict=True)),
        *(_stored(name.strip('"'), name.startswith('"'), adapter) for name in written),
    )


def _display(node: Node) -> str:
    """A model as dbt's selectors name it: `orders`, `orders.v1`."""
    name, version = node["name"], node.get("version")
    return name if version is None else f"{name}.v{version}"


def _base_id(unique_id: str, node: Node) -> str:
    """The unique_id without its version: one for all versions of a model."""
    version = node.get("version")
    return unique_id if version is None else unique_id.removesuffix(f".v{version}")


# --- Constraints -------------------------------------------------------------------------------


class _Promise(NamedTuple):
    """A constraint by its meaning; `columns` are stored names, `terms` its expression or target."""

    kind: str
    columns: tuple[str, ...]
    terms: str = ""

    def __str__(self) -> str:
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.kind}{columns} {self.terms}".strip()


_KINDS = frozenset(("not_null", "unique", "primary_key", "foreign_key", "check"))


def _words(expression: str | None) -> str:
    return " ".join((expression or "").split())


def _target(constraint: Node) -> str:
    """What a foreign key points at: `NAME(COLUMNS)`, or its expression; empty if not told."""
    to = constraint.get("to")
    if not to:
        return _words(constraint.get("expression"))
    version = _REF_VERSION.search(to) if to.startswith("ref(") else None
    names = _LAST_NAME.findall(to[: version.start()] if version else to)
    suffix = f"_v{version[1]}" if version else ""
    return f"{names[-1]}{suffix}({','.join(constraint.get('to_columns') or ())})".upper()


def _promises(node: Node, adapter: str) -> dict[_Promise, frozenset[str]]:
    """What the constraints of a model promise → the stored names of the columns concerned."""
    columns = _columns_by_name(node, adapter)
    stored = {name: key for key, (name, _) in columns.items()}
    declared = [
        (constraint, (key,))
        for key, (_, column) in columns.items()
        for constraint in column.get("constraints") or ()
    ] + [
        (constraint, tuple(stored.get(n, n.upper()) for n in constraint.get("columns") or ()))
        for constraint in node.get("constraints") or ()
    ]
    promises: dict[_Promise, frozenset[str]] = {}
    for constraint, names in declared:
        kind = constraint["type"] if constraint["type"] in _KINDS else "custom"
        scope = frozenset(names)
        if kind == "not_null":
            promises |= {_Promise(kind, (name,)): frozenset((name,)) for name in names}
        elif kind in ("unique", "primary_key"):
            promises[_Promise(kind, tuple(sorted(names)))] = scope
        elif kind == "foreign_key":
            promises[_Promise(kind, names, _target(constraint))] = scope
        else:
            # A check names its columns itself, wherever it is declared.
            where = () if kind == "check" else names
            promises[_Promise(kind, where, _words(constraint.get("expression")))] = scope
    return promises


def _holds(promise: _Promise, kept: Collection[_Promise]) -> bool:
    """Whether `promise` still follows from the promises `kept`."""
    if promise in kept:
        return True
    columns = promise.columns
    if promise.kind == "not_null":
        return any(k.kind == "primary_key" and columns[0] in k.columns for k in kept)
    if promise.kind == "unique":
        keys = (set(k.columns) for k in kept if k.kind in ("unique", "primary_key"))
        return any(key <= set(columns) for key in keys)
    if promise.kind == "primary_key":
        return _holds(_Promise("unique", columns), kept) and all(
            _holds(_Promise("not_null", (column,)), kept) for column in columns
        )
    return False


def _constraint_findings(old: Node, new: Node, adapter: str) -> Iterator[_Finding]:
    before, after = _promises(old, adapter), _promises(new, adapter)
    if before.keys() == after.keys():
        return
    old_columns, new_columns = _columns_by_name(old, adapter), _columns_by_name(new, adapter)

    def column(scope: frozenset[str]) -> str | None:
        return old_columns[next(iter(scope))][0] if len(scope) == 1 else None

    # What happened to a column that came or went says all there is to say about its constraints.
    common = old_columns.keys() & new_columns.keys()
    dropped = [p for p, scope in before.items() if scope <= common and not _holds(p, after)]
    added = [p for p, scope in after.items() if scope <= common and not _holds(p, before)]
    for promise in dropped:
        scope = before[promise]
        successor = next(
            (p for p in added if p.kind == promise.kind and p.terms and after[p] == scope), None
        )
        if successor:
            added.remove(successor)
            message = f"{promise} became {successor}"
            yield _Finding(
                "constraint_changed", message, str(promise), str(successor), column(scope)
            )
        else:
            rule = f"{promise.kind}_dropped"
            yield _Finding(rule, f"{promise} is gone", str(promise), None, column(scope))
    for promise in added:
        message = f"{promise} is new"
        yield _Finding("constraint_added", message, None, str(promise), column(after[promise]))


# --- Models ------------------------------------------------------------------------------------


def _enforced(node: Node) -> bool:
    declared = (node.get("contract"), (node.get("config") or {}).get("contract"))
    flags = [contract.get("enforced") for contract in declared if contract]
    return bool(flags) and all(flags)


def _type_finding(name: str, old: Node, new: Node, adapter: str) -> _Finding | None:
    before, after = old.get("data_type"), new.get("data_type")
    rule = None if before == after else _type_rule(before, after, adapter)
    if rule is None:
        return None
    message = f"{before or 'no type'} became {after or 'no type'}"
    return _Finding(rule, message, before, after, name)


def _column_findings(old: Node, new: Node, adapter: str) -> Iterator[_Finding]:
    before, after = _columns_by_name(old, adapter), _columns_by_name(new, adapter)
    removed = [key for key in before if key not in after]
    added = {key: None for key in after if key not in before}
    in_place = dict(zip(before, after, strict=False))
    for key in removed:
        name, column = before[key]
        data_type = column.get("data_type")
        recased = next((other for other in added if other.upper() == key.upper()), None)
        heir = recased or in_place.get(key)
        if heir in added and (
            recased or _type_rule(data_type, after[heir][1].get("data_type"), adapter) is None
        ):
            del added[heir]
            rule = "column_recased" if recased else "column_renamed"
            message = f"{key} is now stored as {heir}"
            yield _Finding(rule, message, name, after[heir][0], name)
            if finding := _type_finding(name, column, after[heir][1], adapter):
                yield finding
        else:
            was = f" (was {data_type})" if data_type else ""
            yield _Finding("column_removed", f"column is gone{was}", name, None, name)
    for key in added:
        name, column = after[key]
        message = f"column is new ({column.get('data_type') or 'no type'})"
        yield _Finding("column_added", message, None, name, name)
    for key, (name, column) in before.items():
        if key in after and (finding := _type_finding(name, column, after[key][1], adapter)):
            yield finding
    old_order = [key for key in before if key in after]
    new_order = [key for key in after if key in before]
    if old_order != new_order:
        places = zip(old_order, new_order, strict=True)
        first, now = next((was, now) for was, now in places if was != now)
        message = f"{after[now][0]} now stands where {before[first][0]} stood"
        yield _Finding("column_reordered", message, ", ".join(old_order), ", ".join(new_order))


def _promise_findings(old: Node, new: Node, adapter: str) -> Iterator[_Finding]:
    """What readers notice, wherever the relation lies: contract, columns, constraints."""
    was, now = _enforced(old), _enforced(new)
    if was != now:
        rule = "contract_dropped" if was else "contract_added"
        message = f"the contract is {'no longer' if was else 'now'} enforced"
        yield _Finding(rule, message, _yes_no(was), _yes_no(now))
    old_columns, new_columns = old.get("columns") or {}, new.get("columns") or {}
    # Equal dicts may still differ in order.
    if old_columns != new_columns or [*old_columns] != [*new_columns]:
        yield from _column_findings(old, new, adapter)
        yield from _constraint_findings(old, new, adapter)
    elif old.get("constraints") != new.get("constraints"):
        yield from _constraint_findings(old, new, adapter)


def _yes_no(enforced: bool) -> str:
    return "enforced" if enforced else "not enforced"


def _materialization_findings(old: Node, new: Node, adapter: str) -> Iterator[_Finding]:
    before = (old.get("config") or {}).get("materialized")
    after = (new.get("config") or {}).get("materialized")
    if before == after:
        return
    message = f"{before} became {after}"
    # dbt's ModelNode.materialization_enforces_constraints
    tables = ("table", "incremental")
    if after == "ephemeral":
        rule = "model_ephemeral"
    elif before in tables and after not in tables and _promises(new, adapter):
        rule = "constraints_unenforced"
    else:
        rule = "materialization_changed"
    yield _Finding(rule, message, before, after)


def _relation_findings(old: Node, new: Node, adapter: str) -> Iterator[_Finding]:
    keys = ("relation_name", "database", "schema", "alias")
    if all(old.get(key) == new.get(key) for key in keys):
        return
    # An ephemeral model has no relation, which is a finding of its own.
    if any((node.get("config") or {}).get("materialized") == "ephemeral" for node in (old, new)):
        return
    before, after = _location(old, adapter), _location(new, adapter)
    if before[:3] != after[:3] or (before[3:] and after[3:] and before[3:] != after[3:]):
        was, now = (".".join(place[:3]) for place in (before, after))
        if was == now:
            was, now = (str(node["relation_name"]) for node in (old, new))
        yield _Finding("relation_moved", f"{was} is now {now}", was, now)


def _deprecation(node: Node) -> date | None:
    # dbt writes a date as midnight in the zone of the machine that parsed it: only the day counts.
    text = node.get("deprecation_date")
    return date.fromisoformat(str(text)[:10]) if text else None


def _deprecation_findings(old: Node, new: Node, today: date) -> Iterator[_Finding]:
    if old.get("deprecation_date") == new.get("deprecation_date"):
        return
    before, after = _deprecation(old), _deprecation(new)
    if before == after:
        return
    was, now = (str(day) if day else None for day in (before, after))
    if after is None or (before and after > before):
        message = f"deprecated on {now}, no longer on {was}" if now else "no longer deprecated"
        yield _Finding("deprecation_postponed", message, was, now)
    elif (before is None or before > today) and (after - today).days < NOTICE_DAYS:
        left = max((after - today).days, 0)
        message = f"deprecated on {now}, which leaves readers {left} day{'' if left == 1 else 's'}"
        yield _Finding("deprecation_short_notice", message, was, now)
    elif before:
        yield _Finding("deprecation_advanced", f"deprecated on {now}, before {was}", was, now)
    else:
        yield _Finding("deprecation_set", f"deprecated on {now}", was, now)


def _group_findings(old: Node, new: Node) -> Iterator[_Finding]:
    before, after = old.get("group"), new.get("group")
    if before != after:
        message = f"group {before or 'none'} became {after or 'none'}"
        yield _Finding("group_changed", message, before, after)


def _sharing_findings(old: Node, new: Node) -> Iterator[_Finding]:
    before, after = shared_with(old), shared_with(new)
    if before == after:
        return
    was, now = (", ".join(sorted(names or ())) for names in (before, after))
    if after is None or (before is not None and before < after):
        message = f"may be read by {now or 'every project'}, no longer by {was or 'none'} only"
        yield _Finding("consumers_widened", message, was, now)
    elif before is None:
        message = f"may be read by {now or 'no project'} only"
        yield _Finding("consumers_limited", message, None, now)
    else:
        gone = ", ".join(sorted(before - after))
        yield _Finding("consumer_removed", f"may not be read by {gone} any more", was, now)


def _same_model(old: Node, new: Node) -> bool:
    """Equal to the last value; equal dicts may still differ in the order of the columns."""
    return old == new and [*(old.get("columns") or ())] == [*(new.get("columns") or ())]


# --- Interfaces --------------------------------------------------------------------------------


def _public(node: Node) -> bool:
    # dbt writes the access of a model twice.
    access = (node.get("access"), (node.get("config") or {}).get("access"))
    return all(value in (None, "public") for value in access)


@dataclass(frozen=True)
class _Interface:
    """Public models by unique_id, and for each versioned model the unique_id of the latest one."""

    models: Mapping[str, Node]
    latest: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> _Interface:
        models: dict[str, Node] = {
            unique_id: node
            for unique_id, node in manifest["nodes"].items()
            if node.get("resource_type", "model") == "model" and _public(node)
        }
        latest = {}
        for unique_id, node in models.items():
            if node.get("version") is not None:
                base = _base_id(unique_id, node)
                latest[base] = f"{base}.v{node.get('latest_version')}"
        return cls(models, latest)


def compare(
    old: Manifest | None, new: Manifest, *, today: date, private: Collection[str] = ()
) -> list[Change]:
    """Every change from the published interface `old` to `new`, most severe first.

    `private` names models that the new project has but does not publish: by unique_id, as a
    selector does (`orders.v1`), or all versions by one name (`orders`). It only tells "no longer
    public" from "removed". Without an `old` nobody reads anything yet, and nothing has changed. The
    order of the result depends on what the interfaces say, not on the order of their models.

    Raises ValueError if the two are interfaces of different projects.
    """
    if old is None:
        return []
    was, now = (manifest["metadata"].get("project_name") for manifest in (old, new))
    if was != now:
        raise ValueError(f"these are interfaces of two projects: {was} and {now}")
    engine, new_engine = (
        manifest["metadata"].get("adapter_type") or "snowflake" for manifest in (old, new)
    )
    adapter = "duckdb" if engine == new_engine == "duckdb" else "snowflake"
    before, after = _Interface.of(old), _Interface.of(new)
    heirs = _heirs(before, after)
    changes: list[Change] = []
    if engine != new_engine:
        finding = _Finding("adapter_changed", f"{engine} became {new_engine}", engine, new_engine)
        changes.append(_change(finding, "", {"name": was}))
    for unique_id, heir in heirs.items():
        node, successor = before.models[unique_id], after.models[heir]
        if unique_id == heir and _same_model(node, successor):
            continue
        findings = [
            *(_versioning_findings(node, successor) if unique_id != heir else ()),
            *_promise_findings(node, successor, adapter),
            *_materialization_findings(node, successor, adapter),
            # On another engine everything lies elsewhere; `adapter_changed` says it once.
            *(_relation_findings(node, successor, adapter) if engine == new_engine else ()),
            *_deprecation_findings(node, successor, today),
            *_group_findings(node, successor),
            *_sharing_findings(node, successor),
        ]
        changes += [_change(finding, unique_id, node) for finding in findings]
    changes += _added_changes(before, after, heirs)
    changes += _gone_changes(before, after, heirs, frozenset(private), today, adapter)
    changes += _latest_changes(before, after, adapter, today)
    return _worst_first(changes)


def _worst_first(changes: Iterable[Change]) -> list[Change]:
    return sorted(
        changes, key=lambda c: (_SEVERITY_ORDER[c.severity], c.unique_id, _RULE_ORDER[c.rule])
    )


def limits(change: Change) -> bool:
    """Whether it concerns only projects that are not in the list `after`."""
    return change.rule in ("consumers_limited", "consumer_removed", "consumers_named")


def weighed(changes: Iterable[Change], left_out: Callable[[Change], bool]) -> list[Change]:
    """The changes by what is known of readers: a list of consumers that leaves out none of them is
    risky. `left_out`: may it be that a list leaves out somebody who reads the model?"""
    named = "consumers_named"
    way_out = RULES[named].way_out + _LAST_RESORT[_RISKY]
    return _worst_first(
        replace(change, severity=_RISKY, rule=named, way_out=way_out.format(model=change.model))
        if limits(change) and not left_out(change)
        else change
        for change in changes
    )


def latest_versions(manifest: Manifest) -> Mapping[str, str]:
    """The unique_id of each model that has versions, without any → that of its latest one."""
    return _Interface.of(manifest).latest


def _heirs(before: _Interface, after: _Interface) -> dict[str, str]:
    """Old unique_id → new one, of every model that goes on.

    Almost always they are the same. If a model gained or lost its versions, they are those that a
    `ref` without a version finds.
    """
    heirs = {}
    for unique_id, node in before.models.items():
        heir: str | None = unique_id
        if unique_id not in after.models:
            base = _base_id(unique_id, node)
            if base == unique_id:
                heir = after.latest.get(base)
            else:
                heir = base if before.latest[base] == unique_id else None
        if heir and heir in after.models:
            heirs[unique_id] = heir
    return heirs


def _versioning_findings(old: Node, new: Node) -> Iterator[_Finding]:
    was, now = _display(old), _display(new)
    if new.get("version") is None:
        yield _Finding("model_unversioned", "has no versions any more", was, now)
    else:
        yield _Finding("model_versioned", f"has versions; without one, {now} is meant", was, now)


def _added_changes(
    before: _Interface, after: _Interface, heirs: Mapping[str, str]
) -> Iterator[Change]:
    known = {_base_id(unique_id, node) for unique_id, node in before.models.items()}
    for unique_id in after.models.keys() - heirs.values():
        node = after.models[unique_id]
        rule = "version_added" if _base_id(unique_id, node) in known else "model_added"
        finding = _Finding(rule, rule.replace("_added", " is new"), None, _display(node))
        yield _change(finding, unique_id, node)


def _gone_changes(
    before: _Interface,
    after: _Interface,
    heirs: Mapping[str, str],
    private: frozenset[str],
    today: date,
    adapter: str,
) -> Iterator[Change]:
    gone = before.models.keys() - heirs.keys()
    new_shapes: dict[_Shape, list[str]] = {}
    for unique_id in after.models.keys() - heirs.values() if gone else ():
        node = after.models[unique_id]
        new_shapes.setdefault(_shape(node, adapter), []).append(_display(node))
    for unique_id in gone:
        node = before.models[unique_id]
        display, deprecation = _display(node), _deprecation(node)
        notice = f"deprecated on {deprecation}" if deprecation else "it was never deprecated"
        if deprecation and deprecation <= today:
            finding = _Finding("model_retired", f"is gone, as announced: {notice}", display)
        elif not private.isdisjoint((unique_id, display, node["name"])):
            message = f"is still there, but not public, or ephemeral; {notice}"
            finding = _Finding("model_not_public", message, display)
        elif node.get("version") is not None:
            finding = _Finding("version_removed", f"is gone; {notice}", display)
        else:
            shape = _shape(node, adapter)
            same = new_shapes.get(shape, ()) if shape else ()
            guess = same[0] if len(same) == 1 else None
            hint = f"; renamed to {guess}? it has the same columns" if guess else ""
            finding = _Finding("model_removed", f"is gone; {notice}{hint}", display, guess)
        yield _change(finding, unique_id, node)


_Shape = frozenset[tuple[str, _Type]]


def _shape(node: Node, adapter: str) -> _Shape:
    """The stored names and types of a model's columns."""
    return frozenset(
        (key, _read_type(column.get("data_type") or "", adapter))
        for key, (_, column) in _columns_by_name(node, adapter).items()
    )


def _latest_changes(
    before: _Interface, after: _Interface, adapter: str, today: date
) -> Iterator[Change]:
    """What readers without a version get: the old latest version against the new latest one."""
    for base, old_id in before.latest.items():
        new_id = after.latest.get(base, old_id)
        old, new = before.models.get(old_id), after.models.get(new_id)
        if new_id == old_id or old is None:
            continue
        was, now = (unique_id.removeprefix(f"{base}.v") for unique_id in (old_id, new_id))
        broken = ["it is not public"] if new is None else _broken(old, new, adapter, today)
        due = _deprecation(old)
        message = f"without a version, readers now get {now}, not {was}"
        if come := due is not None and due <= today:
            message += f", whose date has come ({due})"
        rule = "latest_incompatible" if broken and not come else "latest_moved"
        yield _change(_Finding(rule, "; ".join([message, *broken]), was, now), old_id, old)


def _broken(old: Node, new: Node, adapter: str, today: date) -> list[str]:
    """What breaks those who read `old` and now get `new`, wherever that lies."""
    findings = (
        *_promise_findings(old, new, adapter),
        *_sharing_findings(old, new),
        *_deprecation_findings(old, new, today),
    )
    return [
        f"{finding.rule} {finding.column}"
        if finding.column
        else f"{finding.rule}: {finding.message}"
        for finding in findings
        if RULES[finding.rule].severity is _BREAKING
    ]


def _change(finding: _Finding, unique_id: str, node: Node) -> Change:
    return Change(
        severity=RULES[finding.rule].severity,
        rule=finding.rule,
        model=_display(node),
        unique_id=unique_id,
        column=finding.column,
        before=finding.before,
        after=finding.after,
        message=finding.message,
        way_out=_way_out(finding, node),
    )


_LAST_RESORT = {
    _BREAKING: ", or publish with --allow-breaking",
    _RISKY: ", or publish without --strict",
}


def _way_out(finding: _Finding, node: Node) -> str:
    rule = RULES[finding.rule]
    if rule.severity is _FINE:
        return ""
    model, name = _display(node), node["name"]
    if node.get("version") is None:
        new_version = (
            f"make the change in a version 2 and keep {model} as version 1"
            f" (alias: {node.get('alias') or name}, latest_version: 1) with a deprecation_date"
        )
    else:
        new_version = (
            f"make the change in a new version of {name} and keep {model} as it is, latest_version"
            " too, with a deprecation_date"
        )
    advice = rule.way_out.format(model=model, before=finding.before, new_version=new_version)
    return advice + _LAST_RESORT[rule.severity]


# --- For terminals -----------------------------------------------------------------------------


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines: every cell but the last as wide as its column."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)][:-1]
    return [
        "  ".join([*(f"{c:{w}}" for c, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]


def stopping(changes: Iterable[Change], *, strict: bool = False) -> list[Change]:
    """Those that stop a publication: breaking ones; if `strict` risky ones too."""
    stops = (_BREAKING, _RISKY) if strict else (_BREAKING,)
    return [change for change in changes if change.severity in stops]


def counted(changes: Iterable[Change]) -> str:
    """`1 breaking, 0 risky, 2 fine`"""
    count = Counter(change.severity for change in changes)
    return ", ".join(f"{count[severity]} {severity}" for severity in Severity)


def summarise(
    changes: Iterable[Change],
    *,
    strict: bool = False,
    beneath: Callable[[Change], Sequence[str]] = lambda change: (),
) -> tuple[bool, list[str]]:
    """Whether to stop (at breaking; if `strict` at risky too), and the lines that say why.

    One aligned line a change, and `beneath` it what the caller knows of it; then the ways out of
    what stops, each once, then the verdict. Plain text without colours.
    """
    changes = list(changes)
    if not changes:
        return False, ["the public interface is unchanged"]
    table = _aligned([(c.severity, c.rule, c.where, c.message) for c in changes])
    lines = [
        line
        for change, row in zip(changes, table, strict=True)
        for line in (row, *(f"    {text}" for text in beneath(change)))
    ]
    ways = dict.fromkeys(change.way_out for change in stopping(changes, strict=strict))
    verdict = f"{counted(changes)}: {'stopped' if ways else 'not stopped'}"
    return bool(ways), [*lines, *(f"way out: {way}" for way in ways), verdict]


def rule_lines() -> list[str]:
    """The rulebook as aligned lines: severity, rule, and why."""
    return _aligned([(rule.severity, name, rule.why) for name, rule in RULES.items()])
