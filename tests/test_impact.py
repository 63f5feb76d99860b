"""Consumers' records, and what the gate tells of them: who breaks, and who does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Member
from tests.manifests import manifest, model
from tests.registry_world import LATEST, PUBLISH, SYNC, Place, Publish, Shim, build, start

pytest_plugins = ("tests.s3_server", "tests.registry_world")

VALIDATE = "scripts/validate_lineage.py"
RECORD = "dbt_up/prod/consumers/dbt_down.json"
LATER = "2026-01-03T00:00:00.000000Z"


def reading(**sql: str | None) -> dict[str, Any]:
    """The manifest of dbt_down, whose models are these; each reads public_0 of dbt_up."""
    source = {
        **{"unique_id": "source.dbt_down.dbt_up.public_0", "package_name": "dbt_down"},
        **{"name": "public_0", "source_name": "dbt_up", "identifier": "public_0"},
        **{"resource_type": "source", "original_file_path": "models/_mesh_dbt_up.yml"},
        **{"database": "DBT_UP_PROD", "schema": "MARTS"},
        "relation_name": '"DBT_UP_PROD"."MARTS"."public_0"',
        "config": {"meta": {"mesh_upstream": "dbt_up", "unique_id": "model.dbt_up.public_0"}},
    }
    document: dict[str, Any] = json.loads(manifest("dbt_down", models=0))
    for name, text in sql.items():
        node = model("dbt_down", name)
        node["compiled_code"] = text and text.replace("UP", str(source["relation_name"]))
        node["depends_on"]["nodes"] = [source["unique_id"]]
        document["nodes"][node["unique_id"]] = node
    document["sources"] = {source["unique_id"]: source} if sql else {}
    return document


def compile_(member: Member, document: dict[str, Any]) -> None:
    build(member, json.dumps(document).encode())


def test_a_deploy_records_what_it_reads(down: Member, place: Place, publish: Publish) -> None:
    version = publish(place, manifest(columns=4))
    document = reading(
        orders="select column_0, column_1 from UP",
        other="select column_0 from UP where column_3 > 1",
    )
    document["groups"] = {
        "group.dbt_down.fin": {"name": "fin", "owner": {"name": "Finance", "email": "f@x.example"}}
    }
    document["nodes"]["model.dbt_down.orders"]["group"] = "fin"
    document["nodes"]["model.dbt_down.other"]["config"]["meta"] = {"owner": "Ada"}
    compile_(down, document)
    environment = {**place.environment, "GITHUB_REPOSITORY": "acme/dbt-down"}

    said = down.ok(VALIDATE, *place.flags, "--record", "--dry-run", **environment)
    assert "would record\n  public_0 (column_0, column_1, column_3) since 20" in said
    assert RECORD not in set(place.keys())

    down.ok(VALIDATE, *place.flags, "--record", **environment)
    record = json.loads(place.get(RECORD))
    when = record.pop("recorded_at")
    assert record == {
        "consumer": "dbt_down",
        "kind": "native",
        "env": "prod",
        "owner": "Ada, Finance",
        "repository": "acme/dbt-down",
        "deployment": "sequential",
        "workflow": "deploy.yml",
        "branch": "main",
        "read_version": version,
        "reads": [
            {
                "model": "model.dbt_up.public_0",
                "name": "public_0",
                "columns": ["column_0", "column_1", "column_3"],
                "by": ["model.dbt_down.orders", "model.dbt_down.other"],
                "since": when,
            }
        ],
    }
    body = place.get(RECORD)
    assert "on record already" in down.ok(VALIDATE, *place.flags, "--record", **environment)
    assert place.get(RECORD) == body


def test_since_stays_and_a_project_no_longer_read_is_said(
    down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest())
    compile_(down, reading(orders="select column_0 from UP"))
    down.ok(VALIDATE, *folder.flags, "--record")
    first = json.loads(folder.get(RECORD))
    first["reads"][0]["since"] = "2025-05-06T07:08:09+00:00"
    folder.put(RECORD, json.dumps(first).encode())
    compile_(down, reading(orders="select column_1 from UP"))
    down.ok(VALIDATE, *folder.flags, "--record")
    (read,) = json.loads(folder.get(RECORD))["reads"]
    assert (read["columns"], read["since"]) == (["column_1"], "2025-05-06T07:08:09+00:00")

    facts = (down.path / "mesh.yml").read_text()
    (down.path / "mesh.yml").write_text(
        facts.replace("  - name: dbt_up\n    database_prefix: DBT_UP\n", "")
    )
    compile_(down, reading())
    said = down.ok(VALIDATE, *folder.flags, "--record")
    assert "dbt_up: recorded that nothing is read" in said
    assert json.loads(folder.get(RECORD))["reads"] == []


def test_without_compiled_sql_all_columns_count(
    down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest())
    compile_(down, reading(orders=None, other="select column_0 from UP"))
    done = down.run(VALIDATE, *folder.flags, "--record")
    assert "dbt_down.orders has no compiled SQL in the manifest" in done.stderr
    assert json.loads(folder.get(RECORD))["reads"][0]["columns"] is None


def test_nothing_is_recorded_of_what_does_not_resolve(
    down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest(public=0))
    compile_(down, reading(orders="select 1 from UP"))
    down.refused(VALIDATE, *folder.flags, "--record", status=2)
    assert RECORD not in set(folder.keys())
    assert "leave out --offline" in down.refused(VALIDATE, "--record", "--offline")
    assert "goes with --record" in down.refused(VALIDATE, "--dry-run")


def test_deploys_at_once_and_a_damaged_record(down: Member, place: Place, publish: Publish) -> None:
    publish(place, manifest())
    compile_(down, reading(orders="select column_0 from UP"))
    place.put(RECORD, b"{")
    flags = (*place.flags, "--record")
    rivals = [start(down, VALIDATE, *flags, **place.environment) for _ in range(3)]
    ended = [(*each.communicate(), each.returncode) for each in rivals]
    assert [code for *_, code in ended] == [0, 0, 0], ended
    assert json.loads(place.get(RECORD))["reads"][0]["columns"] == ["column_0"]


# --- The gate -----------------------------------------------------------------------------------


def recorded(
    place: Place, consumer: str, names: list[str] | None, *, version: str = "", **facts: Any
) -> None:
    """Puts the record of a consumer that reads these columns of public_0."""
    read = {"model": f"model.dbt_up.public_0{version}", "name": "public_0", "columns": names}
    read |= {"by": [f"model.{consumer}.orders"], "since": "2026-01-02T03:04:05+00:00"}
    body = json.dumps({"consumer": consumer, "reads": [read], **facts}).encode()
    place.put(f"dbt_up/prod/consumers/{consumer}.json", body)


def changed(**changes: Any) -> bytes:
    """The next build of dbt_up, its public_0 changed: a column by its name, None removes it."""
    document = json.loads(manifest(columns=4, generated_at=LATER))
    node = document["nodes"]["model.dbt_up.public_0"]
    for name, value in changes.items():
        if name.startswith("column_") and value is None:
            del node["columns"][name]
        elif name.startswith("column_"):
            node["columns"][name]["data_type"] = value
        elif name == "consumers":
            node["config"]["meta"] = {"consumers": value}
        else:
            node[name] = value
    return json.dumps(document).encode()


def test_the_gate_names_who_breaks(up: Member, place: Place, publish: Publish) -> None:
    publish(place, manifest(columns=4))
    facts = {"owner": "Finance", "repository": "acme/dbt-down"}
    recorded(place, "dbt_down", ["column_0", "column_1"], **facts)
    recorded(place, "dbt_far", None)
    recorded(place, "dbt_gone", ["column_0"])
    place.put("dbt_up/prod/consumers/dbt_gone.json", b'{"consumer": "dbt_gone", "reads": []}')
    build(up, changed(column_1=None, column_2="varchar(3)", column_3="integer"))
    said = up.refused(PUBLISH, *place.flags, "--check", status=2, **place.environment).splitlines()
    at = next(number for number, line in enumerate(said) if "public_0.column_1" in line)
    assert said[at + 1 : at + 3] == [
        "    dbt_down reads it: orders, since 2026-01-02 (Finance, acme/dbt-down)",
        "    dbt_far may read it (its columns are not on record): orders, since 2026-01-02",
    ]
    place.put("dbt_up/prod/consumers/dbt_far.json", b'{"consumer": "dbt_far", "reads": []}')
    build(up, changed(column_3=None))
    said = up.refused(PUBLISH, *place.flags, "--check", status=2, **place.environment).splitlines()
    assert said[0].startswith("breaking  column_removed  public_0.column_3")
    assert said[1] == "    no consumer has recorded that it reads it"
    assert said[-2:] == ["1 breaking, 0 risky, 0 fine: stopped", "nothing was published"]


def versioned(*numbers: int, latest: int, gone: str = "") -> bytes:
    """The next build of dbt_up, public_0 in these versions, the first where public_0 was."""
    document = json.loads(
        manifest(columns=4, generated_at=f"2026-01-0{2 + len(numbers)}T00:00:00Z")
    )
    node = document["nodes"].pop("model.dbt_up.public_0")
    for number in numbers:
        uid = f"model.dbt_up.public_0.v{number}"
        columns = {name: each for name, each in node["columns"].items() if name != gone}
        facts = {"unique_id": uid, "version": number, "latest_version": latest, "columns": columns}
        alias = "public_0" if number == 1 else f"public_0_v{number}"
        place = str(node["relation_name"]).replace("public_0", alias)
        document["nodes"][uid] = {**node, **facts, "alias": alias, "relation_name": place}
    return json.dumps(document).encode()


@pytest.mark.parametrize("gone", ["column", "version"])
def test_who_read_a_model_before_it_had_versions_is_named(
    up: Member, folder: Place, publish: Publish, gone: str
) -> None:
    """The gate's own way out, then a change of version 1: its readers are on record at public_0."""
    publish(folder, manifest(columns=4))
    recorded(folder, "dbt_down", ["column_1"])
    build(up, versioned(1, latest=1))
    up.ok(PUBLISH, *folder.flags, "--strict")
    narrower = versioned(1, 2, latest=1, gone="column_1")
    build(up, narrower if gone == "column" else versioned(2, 3, latest=2))
    said = up.refused(PUBLISH, *folder.flags, "--check", status=2).splitlines()
    expected = "column_removed  public_0.v1.column_1" if gone == "column" else "version_removed "
    at = next(number for number, line in enumerate(said) if expected in line)
    assert said[at + 1].startswith("    dbt_down reads it: orders, since 2026-01-02")
    assert not any("has recorded that it reads it" in line for line in said)


