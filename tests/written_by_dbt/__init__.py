"""Manifests that releases of dbt have written, as publishers have them.

`project` has one of everything that a publication or its readers have to get right; the folders in
its `models` say which releases take what is inside. Each release built it on DuckDB:

    python -m tests.written_by_dbt 1.8 /path/to/an/environment/bin/dbt

1.8 is dbt-core 1.8.9 with dbt-duckdb 1.8.4, 1.9 is 1.9.4 with 1.9.3; the others are those of
tests/engines.py. Left out are the macros of dbt itself, the path of the project and the user's id.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CORE = ("1.8", "1.9", "1.10", "1.11", "1.12")
V2 = "v2"
RELEASES = (*CORE, V2)
SECRET = "swordfish"
"""In all that is not published: SQL, hooks, private names, expressions, environment variables."""
PLACE = "/srv/shop"
"""Stands for the folder in which the project was built."""
NOBODY = "00000000-0000-0000-0000-000000000000"


@cache
def manifest(release: str) -> bytes:
    """What that release wrote."""
    return lzma.decompress((FOLDER / f"{release}.json.xz").read_bytes())


def parts(release: str) -> list[str]:
    """The folders of models that a release takes."""
    if release == V2:
        return [path.name for path in _parts() if path.name != "core"]
    later = CORE[CORE.index(release) + 1 :]
    without = {V2, *(f"since_{each}" for each in later)}
    return [path.name for path in _parts() if path.name not in without]


def _parts() -> list[Path]:
    return sorted((FOLDER / "project/models").iterdir())


def lay_out(release: str, folder: Path) -> None:
    """Puts the project into a folder, as far as the release takes it."""
    shutil.copytree(FOLDER / "project", folder, dirs_exist_ok=True)
    for path in (folder / "models").iterdir():
        if path.is_dir() and path.name not in parts(release):
            shutil.rmtree(path)


def make(release: str, program: Path) -> None:
    """Has a dbt build the project, and keeps its manifest. Raises CalledProcessError."""
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
