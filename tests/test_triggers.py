"""Is a publication news to a reader? A chain of deploys ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbtmesh.ci.github import event
from dbtmesh.gate.triggers import Cause, News, news
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import COMMIT, Interface
from dbtmesh.manifest.seal import annotated
from tests.manifests import manifest

NOW = datetime(2026, 1, 3, tzinfo=UTC)


def interface(project: str = "hub_a", columns: int = 3, commit: str = "one") -> Interface:
    built = extract(manifest(project, columns=columns), project)
    return annotated(built, {COMMIT: commit}, NOW)


FIRST = interface()


@pytest.mark.parametrize(
    ("latest", "known", "cause", "expected"),
    [
        (FIRST, FIRST, Cause(), None),
        (interface(), FIRST, Cause(), None),
        (FIRST, None, Cause(), News.UNKNOWN),
        (interface(columns=4), FIRST, Cause(), News.INTERFACE),
        (interface(commit="two"), FIRST, Cause(), News.CODE),
        (FIRST, FIRST, Cause(by_hand=True), News.DEPLOYED),
        (FIRST, FIRST, Cause(chain=["upstream"]), News.DEPLOYED),
        # it came from there
        (FIRST, FIRST, Cause(chain=["hub_b", "other"]), None),
        (interface(commit="two"), FIRST, Cause(chain=["hub_b"]), None),
        (interface(columns=4), FIRST, Cause(chain=["hub_b"]), News.INTERFACE),
        # of those whose records do not say what they have deployed with, or never the newest
        (FIRST, None, Cause(chain=["other"]), News.UNKNOWN),
        (FIRST, None, Cause(chain=["hub_b"]), None),
        (interface(columns=4), FIRST, Cause(chain=["hub_b", "a"] * 2), News.INTERFACE),
        (interface(columns=4), FIRST, Cause(chain=["hub_b", "a"] * 3), None),
    ],
)
def test_who_is_told(
    latest: Interface, known: Interface | None, cause: Cause, expected: News | None
) -> None:
    assert news(latest, known, "hub_b", cause) is expected


def test_a_ring_of_sequential_projects_comes_to_rest() -> None:
    """Whatever starts it, and however long the ring is: each project deploys at most twice."""
    ring = [f"hub_{number}" for number in range(5)]
    for columns in (3, 4):  # of the one that deploys first: as its reader knows it, and not
        known = {name: interface(name) for name in ring}
        published = {**known, ring[0]: interface(ring[0], columns=columns, commit="two")}
        waiting: list[tuple[int, tuple[str, ...]]] = [(0, ())]
        deploys = []
        while waiting:
            place, chain = waiting.pop(0)
            name, reader = ring[place], ring[(place + 1) % len(ring)]
            deploys.append(name)
            # a deploy puts on record what it read of the one before it
            before = ring[place - 1]
            known[before] = published[before]
            if news(published[name], known[name], reader, Cause(chain=chain)):
                waiting.append(((place + 1) % len(ring), (*chain, name)))
            assert len(deploys) <= 2 * len(ring)
        assert deploys[: len(ring)] == ring


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("record", ["none", "old"])
def test_a_ring_whose_records_are_not_renewed_comes_to_rest(size: int, record: str) -> None:
    """Readers of before 0.3.0, or whose deploys cannot write records; each change is news."""
    ring = [f"hub_{number}" for number in range(size)]
    known = None if record == "none" else interface()
    chain: tuple[str, ...] = ()
    for deploys in range(5 * size):
        name, reader = ring[deploys % size], ring[(deploys + 1) % size]
        cause = Cause(by_hand=not chain, chain=chain)
        if not news(interface(columns=4), known, reader, cause):
            break
        chain = (*chain, name)
    else:
        pytest.fail("it never ends")
    assert deploys == (size if record == "none" else 3 * size) - 1


@pytest.mark.parametrize("readers", [1, 3])
def test_a_hub_tells_all_its_readers_but_the_one_that_told_it(readers: int) -> None:
    """up → hub → readers, of which one is read by up (a ring) and the others are not."""
    chain = ["loop", "up"]
    told = [
        name
        for name in ["loop", *(f"leaf_{number}" for number in range(readers))]
        if news(interface(commit="two"), FIRST, name, Cause(chain=chain))
    ]
    assert told == [f"leaf_{number}" for number in range(readers)]


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("workflow_dispatch", None, Cause(by_hand=True)),
        # a person leaves the inputs empty
        ("workflow_dispatch", {"project": "", "chain": ""}, Cause(by_hand=True)),
        ("workflow_dispatch", {"project": "a", "chain": "b,a"}, Cause(chain=["b", "a"])),
        ("workflow_dispatch", {"project": "a", "chain": ""}, Cause(chain=["a"])),
        ("push", None, Cause()),
        ("schedule", {"chain": ["a"]}, Cause()),
        ("repository_dispatch", {"project": "a", "chain": ["b", "a"]}, Cause(chain=["b", "a"])),
        # of a member from before there was a chain
        ("repository_dispatch", {"project": "a"}, Cause(chain=["a"])),
        # not what it should be
        ("repository_dispatch", {"chain": [1, None, "a"]}, Cause(chain=["a"])),
        ("repository_dispatch", {"chain": "a", "project": 1}, Cause(chain=[])),
        ("repository_dispatch", None, Cause()),
    ],
)
def test_what_started_a_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, payload: Any, expected: Cause
) -> None:
    path = tmp_path / "event.json"
    key = "inputs" if name == "workflow_dispatch" else "client_payload"
    path.write_text(json.dumps({key: payload}))
    monkeypatch.setenv("GITHUB_EVENT_NAME", name)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))
    assert event.cause() == expected


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_an_event_that_cannot_be_read_is_no_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "event.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("GITHUB_EVENT_NAME", "repository_dispatch")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))
    assert event.cause() == Cause()