def test_who_read_a_version_that_is_gone_reads_the_latest(
    up: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, versioned(1, 2, latest=2))
    recorded(folder, "dbt_down", ["column_1"])  # long before
    recorded(folder, "dbt_far", ["column_1"], version=".v1")
    recorded(folder, "dbt_old", ["column_1"], version=".v0")
    build(up, versioned(1, 2, latest=2, gone="column_1").replace(b"2026-01-04", b"2026-01-05"))
    said = up.refused(PUBLISH, *folder.flags, "--check", status=2).splitlines()
    heads = [number for number, line in enumerate(said) if "column_removed" in line]
    named = [
        [line.split()[0] for line in said[at + 1 : at + 3] if " reads it" in line] for at in heads
    ]
    assert named == [["dbt_far"], ["dbt_down", "dbt_old"]], said


def test_what_was_allowed_is_kept(up: Member, folder: Place, publish: Publish) -> None:
    publish(folder, manifest(columns=4))
    build(up, changed(column_1=None))
    for _ in range(2):  # a rerun publishes nothing new
        up.ok(PUBLISH, *folder.flags, "--allow-breaking")
    assert len(folder.history()) == 2
    notes = json.loads(folder.get(LATEST))["metadata"]["env"]
    assert notes["DBT_MESH_ALLOWED"] == "column_removed public_0.column_1"
    assert folder.get("dbt_up/prod/manifest.json", "state") == changed(column_1=None)
    down_again = up.ok(PUBLISH, *folder.flags)
    assert "published already" in down_again


