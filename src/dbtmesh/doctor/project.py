"""Reads a project as its files are, or as they would be."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from dbtmesh import dbt_paths, yaml_files
from dbtmesh.config import ANSWERS_FILE, Member
from dbtmesh.doctor import file_bytes
from dbtmesh.doctor.file_bytes import Guess
from dbtmesh.doctor.finding import Edit, Side
from dbtmesh.doctor.template_files import TemplateFiles
from dbtmesh.files import read_whole, real

MANIFEST = "target/manifest.json"
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
"""A comment of Jinja's; a macro in one is none."""
WITH_DEFAULT = re.compile(r"\{\{\s*env_var\([^,(){}]+,\s*(['\"])(?P<default>[^'\"]+)\1\s*\)\s*\}\}")
"""A name that a variable of the environment gives: extensions/joining.py reads it so, too."""
MACRO_NAME = re.compile(r"{%[-+]?\s*macro\s+(\w+)\s*\(")


@lru_cache(maxsize=32)
def _loaded(text: str) -> tuple[Any, str]:
    """What a YAML text says, which many checks ask for, and what is wrong with it."""
    try:
        return yaml_files.load(text), ""
    except yaml_files.NotYaml as error:
        return None, f"{error.where}: {error}"


@dataclass(frozen=True)
class Project:
    """member: what mesh.yml says; edited: texts that files would have, by path, None of those that
    would go; side: whose lines stay in conflicts, where a person has said so; keeps_links: files
    that lie elsewhere stay links; seen: what was in each file when it was first read."""

    member: Member
    edited: Mapping[str, str | None] = field(default_factory=dict)
    side: Side | None = None
    keeps_links: bool = False
    seen: dict[str, bytes | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def root(self) -> Path:
        return self.member.root

    def with_edit(self, edit: Edit) -> Project:
        project = replace(self, edited={**self.edited, edit.path: edit.text})
        if edit.path != self.member.answers_file:  # of which the template's files are rendered
            project.__dict__["template"] = self.template
        return project

    def would_change(self, edit: Edit) -> bool:
        if edit.text is None:
            return self.exists(edit.path)
        return self.text(edit.path) != edit.text

    def exists(self, path: str) -> bool:
        if path in self.edited:
            return self.edited[path] is not None
        return (self.root / path).exists()

    def text(self, path: str) -> str | None:
        """A file of the project; None where there is none, or where it is not UTF-8."""
        if path in self.edited:
            return self.edited[path]
        body = self._body(path)
        return None if body is None else file_bytes.as_utf_8(body)

    def guess(self, path: str) -> Guess | None:
        """What a file of the project that is not UTF-8 seems to say; None of any other."""
        body = None if path in self.edited else self._body(path)
        return None if body is None else file_bytes.guess(body)

    def _body(self, path: str) -> bytes | None:
        try:
            body = read_whole(self.root / path)
        except OSError:
            body = None
        self.seen.setdefault(path, body)
        return body

    def has_changed(self, path: str) -> bool:
        """Whether a file is no longer as it was first read: its edits are of an older text."""
        before = self.seen.get(path)
        return path in self.seen and self._body(path) != before

    def is_unreadable(self, path: str) -> bool:
        """Whether there is a file that has no text: it is not to be written over."""
        return self.exists(path) and self.text(path) is None

    def lies_outside(self, path: str) -> bool:
        """Whether a path leads out of the project, such as that of macros that projects share."""
        return Path(os.path.relpath(self.root / path, self.root)).parts[:1] == ("..",)

    def link_above(self, path: str) -> str | None:
        """The folder above a file that is a link out of the project: nothing is written there."""
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            if self.leads_out(folder.as_posix()):
                return folder.as_posix()
        return None

    def _lies_behind_link(self, path: str) -> bool:
        return any((self.root / above).is_symlink() for above in PurePosixPath(path).parents[:-1])

    def leads_out(self, path: str) -> bool:
        """Whether a file or folder is a link to what is not in the project."""
        place = self.root / path
        is_link = path not in self.edited and place.is_symlink()
        return is_link and not real(place).is_relative_to(real(self.root))

    def yaml(self, path: str) -> dict[str, Any]:
        """A YAML file that holds a mapping; an empty one for anything else."""
        loaded, _ = _loaded(self.text(path) or "")
        return loaded if isinstance(loaded, dict) else {}

    def not_yaml(self, path: str) -> str:
        """Where a file is no YAML, and why: ` (line 3): …`; empty where it is."""
        return _loaded(self.text(path) or "")[1]

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
        """Its name; of Jinja with a default, such as env_var('PROFILE', 'acme'), the default."""
        named = str(self.dbt_project.get("profile") or self.member.project)
        chosen = WITH_DEFAULT.fullmatch(named)
        return chosen["default"] if chosen else named

    @cached_property
    def macros(self) -> dict[str, list[str]]:
        """Files by the name of each macro that they define."""
        found: dict[str, list[str]] = {}
        folders = dbt_paths.folders(self.dbt_project, "macro-paths")
        on_disk = {
            Path(os.path.relpath(path, self.root)).as_posix()
            for folder in folders
            for path in sorted((self.root / folder).rglob("*.sql"))
        }
        edited = {path for path, text in self.edited.items() if text and path.endswith(".sql")}
        of_macros = {path for path in edited if path.startswith(tuple(f"{f}/" for f in folders))}
        for path in sorted(on_disk | of_macros):
            guess = self.guess(path)  # a macro is there also where dbt cannot read it yet
            text = guess.text if guess else self.text(path) or ""
            for name in MACRO_NAME.findall(COMMENT.sub("", text)):
                found.setdefault(name, []).append(path)
        return found

    def is_in_repository(self, path: str) -> bool:
        """Whether what a link leads to is in the repository, so that clones have it."""
        top = self.repository
        return top is not None and real(self.root / path).is_relative_to(real(top))

    def is_kept_by_git(self, path: str) -> bool:
        """Whether git has the file as it is."""
        return bool(self.git("ls-files", "--", path)) and not self.git(
            "status", "--porcelain", "--", path
        )

    @cached_property
    def repository(self) -> Path | None:
        """The top of the git repository that holds the project."""
        top = self.git("rev-parse", "--show-toplevel")
        return Path(top) if top else None

    @cached_property
    def folder(self) -> str | None:
        """The project's folder from the top of its repository; None where there is none."""
        top = self.repository
        return None if top is None else self.root.resolve().relative_to(top.resolve()).as_posix()

    def update(self, question: str, answer: str | None = None) -> str:
        """The command by which a question is answered anew: asked, or with this answer."""
        name, folder = self.member.answers_file, self.folder or "."
        data = shlex.quote(f"{question}={answer}")
        given = f"--ask {question}" if answer is None else f"--data {data}"
        command = f"copier update --trust --skip-answered {given}"
        if folder != ".":  # updates run at the top
            above = "/".join([".."] * len(PurePosixPath(folder).parts))
            return f"(cd {above} && {command} --answers-file {shlex.quote(f'{folder}/{name}')})"
        return command if name == ANSWERS_FILE else f"{command} --answers-file {name}"

    def ignored(self, *paths: str) -> dict[str, str]:
        """Of these paths, those that git is told to ignore, and where (`.gitignore:3: *.whl`).

        A file that git knows is not ignored. Of what lies behind a link git knows nothing, and
        would answer for no path at all.
        """
        asked = [path for path in paths if not self._lies_behind_link(path)]
        said = self.git("check-ignore", "--verbose", "-z", "--stdin", given="\0".join(asked))
        found = zip(*[iter(said.split("\0"))] * 4, strict=False)
        return {
            path: f"{source}:{line}: {pattern}"
            for source, line, pattern, path in found
            if not pattern.startswith("!")
        }

    def git(self, *words: str, given: str = "") -> str:
        """What git answers; nothing where it fails, or is not there. given: its standard input."""
        try:
            done = subprocess.run(
                ["git", *words],
                cwd=self.root,
                input=given,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
