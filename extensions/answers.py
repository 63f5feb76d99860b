"""Jinja filters for copier.yml that validate and parse names: those of the project, of what it
reads, and of Snowflake objects.

`delivery.py` has the filters for the registry, GitHub and the library: a Copier extension cannot
import another one. A filter called `…_error` returns one line for the person who typed the answer,
or the empty string; copier.yml uses these as validators. The line starts with the remedy, because a
terminal of 80 columns shows only about 30 characters of it, after Copier's own text. No filter
reads or writes files.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

PROJECT_NAME = re.compile(r"[a-z][a-z0-9_]*")
DBT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What dbt allows. It is enough for a project that exists already and keeps its name."""
IDENTIFIER = re.compile(r"[A-Z_][A-Z0-9_]*")

# Names that dbt gives to its own packages; a project of that name cannot be parsed.
DBT_PACKAGES = frozenset({"dbt", "dbt_duckdb", "dbt_snowflake", "dbt_loom", "dbt_utils"})
DBT_MODULES = re.compile(r"dbt_(common|adapters|extractor|protos|semantic_interfaces)")

# https://docs.snowflake.com/en/sql-reference/reserved-keywords (those that cannot be identifiers)
RESERVED_WORDS = frozenset(
    """
    ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT
    CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE
    DISTINCT DROP ELSE EXISTS FALSE FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN
    INCREMENT INNER INSERT INTERSECT INTO IS ISSUE JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP
    MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS
    SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION UNIQUE
    UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH
    """.split()
)
SYSTEM_ROLES = frozenset(
    {"ACCOUNTADMIN", "ORGADMIN", "GLOBALORGADMIN", "PUBLIC", "SECURITYADMIN", "SYSADMIN"}
    | {"USERADMIN"}
)
MAX_IDENTIFIER = 255  # characters; Snowflake's limit for an identifier


def as_project_name(folder: str) -> str:
    """Returns a valid project name made from a folder's name, for the default answer."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_") or "project"
    name = name if name[0].isalpha() else f"dbt_{name}"
    return f"{name}_project" if project_name_error(name) else name


def project_name_error(name: str) -> str:
    if not PROJECT_NAME.fullmatch(name):
        return (
            f"a-z first, then a-z, 0-9 and _: {name!r} is not a valid project name (for example "
            "dbt_up)"
        )
    return dbt_name_error(name)


def dbt_name_error(name: str) -> str:
    """Says what is wrong with a project's name by dbt's own rules."""
    if not DBT_NAME.fullmatch(name):
        return (
            f"letters, digits and _: {name!r} is not a valid dbt project name (for example dbt_up)"
        )
    if name in DBT_PACKAGES or DBT_MODULES.fullmatch(name):
        return f"choose another: {name!r} is a name that dbt uses itself"
    if len(name) > 63:
        return f"at most 63 characters (this has {len(name)})"
    return ""


INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that are invisible although Python calls them printable."""
ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}
"""Scripts with letters that look like letters of another one."""


def one_line_error(text: str) -> str:
    """Says what is wrong with a text that people review: no character may hide or imitate another.

    Python's `isprintable` already excludes control, bidirectional and zero-width characters.
    Letters of two scripts in one word, or of a special width or style, are confusable:
    https://www.unicode.org/reports/tr39
    """
    if not text.isprintable() or INVISIBLE.search(text):
        return "one line of text, without control, invisible or right-to-left characters"
    for word in re.findall(r"\w+", text):
        scripts = {unicodedata.name(letter, "?").split()[0] for letter in word if letter.isalpha()}
        if len(mixed := sorted(scripts & ALIKE)) > 1:
            scripts_of_it = " and ".join(map(str.title, mixed))
            return f"letters of one script: {word!r} mixes letters of {scripts_of_it}"
        if unicodedata.normalize("NFKC", word) != unicodedata.normalize("NFC", word):
            return f"write plain letters: {word!r} has letters in a style of their own"
    return ""


def _parse_roles(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in split_list(text))
    return {name.strip(): role.strip() for name, _, role in pairs}


def upstream_roles_error(text: str, upstreams: str) -> str:
    names = [each["name"] for each in parse_upstreams(upstreams)]
    for name, role in _parse_roles(text).items():
        if name not in names:
            return f"project=ROLE, of {', '.join(names)}: {name!r} is not a project that it reads"
        if error := identifier_error(role):
            return f"role of {name}: {error}"
    return ""