def test_strict_stops_at_what_is_risky(up: Member, folder: Place, publish: Publish) -> None:
    publish(folder, manifest(columns=4))
    build(up, changed(column_1="varchar(300)"))
    assert "not stopped" in up.ok(PUBLISH, *folder.flags, "--check")
    said = up.refused(PUBLISH, *folder.flags, "--strict", status=2)
    assert "publish without --strict" in said
    assert len(folder.history()) == 1
    up.ok(PUBLISH, *folder.flags)


def test_the_reviewers_table(up: Member, folder: Place, publish: Publish, tmp_path: Path) -> None:
    publish(folder, manifest(columns=4))
    recorded(folder, "dbt_down", ["column_1"], owner="@team | *x*")
    build(up, changed(column_1=None))
    file, step = tmp_path / "comment.md", tmp_path / "step.md"
    step.write_text("what came before\n")
    flags = (*folder.flags, "--check", "--summary", str(file))
    up.refused(PUBLISH, *flags, status=2, GITHUB_STEP_SUMMARY=str(step))
    text = file.read_text()
    assert step.read_text() == "what came before\n" + text
    assert "1 breaking, 0 risky, 0 fine" in text.splitlines()[0]
    (row,) = [line for line in text.splitlines() if line.startswith("| **breaking**")]
    assert row.count(" | ") == 3, "a cell broke out of the table"
    assert "dbt\\_down reads it: orders, since 2026-01-02 (@&#8203;team \\| \\*x\\*)" in row
    build(up, manifest(columns=4, generated_at=LATER))
    up.ok(PUBLISH, *flags)
    assert file.read_text().endswith("would notice in prod: nothing\n")


