"""Renders the template's settings for a project's own answers, and reads the macros that they call.

The wheel carries these files of the template (hooks/library.py puts them in). In a checkout they
are read from the template's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbtmesh import installed, yaml_files
from dbtmesh.config import Engine, Member
from dbtmesh.registry.store import CLOUDS
from dbtmesh.warehouse.names import sql_name

if TYPE_CHECKING:
    from jinja2 import Environment

SUFFIX = ".jinja"


def folder() -> Traversable:
    carried = files("dbtmesh") / "template"
    return carried if carried.is_dir() else Path(__file__).resolve().parents[3] / "template"


def layers(member: Member) -> list[str]:
    """Returns the template's folders for a project of this kind, as extensions/derived.py names
    them."""
    kinds = {
        "member": True,
        "publisher": member.publishes,
        "downstream": member.kind != "upstream",
        member.kind: True,
    }
    return [f"{{{{ {name} }}}}" for name, gets in kinds.items() if gets]


@lru_cache(maxsize=8)
def parsed(text: str) -> dict[str, Any]:
    """Parses YAML of the template. The result is shared: callers must not change it."""
    loaded = yaml_files.load(text)
    assert isinstance(loaded, dict)
    return loaded


@dataclass(frozen=True)
class TemplateFiles:
    """The template's files, rendered for a member."""

    member: Member

    @cached_property
    def _known(self) -> dict[tuple[str, str | None], str]:
        """The files that are rendered already, by name and profile."""
        return {}

    @cached_property
    def answers(self) -> dict[str, Any]:
        return _answers(self.member)

    @cached_property
    def _environment(self) -> Environment:
        import jinja2

        from dbtmesh.output.template_filters import TemplateFilters

        return jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701  these are settings, not HTML
            extensions=[TemplateFilters],
        )

    def rendered(self, name: str, profile: str | None = None) -> str:
        """Returns a file of the project's top folder, such as `profiles.yml`.

        profile: the name of dbt's profile (default: the project's). Raises FileNotFoundError where
        the template has no such file for this project.
        """
        if (name, profile) not in self._known:
            self._known[name, profile] = self._render(name, profile)
        return self._known[name, profile]

    def _render(self, name: str, profile: str | None) -> str:
        for layer in layers(self.member):
            source = folder() / layer / name
            if source.is_file():
                return source.read_text(encoding="utf-8")
            template = folder() / layer / f"{name}{SUFFIX}"
            if template.is_file():
                given = self.answers | {"profile": profile or self.member.project}
                text = template.read_text(encoding="utf-8")
                return self._environment.from_string(text).render(given)
        raise FileNotFoundError(name)

    def settings(self, name: str, profile: str | None = None) -> dict[str, Any]:
        """Returns the content of such a file, parsed as YAML."""
        return parsed(self.rendered(name, profile))

    def macros(self) -> Iterator[tuple[str, str]]:
        """Yields the path and the text of each file of macros."""
        for layer in layers(self.member):
            there = folder() / layer / "macros"
            if there.is_dir():
                for each in there.iterdir():
                    yield f"macros/{each.name}", each.read_text(encoding="utf-8")


def _answers(member: Member) -> dict[str, Any]:
    """Returns the variables of the template's files: the recorded answers, and over them the values
    of mesh.yml."""
    snowflake = member.snowflake
    vendored = installed.vendored(member.root)
    answered = yaml_files.mapping(member.root / member.answers_file)
    text = str(answered.get("schemas") or "RAW,STAGING,MARTS")
    schemas = [each.strip().rpartition(".")[2] for each in text.split(",") if each.strip()]
    prod = sql_name(member.prod_database)  # answers have names as they are written in SQL
    registries = [member.registry or "s3:", *(each.registry or "" for each in member.upstreams)]
    schemes = dict.fromkeys(url.partition(":")[0] for url in registries if url)
    # any other URL needs the extra of S3; all members have the driver of Snowflake
    clouds = [CLOUDS.get(each, CLOUDS["s3"]).extra for each in schemes if each != "snowflake"]
    by_ref = member.kind == "loom" or member.engine is Engine.V2
    return {
        **answered,
        "schemas": text,
        "project_name": member.project,
        "kind": member.kind,
        "engine": member.engine.value if isinstance(member.engine, Engine) else member.engine,
        "is_publisher": member.publishes,
        "clouds": [*dict.fromkeys(clouds)],
        "database_prefix": member.database_prefix,
        "prod_database": prod,
        "dev_database": sql_name(member.dev_database),
        "prod_schemas": [{"database": prod, "schema": each} for each in schemas],
        "default_schema": schemas[-1],
        "starter_reads": "ref" if by_ref else "source",
        "upstream_projects": [
            {
                "name": each.name,
                "database_prefix": each.database_prefix,
                "prod_database": sql_name(each.prod_database),
            }
            for each in member.upstreams
        ],
        "snowflake_account": snowflake.get("account") or "",
        **{
            key: snowflake.get(key) or ""
            for key in ("warehouse", "role", "dev_role", "service_user", "ci_user", "auth")
        },
        "library": "vendor" if vendored else "index",
        "library_version": vendored
        or installed.required(member.root)
        or installed.version()
        or "0",
        "_copier_conf": {"answers_file": member.answers_file},
    }
