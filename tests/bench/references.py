"""Measures what `ref('<project>', …)` costs a native member, compared with `source`, and compares
the demo on dbt v2 with the one on dbt Core."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from dbtmesh.downstream.committed import MACRO
from tests import engines
from tests.bench.lab import Figure, Lab, Process, bench, on_processors
from tests.conftest import ROOT, Member
from tests.manifests import manifest

MODELS = 1_000
BUDGETS = {engines.OURS: 2.2, engines.V2: 1.15}


def reader(lab: Lab, folder: Path, dbt: engines.Dbt, by: str) -> Member:
    """Makes a native member with a model for each of the upstream's."""
    answers = {"kind": "native", "upstreams": "dbt_up", "starter": False, "engine": dbt.engine}
    member = lab.member(folder, **answers)
    (folder / "models").mkdir()
    for number in range(MODELS):
        sql = f"select * from {{{{ {by}('dbt_up', 'public_{number}') }}}}\n"
        (folder / "models" / f"reads_{number}.sql").write_text(sql)
    member.ok("scripts/sync_mesh.py")
    return member


def parse(member: Member, dbt: engines.Dbt) -> Process:
    return Process(
        [dbt.program, "--quiet", "parse", "--no-partial-parse"],
        member.path,
        {**member.environment, **dbt.environment},
    )


@bench
def references(lab: Lab) -> Iterator[Figure]:
    """Parses a native downstream of a thousand models, by `ref` and by `source`."""
    for release, budget in BUDGETS.items():
        if dbt := engines.found(release):
            folder = lab.folder / f"references_{release}"
            up = lab.member(folder / "dbt_up", kind="upstream", starter=False)
            built = up.path / "manifest.json"
            built.write_bytes(manifest(models=MODELS, public=MODELS, columns=8))
            up.ok("scripts/publish_manifest.py", "--manifest", built)
            readers = [reader(lab, folder / f"by_{by}", dbt, by) for by in ("ref", "source")]
            measured, baseline = lab.compare(
                release, *(parse(each, dbt) for each in readers), clock=on_processors
            )
            what = f"parse a native downstream of {MODELS:,} models on dbt {release}: ref / source"
            yield Figure(what, measured, baseline, budget)
            if dbt.engine == "core":
                written = list(for_ref(readers))
                what = "what a native member on dbt Core without `ref` gets for it"
                yield Figure(what, len(written), None, 0, "files")


def for_ref(readers: list[Member]) -> Iterator[Path]:
    """Yields generated files for `ref` in the reader that does not use `ref`.

    These files cost time. The other reader must have some; otherwise this looks in wrong places.
    """
    by_ref, without = (
        [
            path
            for pattern in (f"macros/{MACRO}", "state/*/refs")
            for path in each.path.glob(pattern)
        ]
        for each in readers
    )
    assert by_ref, "no files for `ref` where it is used"
    yield from without


@bench
def demo_engines(lab: Lab) -> Iterator[Figure]:
    """Runs the demo on dbt v2 and on dbt Core, without the rendering."""
    if not engines.found(engines.V2):
        return
    words = [sys.executable, "-m", "fleet", "demo", "--folder"]
    measured, baseline = lab.compare(
        "demo",
        *(
            Process([*words, lab.folder / f"demo_{engine}", "--engine", engine], ROOT)
            for engine in ("v2", "core")
        ),
    )
    yield Figure("make demo, rendered before: dbt v2 / dbt Core", measured, baseline, 0.6)