def test_a_comment_is_never_too_long(
    up: Member, folder: Place, publish: Publish, tmp_path: Path
) -> None:
    """GitHub refuses comments of more than 65,536 characters."""
    publish(folder, manifest(models=120, public=120, columns=3))
    for number in range(15):
        names = [f"model.dbt_{number}.reader_with_a_long_name_{each}" for each in range(15)]
        reads = [
            {"model": f"model.dbt_up.public_{each}", "name": f"public_{each}", "by": names}
            for each in range(120)
        ]
        body = json.dumps({"consumer": f"dbt_{number}", "reads": reads}).encode()
        folder.put(f"dbt_up/prod/consumers/dbt_{number}.json", body)
    build(up, manifest(models=120, public=120, columns=2, generated_at=LATER))
    file = tmp_path / "comment.md"
    up.refused(PUBLISH, *folder.flags, "--check", "--summary", file, status=2)
    text = file.read_text()
    assert "120 breaking" in text
    assert re.search(r"\| and \d+ more \|", text)
    assert len(text) < 65_536


def test_who_reads_is_asked_only_where_it_matters(
    up: Member, folder: Place, publish: Publish, shim: Shim
) -> None:
    """A publication that changes nothing reads no records and loads no code for them."""
    publish(folder, manifest(columns=4))
    folder.put("dbt_up/prod/consumers/dbt_down.json", b"{")
    build(up, manifest(columns=4, generated_at=LATER))
    late = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    done = up.run(PUBLISH, *folder.flags, **shim(late))
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert "dbtmesh.gate.compare" in loaded
    unused = ("gate.impact", "gate.report", "registry.records", "registry.history")
    assert not {f"dbtmesh.{name}" for name in (*unused, "output.markdown")} & loaded
    build(up, changed(column_1=None, generated_at=LATER))
    done = up.run(PUBLISH, *folder.flags, "--check")
    assert done.returncode == 2, "another project's bad record stops nobody"
    assert "dbt_down.json is not a valid record" in done.stderr
    assert "nobody is known to read it, but not all records could be read" in done.stdout


