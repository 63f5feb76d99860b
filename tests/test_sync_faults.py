"""sync_mesh.py and validate_lineage.py: what a sync costs, and what no fault may cost."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Member
from tests.manifests import manifest
from tests.registry_world import (
    LATEST,
    SYNC,
    UPSTREAMS,
    Place,
    Process,
    Publish,
    Shim,
    at,
    build,
    exporting,
    s3_place,
    start,
)
from tests.s3_server import Answer, Proxy, Request, error
from tests.warm.client import KILL

pytest_plugins = ("tests.s3_server", "tests.registry_world")

LINEAGE = "scripts/validate_lineage.py"
ONE = ("--upstream", "dbt_up")
COPY = "state/dbt_up/manifest.json"
SOURCES = "models/_mesh_dbt_up.yml"
NOTE = "state/dbt_up/.sync.json"
RECORD = "state/.sync.json"


def content(member: Member) -> dict[str, bytes]:
    """The files of the member, without the record that is of their inodes and times."""
    return {path: body for path, body in member.files().items() if path != RECORD}


def touched(member: Member) -> dict[str, int]:
    """When each file of the member was last written."""
    return {path: (member.path / path).stat().st_mtime_ns for path in member.files()}


@pytest.fixture
def seeded(proxy: Proxy, publish: Publish) -> Place:
    """A registry on S3, behind the proxy, where all three upstreams have published."""
    place = s3_place(proxy.s3, proxy.url)
    for project in UPSTREAMS:
        publish(place, manifest(project), project)
    return place


def test_an_unset_variable_is_not_the_default(down: Member, folder: Place) -> None:
    """`--version "$VERSION"`, and there is none."""
    before = touched(down)
    for script, flag in ((SYNC, "--version"), (LINEAGE, "--manifest"), (LINEAGE, "--summary")):
        said = down.refused(script, *folder.flags, flag, "")
        assert said.startswith(f"error: argument {flag}: its value is empty"), said
    assert touched(down) == before


# --- What an upstream leaves behind --------------------------------------------------------------


def test_a_former_upstream_is_told_of_and_left_alone(
    down: Member, folder: Place, publish: Publish
) -> None:
    for project in UPSTREAMS:
        publish(folder, manifest(project), project)
    assert "no upstream any more" not in down.run(SYNC, *folder.flags).stderr

    gone, kept, *_ = UPSTREAMS
    facts = yaml.safe_load((down.path / "mesh.yml").read_text())
    facts["upstreams"] = [each for each in facts["upstreams"] if each["name"] == kept]
    (down.path / "mesh.yml").write_text(yaml.safe_dump(facts))
    (down.path / f"models/_mesh_{UPSTREAMS[2]}.yml").write_text("version: 2  # somebody's own\n")
    shutil.rmtree(down.path / "state" / UPSTREAMS[2])
    before = touched(down)
    said = down.run(SYNC, *folder.flags)
    assert (said.returncode, touched(down)) == (0, before)
    left = f"models/_mesh_{gone}.yml state/{gone}"
    assert said.stderr == (
        f"note: {gone} is not an upstream any more (mesh.yml), but its contracts are still here: "
        f"when no model reads it, `rm -r {left}` and commit that\n"
    )
    # in a clone, where nobody has synced yet, and out of reach of the registry
    (down.path / f"state/{gone}/.sync.json").unlink()
    assert left in down.run(SYNC, "--offline").stderr
    subprocess.run(["rm", "-r", *left.split()], cwd=down.path, check=True)
    assert down.run(SYNC, "--offline").stderr == ""


# --- What a sync costs --------------------------------------------------------------------------


def test_unchanged_is_one_request_and_touches_nothing(
    down: Member, seeded: Place, proxy: Proxy, publish: Publish
) -> None:
    member = exporting(down, **seeded.environment)
    member.ok(SYNC, *seeded.flags)
    before = touched(member)
    proxy.requests.clear()
    said = member.ok(SYNC, *seeded.flags)
    assert said.count("unchanged") == 3
    assert proxy.seen() == ["GET"] * 3  # one an upstream
    assert all("If-None-Match" in request.headers for request in proxy.requests)
    assert touched(member) == before
    publish(seeded, at(7, public=2))
    proxy.requests.clear()
    said = member.ok(SYNC, *seeded.flags)
    assert "dbt_up: 2 public models" in said
    assert said.count("unchanged") == 2
    assert proxy.seen() == ["GET"] * 3


def test_upstreams_are_fetched_side_by_side(down: Member, seeded: Place, proxy: Proxy) -> None:
    def rule(_: Request, forward: Callable[[], Answer]) -> Answer:
        time.sleep(1)
        return forward()

    proxy.rule = rule
    exporting(down, **seeded.environment).ok(SYNC, *seeded.flags)
    (starts, ends) = zip(*proxy.spans, strict=True)
    assert len(starts) == 3
    assert max(starts) < min(ends)


def test_the_same_content_again_writes_nothing(
    down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    (down.path / NOTE).unlink()
    ours = (NOTE, RECORD)
    before = {path: when for path, when in touched(down).items() if path not in ours}
    assert "nothing to write" in down.ok(SYNC, *folder.flags, *ONE)
    assert {path: when for path, when in touched(down).items() if path not in ours} == before


@pytest.mark.parametrize("note", [None, b"", b"{", b"[]", b"{}", b'{"written": 1}', b"\xff"])
def test_a_lost_or_corrupt_note_costs_a_download_only(
    note: bytes | None, down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    good = (down.path / NOTE).read_bytes()
    if note is None:
        (down.path / NOTE).unlink()
    elif note.startswith(b'{"'):  # all its keys, one of the wrong type
        (down.path / NOTE).write_text(json.dumps(json.loads(good) | json.loads(note)))
    else:
        (down.path / NOTE).write_bytes(note)
    down.ok(SYNC, *folder.flags, *ONE)
    assert (down.path / NOTE).read_bytes() == good


@pytest.mark.parametrize("path", [COPY, SOURCES])
@pytest.mark.parametrize("how", ["edited", "deleted"])
def test_generated_files_are_restored(
    path: str, how: str, down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    good = (down.path / path).read_bytes()
    if how == "edited":
        (down.path / path).write_bytes(good.replace(b"integer", b"varchar"))
    else:
        (down.path / path).unlink()
    down.ok(SYNC, *folder.flags, *ONE)
    assert (down.path / path).read_bytes() == good


def test_a_job_takes_nothing_on_trust_that_the_repository_holds(
    down: Member, folder: Place, publish: Publish
) -> None:
    """A pull request may bring a forged copy, folded in its diff, and the note that it is whole."""
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    good = content(down)
    forged = good[COPY].replace(b"MARTS", b"OTHER")
    noted = json.loads(good[NOTE])
    noted["written"][COPY] = hashlib.sha256(forged).hexdigest()
    (down.path / COPY).write_bytes(forged)
    (down.path / NOTE).write_text(json.dumps(noted))
    down.ok(SYNC, *folder.flags, *ONE, GITHUB_ACTIONS="true")
    assert content(down) == good


def test_a_mended_generator_is_run_again(
    down: Member, folder: Place, publish: Publish, tmp_path: Path
) -> None:
    """As after `copier update`, though the upstream has published nothing new."""
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    library = tmp_path / "mended"
    shutil.copytree(ROOT / "src", library, ignore=shutil.ignore_patterns("__pycache__"))
    code = library / "dbtmesh/downstream/sources.py"
    code.write_text(code.read_text().replace("# Generated by", "# Made by"))
    mended = exporting(down, PYTHONPATH=str(library))
    mended.ok(SYNC, *folder.flags, *ONE)
    assert (down.path / SOURCES).read_text().startswith("# Made by")
    assert "unchanged" in mended.ok(SYNC, *folder.flags, *ONE)
    code.write_text(code.read_text().replace("# Made by", "# Mended by"))
    mended.ok(SYNC, *folder.flags, *ONE)
    assert (down.path / SOURCES).read_text().startswith("# Mended by")


# --- Which publication --------------------------------------------------------------------------


def test_a_pin_holds_until_it_is_taken_out(down: Member, place: Place, publish: Publish) -> None:
    member = exporting(down, **place.environment)
    old, new = publish(place, at(1)), publish(place, at(2, public=2))
    pin = (*place.flags, *ONE, "--version", old)
    assert old in member.ok(SYNC, *pin)
    assert "public_1" not in (down.path / SOURCES).read_text()
    assert f"unchanged ({old})" in member.ok(SYNC, *pin)
    assert new in member.ok(SYNC, *place.flags, *ONE)
    assert "public_1" in (down.path / SOURCES).read_text()
    before = down.files()
    said = member.refused(SYNC, *place.flags, *ONE, "--version", "20200101T000000")
    assert "has no version" in said
    assert new in said
    assert down.files() == before


def test_a_version_that_holds_another_one_is_refused(
    down: Member, folder: Place, publish: Publish
) -> None:
    """Sealed, and put into another's place by somebody who may write to the registry."""
    old, new = publish(folder, at(1)), publish(folder, at(2))
    key = f"dbt_up/prod/history/{old}/manifest.json"
    folder.put(key, folder.get(f"dbt_up/prod/history/{new}/manifest.json"))
    before = touched(down)
    said = down.refused(SYNC, *folder.flags, *ONE, "--version", old)
    assert f"{key} holds {new}, which is another publication" in said
    assert touched(down) == before


