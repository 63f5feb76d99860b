"""Reads a project's files as they are on disk, or with edits that are not written yet."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
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
"""A comment of Jinja's. A macro in a comment does not count."""
WITH_DEFAULT = re.compile(r"\{\{\s*env_var\([^,(){}]+,\s*(['\"])(?P<default>[^'\"]+)\1\s*\)\s*\}\}")
"""A name from an environment variable with a default. extensions/joining.py reads it alike."""
MACRO_NAME = re.compile(r"{%[-+]?\s*macro\s+(\w+)\s*\(")


@lru_cache(maxsize=32)
def _loaded(text: str) -> tuple[Any, str]:
    """Returns the content of a YAML text, and what is wrong with it. Many checks ask for both."""
    try:
        return yaml_files.load(text), ""
    except yaml_files.NotYaml as error:
        return None, f"{error.where}: {error}"


@dataclass(frozen=True)
class Project:
    """A project, with edits that are not written yet.

    member: the content of mesh.yml. edited: the new texts of files by path, None for files to
    delete. side: whose lines to keep in conflicts, if a person has decided it. keeps_links: whether
    links that lead out of the project stay, and their files are not edited. seen: the bytes of each
    file when it was first read, None for one that could not be read.
    """

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
        if edit.path != self.member.answers_file:  # template files are rendered from the answers
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
        """Returns the text of a file; None where it is missing, or is not UTF-8."""
        if path in self.edited:
            return self.edited[path]
        body = self._body(path)
        return None if body is None else file_bytes.as_utf_8(body)

    def guess(self, path: str) -> Guess | None:
        """Returns the probable text of a file that is not UTF-8; None for any other file."""
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
        """Checks whether a file has changed since it was read, and its edits are out of date."""
        before = self.seen.get(path)
        return path in self.seen and self._body(path) != before

    def is_unreadable(self, path: str) -> bool:
        """Checks whether a file exists, but has no text. Such a file must not be overwritten."""
        return self.exists(path) and self.text(path) is None

    def lies_outside(self, path: str) -> bool:
        """Checks whether a path leads out of the project, such as one to shared macros."""
        return Path(os.path.relpath(self.root / path, self.root)).parts[:1] == ("..",)

    def link_above(self, path: str) -> str | None:
        """Returns the folder above a file that is a link out of the project; None without one."""
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            if self.leads_out(folder.as_posix()):
                return folder.as_posix()
        return None

    def leads_out(self, path: str) -> bool:
        """Checks whether a file or folder is a link that leads out of the project."""
        place = self.root / path
        is_link = path not in self.edited and place.is_symlink()
        return is_link and not real(place).is_relative_to(real(self.root))

    def yaml(self, path: str) -> dict[str, Any]:
        """Returns the mapping that a YAML file holds; an empty one for anything else."""
        loaded, _ = _loaded(self.text(path) or "")
        return loaded if isinstance(loaded, dict) else {}

    def not_yaml(self, path: str) -> str:
        """Tells where and why a file is not valid YAML, as ` (line 3): …`; empty if it is valid."""
        return _loaded(self.text(path) or "")[1]

    @cached_property
    def template(self) -> TemplateFiles:
        return TemplateFiles(self.member)

    @cached_property
    def dbt_project(self) -> dict[str, Any]:
        return self.yaml("dbt_project.yml")

    @cached_property
    def manifest(self) -> Any:
        """dbt's manifest; None where it is missing, or is not JSON."""
        try:
            return json.loads(self.text(MANIFEST) or "")
        except (ValueError, RecursionError):
            return None

    @property
    def profile(self) -> str:
        """The name of dbt's profile; for Jinja such as env_var('PROFILE', 'acme'), its default."""
        named = str(self.dbt_project.get("profile") or self.member.project)
        chosen = WITH_DEFAULT.fullmatch(named)
        return chosen["default"] if chosen else named

    @cached_property
    def macros(self) -> dict[str, list[str]]:
        """The files that define a macro, by the name of the macro."""
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
            guess = self.guess(path)  # macros in a file that dbt cannot decode yet count, too
            text = guess.text if guess else self.text(path) or ""
            for name in MACRO_NAME.findall(COMMENT.sub("", text)):
                found.setdefault(name, []).append(path)
        return found

    def is_in_repository(self, path: str) -> bool:
        """Checks whether the target of a link is in the repository, so that clones have it."""
        top = self.repository
        return top is not None and real(self.root / path).is_relative_to(real(top))

    def is_kept_by_git(self, path: str) -> bool:
        """Checks whether git tracks the file, and has no uncommitted changes of it."""
        return bool(self.git("ls-files", "--", path)) and not self.git(
            "status", "--porcelain", "--", path
        )

    @cached_property
    def repository(self) -> Path | None:
        """The top of the git repository that holds the project; None where there is none."""
        top = self.git("rev-parse", "--show-toplevel")
        return Path(top) if top else None

    @cached_property
    def folder(self) -> str | None:
        """The project's folder, relative to the top of its repository; None without one."""
        top = self.repository
        return None if top is None else self.root.resolve().relative_to(top.resolve()).as_posix()

    def update(self, question: str, answer: str | None = None) -> str:
        """Returns the command that answers a question again. Without an answer, Copier asks it."""
        name, folder = self.member.answers_file, self.folder or "."
        data = shlex.quote(f"{question}={answer}")
        given = f"--ask {question}" if answer is None else f"--data {data}"
        command = f"copier update --trust --skip-answered {given}"
        if folder != ".":  # updates run at the top
            above = "/".join([".."] * len(PurePosixPath(folder).parts))
            return f"(cd {above} && {command} --answers-file {shlex.quote(f'{folder}/{name}')})"
        return command if name == ANSWERS_FILE else f"{command} --answers-file {name}"

    def ignored(self, *paths: str) -> dict[str, str]:
        """Returns the paths that git ignores, each with its rule, such as `.gitignore:3: *.whl`.

        A file that git tracks is not ignored. With a path below a link or in a submodule, git fails
        and answers for no path at all: it is asked again about fewer paths.
        """
        done = self._run("check-ignore", "--verbose", "-z", "--stdin", given="\0".join(paths))
        if done is None or done.returncode > 1:
            if len(paths) < 2 or self.repository is None:
                return {}
            middle = len(paths) // 2
            return self.ignored(*paths[:middle]) | self.ignored(*paths[middle:])
        found = zip(*[iter(done.stdout.split("\0"))] * 4, strict=False)
        return {
            path: f"{source}:{line}: {pattern}"
            for source, line, pattern, path in found
            if not pattern.startswith("!")
        }

    def git(self, *words: str) -> str:
        """Runs git, and returns its output; empty where git fails, or is not installed."""
        done = self._run(*words)
        return "" if done is None or done.returncode else done.stdout.strip()

    def _run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str] | None:
        """Runs git; None where it is not installed. given: the standard input. Names of files may
        be bytes that are no text."""
        try:
            return subprocess.run(
                ["git", *words],
                cwd=self.root,
                input=given,
                capture_output=True,
                encoding=sys.getfilesystemencoding(),
                errors=sys.getfilesystemencodeerrors(),
                check=False,
            )
        except OSError:
            return None
