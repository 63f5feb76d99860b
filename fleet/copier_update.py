"""Runs Copier's part of an update, by its public functions."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import copier

from dbtmesh import yaml_files
from fleet.members import Answers, text_of
from fleet.releases import Releases, address


@contextmanager
def from_mirror(releases: Releases, url: str) -> Iterator[None]:
    """Copier clones the template from the mirror on this machine, whatever address it knows.

    By git's own `url.<base>.insteadOf`, so that members keep the address that they recorded. Only
    for a process that does nothing else meanwhile: the environment is the process's.
    """
    number = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    setting = {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": f"url.{releases.mirror.as_uri()}.insteadOf",
        f"GIT_CONFIG_VALUE_{number}": address(url),
    }
    before = {name: os.environ.get(name) for name in setting}
    os.environ |= setting
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def standard_output_kept() -> Iterator[None]:
    """What the template's tasks and migrations print goes to standard error: standard output is for
    the fleet's own report. Copier gives them this process's, whether or not it is quiet."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def merge(clone: Path, answers_file: str, answers: Answers, releases: Releases) -> None:
    """`copier update` of a member in the clone, to the newest of the releases."""
    with (
        warnings.catch_warnings(),
        from_mirror(releases, answers.template),
        standard_output_kept(),
    ):
        warnings.simplefilter("ignore")
        copier.run_update(
            clone,
            answers_file=answers_file,
            vcs_ref=releases.newest,
            defaults=True,
            overwrite=True,
            unsafe=True,
            quiet=True,
        )


def rendering(
    clone: Path, answers_file: str, answers: Answers, releases: Releases, tag: str
) -> dict[Path, bytes]:
    """What the template gives a member with these answers, the answers file left out."""
    recorded = yaml_files.load(text_of(clone / answers_file))
    with (
        tempfile.TemporaryDirectory(dir=clone.parent) as scratch,
        warnings.catch_warnings(),
        from_mirror(releases, answers.template),
    ):
        warnings.simplefilter("ignore")
        copier.run_copy(
            answers.template,
            scratch,
            answers_file=answers_file,
            data={key: value for key, value in recorded.items() if not key.startswith("_")},
            vcs_ref=tag,
            defaults=True,
            unsafe=True,
            quiet=True,
            skip_tasks=True,
        )
        paths = (path for path in Path(scratch).rglob("*") if path.is_file())
        return {
            path.relative_to(scratch): path.read_bytes()
            for path in paths
            if path.name != Path(answers_file).name
        }
