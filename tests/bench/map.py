"""Compares drawing the mesh with dbt-multidocs on the same manifests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests import mesh_world
from tests.bench.lab import Figure, Lab, Process, bench, peak_memory
from tests.conftest import ROOT

PEER = "dbt-multidocs==0.2.0"
PROJECTS, MODELS = 50, 1_000


def multidocs(lab: Lab) -> Path | None:
    """Returns the folder with dbt-multidocs, or None where it cannot be installed.

    It is not in our environment, because dbt imports every package whose name begins with `dbt_`.
    """

    def install(folder: Path) -> Path | None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        done = subprocess.run([*map(str, pip), PEER], capture_output=True, text=True, check=False)
        return None if done.returncode else folder

    found: Path | None = lab.once("dbt-multidocs", install)
    return found


@bench
def mesh_map(lab: Lab) -> Iterator[Figure]:
    """Draws the page of a large mesh."""
    folder = lab.once(
        "large mesh",
        lambda folder: (
            mesh_world.large(folder / "registry", projects=PROJECTS, models=MODELS).parent
        ),
    )
    registry = folder / "registry"
    flags = ("--registry", registry.as_uri(), "--env", "prod", "--output", folder / "mesh.html")
    ours = Process([sys.executable, "-m", "fleet", "map", *flags], ROOT)
    what = f"map of {PROJECTS} x {MODELS:,} public models"
    # a round of both takes half a minute, and the median of three is good enough
    lab = replace(lab, runs=min(lab.runs, 3))
    peer = multidocs(lab)
    if peer is None:
        print(f"{PEER} cannot be installed here: no comparison of {what}", file=sys.stderr)
        (measured,) = lab.compare(what, ours)
        yield Figure(what, measured, None, None)
        return
    manifests = sorted(registry.glob("*/prod/latest/manifest.json"))
    named = [word for path in manifests for word in ("--project", path)]
    build = ("-m", "dbt_multidocs", "build", "--out", folder / "lineage.html")
    theirs = Process([sys.executable, *build, *named], folder, {"PYTHONPATH": str(peer)})
    name = PEER.partition("==")[0]
    measured, baseline = lab.compare(what, ours, theirs)
    yield Figure(f"{what} / {name}", measured, baseline, 1)
    yield Figure(f"memory of that / {name}", peak_memory(ours), peak_memory(theirs), 1, "MB")
