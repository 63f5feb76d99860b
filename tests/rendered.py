"""Members of tagged versions: rendered once, and copied from then on."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fleet import render as rendering
from fleet.render import Source

_KNOWN: dict[tuple[Source, str], Path] = {}


@cache
def _place() -> tempfile.TemporaryDirectory[str]:
    """Is gone when the process ends."""
    return tempfile.TemporaryDirectory(prefix="rendered")


def render(
    source: Source,
    folder: Path,
    answers: Mapping[str, Any],
    answers_file: str | None = None,
    *,
    tasks: bool = True,
) -> None:
    """Puts a member into `folder`, which may have others. source: of a tag that stays as it is."""
    # the folder's name too: answers may be derived from it
    key = (source, json.dumps([folder.name, dict(answers), answers_file, tasks], sort_keys=True))
    if key not in _KNOWN:
        made = Path(_place().name, str(len(_KNOWN)), folder.name)
        rendering.render(source, made, answers, answers_file, tasks=tasks)
        _KNOWN[key] = made
    shutil.copytree(_KNOWN[key], folder, symlinks=True, dirs_exist_ok=True)
