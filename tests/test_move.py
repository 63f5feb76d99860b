"""A project's publications, its readers' records and its state go to another registry."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from dbtmesh.registry import keys, move, publication
from dbtmesh.registry.history import MOST_LISTED, versions
from dbtmesh.registry.store import Store, open_store
from tests.conftest import Member
from tests.manifests import manifest
from tests.registry_world import PUBLISH, SYNC, Place, build, exporting, folder_place
from tests.test_stores import (
    AZURE,
    FOLDER,
    GCS,
    S3,
    SNOWFLAKE,
    Dying,
    Ground,
    Killed,
    agree,
    built,
    ground_of,
    latest,
    own_environment,
    pytest_plugins,
)

__all__ = ["own_environment", "pytest_plugins"]

Stores = tuple[Store, Store]
RECORD = keys.record("dbt_up", "prod", "dbt_down")


def opened(ground: Ground) -> Stores:
    os.environ.update(ground.environment())
    return ground.open(), ground.open("state")


def filled(stores: Stores) -> None:
    for number in (1, 2, 3):
        publication.publish(stores[0], "prod", built(number), agree)
    if not stores[0].keeps_own_records:
        stores[0].write(RECORD, b"{}", replaces=None)
    for name in move.STATE:
        stores[1].write(keys.state("dbt_up", "prod", name), name.encode(), replaces=None)


def check(stores: Stores, newest: int = 3, *, records: bool = True) -> None:
    registry, state = stores
    assert latest(registry).version == built(newest).version
    known = versions(registry, "dbt_up", "prod")
    assert [built(number).version for number in (1, 2, 3)] == known[:3]
    if not registry.keeps_own_records:  # else each lies in its reader's database
        record = registry.read(RECORD)
        assert (record.body if record else None) == (b"{}" if records else None)
    for name in move.STATE:
        stored = state.read(keys.state("dbt_up", "prod", name))
        assert stored
        assert stored.body == name.encode()


RING = (FOLDER, S3, AZURE, GCS, SNOWFLAKE)


@pytest.fixture(params=zip(RING, (*RING[1:], FOLDER), strict=True))
def ways(request: pytest.FixtureRequest) -> tuple[Stores, Stores]:
    source, target = (opened(ground_of(name, request)) for name in request.param)
    return source, target


def test_all_of_it_goes_and_stays(ways: tuple[Stores, Stores]) -> None:
    source, target = ways
    filled(source)
    assert move.environments(source[0], "dbt_up") == ["prod"]
    of_source = not source[0].keeps_own_records
    records = of_source and not target[0].keeps_own_records
    would = move.move(source, target, "dbt_up", "prod", dry=True)
    assert (would.versions, would.there, would.records) == (3, 0, int(records))
    assert would.readers == (("dbt_down",) if of_source else ())
    assert target[0].read(keys.latest("dbt_up", "prod")) is None
    assert move.move(source, target, "dbt_up", "prod", dry=False) == would
    check(source, records=of_source)
    check(target, records=records)
    # again takes over what has come since, and replaces nothing newer
    publication.publish(source[0], "prod", built(4), agree)
    move.move(source, target, "dbt_up", "prod", dry=False)
    check(target, 4, records=records)
    publication.publish(target[0], "prod", built(5), agree)
    move.move(source, target, "dbt_up", "prod", dry=False)
    check(target, 5, records=records)


def test_killed_between_any_two_operations(tmp_path: Any) -> None:
    source = opened(Ground(FOLDER, (tmp_path / "old").as_uri()))
    filled(source)
    for when in ("before", "after"):
        for number in itertools.count(1):
            target = opened(Ground(FOLDER, (tmp_path / f"{when}-{number}").as_uri()))
            clock, killed = itertools.count(1), False
            dying: Any = tuple(Dying(store, number, when, clock) for store in target)
            try:
                move.move(source, dying, "dbt_up", "prod", dry=False)
            except Killed:
                killed = True
            if target[0].read(keys.latest("dbt_up", "prod")):
                assert len(versions(target[0], "dbt_up", "prod")) == 3
            move.move(source, target, "dbt_up", "prod", dry=False)
            check(target)
            if not killed:
                assert number > 10
                break


def test_no_publication_is_left_behind_however_many_there_are(tmp_path: Path) -> None:
    folder = tmp_path / "registry" / keys.history("dbt_up", "prod")
    for number in range(MOST_LISTED + 1):
        (folder / f"20260102T030405.{number:06d}Z-0123456789ab").mkdir(parents=True)
    place = (tmp_path / "registry").as_uri()
    stores = open_store(place), open_store((tmp_path / "state").as_uri())
    other = open_store((tmp_path / "other").as_uri())
    assert move.move(stores, (other, other), "dbt_up", "prod", dry=True).versions == MOST_LISTED + 1
    assert move.move(stores, stores, "dbt_up", "prod", dry=True).there == MOST_LISTED + 1


def test_the_command_says_what_is_next(up: Member, down: Member, place: Place, s3: Any) -> None:
    build(up, manifest())
    up.ok(PUBLISH, *place.flags, **place.environment)
    there = folder_place(up.path.parent / "elsewhere")
    flags = (*place.flags, "--move-to")
    assert "would copy 1 publication" in up.ok(
        PUBLISH, *flags, there.url, "--dry-run", **place.environment
    )
    assert there.folder
    assert not there.folder.exists()
    assert "copied 1 publication and 0 records" in up.ok(
        PUBLISH, *flags, there.url, **place.environment
    )
    assert "copied 0 publications and 0 records of readers to" in (
        again := up.ok(PUBLISH, *flags, there.url, **place.environment)
    )
    assert "1 publication there already" in again
    nowhere = (up.path.parent / "misspelt").as_uri()
    signed_in = exporting(up, **place.environment)
    for where in (("--registry", nowhere), (*place.flags, "--env", "qa")):
        said = signed_in.refused(PUBLISH, *where, "--move-to", there.url)
        assert "nothing to copy" in said
    assert "1 public" in down.ok(SYNC, *there.flags, "--upstream", "dbt_up")
    assert "already" in exporting(up, **place.environment).refused(PUBLISH, *flags, place.url)
    assert move.answers("az://acme/mesh/registry")[0] == "registry=azure"
    assert move.answers("s3://acme/registry") == ["registry=s3", "registry_bucket=acme"]
