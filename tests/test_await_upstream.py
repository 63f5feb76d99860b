"""await_upstream.py: a deploy waits for the publication that it was told of, and for no other."""

from __future__ import annotations

import json
import time

import pytest

from tests.conftest import Member
from tests.registry_world import LATEST, Place, Publish, at, exporting, start

pytest_plugins = ("tests.s3_server", "tests.registry_world")

AWAIT = "await-upstream"
OTHER = "ab" * 32


def digest(place: Place, version: str) -> str:
    body = place.get(f"dbt_up/prod/history/{version}/manifest.json")
    return str(json.loads(body)["metadata"]["env"]["DBT_MESH_DIGEST"])


def event(project: str, version: str, digest: str) -> dict[str, str]:
    return {"MESH_PROJECT": project, "MESH_VERSION": version, "MESH_DIGEST": digest}


def test_what_was_told_is_there(down: Member, place: Place, publish: Publish) -> None:
    old = publish(place, at(1))
    version = publish(place, at(2))
    for each in (version, old):
        flags = ("--project", "dbt_up", "--version", each, "--digest", digest(place, each))
        outputs = down.path / "outputs"
        environment = {**place.environment, "GITHUB_OUTPUT": str(outputs)}
        said = down.ok(AWAIT, *place.flags, *flags, **environment)
        assert f"dbt_up has published {each}, as told" in said
        assert version in said
        assert outputs.read_text().splitlines()[1] == version
        outputs.unlink()


def test_it_waits_for_what_is_being_published(
    down: Member, folder: Place, publish: Publish
) -> None:
    first = publish(folder, at(1))
    version = publish(folder, at(2))
    latest, told = folder.get(LATEST), digest(folder, version)
    folder.put(LATEST, folder.get(f"dbt_up/prod/history/{first}/manifest.json"))
    process = start(down, AWAIT, *folder.flags, **event("dbt_up", version, told))
    time.sleep(1.5)
    assert process.poll() is None
    folder.put(LATEST, latest)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "as told" in out


def test_it_does_not_wait_for_ever(down: Member, folder: Place, publish: Publish) -> None:
    version = publish(folder, at(1))
    later = version.replace("T0001", "T0002")
    facts = event("dbt_up", later, OTHER)
    refused = exporting(down, **facts).refused(AWAIT, *folder.flags, "--timeout", "0.2")
    assert f"dbt_up has not published {later} to prod in 0.2 s: latest is {version}" in refused
    never = event("up_b", version, OTHER)
    assert "latest is nothing" in exporting(down, **never).refused(
        AWAIT, *folder.flags, "--timeout", "0"
    )


def test_another_digest_is_refused(down: Member, place: Place, publish: Publish) -> None:
    version = publish(place, at(1))
    facts = {**place.environment, **event("dbt_up", version, OTHER)}
    found = down.refused(AWAIT, *place.flags, status=2, **facts)
    assert len(found.splitlines()) == 1
    assert f"dbt_up {version} has digest {digest(place, version)[:12]}… in the registry" in found
    assert "nothing is deployed" in found


def test_a_publication_put_in_anothers_place_is_refused(
    down: Member, folder: Place, publish: Publish
) -> None:
    """Sealed, and yet another: by somebody who may write to the registry."""
    old = publish(folder, at(1))
    version = publish(folder, at(2))
    told = digest(folder, version)
    body = folder.get(f"dbt_up/prod/history/{old}/manifest.json")
    folder.put(f"dbt_up/prod/history/{version}/manifest.json", body)
    flags = (AWAIT, *folder.flags, "--timeout", "0")
    assert "nothing is deployed" in down.refused(*flags, status=2, **event("dbt_up", version, told))
    folder.put(LATEST, folder.get(LATEST).replace(b"column_0", b"column_X"))
    damaged = exporting(down, **event("dbt_up", old, digest(folder, old))).refused(*flags)
    assert "the published manifest of dbt_up: it is damaged" in damaged


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (
            event("elsewhere", "20260203T000100.000000Z-0123456789ab", OTHER),
            "is not an upstream of",
        ),
        (
            event("../x", "20260203T000100.000000Z-0123456789ab", OTHER),
            "which is not a valid project",
        ),
        (event("dbt_up", "../../secret", OTHER), "--version is '../../secret', which is no"),
        (
            event("dbt_up", "20260203T000100.000000Z-0123456789ab\n", OTHER),
            "is not a valid version",
        ),
        (
            event("dbt_up", "20260203T000100.000000Z-0123456789ab", "x"),
            "which is not a valid digest",
        ),
        (event("dbt_up", "20260203T000100.000000Z-0123456789ab", ""), "--digest (or $MESH_DIGEST)"),
    ],
)
def test_what_an_event_says_is_checked(
    down: Member, folder: Place, facts: dict[str, str], says: str
) -> None:
    assert says in exporting(down, **facts).refused(AWAIT, *folder.flags)
