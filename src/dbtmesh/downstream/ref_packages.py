"""Writes packages so that unit tests and exposures on dbt Core can refer to other projects' models.

dbt Core looks up `input: ref('<project>', '<model>')` of a unit test, and what an exposure depends
on, among models, without calling the macro `ref`. So a sync writes a package with the upstream's
name, and in it an ephemeral model for each of them: dbt finds that model, and no run builds it.

state/<upstream>/refs/   the package. Commit it, like the rest of state/
packages.yml             lists it if the project has no packages of its own; else the team lists it
dbt_packages/<upstream>  a link to it, like that of `dbt deps`, so that nothing has to be installed

dbt v2 calls the macro in these places, too, and needs no package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dbtmesh import yaml_files
from dbtmesh.config import Engine, Member
from dbtmesh.downstream import committed
from dbtmesh.downstream.project_text import Project
from dbtmesh.downstream.references import MARK, shared, spelled_names
from dbtmesh.files import inside, write_whole

if TYPE_CHECKING:
    from dbtmesh.manifest.interface import Interface

PACKAGES = "packages.yml"


class Plan(NamedTuple):
    """The packages to write and to remove.

    packages: maps each upstream with a package to its files, by path relative to `folder_of`.
    stale: upstreams whose package is removed. installed: the folder of dbt's packages. declared:
    the content of packages.yml; None if that file is the team's, or not needed. unnamed: the
    folders that the team has to add to its own packages.
    """

    packages: Mapping[str, Mapping[str, bytes]]
    stale: tuple[str, ...]
    installed: str
    declared: bytes | None
    unnamed: tuple[str, ...]


def folder_of(upstream: str) -> str:
    """Returns the folder of a package, relative to the member's root."""
    return f"state/{upstream}/refs"


def plan(member: Member, project: Project) -> Plan:
    """Plans the packages that references in properties files need. Raises OSError."""
    packages: dict[str, Mapping[str, bytes]] = {}
    names = [upstream.name for upstream in member.upstreams]
    needed = member.is_native and member.engine is Engine.CORE and not project.own
    for name in names if needed else ():
        inputs = sorted({each[1:] for each in project.inputs if each[0] == name}, key=str)
        if inputs and (interface := shared(member, name)):
            packages[name] = package(interface, inputs)
    stale = (name for name in names if name not in packages)
    theirs = _own_packages(member.root, names)
    declared = None if theirs is not None or not packages else _declaration(packages)
    return Plan(
        packages=packages,
        stale=tuple(name for name in stale if (member.root / folder_of(name)).exists()),
        installed=project.packages,
        declared=declared,
        unnamed=tuple(folder_of(name) for name in packages if folder_of(name) not in (theirs or ()))
        if theirs is not None
        else (),
    )


def _declaration(upstreams: Iterable[str]) -> bytes:
    lines = [f"# {MARK}: what unit tests refer to in other projects.", "packages:"]
    lines += [f"  - local: {folder_of(name)}" for name in upstreams]
    return ("\n".join(lines) + "\n").encode()


def _own_packages(root: Path, upstreams: Iterable[str]) -> list[str] | None:
    """Returns the local packages among those that the team declares; None if it declares none."""
    for name in (PACKAGES, "dependencies.yml"):
        listed = yaml_files.mapping(root / name).get("packages")
        if isinstance(listed, list) and listed:
            local = [str(each.get("local")) for each in listed if isinstance(each, dict)]
            ours = {folder_of(upstream) for upstream in upstreams}
            return None if _is_ours(root / name) and set(local) <= ours else local
    return None


def _is_ours(path: Path) -> bool:
    return path.name == PACKAGES and path.read_bytes().startswith(f"# {MARK}".encode())