def test_a_version_is_of_one_project(down: Member, folder: Place) -> None:
    assert "--upstream" in down.refused(SYNC, *folder.flags, "--version", "1")


def test_environments_do_not_mix(down: Member, folder: Place, publish: Publish) -> None:
    publish(folder, at(1))
    body = folder.get(LATEST)
    folder.put(LATEST.replace("prod", "qa"), body)
    down.ok(SYNC, *folder.flags, *ONE)
    qa = ("--registry", folder.url, "--env", "qa")
    assert "unchanged" not in down.ok(SYNC, *qa, *ONE)
    assert "unchanged" in down.ok(SYNC, *qa, *ONE)


@pytest.mark.parametrize(("age", "status"), [("1", 2), ("3", 0)])
def test_a_stale_upstream_is_a_finding(
    age: str, status: int, down: Member, folder: Place, publish: Publish
) -> None:
    built = datetime.now(UTC) - timedelta(hours=2)
    publish(folder, manifest(generated_at=built.isoformat()))
    for _ in range(2):  # what is unchanged ages too
        done = down.run(SYNC, *folder.flags, *ONE, "--max-age", age)
        assert done.returncode == status, done.stderr
        assert ("dbt_up is stale: built 2.0 hours ago" in done.stdout) == bool(status)


@pytest.mark.parametrize("age", ["nan", "inf", "-1", "1e300", "soon"])
def test_an_age_that_is_none(age: str, down: Member) -> None:
    assert "--max-age" in down.refused(SYNC, f"--max-age={age}")


