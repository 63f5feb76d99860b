"""Jinja filters for copier.yml: names derived from answers, and what is wrong with an answer.

A filter called `…_error` returns one line for the person who typed the answer, or the empty
string; copier.yml uses them as validators. Nothing here reads or writes anything.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

PROJECT_NAME = re.compile(r"[a-z][a-z0-9_]*")
DBT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What dbt allows; the name of a project that exists already is not ours to choose."""
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
    """A legal project name made of a folder's name, as the default answer."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_") or "project"
    name = name if name[0].isalpha() else f"dbt_{name}"
    return f"{name}_project" if project_name_error(name) else name


def project_name_error(name: str) -> str:
    if not PROJECT_NAME.fullmatch(name):
        return (
            f"{name!r} is not a valid project name: a lower-case letter first, then lower-case "
            "letters, digits and _ (for example dbt_up)"
        )
    return dbt_name_error(name)


def dbt_name_error(name: str) -> str:
    """What is wrong with the name of a project, as dbt sees it."""
    if not DBT_NAME.fullmatch(name):
        return (
            f"{name!r} is not a valid dbt project name: letters, digits and _ (for example dbt_up)"
        )
    if name in DBT_PACKAGES or DBT_MODULES.fullmatch(name):
        return f"{name!r} is a name that dbt uses itself: choose another"
    if len(name) > 63:
        return f"at most 63 characters (this has {len(name)})"
    return ""


INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that show nothing and that Python calls printable."""
ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}
"""Scripts with letters that look like those of another one."""


def one_line_error(text: str) -> str:
    """What is wrong with a text that people review: nothing in it may hide or look like another.

    Control, bidirectional and zero-width characters are not printable for Python. Letters of two
    scripts in one word, or in a width or style of their own, are what
    https://www.unicode.org/reports/tr39 calls confusable.
    """
    if not text.isprintable() or INVISIBLE.search(text):
        return "one line of text, without control, invisible or right-to-left characters"
    for word in re.findall(r"\w+", text):
        scripts = {unicodedata.name(letter, "?").split()[0] for letter in word if letter.isalpha()}
        if len(mixed := sorted(scripts & ALIKE)) > 1:
            return f"{word!r} mixes letters of {' and '.join(map(str.title, mixed))}"
        if unicodedata.normalize("NFKC", word) != unicodedata.normalize("NFC", word):
            return f"{word!r} has letters in a style of their own: write plain ones"
    return ""


def parse_upstreams(text: str) -> list[dict[str, str]]:
    """`"a, b=PREFIX, c:DATABASE"` as `[{name, database_prefix, prod_database}, …]`, in the order
    given.

    Empty and malformed entries come through as they are; `upstreams_error` says what is wrong.
    """
    projects = []
    for entry in text.split(","):
        entry, _, database = (part.strip() for part in entry.partition(":"))
        name, _, prefix = (part.strip() for part in entry.partition("="))
        prefix = prefix or name.upper()
        found = {"name": name, "database_prefix": prefix}
        projects.append({**found, "prod_database": database or f"{prefix}_PROD"})
    return projects


def upstreams_error(text: str, project_name: str) -> str:
    seen: set[str] = set()
    for upstream in parse_upstreams(text):
        name = upstream["name"]
        if not name:
            return "name at least one project, with single commas between (for example dbt_up)"
        if error := dbt_name_error(name):
            return error
        if name == project_name:
            return f"{name!r} is this project itself: name the projects it reads"
        if name.lower() in seen:
            return f"{name!r} is named twice"
        if error := identifier_error(upstream["database_prefix"], room=32):
            return f"database prefix of {name}: {error}"
        if error := sql_name_error(upstream["prod_database"]):
            return f"database of {name}: {error}"
        seen.add(name.lower())
    return ""


def identifier_error(name: str, room: int = 0) -> str:
    """What is wrong with an unquoted Snowflake identifier.

    room: characters kept free for a suffix such as `_PROD`; with one, no word is reserved.
    """
    if not IDENTIFIER.fullmatch(name):
        return (
            f"{name!r} is not a plain Snowflake name: upper-case letters, digits and _, "
            "not starting with a digit"
        )
    if not room and name in RESERVED_WORDS:
        return f"{name!r} is a reserved word of Snowflake: choose another"
    if len(name) > MAX_IDENTIFIER - room:
        return f"at most {MAX_IDENTIFIER - room} characters (this has {len(name)})"
    return ""


QUOTED = re.compile(r'"[^"\x00-\x1f\x7f]+"')


def sql_name_error(name: str) -> str:
    """What is wrong with a name as SQL has it: plain, or in double quotes as it is stored."""
    if QUOTED.fullmatch(name) and one_line_error(name) == "" and len(name) <= MAX_IDENTIFIER + 2:
        plain = re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name.strip('"'))
        return f"{name} needs no quotes" if plain else ""
    if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name):
        return identifier_error(name.replace("$", "_"))
    return (
        f"{name!r} is not a Snowflake name: upper-case letters, digits, _ and $, not starting with "
        'a digit; any other name in double quotes ("my-database")'
    )