def apply(root: Path, plan: Plan) -> None:
    """Writes and removes the packages. Raises OSError where a file cannot be written."""
    for upstream in plan.stale:
        _remove(inside(root, folder_of(upstream)))
        _unlink(root / plan.installed / upstream)
    declared = root / PACKAGES
    if plan.declared is None:
        if not plan.packages and declared.is_file() and _is_ours(declared):
            declared.unlink()
    elif not committed.same_file(declared, plan.declared):
        write_whole(declared, plan.declared)
    for upstream, files in plan.packages.items():
        folder = inside(root, folder_of(upstream))
        inside(folder, "models/x")
        for path in sorted(folder.rglob("*")) if folder.exists() else ():
            if path.is_file() and path.relative_to(folder).as_posix() not in files:
                path.unlink()
        for name, content in files.items():
            if not committed.same_file(folder / name, content):
                write_whole(folder / name, content)
        if plan.declared is not None:
            _link(root / plan.installed / upstream, folder)


def _link(link: Path, folder: Path) -> None:
    """Installs a local package as `dbt deps` does: a link, or a copy if links are not supported."""
    if link.is_symlink() and link.resolve() == folder.resolve():
        return
    _unlink(link)
    if link.exists():
        return  # another package with that name
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError:
        import shutil

        shutil.copytree(folder, link)


def _unlink(link: Path) -> None:
    if link.is_symlink():
        link.unlink()
        return
    project = link / "dbt_project.yml"
    if project.is_file() and project.read_bytes().startswith(f"# {MARK}".encode()):
        _remove(link)


def _remove(folder: Path) -> None:
    import shutil  # slow to import, and most syncs change nothing

    shutil.rmtree(folder)


def package(interface: Interface, inputs: Iterable[tuple[str, str | None]]) -> Mapping[str, bytes]:
    """Returns the files of a dbt package with an ephemeral model for each published input. Pure.

    inputs: pairs of model and version. The result maps each path to its content.
    """
    from dbtmesh.manifest.interface import reader_name
    from dbtmesh.warehouse.names import relation

    spelled = dict(spelled_names(interface))
    project = interface.project
    files = {
        "dbt_project.yml": f"# {MARK}: what unit tests name as their inputs.\n"
        f'name: {project}\nversion: "1.0.0"\nconfig-version: 2\n'
        f"models:\n  {project}:\n    +materialized: ephemeral\n",
        "macros/names.sql": "".join(
            f"{{% macro generate_{part}_name({arguments}) %}}{{{{ {custom} }}}}{{% endmacro %}}\n"
            for part, arguments, custom in (
                ("database", "custom_database_name=none, node=none", "custom_database_name"),
                ("schema", "custom_schema_name, node", "custom_schema_name"),
            )
        ),
    }
    models: dict[str, Mapping[str, Any]] = {}
    for model, version in inputs:
        if node := spelled.get(model if version is None else f"{model}.v{version}"):
            models[reader_name(node)] = node
            if latest := spelled.get(f"{model}.v{node.get('latest_version')}"):
                models[reader_name(latest)] = latest
        # otherwise dbt reports that there is no such input
    for name, node in sorted(models.items()):
        database, schema, identifier = relation(node, interface.warehouse)
        where = ", ".join(
            f"{key}={_literal(part.text)}"
            for key, part in (("database", database), ("schema", schema), ("alias", identifier))
        )
        files[f"models/{name}.sql"] = (
            f"{{{{ config({where}) }}}}\nselect * from {{{{ source('{project}', '{name}') }}}}\n"
        )
    versioned: dict[str, dict[str, Any]] = {}
    for node in models.values():
        if (number := node.get("version")) is not None:
            entry = versioned.setdefault(
                node["name"],
                {
                    "name": node["name"],
                    "latest_version": node.get("latest_version"),
                    "versions": [],
                },
            )
            entry["versions"].append({"v": number})
    if versioned:  # JSON is YAML
        properties = {"version": 2, "models": list(versioned.values())}
        files["models/_versions.yml"] = json.dumps(properties, indent=2)
    return {path: text.encode() for path, text in files.items()}


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
