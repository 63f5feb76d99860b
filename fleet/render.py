"""Renders members in this process, by Copier's public functions."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier

TEMPLATE = Path(__file__).resolve().parents[1]
"""This repository: the template whose members the fleet is about."""


@dataclass(frozen=True)
class Source:
    """A version of the template. ref: a tag, branch or commit; HEAD takes the working tree as it
    is, None the newest tag."""

    url: str = str(TEMPLATE)
    ref: str | None = "HEAD"


def render(
    source: Source,
    folder: Path,
    answers: Mapping[str, Any],
    answers_file: str | None = None,
    *,
    tasks: bool = False,
) -> None:
    """Renders a member into `folder`, whole or not at all.

    `answers_file`: where the member is a folder of the repository `folder`, as `copier copy` is
    told it, such as `dbt_up/.copier-answers.yml`. tasks: whether its hooks run, which build the
    member's library. Raises copier.errors.CopierError and ValueError for answers that are refused.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        # the folder's own name: answers may be derived from it
        rendered = Path(scratch) / folder.name
        with warnings.catch_warnings():
            # what comes of a dirty tree is said where it matters: by the hook, about the member
            warnings.simplefilter("ignore")
            copier.run_copy(
                source.url,
                rendered,
                data=dict(answers),
                vcs_ref=source.ref,
                answers_file=answers_file,
                defaults=True,
                unsafe=True,
                quiet=True,
                skip_tasks=not tasks,
            )
        if folder.exists():
            shutil.rmtree(folder)
        rendered.replace(folder)
