"""Provides manifests that releases of dbt have written, as publishers have them.

`project.yml` has one of everything that a publication or its readers have to get right. The folders
in its `models` name the releases that support what is inside. Each release built it on DuckDB:

    python -m tests.written_by_dbt 1.8 /path/to/an/environment/bin/dbt

1.8 is dbt-core 1.8.9 with dbt-duckdb 1.8.4, and 1.9 is 1.9.4 with 1.9.3; the others are those of
tests/engines.py. The manifests leave out dbt's own macros, the project's path and the user's id.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
CORE = ("1.8", "1.9", "1.10", "1.11", "1.12")
V2 = "v2"
RELEASES = (*CORE, V2)
SECRET = "swordfish"
"""A word in all that is not published: SQL, hooks, private names, expressions, environment
variables."""
PLACE = "/srv/shop"
"""Replaces the folder in which the project was built."""
NOBODY = "00000000-0000-0000-0000-000000000000"


@cache
def manifest(release: str) -> bytes:
    """Returns the manifest that a release wrote."""
    return lzma.decompress((FOLDER / f"{release}.json.xz").read_bytes())


@cache
def _project() -> Mapping[str, str]:
    """Returns the project's files by path. They are in one file, because rendering a member checks
    out every file of this repository."""
    loaded: dict[str, str] = yaml.safe_load((FOLDER / "project.yml").read_text())
    return loaded


def _part(path: str) -> str | None:
    """Returns the folder of models that contains a file, or None."""
    first, *rest = path.split("/")
    return rest[0] if first == "models" and len(rest) > 1 else None


def is_for(release: str, part: str) -> bool:
    """Checks whether a release supports a folder of models."""
    if release == V2:
        return part != "core"
    later = CORE[CORE.index(release) + 1 :]
    return part not in {V2, *(f"since_{each}" for each in later)}


def lay_out(release: str, folder: Path) -> None:
    """Writes the project into a folder, as far as the release supports it, and removes the rest."""
    for name, text in _project().items():
        path, part = folder / name, _part(name)
        if part and not is_for(release, part):
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make(release: str, program: Path) -> None:
    """Builds the project with a dbt, and keeps the manifest. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "shop"
        lay_out(release, folder)
        environment = {**os.environ, "DBT_ENV_CUSTOM_ENV_TOKEN": SECRET, "HOME": scratch}
        for command in ("deps", "build"):
            subprocess.run([program, command], cwd=folder, env=environment, check=True)
        written = (folder / "target/manifest.json").read_text()
        document = json.loads(written.replace(str(folder), PLACE))
    _cut(document)
    packed = lzma.compress(json.dumps(document).encode(), preset=9 | lzma.PRESET_EXTREME)
    (FOLDER / f"{release}.json.xz").write_bytes(packed)


def _cut(document: dict[str, Any]) -> None:
    document["metadata"]["user_id"] = NOBODY
    for section in ("macros", "docs"):
        document[section] = {
            uid: each
            for uid, each in document[section].items()
            if each["package_name"] in ("shop", "shared")
        }
