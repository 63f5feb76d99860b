"""Reads default answers from the files of an existing project, and finds the files that it keeps.

It does so only for the first copy into a folder: a member has an answers file. It executes nothing
of the team's, and treats a file that it cannot read as missing.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml
from copier.errors import UserMessageError
from jinja2 import Environment
from jinja2.ext import Extension

LAYER = re.compile(r"\{\{ *\w+ *\}\}")
PREFIX = re.compile(r"^\{\{ *workflow_prefix *\}\}")
NO_VALUE = (ValueError, LookupError, AttributeError, TypeError, OverflowError)
"""What PyYAML raises for a value that its type does not allow: `2026-13-01`, `!!bool x`."""
WITH_DEFAULT = re.compile(r"""^\{\{\s*env_var\([^,(){}]+,\s*(['"])([^'"]+)\1\s*\)\s*\}\}$""")
MACRO = re.compile(r"{%[-+]?\s*macro\s+(\w+)\s*\(")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
"""An unquoted name on Snowflake, which is stored in upper case. It contains no Jinja."""
CONFIG = re.compile(r"\bconfig\s*\(")
"""Where a model configures itself in its own file, in SQL or Python."""
QUOTES = re.compile(r"""'[^']*'|"[^"]*"|[()]""")
GIVEN = re.compile(r"""\b(schema|database)\s*=\s*(?:'([^']*)'|"([^"]*)")""")
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
NOT_PROD = ("dev", "ci", "local", "test", "staging", "default")
"""Targets that deploy nothing."""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C, because projects have megabytes of YAML."""
MOST_NESTED = 500
DEEP_BLOCK = re.compile(r"(?m)^ {1000}|(?:[-?] +){500}")


def joined(conf: Mapping[str, Any]) -> Path | None:
    """Returns the folder if it is not a member yet; None if it is a member or does not exist."""
    answers = PurePath(conf["answers_file"])
    project = Path(conf["dst_path"], answers.parent)
    if not project.is_dir() or (project / answers.name).exists():
        return None
    return project


def template_files(template: Path) -> Iterator[tuple[str, Path]]:
    """Yields each template file with its path in a member, which is relative to the project's
    folder. Files outside of a layer go to the top of the repository."""
    for path in sorted(template.rglob("*")):
        parts = list(path.relative_to(template).parts)
        if not path.is_file() or parts[0].endswith("_starter }}"):
            continue
        while parts and LAYER.fullmatch(parts[0]):
            parts.pop(0)
        parts[-1] = PREFIX.sub("", parts[-1]).removesuffix(".jinja")
        if not LAYER.search("/".join(parts)):
            yield "/".join(parts), path


def own_files(conf: Mapping[str, Any]) -> str:
    """Returns, separated by commas, paths of the template that the folder has already, or whose
    macros the project defines elsewhere."""
    project = joined(conf)
    if project is None:
        return ""
    folder = PurePath(conf["answers_file"]).parent
    refuse_other_mesh(project, folder)
    defined = macros(project)
    found = set()
    for path, source in template_files(Path(conf["src_path"], "template")):
        is_workflow = path.startswith(".github/")
        place = Path(conf["dst_path"], path) if is_workflow else project / path
        is_macro = source.suffix == ".sql" and "macros" in source.parts
        theirs = defined.intersection(MACRO.findall(_text(source)) if is_macro else ())
        if (place.exists() or place.is_symlink() or theirs) and not (
            is_workflow and folder != PurePath()
        ):
            found.add(path)
    return ",".join(sorted(found))


def refuse_other_mesh(project: Path, folder: PurePath) -> None:
    """Raises UserMessageError if mesh.yml belongs to another tool: every command of a member reads
    the template's, and a folder cannot have two."""
    file = project / "mesh.yml"
    kinds = ("upstream", "native", "loom")
    if (file.exists() or file.is_symlink()) and _mapping(file).get("kind") not in kinds:
        raise UserMessageError(
            f"error: {(folder / 'mesh.yml').as_posix()} is another tool's, and the mesh needs a "
            "file of that name here: rename yours (git mv mesh.yml …), then copy again. Nothing "
            "was written"
        )


def macros(project: Path) -> set[str]:
    """Returns the names of the macros that a project defines."""
    files = _files(project, "macro-paths", "macros", "*.sql")
    return {name for file in files for name in MACRO.findall(COMMENT.sub("", _text(file)))}


def _files(project: Path, key: str, default: str, *patterns: str) -> Iterator[Path]:
    """Yields the files in the folders that a setting such as `model-paths` names. Before 1.0, dbt
    called that one `source-paths`."""
    known = settings(project)
    paths = known.get(key, known.get("source-paths") if key == "model-paths" else None)
    named = [each for each in paths if isinstance(each, str)] if isinstance(paths, list) else None
    for folder in [default] if named is None else named:
        for pattern in patterns:
            yield from sorted((project / folder).rglob(pattern))


def settings(project: Path) -> dict[str, Any]:
    """Returns dbt_project.yml; empty if there is none, or if it cannot be read."""
    return _mapping(project / "dbt_project.yml")


def _mapping(file: Path) -> dict[str, Any]:
    return _parsed(_text(file))


def _parsed(text: str) -> dict[str, Any]:
    if _is_deep(text):
        return {}
    try:
        loaded = yaml.load(text, LOADER)  # noqa: S506 - a safe one
    except (RecursionError, yaml.YAMLError, *NO_VALUE):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _is_deep(text: str) -> bool:
    """Checks whether YAML may nest so deep that the loader, which is in C, crashes the process."""
    depth = most = 0
    for mark in re.findall(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if mark in "[{" else -1))
        most = max(most, depth)
    return most > MOST_NESTED or bool(DEEP_BLOCK.search(text))


def existing_name(conf: Mapping[str, Any]) -> str:
    """Returns the name of the existing dbt project; empty if there is none."""
    project = joined(conf)
    name = settings(project).get("name") if project else ""
    return name if isinstance(name, str) else ""


def existing_profile(conf: Mapping[str, Any]) -> str:
    return _profile(project) if (project := joined(conf)) else ""


def _profile(project: Path) -> str:
    # the same as `Project.profile` in the library
    named = WITH_DEFAULT.sub(r"\2", str(settings(project).get("profile") or ""))
    return "" if "{{" in named else named


def existing_target(conf: Mapping[str, Any], target: str, key: str) -> str:
    """Returns a name on Snowflake from a target of the profile, such as prod's database; empty if
    the target does not name it, or names it by Jinja."""
    project = joined(conf)
    targets = _targets(project) if project else {}
    found = _stored(targets.get(_prod_of(targets) if target == "prod" else target, {}).get(key))
    return "" if key == "database" and found in _taken(conf) else found


def _taken(conf: Mapping[str, Any]) -> set[str]:
    """Returns the databases of other members in the repository, because each has its own."""
    folder = PurePath(conf["answers_file"]).parent
    top = Path(conf["dst_path"])
    files = [file for depth in (1, 2, 3) for file in top.glob("*/" * depth + "mesh.yml")]
    known = [_mapping(file).get("snowflake") for file in files if file.parent != top / folder]
    keys = ("prod_database", "dev_database")
    return {str(each.get(key)) for each in known if isinstance(each, dict) for key in keys}


def _prod_of(targets: Mapping[str, Any]) -> str:
    """Returns the name of the target that deploys: `prod`, or the only one without another use."""
    others = [name for name in targets if name.lower() not in NOT_PROD]
    return "prod" if "prod" in targets or len(others) != 1 else others[0]


def existing_account(conf: Mapping[str, Any]) -> str:
    """Returns the account of the first target that names one without Jinja."""
    project = joined(conf)
    named = (target.get("account") for target in (_targets(project).values() if project else ()))
    return next((each for each in named if isinstance(each, str) and "{{" not in each), "")


def _targets(project: Path) -> dict[str, dict[str, Any]]:
    """Returns the Snowflake targets of the project's profile, by name, from where dbt reads it."""
    outputs = outputs_in(project, project) or outputs_in(_home(), project)
    return {
        str(name): target
        for name, target in outputs.items()
        if isinstance(target, dict) and target.get("type") == "snowflake"
    }


def _home() -> Path:
    """Returns the folder where a person keeps profiles."""
    home = Path(os.environ.get("DBT_PROFILES_DIR") or "~/.dbt")
    with contextlib.suppress(RuntimeError):  # there is no home
        home = home.expanduser()
    return home


def outputs_in(folder: Path, project: Path) -> dict[str, Any]:
    """Returns all targets of the project's profile in the profiles.yml of a folder."""
    found = _mapping(folder / "profiles.yml").get(_profile(project))
    outputs = found.get("outputs") if isinstance(found, dict) else None
    return outputs if isinstance(outputs, dict) else {}


def hidden_targets(project: Path) -> list[str]:
    """Returns targets of a person's own profile, which the project's profiles.yml hides."""
    return [str(name) for name in outputs_in(_home(), project)]


def _stored(name: object) -> str:
    return name.upper() if isinstance(name, str) and NAME.fullmatch(name) else ""


def existing_schemas(conf: Mapping[str, Any], prod_database: str) -> str:
    """Returns the schemas of its models, comma-separated; the last is for models that name none."""
    project = joined(conf)
    if not project:
        return ""
    places = (*_written(project, prod_database), *_configured(project, prod_database))
    found = [
        schema if database == prod_database else f"{database}.{schema}"
        for database, written in places
        if (schema := _stored(written))
    ]
    targets = _targets(project)
    default = _stored(targets.get(_prod_of(targets), {}).get("schema"))
    if not found and not default:
        return ""
    last = default or "MARTS"
    return ",".join([*(place for place in dict.fromkeys(found) if place != last), last])


def names_schemas(project: Path) -> bool:
    """Checks whether dbt_project.yml gives a schema to anything that dbt builds."""
    return any(True for _ in _written(project, ""))


def moved_schemas(project: Path) -> list[str]:
    """Returns the schemas of prod by dbt's own rule: the target's schema, then the model's."""
    targets = _targets(project)
    default = _stored(targets.get(_prod_of(targets), {}).get("schema"))
    named = (*_written(project, ""), *_configured(project, ""))
    schemas = dict.fromkeys(filter(None, (_stored(written) for _, written in named)))
    return [f"{default}_{schema}" for schema in schemas] if default else []


def names_databases(project: Path) -> bool:
    """Checks whether dbt_project.yml gives a database to anything that dbt builds."""
    return any(database for database, _ in _written(project, ""))


def _written(project: Path, database: str) -> Iterator[tuple[str, str]]:
    """Yields the schemas that dbt_project.yml names, verbatim, each after its database, which is
    `database` where none is named."""
    known = settings(project)
    seen: set[tuple[int, str]] = set()
    for part in ("seeds", "models", "snapshots"):
        yield from _written_in(known.get(part), database, seen)


def _configured(project: Path, database: str) -> Iterator[tuple[str, Any]]:
    """Yields the same for schemas that models, seeds and snapshots name in code or properties."""
    for file in _files(project, "model-paths", "models", "*.sql", "*.py"):
        text = _text(file)
        for config in _configs(text) if "schema" in text else ():
            given = {key: single or double for key, single, double in GIVEN.findall(config)}
            if "schema" in given:
                yield _stored(given.get("database")) or database, given["schema"]
    for file in _files(project, "model-paths", "models", "*.yml", "*.yaml"):
        text = _text(file)
        known = _parsed(text) if "schema:" in text and "config" in text else {}
        listed = [known.get(part) for part in ("models", "seeds", "snapshots")]
        for each in (each for part in listed if isinstance(part, list) for each in part):
            own = each.get("config") if isinstance(each, dict) else None
            if isinstance(own, dict) and isinstance(own.get("schema"), str):
                yield _stored(own.get("database")) or database, own["schema"]


def _configs(text: str) -> Iterator[str]:
    """Yields the text inside the parentheses of each `config(…)`."""
    for found in CONFIG.finditer(text):
        depth = 1
        for sign in QUOTES.finditer(text, found.end()):
            depth += {"(": 1, ")": -1}.get(sign[0], 0)
            if depth == 0:
                yield text[found.end() : sign.start()]
                break


def _written_in(part: Any, database: str, seen: set[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Yields the same for one mapping. seen: what was visited before, because YAML aliases can lead
    to one mapping in very many ways."""
    if not isinstance(part, dict) or (id(part), database) in seen:
        return
    seen.add((id(part), database))
    database = _stored(part.get("+database", part.get("database"))) or database
    schema = part.get("+schema", part.get("schema"))
    if isinstance(schema, str):
        yield database, schema
    for key, each in part.items():
        if not str(key).startswith("+"):  # a folder or a package
            yield from _written_in(each, database, seen)


def existing_reads(conf: Mapping[str, Any], prod_database: str) -> str:
    """Returns `DATABASE.SCHEMA` of the sources that name both without Jinja, comma-separated."""
    project = joined(conf)
    if not project:
        return ""
    found = set()
    for _, source in sources(project):
        database, schema = map(_stored, _place(source))
        if database and schema and database != prod_database:
            found.add(f"{database}.{schema}")
    return ",".join(sorted(found))


def unread_sources(project: Path) -> dict[str, Path]:
    """Returns sources that name a database, but it or the schema by Jinja: files by source name."""
    return {
        str(source.get("name")): file
        for file, source in sources(project)
        if (place := _place(source))[0] and not all(map(_stored, place))
    }


def sources(project: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields the sources that a project declares, each after its file."""
    for file in _files(project, "model-paths", "models", "*.yml", "*.yaml"):
        text = _text(file)
        declared = _parsed(text).get("sources") if "sources:" in text else None
        for source in declared if isinstance(declared, list) else ():
            if isinstance(source, dict):
                yield file, source


def _place(source: Mapping[str, Any]) -> tuple[Any, Any]:
    """Returns database and schema of a source, verbatim."""
    return source.get("database"), source.get("schema", source.get("name"))


def _models(project: Path) -> Iterator[Path]:
    return _files(project, "model-paths", "models", "*.sql")


def _text(file: Path) -> str:
    """Returns the file's text; empty if it cannot be read."""
    try:
        # reading a pipe would never end
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    except OSError:
        return ""


def has_models(conf: Mapping[str, Any]) -> bool:
    """Checks whether the team has models, or a dbt project that will have some."""
    project = joined(conf)
    return bool(project and (settings(project) or any(_models(project))))


def publishes_orders(upstreams: str, conf: Mapping[str, Any]) -> bool:
    """Checks whether the first upstream publishes `public_orders`, which the starter models read.
    Without a publication on this machine, only the demo's upstream is known to."""
    name = re.split("[,=:@]", upstreams)[0].strip()
    project = Path(conf["dst_path"], PurePath(conf["answers_file"]).parent)
    home = project / os.environ.get("DBT_MESH_HOME", "../.mesh")
    published = home / "registry" / name / "local/latest/manifest.json"
    try:
        return b'"public_orders"' in published.read_bytes()
    except OSError:
        return name == "dbt_up"


FILTERS = (
    *(existing_account, existing_name, existing_profile, existing_reads, existing_schemas),
    *(existing_target, has_models, own_files, publishes_orders),
)


class Joining(Extension):
    """Adds the filters above, which take `_copier_conf`, to Copier's Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update({each.__name__: each for each in FILTERS})