def parse_upstreams(text: str, own: str = "s3", roles: str = "") -> list[dict[str, Any]]:
    """Parses `"a, b=PREFIX, c:DATABASE, d@s3://bucket/registry"`, and keeps its order.

    Returns `[{name, database_prefix, prod_database, registry, in_snowflake, role}, …]`. The value
    of `registry` is empty for the project's own registry, and `own` is the answer that names it.
    Empty and malformed entries are kept; `upstreams_error` says what is wrong with them.
    """
    projects = []
    role_of = _parse_roles(roles)
    for entry in text.split(","):
        entry, _, registry = (part.strip() for part in entry.partition("@"))
        entry, _, database = (part.strip() for part in entry.partition(":"))
        name, _, prefix = (part.strip() for part in entry.partition("="))
        prefix = prefix or name.upper()
        projects.append(
            {
                "name": name,
                "database_prefix": prefix,
                "prod_database": database or f"{prefix}_PROD",
                "registry": registry.rstrip("/"),
                "role": role_of.get(name, f"{prefix}_ROLE"),
                "in_snowflake": (registry.partition("://")[0] or own) == "snowflake",
            }
        )
    return projects


REGISTRY = re.compile(
    r"((s3|gs)://[a-z0-9._-]{3,222}|az://[a-z0-9]{3,24}/[a-z0-9-]{3,63})(/[A-Za-z0-9._-]+)+"
    r"|snowflake://[A-Za-z0-9][A-Za-z0-9_.-]{0,254}/?"
)


def upstreams_error(text: str, project_name: str) -> str:
    seen: set[str] = set()
    for upstream in parse_upstreams(text):
        name = upstream["name"]
        if not name:
            return "name at least one project, with single commas between (for example dbt_up)"
        if error := dbt_name_error(name):
            return error
        if name == project_name:
            return f"name the projects that it reads: {name!r} is this project itself"
        if name.lower() in seen:
            return f"name each once: {name!r} is named twice"
        if error := identifier_error(upstream["database_prefix"], room=32):
            return f"database prefix of {name}: {error}"
        if error := sql_name_error(upstream["prod_database"]):
            return f"database of {name}: {error}"
        if upstream["registry"] and not REGISTRY.fullmatch(upstream["registry"]):
            return (
                f"registry of {name}: write s3://bucket/registry, az://account/container/registry, "
                f"gs://bucket/registry or snowflake://ORG-ACCOUNT: {upstream['registry']!r} is "
                "none of them"
            )
        seen.add(name.lower())
    return ""


def identifier_error(name: str, room: int = 0) -> str:
    """Says what is wrong with an unquoted Snowflake identifier.

    room: characters to keep free for a suffix such as `_PROD`. With a suffix, no name is a reserved
    word.
    """
    if not IDENTIFIER.fullmatch(name):
        return (
            f"A-Z and _ first, then 0-9 too: {name!r} is not a plain Snowflake name (letters in "
            "upper case, digits and _)"
        )
    if not room and name in RESERVED_WORDS:
        return f"choose another: {name!r} is a reserved word of Snowflake"
    if len(name) > MAX_IDENTIFIER - room:
        return f"at most {MAX_IDENTIFIER - room} characters (this has {len(name)})"
    return ""


QUOTED = re.compile(r'"[^"\\{}\x00-\x1f\x7f]+"')
"""It excludes braces and backslashes, because dbt renders Jinja in the files that hold the name."""


def sql_name_error(name: str) -> str:
    """Says what is wrong with a name as SQL writes it: plain, or in double quotes as stored."""
    if "$$" in name:
        return f"without $$, which begins a string in SQL: {name!r} cannot stand in a script"
    if QUOTED.fullmatch(name) and one_line_error(name) == "" and len(name) <= MAX_IDENTIFIER + 2:
        plain = re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name.strip('"'))
        return f"leave the quotes out: {name} needs no quotes" if plain else ""
    if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name):
        return identifier_error(name.replace("$", "_"))
    return (
        f"upper case, or in double quotes: {name!r} is not a Snowflake name (A-Z, 0-9, _ and $, "
        'not starting with a digit; any other name in double quotes: "my-database", without braces '
        "and backslashes)"
    )


def dev_database_error(name: str, prod_database: str) -> str:
    if name == prod_database:
        return (
            f"choose another: {name} is the database of deployed models: pull requests must not "
            "write there"
        )
    return ""


