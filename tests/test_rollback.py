"""publish_manifest.py --history and --rollback: what was published, and putting it back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.published import read
from tests.conftest import Member
from tests.manifests import manifest
from tests.registry_world import LATEST, PUBLISH, STATE, Place, Publish, at, build

pytest_plugins = ("tests.s3_server", "tests.registry_world")


def test_an_earlier_interface_comes_back(up: Member, place: Place, publish: Publish) -> None:
    first = publish(place, at(1, columns=3))
    second = publish(place, at(2, columns=4))
    flags = (*place.flags, "--rollback", first)
    planned = up.refused(PUBLISH, *flags, "--dry-run", status=2, **place.environment)
    assert "column_removed  public_0.column_3" in planned
    assert up.refused(PUBLISH, *flags, status=2, **place.environment) == planned
    assert place.history() == [first, second]

    said = up.ok(PUBLISH, *flags, "--allow-breaking", **place.environment)
    assert "published 1 public model of dbt_up" in said
    *before, third = place.history()
    assert before == [first, second]
    latest = json.loads(place.get(LATEST))
    assert list(latest["nodes"]["model.dbt_up.public_0"]["columns"]) == [
        *("column_0", "column_1", "column_2")
    ]
    notes = latest["metadata"]["env"]
    assert notes["DBT_MESH_ROLLBACK"] == first
    assert notes["DBT_MESH_ALLOWED"] == "column_removed public_0.column_3"
    assert notes["DBT_MESH_VERSION"] == third > second
    assert place.get(STATE, "state") == at(2, columns=4), "slim CI compares with what was built"

    again = up.ok(PUBLISH, *flags, **place.environment)
    assert again == f"readers have the interface of {first} already\n"
    assert place.history() == [first, second, third]


def test_a_build_after_a_rollback_is_newer_and_one_before_is_not(
    up: Member, folder: Place, publish: Publish
) -> None:
    first = publish(folder, at(1))
    publish(folder, at(2, columns=4))
    up.ok(PUBLISH, *folder.flags, "--rollback", first, "--allow-breaking")
    restored = folder.get(LATEST)
    build(up, at(3, columns=4))  # compiled before the rollback
    assert "newer build" in up.run(PUBLISH, *folder.flags).stderr
    assert folder.get(LATEST) == restored
    later = datetime.now(UTC) + timedelta(minutes=1)
    build(up, manifest(columns=4, generated_at=later.isoformat()))
    up.ok(PUBLISH, *folder.flags)
    assert folder.get(LATEST) != restored


def test_a_build_dated_ahead_of_the_clock_is_refused(up: Member, folder: Place) -> None:
    build(up, manifest(generated_at="2131-01-01T00:00:00Z"))
    said = up.refused(PUBLISH, *folder.flags)
    assert "this build is dated 2131-01-01 00:00 UTC" in said
    assert folder.keys() == []


def test_a_publication_dated_ahead_of_the_clock_does_not_silence_later_ones(
    up: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, at(1))
    ahead = extract(manifest(generated_at="2131-01-01T00:00:00Z", columns=4), "dbt_up")
    for key in (LATEST, f"dbt_up/prod/history/{ahead.version}/manifest.json"):
        folder.put(key, ahead.body)
    build(up, at(2, columns=5))
    said = up.refused(PUBLISH, *folder.flags, status=2)
    assert f"{ahead.version} is what consumers read" in said
    rollback = said.split("scripts/publish_manifest.py ")[1].split()
    up.ok(PUBLISH, "--registry", folder.url, *rollback)
    back = read(folder.get(LATEST), "dbt_up")
    assert len(back.nodes["model.dbt_up.public_0"]["columns"]) == 5
    later = datetime.now(UTC) + timedelta(minutes=1)
    build(up, manifest(columns=6, generated_at=later.isoformat()))
    assert "published 1 public model" in up.ok(PUBLISH, *folder.flags)  # for good
    # also the one that is dated ahead, in its own place
    folder.put(LATEST, ahead.body)
    up.ok(PUBLISH, *folder.flags, "--rollback", ahead.version)
    assert read(folder.get(LATEST), "dbt_up").generated_at < later


def test_a_version_that_never_was(up: Member, folder: Place, publish: Publish) -> None:
    flags = (*folder.flags, "--rollback")
    assert "has published nothing" in up.refused(PUBLISH, *flags, "20260203")
    version = publish(folder, at(1))
    for wrong in (version[:-3], "../latest"):
        assert version in up.refused(PUBLISH, *flags, wrong)
    body = folder.get(f"dbt_up/prod/history/{version}/manifest.json")
    folder.put(f"dbt_up/prod/history/{version}/manifest.json", body[:-1] + b" }")
    folder.put(LATEST, body)
    assert "damaged" in up.refused(PUBLISH, *flags, version)


def test_what_others_have_planted_is_no_version(up: Member, place: Place, publish: Publish) -> None:
    """Before 0.2.0 a consumer's role could write there, and nobody may delete it."""
    versions = [publish(place, at(minute, columns=minute + 1)) for minute in range(1, 4)]
    for name in ("zzz", "consumers", "29990101T000000.000000Z-0123456789ab"):
        place.put(f"dbt_up/prod/history/{name}/consumers/dbt_down.json", b"{}")
    place.put("dbt_up/prod/history/consumers/dbt_down.json", b"{}")
    said = up.ok(PUBLISH, *place.flags, "--history", **place.environment).splitlines()
    assert [line.split()[0] for line in said[::2]] == versions[::-1]
    wrong = up.refused(PUBLISH, *place.flags, "--rollback", "zzz", status=1, **place.environment)
    assert "has no version 'zzz'" in wrong
    assert "zzz" not in wrong.splitlines()[1]


@pytest.mark.parametrize(
    "flag", ["rollback", "history", "manifest", "summary", "env", "registry", "bucket"]
)
def test_an_unset_variable_publishes_nothing(
    up: Member, folder: Place, publish: Publish, flag: str
) -> None:
    """`--rollback "$VERSION"`, and there is none: neither the build at hand, nor elsewhere."""
    version = publish(folder, at(1))
    build(up, at(2, columns=4))
    where = () if flag in ("env", "registry", "bucket") else folder.flags
    for empty in ([f"--{flag}", ""], [f"--{flag}="]):
        said = up.refused(PUBLISH, *where, *empty)
        assert f"--{flag}: " in said
        assert len(said.splitlines()) == 1
    assert folder.history() == [version]
    assert not (up.path.parent / ".mesh" / "registry").exists()


def test_history(up: Member, place: Place, publish: Publish) -> None:
    assert "has published nothing" in up.ok(PUBLISH, *place.flags, "--history", **place.environment)
    versions = [publish(place, at(minute, columns=minute + 1)) for minute in range(1, 5)]
    said = up.ok(PUBLISH, *place.flags, "--history", "2", **place.environment).splitlines()
    assert said == [
        f"{versions[3]}  2026-02-03 00:04 UTC  1 public model   <- what consumers read",
        "    0 breaking, 0 risky, 1 fine: column_added public_0.column_4",
        f"{versions[2]}  2026-02-03 00:03 UTC  1 public model",
        "    0 breaking, 0 risky, 1 fine: column_added public_0.column_3",
    ]
    whole = up.ok(PUBLISH, *place.flags, "--history", **place.environment).splitlines()
    assert [line.split()[0] for line in whole[::2]] == versions[::-1]
    assert whole[-1] == "    the first that is listed"
    assert "positive" in up.refused(PUBLISH, "--history", "0")