# --- Consumers that a producer names ------------------------------------------------------------


def test_a_model_for_some_consumers_only(
    up: Member, down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, changed(consumers=["dbt_finance"]))
    said = down.ok(SYNC, *folder.flags, "--upstream", "dbt_up")
    assert "left out, because dbt_up does not share it with dbt_down: public_0" in said
    assert "public_0" not in (down.path / "models/_mesh_dbt_up.yml").read_text()
    compile_(down, reading(orders="select column_0 from UP"))
    said = down.refused(VALIDATE, *folder.flags, status=2)
    assert said.splitlines()[0] == (
        "dbt_down.orders reads dbt_up.public_0, which dbt_up shares with dbt_finance only: ask its "
        "owners to name dbt_down in its `meta.consumers`"
    )


def test_taking_a_consumer_off_the_list_breaks_it(
    up: Member, down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, changed(consumers=["dbt_down", "dbt_far"]))
    recorded(folder, "dbt_down", ["column_0"])
    recorded(folder, "dbt_far", ["column_0"])
    compile_(down, reading(orders="select column_0 from UP"))
    assert "all resolve" in down.ok(VALIDATE, *folder.flags)
    build(up, changed(consumers=["dbt_far"]).replace(LATER.encode(), b"2026-01-04T00:00:00Z"))
    said = up.refused(PUBLISH, *folder.flags, "--check", status=2).splitlines()
    assert said[0].startswith("breaking  consumer_removed  public_0")
    assert said[1].startswith("    dbt_down reads it: orders")
    assert "dbt_far reads" not in "\n".join(said)


def test_consumers_are_named_for_the_first_time(
    up: Member, folder: Place, publish: Publish
) -> None:
    """All who read it by their records: said, not stopped. Who is left out is named."""
    publish(folder, manifest(columns=4))
    build(up, changed(consumers=["dbt_down", "dbt_new"]))
    said = up.refused(PUBLISH, *folder.flags, "--check", status=2).splitlines()
    assert said[0].startswith("breaking  consumers_limited  public_0")
    assert "no consumer has recorded that it reads it" in said[1]

    recorded(folder, "dbt_down", ["column_0"])
    recorded(folder, "dbt_far", ["column_0"])
    said = up.refused(PUBLISH, *folder.flags, "--check", status=2).splitlines()
    assert said[0].startswith("breaking  consumers_limited  public_0")
    assert said[1].startswith("    dbt_far reads it: orders")
    assert said[2].startswith("way out: name every project that reads public_0")

    build(up, changed(consumers=["dbt_down", "dbt_far"]))
    kept = "    every recorded reader may still read it: dbt_down, dbt_far"
    said = up.refused(PUBLISH, *folder.flags, "--check", "--strict", status=2).splitlines()
    assert said[0].startswith("risky  consumers_named  public_0  may be read only by dbt_down, ")
    assert said[1] == kept
    folder.put("dbt_up/prod/consumers/dbt_bad.json", b"{")
    said = up.refused(PUBLISH, *folder.flags, "--check", status=2).splitlines()
    assert said[0].startswith("breaking  consumers_limited")
    assert said[1] == f"{kept}, but not all records could be read"
    folder.put("dbt_up/prod/consumers/dbt_bad.json", b'{"consumer": "dbt_bad", "reads": []}')
    assert "0 breaking, 1 risky, 0 fine: not stopped" in up.ok(PUBLISH, *folder.flags)
