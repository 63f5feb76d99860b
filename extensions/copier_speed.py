"""Copier does nothing twice: the same results, and an update in half of the time.

Of a template of many files Copier asks git for one and the same setting for each rendered file,
gathers all that a template may refer to for each part of each path, and compiles that part even
where it is plain text. An update renders three times, each time from a clone, a parsed copier.yml
and compiled templates of its own. `SharingWorker` does each of these once. It takes the place of
Copier's Worker where that renders this template, and only if it is the one it was written for.
What is compiled is kept for the next run, as Jinja does it if asked to.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import copier._main
from copier._jinja_ext import SandboxedEnvironment
from copier._main import Worker
from copier._template import Template
from copier._vcs import get_git
from jinja2 import Environment
from jinja2.bccache import Bucket, FileSystemBytecodeCache
from jinja2.ext import Extension
from plumbum.commands.processes import ProcessExecutionError

KNOWN = frozenset({"338b508a4ae622c982a43b726fa918db00f1d4cc148727e692f4e632597297bb"})
"""SHA-256 of copier/_main.py in the versions that this was written for: 9.19.0 and 9.19.1."""


class SharingWorker(Worker):
    """Copier makes the three workers of an update from the first, and of its class."""

    opened: Sequence[Template] = ()
    """Versions of the template that the update has cloned, and removes when it is done."""

    @cached_property
    def template(self) -> Template:
        recorded = self.subproject.template
        wanted = (
            self.src_path or (recorded and recorded.url),
            self.resolved_vcs_ref,
            self.use_prereleases,
        )
        for template in self.opened:
            if wanted == (template.url, template.ref, template.use_prereleases):
                return template
        return of_copier("template", self)  # type: ignore[no-any-return]

    @cached_property
    def jinja_env(self) -> SandboxedEnvironment:
        shared: dict[str, Any] = self.template.__dict__
        if "jinja_env" not in shared:
            shared["jinja_env"] = of_copier("jinja_env", self)
        return shared["jinja_env"]  # type: ignore[no-any-return]

    @property
    def answers_relpath(self) -> Path:
        return Path(self.answers_file or self.template.answers_relpath)

    def _render_template(self) -> None:
        # from here on no answer changes
        self.__dict__["settled"] = super()._render_context()
        try:
            super()._render_template()
        finally:
            del self.__dict__["settled"]

    def _render_context(self) -> MutableMapping[str, Any]:
        settled = self.__dict__.get("settled")
        return dict(settled) if settled else super()._render_context()

    def _render_string(self, string: str, extra_context: dict[str, Any] | None = None) -> str:
        return string if is_plain(string) else super()._render_string(string, extra_context)

    def _sync_git_index_executable_bit(self, dst_relpath: Path, src_mode: int) -> None:
        if not self._keeps_modes:
            super()._sync_git_index_executable_bit(dst_relpath, src_mode)

    @cached_property
    def _keeps_modes(self) -> bool:
        """Whether git takes modes from the disk, which Copier asks for each file."""
        try:
            git = get_git(context_dir=self.subproject.local_abspath)
            return bool(git("config", "--type=bool", "--get", "core.fileMode").strip() != "false")
        except ProcessExecutionError:
            return True


def of_copier(cached: str, worker: Worker) -> Any:
    return Worker.__dict__[cached].func(worker)


class CopierSpeed(Extension):
    """Loaded by Copier for this template: the workers that do so are up the stack."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        folder = Path(environment.loader.searchpath[0])  # type: ignore[union-attr]
        under_way = list(workers(sys._getframe()))
        if is_known():
            take_over(under_way, folder)
        with suppress(OSError, RuntimeError):  # no folder of this user alone
            environment.bytecode_cache = Compiled(environment, folder)
        compiled = cache(environment.from_string)

        # copier.yml has some 700 texts for a member, of which 150 differ; most are plain
        def from_string(source: Any) -> Any:
            return Text(source) if is_plain(source) else compiled(source)

        environment.from_string = from_string  # type: ignore[assignment,method-assign]


def is_known() -> bool:
    main = Path(copier._main.__file__)
    return main.exists() and hashlib.sha256(main.read_bytes()).hexdigest() in KNOWN


def workers(frame: FrameType | None) -> Iterator[tuple[Worker, bool]]:
    """Copier's workers that are under way, the innermost first, and which of them updates."""
    while frame:
        worker = frame.f_locals.get("self")
        if frame.f_globals.get("__name__") == "copier._main" and isinstance(worker, Worker):
            yield worker, frame.f_code.co_name == "run_update"
        frame = frame.f_back


def take_over(under_way: Sequence[tuple[Worker, bool]], folder: Path) -> None:
    for worker, updates in under_way:
        # also from the template's older version, but from no class that somebody made for a purpose
        older = type(worker).__module__ == __name__ and worker.template.local_abspath == folder
        if (type(worker) is Worker or older) and is_plain(str(worker.answers_file)):
            worker.__class__ = SharingWorker
            if updates:
                versions = (worker.template, worker.subproject.template)
                SharingWorker.opened = [version for version in versions if version]


def is_plain(text: object) -> bool:
    return isinstance(text, str) and "{" not in text


class Text(str):
    """A template without anything to render."""

    def render(self, *_: Any, **__: Any) -> str:
        return str(self)


class Compiled(FileSystemBytecodeCache):
    """Compiled files, in Jinja's folder for this user, where Copier's next run finds them.

    By what they say: each clone lies elsewhere, and versions of the template share most files.
    """

    def __init__(self, environment: Environment, folder: Path) -> None:
        super().__init__()
        # what makes other code of the same text: settings, and filters, which Jinja applies to
        # constants when it compiles
        options = sorted(
            each for each in vars(environment).items() if isinstance(each[1], str | bool)
        )
        filters = (folder / "extensions" / "answers.py").read_text(encoding="utf-8")
        self.setting = self.get_source_checksum(f"{options} {filters}")

    def get_bucket(
        self, environment: Environment, name: str, filename: str | None, source: str
    ) -> Bucket:
        says = f"{name} {self.get_source_checksum(source)} {self.setting}"
        return super().get_bucket(environment, says, None, source)
