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
    """Makes Copier clone the template from the mirror on this machine instead of from `url`.

    It sets git's own `url.<base>.insteadOf`, so that members keep the address that they recorded.
    It changes the environment of the process, which must do nothing else meanwhile.
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
    """Sends the output of the template's tasks and migrations to standard error.

    Standard output is for the fleet's own report. Even if it is quiet, Copier lets them print to
    the standard output of this process.
    """
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
    """Runs `copier update` for a member in the clone, to the newest of the releases."""
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
    """Returns the files that the template renders for a member, except the answers file."""
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
