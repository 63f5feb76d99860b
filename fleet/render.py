"""Rendering several members of one template in one process."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from copier._main import Worker
from copier._template import Template
from copier._types import RelativePath

TEMPLATE = Path(__file__).resolve().parents[1]
"""This repository: the template whose members the fleet is about."""


@contextlib.contextmanager
def opened(source: str | Path = TEMPLATE, ref: str | None = "HEAD") -> Iterator[Template]:
    """The template, cloned and read once for all the members rendered inside the block.

    `ref`: a tag, branch or commit; HEAD takes the working tree as it is; None the newest tag.
    """
    with warnings.catch_warnings():
        # what comes of a dirty tree is said where it matters: by the hook, about the member
        warnings.simplefilter("ignore")
        template = Template(url=str(source), ref=ref)
        try:
            yield template
        finally:
            template._cleanup()


def render(
    template: Template, folder: Path, answers: Mapping[str, Any], answers_file: str | None = None
) -> None:
    """Renders a member into `folder`, whole or not at all.

    `answers_file`: where the member is a folder of the repository `folder`, as `copier copy` is
    told it, such as `dbt_up/.copier-answers.yml`.

    Copier would clone and parse the template for each member; the worker is handed the opened one
    instead (`Worker.template` is a cached property), which saves half of the time.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        # the folder's own name: answers may be derived from it
        rendered = Path(scratch) / folder.name
        worker = Worker(
            src_path=template.url,
            dst_path=rendered,
            data=dict(answers),
            vcs_ref=template.ref,
            answers_file=RelativePath(answers_file) if answers_file else None,
            defaults=True,
            unsafe=True,
            quiet=True,
            skip_tasks=True,
        )
        worker.__dict__["template"] = template
        worker.run_copy()
        if folder.exists():
            shutil.rmtree(folder)
        rendered.replace(folder)
