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
"""This repository, which is the template of the fleet's members."""


@dataclass(frozen=True)
class Source:
    """A version of the template.

    ref: a tag, branch or commit. HEAD means the working tree with its changes, None the newest tag.
    """

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

    answers_file: the answers file, such as `dbt_up/.copier-answers.yml`, if the member is a folder
    of the repository `folder`. tasks: whether to run the hooks, which build the member's library.
    Raises copier.errors.CopierError and ValueError for answers that are refused.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        # keeps the folder's name, because answers may be derived from it
        rendered = Path(scratch) / folder.name
        with warnings.catch_warnings():
            # Copier warns of a dirty tree; the hook's own warning about the member is enough
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
