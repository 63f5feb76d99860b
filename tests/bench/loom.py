"""Measures what dbt-loom costs at parse time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.bench.lab import Figure, Lab, Process, bench, on_processors
from tests.conftest import BIN, Member
from tests.manifests import manifest

READERS = 20
TESTED = """
models: [{name: reads_0, columns: [{name: column_0, data_tests: [not_null]}]}]
"""
"""A data test, because every project has one: without any, dbt compares each model with each."""


def project(lab: Lab, folder: Path) -> Member:
    """Makes a loom member with 20 models, each of which reads one of the upstream's."""
    member = lab.member(folder, kind="loom", upstreams="dbt_up", starter=False)
    for number in range(READERS):
        path = folder / "models" / f"reads_{number}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"select * from {{{{ ref('dbt_up', 'public_{number}') }}}}\n")
    (folder / "models/properties.yml").write_text(TESTED)
    return member


def without_mesh(member: Member, folder: Path) -> Member:
    """Copies the project, with models of its own in place of the upstream's."""
    shutil.copytree(member.path, folder)
    (folder / "dbt_loom.config.yml").unlink()
    (folder / "dependencies.yml").unlink()
    for number in range(READERS):
        path = folder / "models" / f"reads_{number}.sql"
        path.write_text(path.read_text().replace("'dbt_up', ", ""))
        (folder / "models" / f"public_{number}.sql").write_text("select 1 as column_0\n")
    return Member(folder, member.environment)


def parse(member: Member) -> Process:
    return Process([str(BIN / "dbt"), "--quiet", "parse", "--no-partial-parse"], member.path, {})


@bench
def loom(lab: Lab) -> Iterator[Figure]:
    """Parses a downstream of a large upstream."""
    for models in (1_000, 10_000):
        folder = lab.folder / f"loom{models}"
        up = lab.member(folder / "dbt_up", kind="upstream", starter=False)
        built = up.path / "manifest.json"
        built.write_bytes(manifest(models=models, public=models // 10, columns=8))
        up.ok("scripts/publish_manifest.py", "--manifest", built)
        down = project(lab, folder / "dbt_down")
        down.ok("scripts/sync_mesh.py")
        bare = without_mesh(down, folder / "bare")
        measured, baseline = lab.compare(
            f"{models} models", parse(down), parse(bare), clock=on_processors
        )
        what = f"parse a loom downstream of {models:,} models, a tenth public / no mesh at all"
        yield Figure(what, measured, baseline, 1.2)