def _place(entry: str, database: str = "") -> tuple[str, str]:
    """Splits `DATABASE.SCHEMA`. A single name is a schema if `database` is given, or a database."""
    found = re.fullmatch(r'("[^"]*"|[^".]*)(?:\.("[^"]*"|[^".]*))?', entry)
    first, second = found.groups() if found else (entry, None)
    if second is not None:
        return first, second
    return (database, first) if database else (first, "")


def parse_schemas(text: str, prod_database: str) -> list[dict[str, str]]:
    """Parses `"STAGING, ML.FEATURES"` into `[{database, schema, name}, …]`, the name as in SQL."""
    places = [_place(entry, prod_database) for entry in split_list(text)] or [("", "")]
    return [
        {"database": database, "schema": schema, "name": f"{database}.{schema}"}
        for database, schema in places
    ]


def databases_of(text: str, prod_database: str) -> list[str]:
    """Returns the databases of schemas, the prod database first."""
    found = (place["database"] for place in parse_schemas(text, prod_database))
    return list(dict.fromkeys([prod_database, *found]))


def schemas_error(text: str, prod_database: str, dev_database: str) -> str:
    names = [place["name"] for place in parse_schemas(text, prod_database)]
    for place in parse_schemas(text, prod_database):
        if error := sql_name_error(place["database"]) or sql_name_error(place["schema"]):
            return error
        if place["database"] == dev_database:
            return f"choose another: {dev_database} is for development, not for deploys"
        if names.count(place["name"]) > 1:
            return f"name each once: {place['name']} is named twice"
    if parse_schemas(text, prod_database)[-1]["database"] != prod_database:
        return f"end with a schema of {prod_database}: the last is for models without a schema"
    return ""


def parse_reads(text: str) -> list[dict[str, str]]:
    """Parses `"LANDING, RAW_DB.SHOP"` into `[{database, schema}, …]`; all schemas: empty."""
    places = [_place(entry) for entry in split_list(text)]
    return [{"database": database, "schema": schema} for database, schema in places]


def reads_error(text: str) -> str:
    for place in parse_reads(text):
        if error := sql_name_error(place["database"]):
            return error
        if place["schema"] and (error := sql_name_error(place["schema"])):
            return error
    return ""


def role_error(name: str, dev_role: str) -> str:
    if name in SYSTEM_ROLES:
        return (
            f"choose another: {name!r} is a system role of Snowflake, with more than deploys need"
        )
    if name == dev_role:
        return f"choose another: {name!r} is the role of people and pull requests"
    return ""


def service_user_error(name: str, ci_user: str) -> str:
    if name == ci_user:
        return f"choose another: {name!r} is the user of pull requests"
    return ""


def account_error(account: str) -> str:
    """https://docs.snowflake.com/en/user-guide/admin-account-identifier"""
    organization = r"[A-Za-z][A-Za-z0-9]*-[A-Za-z][A-Za-z0-9_-]*"
    locator = r"[A-Za-z]+[0-9]+|[A-Za-z0-9_]+(?:\.[a-z0-9-]+){1,3}"
    if account and not re.fullmatch(rf"({organization}|{locator})(\.privatelink)?", account):
        return (
            f"write ORG-ACCOUNT: {account!r} is not an account identifier (for example "
            "MYORG-MYACCOUNT; or a locator with its region), without .snowflakecomputing.com"
        )
    if account.endswith((".com", ".cn")):
        return f"write ORG-ACCOUNT: {account!r} is an address; without .snowflakecomputing.com"
    return ""


def split_list(text: str) -> list[str]:
    """Returns the entries of a comma-separated answer, stripped, without empty ones."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def paths_error(text: str) -> str:
    for path in split_list(text):
        if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", path) or ".." in path.split("/"):
            return f"{path!r} is not a path from the project's folder"
    return ""


def allowed_ips_error(text: str) -> str:
    for entry in split_list(text):
        try:
            network = ipaddress.IPv4Network(entry)
        except ValueError:
            return f"such as 203.0.113.0/24: {entry!r} is not an IPv4 address or CIDR range"
        if network.prefixlen == 0:
            return f"leave it empty for no policy: {entry!r} allows every address"
    return ""


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        account_error,
        allowed_ips_error,
        as_project_name,
        databases_of,
        dbt_name_error,
        dev_database_error,
        identifier_error,
        one_line_error,
        parse_reads,
        parse_schemas,
        parse_upstreams,
        paths_error,
        project_name_error,
        reads_error,
        role_error,
        schemas_error,
        service_user_error,
        split_list,
        sql_name_error,
        upstream_roles_error,
        upstreams_error,
    )
}


class Answers(Extension):
    """Adds the filters above to Copier's Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(FILTERS)