def stored_name(name: str) -> str:
    """A name as SQL has it, as Snowflake stores it."""
    return name.strip('"')


def dev_database_error(name: str, prod_database: str) -> str:
    if name == prod_database:
        return f"{name} is the database of deployed models: pull requests must not write there"
    return ""


def _place(entry: str, database: str = "") -> tuple[str, str]:
    """(database, schema) of `DATABASE.SCHEMA`, or of one of the two where `database` is given."""
    found = re.fullmatch(r'("[^"]*"|[^".]*)(?:\.("[^"]*"|[^".]*))?', entry)
    first, second = found.groups() if found else (entry, None)
    if second is not None:
        return first, second
    return (database, first) if database else (first, "")


def parse_schemas(text: str, prod_database: str) -> list[dict[str, str]]:
    """`"STAGING, ML.FEATURES"` as `[{database, schema, name}, …]`; name: as SQL has it."""
    places = [_place(entry, prod_database) for entry in split_list(text)] or [("", "")]
    return [
        {"database": database, "schema": schema, "name": f"{database}.{schema}"}
        for database, schema in places
    ]


def databases_of(text: str, prod_database: str) -> list[str]:
    """The databases of schemas, the prod database first."""
    found = (place["database"] for place in parse_schemas(text, prod_database))
    return list(dict.fromkeys([prod_database, *found]))


def schemas_error(text: str, prod_database: str, dev_database: str) -> str:
    names = [place["name"] for place in parse_schemas(text, prod_database)]
    for place in parse_schemas(text, prod_database):
        if error := sql_name_error(place["database"]) or sql_name_error(place["schema"]):
            return error
        if place["database"] == dev_database:
            return f"{dev_database} is where people build: deployed models lie elsewhere"
        if names.count(place["name"]) > 1:
            return f"{place['name']} is named twice"
    if parse_schemas(text, prod_database)[-1]["database"] != prod_database:
        return f"the last one is for models that name none, and so lies in {prod_database}"
    return ""


def parse_reads(text: str) -> list[dict[str, str]]:
    """`"LANDING, RAW_DB.SHOP"` as `[{database, schema}, …]`; schema: empty for all of them."""
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
        return f"{name!r} is a role of Snowflake's own: deploys get a role with less"
    if name == dev_role:
        return f"{name!r} is the role of people and pull requests: deploys need another"
    return ""


def service_user_error(name: str, ci_user: str) -> str:
    if name == ci_user:
        return f"{name!r} is the user of pull requests: deploys need another"
    return ""


def account_error(account: str) -> str:
    """https://docs.snowflake.com/en/user-guide/admin-account-identifier"""
    organization = r"[A-Za-z][A-Za-z0-9]*-[A-Za-z][A-Za-z0-9_-]*"
    locator = r"[A-Za-z]+[0-9]+|[A-Za-z0-9_]+(?:\.[a-z0-9-]+){1,2}"
    if account and not re.fullmatch(rf"({organization}|{locator})(\.privatelink)?", account):
        return (
            f"{account!r} is not an account identifier: write ORG-ACCOUNT (for example "
            "MYORG-MYACCOUNT), or a locator with its region, without .snowflakecomputing.com"
        )
    if account.endswith((".com", ".cn")):
        return f"{account!r} is an address: write it without .snowflakecomputing.com"
    return ""


def bucket_error(bucket: str) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    if not bucket:
        return ""
    legal = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket)
    if not legal or ".." in bucket or re.fullmatch(r"([0-9]+\.){3}[0-9]+", bucket):
        return (
            f"{bucket!r} is not a valid bucket name: 3 to 63 lower-case letters, digits, dots and "
            "hyphens, with a letter or digit at both ends; without s3://"
        )
    if bucket.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or bucket.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
    ):
        return f"{bucket!r} starts or ends with what S3 keeps for itself"
    return ""


def aws_region_error(region: str) -> str:
    if not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-[0-9]", region):
        return f"{region!r} is not an AWS region (for example eu-west-1)"
    return ""


def aws_role_error(arn: str) -> str:
    name = "[A-Za-z0-9_+=,.@-]"
    if arn and not re.fullmatch(rf"arn:aws[a-z-]*:iam::[0-9]{{12}}:role/({name}+/)*{name}+", arn):
        return f"{arn!r} is not a role (for example arn:aws:iam::123456789012:role/dbt-mesh-dbt-up)"
    if len(arn.rpartition("/")[2]) > 61:
        return "at most 61 characters of name: the role of pull requests is called the same and -ci"
    return ""


