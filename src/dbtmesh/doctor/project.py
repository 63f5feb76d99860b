"""Reads a project as its files are, or as they would be."""

from __future__ import annotations

import codecs
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dbtmesh import yaml_files
from dbtmesh.config import Member
from dbtmesh.doctor.finding import Edit
from dbtmesh.doctor.template_files import TemplateFiles
from dbtmesh.files import read_whole

MANIFEST = "target/manifest.json"


@dataclass(frozen=True)
class Project:
    """member: what mesh.yml says; edited: texts that files would have, by path."""

    member: Member
    edited: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.member.root

    def with_edit(self, edit: Edit) -> Project:
        return replace(self, edited={**self.edited, edit.path: edit.text})

    def text(self, path: str) -> str | None:
        """A file of the project; None where there is none, or where it is not UTF-8."""
        if path in self.edited:
            return self.edited[path]
        try:
            text = read_whole(self.root / path).decode("utf-8-sig")
            return text.replace("\r\n", "\n").replace("\r", "\n")
        except (OSError, UnicodeDecodeError):
            return None

    def decoded(self, path: str) -> tuple[str, str] | None:
        """The text of a file of the project that is not UTF-8, and what it is; None of any other,
        and where that cannot be told."""
        if not self.is_unreadable(path) or self._is_elsewhere(path):
            return None
        body = read_whole(self.root / path)
        is_marked = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding, name = ("utf-16", "UTF-16") if is_marked else ("cp1252", "Windows-1252")
        try:
            return body.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), name
        except UnicodeDecodeError:
            return None

    def _is_elsewhere(self, path: str) -> bool:
        return not (self.root / path).resolve().is_relative_to(self.root.resolve())

    def is_unreadable(self, path: str) -> bool:
        """Whether there is a file that has no text, or lies elsewhere: it is not to be written."""
        there = (self.root / path).exists()
        return there and (self._is_elsewhere(path) or self.text(path) is None)

    def yaml(self, path: str) -> dict[str, Any]:
        """A YAML file that holds a mapping; an empty one for anything else."""
        try:
            loaded = yaml_files.load(self.text(path) or "")
        except yaml_files.NotYaml:
            return {}
        return loaded if isinstance(loaded, dict) else {}

    @cached_property
    def template(self) -> TemplateFiles:
        return TemplateFiles(self.member)

    @cached_property
    def dbt_project(self) -> dict[str, Any]:
        return self.yaml("dbt_project.yml")

    @cached_property
    def manifest(self) -> Any:
        """What dbt parsed; None where that is not there, or not JSON."""
        try:
            return json.loads(self.text(MANIFEST) or "")
        except (ValueError, RecursionError):
            return None

    @property
    def profile(self) -> str:
        return str(self.dbt_project.get("profile") or self.member.project)

    def paths(self, key: str, default: str) -> list[str]:
        """Folders that dbt_project.yml names, such as `macro-paths`."""
        named = self.dbt_project.get(key)
        return [str(each) for each in named] if isinstance(named, list) else [default]

    @cached_property
    def macros(self) -> dict[str, list[str]]:
        """Files by the name of each macro that they define."""
        import re

        found: dict[str, list[str]] = {}
        folders = self.paths("macro-paths", "macros")
        on_disk = {
            path.relative_to(self.root).as_posix()
            for folder in folders
            for path in sorted((self.root / folder).rglob("*.sql"))
        }
        edited = {path for path in self.edited if path.endswith(".sql")}
        of_macros = {path for path in edited if path.startswith(tuple(f"{f}/" for f in folders))}
        for path in sorted(on_disk | of_macros):
            for name in re.findall(r"{%-?\s*macro\s+(\w+)\s*\(", self.text(path) or ""):
                found.setdefault(name, []).append(path)
        return found

    @cached_property
    def repository(self) -> Path | None:
        """The top of the git repository that holds the project."""
        top = self.git("rev-parse", "--show-toplevel")
        return Path(top) if top else None

    def ignored(self, path: str) -> str | None:
        """Where git is told to ignore a path (`.gitignore:3: *.whl`); None where it is not.

        A file that git knows is not ignored.
        """
        said = self.git("check-ignore", "--verbose", "--", path)
        if not said:
            return None
        source, line, pattern = said.partition("\t")[0].split(":", 2)
        return None if pattern.startswith("!") else f"{source}:{line}: {pattern}"

    def git(self, *words: str) -> str:
        """What git answers; nothing where it fails, or is not there."""
        try:
            done = subprocess.run(
                ["git", *words], cwd=self.root, capture_output=True, text=True, check=False
            )
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
