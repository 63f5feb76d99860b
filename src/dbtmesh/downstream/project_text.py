"""Finds references to other projects in the text of a dbt project's files, as dbt would.

It reads the project's own folders and its packages, because a macro of a package may refer to an
upstream as well. Packages that are declared but not installed cannot be read. `look` reports that,
because what was written for them has to stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dbtmesh import dbt_paths, yaml_files

PROJECT = "dbt_project.yml"
PACKAGES = ("packages.yml", "dependencies.yml")
"""The files in which a project declares its packages."""
_OWN = re.compile(rb"\bmacro\s+ref\s*\(")
_VARIABLE = re.compile(
    rb"\bref\s*\(\s*(?:\*|[A-Za-z_](?:[\w.]|\([^()]*\)|\[[^][]*\])*\s*,(?!\s*v(?:ersion)?\s*=))"
)
"""A `ref` with two arguments, the first of them an expression, so that only a run knows the
project; or one with `*` arguments, of unknown number."""


class Project(NamedTuple):
    """What the text of a dbt project says about references. All paths are relative to the project.

    macros: the folder for macros. packages: where dbt installs packages. used: whether any text
    refers, or may refer, to a model of an upstream. hidden: whether there are packages that are not
    installed. inputs: (project, model, version) of the references in properties files that dbt Core
    resolves without the macro `ref`. own: the file in which the team overrides `ref` itself. deaf:
    packages that override `ref`, too, and refer to an upstream. In their models dbt Core prefers
    their own `ref`, which does not know the upstream.
    """

    macros: str
    packages: str
    used: bool = False
    hidden: bool = False
    inputs: frozenset[tuple[str, str, str | None]] = frozenset()
    own: str | None = None
    deaf: tuple[str, ...] = ()


def look(root: Path, upstreams: Collection[str], generated: str = "") -> Project:
    """Reads the text of the project, in the folders that dbt_project.yml names, and its packages.

    generated: the name of the generated file among the macros, which is ignored.
    """
    settings = yaml_files.mapping(root / PROJECT)  # dbt reports what is wrong with it
    project = Project(macros=_folders(settings, "macro-paths")[0], packages=_installed(settings))
    if not upstreams:
        return project
    names = b"|".join(re.escape(name).encode() for name in upstreams)
    literal = re.compile(rb"\bref\s*\(\s*['\"](?:" + names + rb")['\"]\s*,")
    used, own = False, None
    inputs: set[tuple[str, str, str | None]] = set()
    for path, text in _texts(root, settings):
        if path == f"{project.macros}/{generated}":
            continue
        if path.endswith(".sql") and _OWN.search(text):
            own = path
        named = literal.search(text) is not None
        used = used or named or _VARIABLE.search(text) is not None
        if named and path.endswith((".yml", ".yaml")) and path != PROJECT:
            inputs.update(_looked_up(text, upstreams))
    local, installed, hidden = _packages(root, project.packages)
    deaf = []
    for folder in (*local, *installed):
        # packages of others have references with two arguments for their own purposes
        patterns = (literal, _VARIABLE) if folder in local else (literal,)
        texts = [text for _, text in _texts(folder, yaml_files.mapping(folder / PROJECT))]
        used = used or any(pattern.search(text) for text in texts for pattern in patterns)
        if any(map(_OWN.search, texts)) and any(map(literal.search, texts)):
            deaf.append(folder.name)
    return project._replace(
        used=used, hidden=hidden, inputs=frozenset(inputs), own=own, deaf=tuple(deaf)
    )


def reads(root: Path, upstream: str) -> bool:
    """Checks whether the project's own text names an upstream in a `source` or a `ref`."""
    call = re.compile(
        rb"\b(?:source|ref)\s*\(\s*['\"]" + re.escape(upstream).encode() + rb"['\"]\s*,"
    )
    texts = _texts(root, yaml_files.mapping(root / PROJECT))
    return any(call.search(text) for _, text in texts)


def _folders(settings: Mapping[str, Any], key: str) -> list[str]:
    return dbt_paths.folders(settings, key) or [dbt_paths.PATHS[key]]


def _texts(root: Path, settings: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yields the path, relative to the root, and the content of each file that dbt may render.

    dbt_project.yml is included because it may contain hooks.
    """
    if (root / PROJECT).is_file():
        yield PROJECT, (root / PROJECT).read_bytes()
    for folder in _own_folders(root, settings):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".sql", ".yml", ".yaml", ".md") and path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()


def _own_folders(root: Path, settings: Mapping[str, Any]) -> list[Path]:
    names = dict.fromkeys(name for key in dbt_paths.PATHS for name in _folders(settings, key))
    return [root / name for name in names]


def places(root: Path) -> Iterator[Path]:
    """Yields the files and folders that `look` reads."""
    yield from (root / name for name in PACKAGES)
    for folder in (
        root,
        *(root / str(each["local"]) for each in _declared(root) if "local" in each),
    ):
        settings = yaml_files.mapping(folder / PROJECT)
        yield folder / PROJECT
        yield from _own_folders(folder, settings)
        if folder is root:
            yield root / _installed(settings)


def _declared(root: Path) -> list[dict[str, Any]]:
    """Returns the packages that a project declares."""
    return [
        each
        for name in PACKAGES
        for each in yaml_files.mapping(root / name).get("packages") or ()
        if isinstance(each, dict)
    ]


def _installed(settings: Mapping[str, Any]) -> str:
    """Returns the folder in which dbt installs packages."""
    named = settings.get("packages-install-path")
    return named if isinstance(named, str) else "dbt_packages"


def _packages(root: Path, installed: str) -> tuple[list[Path], list[Path], bool]:
    """Returns the folders of local packages, those of others, and whether any are missing."""
    declared = _declared(root)
    local = [root / str(each["local"]) for each in declared if "local" in each]
    here = {path.resolve() for path in local if (path / PROJECT).is_file()}
    others = [
        path
        for path in sorted((root / installed).glob("*"))
        if (path / PROJECT).is_file() and path.resolve() not in here
    ]
    missing = len(here) < len(local) or len(others) < len(declared) - len(local)
    return sorted(here), others, missing


def _looked_up(text: bytes, upstreams: Collection[str]) -> Iterator[tuple[str, str, str | None]]:
    """Yields the references in a properties file that dbt Core resolves without a macro."""
    names = "|".join(map(re.escape, upstreams))
    reference = re.compile(
        rf"\bref\s*\(\s*['\"]({names})['\"]\s*,\s*['\"]([\w.-]+)['\"]"
        r"(?:\s*,\s*v(?:ersion)?\s*=\s*['\"]?([\w.-]+)['\"]?)?"
    )
    try:
        places = list(_places(yaml_files.load(text)))
    except yaml_files.NotYaml:
        places = [text.decode(errors="replace")]
    for place in places:
        for match in reference.finditer(place):
            yield match[1], match[2], match[3]


_RENDERED = {"data_tests", "tests", "pre-hook", "pre_hook", "post-hook", "post_hook"}
"""Keys in properties files whose values dbt Core renders with the project's macros."""
_NO_MODELS = {"description", "meta", "semantic_models"}
"""Keys whose values never refer to a model of a generated package. A semantic model, for example,
needs a model with a relation."""


def _places(properties: Any) -> Iterator[str]:
    """Yields all texts, such as inputs of unit tests, except under the keys listed above."""
    if isinstance(properties, str):
        yield properties
    elif isinstance(properties, list):
        for each in properties:
            yield from _places(each)
    elif isinstance(properties, dict):
        for key, value in properties.items():
            if key not in _RENDERED | _NO_MODELS:
                yield from _places(value)