def test_an_upstream_that_is_none_of_ours(down: Member) -> None:
    assert "mesh.yml names dbt_up, up_b, up_c" in down.refused(SYNC, "--upstream", "dbt_upp")


# --- Out of reach, damaged ----------------------------------------------------------------------


def test_one_that_fails_does_not_hold_up_the_others(
    down: Member, seeded: Place, proxy: Proxy, publish: Publish
) -> None:
    member = exporting(down, **seeded.environment)
    member.ok(SYNC, *seeded.flags)
    good = {path: body for path, body in down.files().items() if "up_b" in path}
    for project in UPSTREAMS:
        publish(seeded, manifest(project, public=2, generated_at="2026-02-01T00:00:00Z"), project)
    proxy.rule = lambda request, forward: (
        error(403, "AccessDenied") if "/up_b/" in request.path else forward()
    )
    done = member.run(SYNC, *seeded.flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: up_b: ")
    assert "the last good copy stays (2026" in line
    assert "dbt_up: 2 public models" in done.stdout
    assert "up_c: 2 public models" in done.stdout
    assert {path: body for path, body in down.files().items() if "up_b" in path} == good


def test_out_of_reach_is_not_one_upstreams_fault(
    down: Member, seeded: Place, proxy: Proxy, publish: Publish
) -> None:
    """A deploy stops: it could not say what it reads, or publish. But of an object that only one
    project's readers are denied (encrypted with another's key, for one), the others go on."""
    member = exporting(down, **seeded.environment)
    member.ok(SYNC, *seeded.flags)
    flags = (*seeded.flags, "--keep-going")

    def denied(request: Request, forward: Callable[[], Answer]) -> Answer:
        return error(403, "AccessDenied") if "/up_b/" in request.path else forward()

    proxy.rule = denied
    done = member.run(SYNC, *flags)
    assert done.returncode == 0, done.stderr
    assert "note: up_b: s3://" in done.stderr
    proxy.rule = lambda request, forward: error(503, "SlowDown")
    done = member.run(SYNC, *flags)
    assert done.returncode == 1
    assert done.stderr.count("the last good copy stays") == 3


def test_offline_uses_the_last_good_copy(
    down: Member, folder: Place, publish: Publish, shim: Shim
) -> None:
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    good = (down.path / SOURCES).read_bytes()
    away = ("--registry", "s3://mesh/registry", *ONE)
    member = exporting(down, AWS_ENDPOINT_URL_S3="http://127.0.0.1:1", **shim.hurried())
    said = member.refused(SYNC, *away)
    assert "the last good copy stays (20260102T" in said
    (down.path / SOURCES).unlink()
    (down.path / NOTE).unlink()  # as in a fresh clone: it is not committed
    assert "offline" in member.ok(SYNC, *away, "--offline")
    assert (down.path / SOURCES).read_bytes() == good
    assert "the last good copy stays (20260102T" in member.refused(SYNC, *away)


@pytest.mark.parametrize("copy", [None, b"", b"damaged"])
def test_offline_without_a_good_copy(
    copy: bytes | None, down: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest())
    down.ok(SYNC, *folder.flags, *ONE)
    (down.path / COPY).unlink()
    if copy is not None:
        body = folder.get(LATEST).replace(b"integer", b"varchar") if copy else b""
        (down.path / COPY).write_bytes(body)
    build(down, lineage_manifest())
    before = down.files()
    for command in (SYNC, LINEAGE):
        said = down.refused(command, "--offline", *(ONE if command == SYNC else ()))
        assert "without --offline" in said
        assert COPY in said
    assert down.files() == before


def _altered(body: bytes) -> bytes:
    return body.replace(b"integer", b"varchar")


def _edited(body: bytes, key: str, value: str) -> bytes:
    document = json.loads(body)
    document["metadata"][key] = value
    document["metadata"]["env"] = {}  # as other tools publish, without a digest
    return json.dumps(document).encode()


V11 = "https://schemas.getdbt.com/dbt/manifest/v11.json"
# What arrives where a good publication was, whole by its Content-Length and without a checksum.
DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda body: body[: len(body) // 2], "not a whole JSON"),
    "empty": (lambda body: b"", "not a whole JSON"),
    "altered": (_altered, "damaged"),
    "a page of a captive portal": (lambda body: b"<html>Sign in</html>", "not a whole JSON"),
    "of another project": (lambda body: _edited(body, "project_name", "up_b"), "'up_b'"),
    "v11": (lambda body: _edited(body, "dbt_schema_version", V11), "v11"),
    "without nodes": (lambda body: body.replace(b'"nodes"', b'"knots"', 1), "field `nodes`"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_replaces_nothing(damage: str, down: Member, proxy: Proxy, publish: Publish) -> None:
    place = s3_place(proxy.s3, proxy.url)
    member = exporting(down, **place.environment)
    publish(place, at(1))
    member.ok(SYNC, *place.flags, *ONE)
    publish(place, at(2))
    before = down.files()
    how, expected = DAMAGE[damage]

    def rule(_: Request, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        return answer.altered(how(answer.body))

    proxy.rule = rule
    said = member.refused(SYNC, *place.flags, *ONE)
    assert said.startswith("error: dbt_up: ")
    assert expected in said
    assert "the last good copy stays" in said
    assert down.files() == before


def test_a_checksum_that_does_not_hold_is_asked_for_again(
    down: Member, seeded: Place, proxy: Proxy
) -> None:
    def rule(request: Request, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        if request.number > 1:
            return answer
        return Answer(answer.status, answer.headers, _altered(answer.body))

    proxy.rule = rule
    exporting(down, **seeded.environment).ok(SYNC, *seeded.flags, *ONE)
    assert proxy.seen() == ["GET"] * 2


def test_nothing_published_yet(down: Member, place: Place) -> None:
    said = exporting(down, **place.environment).refused(SYNC, *place.flags, *ONE)
    assert "dbt_up has published nothing to prod yet" in said
    assert not (down.path / "state").exists()


# --- The machine fails --------------------------------------------------------------------------


def whole(member: Member, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Each file is the old or the new one."""
    for path in (COPY, SOURCES):
        assert (member.path / path).read_bytes() in (old[path], new[path]), path


def two_states(down: Member, folder: Place, publish: Publish) -> tuple[dict[str, bytes], ...]:
    """The member's files before and after a sync that has news; it is left as before."""
    publish(folder, at(1))
    down.ok(SYNC, *folder.flags, *ONE)
    old = content(down)
    publish(folder, at(2, public=2))
    down.ok(SYNC, *folder.flags, *ONE)
    new = content(down)
    for path, body in old.items():
        (down.path / path).write_bytes(body)
    return old, new


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_killed_between_two_writes(
    number: int, when: str, down: Member, folder: Place, publish: Publish, shim: Shim
) -> None:
    old, new = two_states(down, folder, publish)
    killed = down.run(SYNC, *folder.flags, *ONE, **shim.at_call("replace", number, f"kill {when}"))
    assert killed.returncode == -signal.SIGKILL
    whole(down, old, new)
    down.ok(SYNC, *folder.flags, *ONE)
    done = {path: body for path, body in content(down).items() if not path.endswith(".tmp")}
    assert done == new


def test_killed_while_it_waits_for_s3(down: Member, seeded: Place, proxy: Proxy) -> None:
    process: list[Process] = []

    def rule(_: Request, __: Callable[[], Answer]) -> None:
        while not process:  # it is just being started
            time.sleep(0.01)
        process[0].send_signal(KILL)
        process[0].wait()

    before = down.files()
    proxy.rule = rule
    process.append(start(down, SYNC, *seeded.flags, **seeded.environment))
    process[0].communicate()
    assert down.files() == before


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_full_disk(
    number: int, down: Member, folder: Place, publish: Publish, shim: Shim
) -> None:
    old, new = two_states(down, folder, publish)
    said = exporting(down, **shim.at_call("fsync", number, "ENOSPC")).refused(
        SYNC, *folder.flags, *ONE
    )
    assert "No space left on device: free some space and run it again" in said
    assert (COPY, SOURCES, NOTE, RECORD)[number - 1] in said
    whole(down, old, new)
    assert not list(down.path.rglob("*.tmp"))
    down.ok(SYNC, *folder.flags, *ONE)
    assert content(down) == new


def test_a_file_that_may_not_grow(down: Member, folder: Place, publish: Publish) -> None:
    """The kernel's own refusal in the middle of a file, as a quota gives it."""
    publish(folder, manifest())
    before = down.files()
    limited = subprocess.run(
        [sys.executable, SYNC, *folder.flags, *ONE],
        cwd=down.path,
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1", **down.environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 1
    assert "manifest.json: File too large" in limited.stderr
    assert len(limited.stderr.splitlines()) == 1
    assert down.files() == before


def test_a_folder_that_may_not_be_written(
    down: Member, folder: Place, publish: Publish, shim: Shim
) -> None:
    """The others are synced all the same."""
    for project in UPSTREAMS:
        publish(folder, manifest(project), project)
    code = """
import errno, os, tempfile
real = tempfile.mkstemp
def mkstemp(*arguments, **options):
    if "up_b" in str(options["dir"]):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "temporary")
    return real(*arguments, **options)
tempfile.mkstemp = mkstemp
"""
    said = exporting(down, **shim(code)).refused(SYNC, *folder.flags)
    assert said.startswith("error: up_b: cannot write ")
    assert "state/up_b/manifest.json: Permission denied" in said
    assert (down.path / COPY).is_file()
    assert (down.path / "models/_mesh_up_c.yml").is_file()


def test_something_else_lies_in_the_way(down: Member, folder: Place, publish: Publish) -> None:
    publish(folder, manifest())
    (down.path / "state").write_text("a file")
    assert "cannot write" in down.refused(SYNC, *folder.flags, *ONE)


# --- validate_lineage ---------------------------------------------------------------------------


def lineage_manifest() -> bytes:
    """What dbt makes of a model of dbt_down that reads source('dbt_up', 'public_0')."""
    document = json.loads(manifest("dbt_down", models=1, public=1))
    uid = "source.dbt_down.dbt_up.public_0"
    document["sources"] = {
        uid: {
            "unique_id": uid,
            "name": "public_0",
            "source_name": "dbt_up",
            "package_name": "dbt_down",
            "resource_type": "source",
            "original_file_path": "models/_mesh_dbt_up.yml",
            "database": "DBT_UP_PROD",
            "schema": "MARTS",
            "identifier": "public_0",
            "relation_name": '"DBT_UP_PROD"."MARTS"."public_0"',
            "config": {
                "meta": {"mesh_upstream": "dbt_up", "unique_id": "model.dbt_up.public_0"},
            },
        }
    }
    document["nodes"]["model.dbt_down.public_0"]["depends_on"]["nodes"] = [uid]
    return json.dumps(document).encode()


def test_an_edge_resolves_until_its_model_is_gone(
    down: Member, place: Place, publish: Publish
) -> None:
    member = exporting(down, **place.environment)
    build(down, lineage_manifest())
    publish(place, at(1))
    assert "all resolve" in member.ok(LINEAGE, *place.flags)
    publish(place, at(2, public=0))
    assert "dbt_up.public_0" in member.refused(LINEAGE, *place.flags, status=2)


def test_lineage_cannot_be_told_without_the_registry(
    down: Member, seeded: Place, proxy: Proxy, shim: Shim
) -> None:
    member = exporting(down, **seeded.environment, **shim.hurried())
    build(down, lineage_manifest())
    proxy.rule = lambda request, forward: error(503, "SlowDown")
    assert "503 (SlowDown)" in member.refused(LINEAGE, *seeded.flags)
    proxy.rule = lambda request, forward: forward().altered(b"{")
    assert "dbt_up: it is not a whole JSON file" in member.refused(LINEAGE, *seeded.flags)
    assert "dbt_up" in member.refused(LINEAGE, "--registry", seeded.url, "--env", "qa")


@pytest.mark.parametrize(
    "body",
    [
        *(None, b"", b"{", b"[]", b"{}", manifest("dbt_other"), manifest()[:999]),
        *(b'{"metadata": null, "nodes": {}}', b'{"metadata": {}, "nodes": []}'),
        manifest("dbt_down", nodes={"model.dbt_down.x": "a text"}),
        manifest("dbt_down", nodes={"model.dbt_down.x": {"depends_on": []}}),
        manifest("dbt_down").replace(b'"sources":{}', b'"sources":[]', 1),
    ],
)
def test_lineage_of_a_bad_manifest(body: bytes | None, down: Member, folder: Place) -> None:
    if body is not None:
        build(down, body)
    assert "target/manifest.json" in down.refused(LINEAGE, *folder.flags)