def github_repository_error(repository: str) -> str:
    """https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication
    has the underscore of managed users."""
    owner = r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}(_[A-Za-z0-9]+)?"
    if repository and not re.fullmatch(rf"{owner}/[A-Za-z0-9._-]{{1,100}}", repository):
        return f"{repository!r} is not a GitHub repository: write org/repo"
    if repository.endswith((".git", "/.", "/..")):
        return f"{repository!r} is not how GitHub names it: {repository.removesuffix('.git')}"
    return ""


def github_ids_error(ids: str) -> str:
    if ids and not re.fullmatch(r"[0-9]{1,20}/[0-9]{1,20}", ids):
        return f"{ids!r} are not two numbers: the owner's id / the repository's (1234/5678)"
    return ""


def github_subject(repository: str, ids: str) -> str:
    """How GitHub's OIDC tokens name a repository; with its ids since July 2026.

    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens
    """
    parts = repository.split("/")
    if ids:
        parts = [f"{name}@{number}" for name, number in zip(parts, ids.split("/"), strict=True)]
    return f"repo:{'/'.join(parts)}"


def branch_error(branch: str) -> str:
    # What `git check-ref-format` allows, less what a workflow file would read as a pattern.
    legal = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", branch)
    if not legal or ".." in branch or "//" in branch or branch.endswith(("/", ".", ".lock")):
        return f"{branch!r} is not a branch name (for example main)"
    return ""


def folder_of(answers_file: PurePath) -> str:
    """The folder of the project in its repository, which is that of its answers file."""
    return answers_file.parent.as_posix()


def moved_error(folder: str, answers_file: PurePath) -> str:
    """What to do where the answers file, and so the project, is not in the folder it records."""
    now = folder_of(answers_file)
    if folder == now:
        return ""
    name = answers_file.as_posix()
    old = ", then delete the workflows of the old name" if "." in (folder, now) else ""
    return (
        f"{name} is of a project in {folder}: was it moved to {now}? Then, at the top of the "
        "repository, with everything committed: copier recopy --trust --defaults --overwrite "
        f"--vcs-ref=:current: --answers-file {name} --data working_directory={now}{old}; read "
        "`git diff`, keep the new folder and take your own edits back"
    )


def working_directory_error(folder: str, answers_file: PurePath) -> str:
    if folder_of(answers_file) != ".":  # else it may be that Copier was run in the folder
        if moved := moved_error(folder, answers_file):
            return moved
    elif folder != ".":
        expected = PurePosixPath(folder, answers_file.name)
        return (
            f"the project's folder is that of its answers file: run Copier at the top of the "
            f"repository, with --answers-file {expected}"
        )
    if not re.fullmatch(r"\.|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", folder):
        return (
            f"{folder!r} is not a folder of a repository: letters, digits, _, - and / between them"
        )
    return ""


@cache
def library_version(template: PurePath, commit: str) -> str:
    """The version of the library that a member of this version of the template gets.

    commit: what `git describe` says of the template. That of a tag is the tag's; any other version
    carries a digest of the library's files, because pip does not install a version twice.
    """
    tag, *beyond = re.split(r"-\d+-g", commit)
    # not a commit's hash, of which some look like a version: 08387b6
    is_tag = re.fullmatch(r"(v\d+|\d+\.\d+)(\.\d+)*((a|b|rc)\d+)?", tag)
    base = tag.removeprefix("v") if is_tag else "0"
    if base != "0" and not beyond:
        return base
    # what hooks/library.py takes of it, and more
    parts = [path for part in ("src", "template") for path in Path(template, part).rglob("*")]
    files = sorted(path for path in parts if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(template).as_posix().encode() + path.read_bytes())
    return f"{base}+untagged.{digest.hexdigest()[:12]}"


def split_list(text: str) -> list[str]:
    """Entries of a comma-separated answer, without blanks around them and without empty ones."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


# Not numbers, nor what YAML 1.1 (dbt, these commands) or 1.2 (GitHub) reads as another type.
PLAIN_IN_YAML = re.compile(
    r"\.|(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_][\w./-]*", re.I | re.A
)


def yaml_text(text: str) -> str:
    """A text as a YAML scalar that is read as this text: in quotes where it would not be."""
    return text if PLAIN_IN_YAML.fullmatch(text) else json.dumps(text, ensure_ascii=False)


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
            return f"{entry!r} is not an IPv4 address or CIDR range (for example 203.0.113.0/24)"
        if network.prefixlen == 0:
            return f"{entry!r} allows every address: leave the answer empty for no network policy"
    return ""


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        account_error,
        allowed_ips_error,
        as_project_name,
        aws_region_error,
        aws_role_error,
        branch_error,
        bucket_error,
        databases_of,
        dbt_name_error,
        dev_database_error,
        folder_of,
        github_ids_error,
        github_repository_error,
        github_subject,
        identifier_error,
        library_version,
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
        stored_name,
        upstreams_error,
        working_directory_error,
        yaml_text,
    )
}


class Answers(Extension):
    """Adds the filters above to Copier's Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(FILTERS)
