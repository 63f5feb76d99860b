"""Renders members of tagged versions, once for all processes, and then copies them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet import render as rendering
from fleet.render import Source
from tests import shared
from tests.versions import git


def render(
    source: Source,
    folder: Path,
    answers: Mapping[str, Any],
    answers_file: str | None = None,
    *,
    committed: bool = False,
) -> None:
    """Puts a member into `folder`, which may contain others.

    source: a tag that does not change.
    committed: whether to make a repository with a commit of it.
    """
    # without the answer project_name, the name of the folder is part of what is rendered
    name = "member" if "project_name" in answers else folder.name
    key = [name, dict(answers), answers_file, committed]

    def make(place: Path) -> None:
        member = place / name
        rendering.render(source, member, answers, answers_file, tasks=True)
        if committed:
            git(member, "init", "--quiet", "--initial-branch=main")
            commit(member)

    made = shared.once(f"member {source} {json.dumps(key, sort_keys=True)}", make)
    shutil.copytree(made / name, folder, symlinks=True, dirs_exist_ok=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "by hand")
