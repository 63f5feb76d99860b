"""publish_manifest.py: what gets out, and that no interruption and no rival harms it."""

from __future__ import annotations

import concurrent.futures
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from dbtmesh.manifest.extract import extract
from tests import written_by_dbt
from tests.conftest import Member, Render
from tests.manifests import SECRET, USER_ID, manifest, model
from tests.registry_world import (
    LATEST,
    PUBLISH,
    STATE,
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
from tests.s3_server import BUCKET, S3, Answer, Proxy, Request, error
from tests.warm.client import KILL

pytest_plugins = ("tests.s3_server", "tests.registry_world")


def history(place: Place, version: str) -> bytes:
    return place.get(f"dbt_up/prod/history/{version}/manifest.json")


# --- What gets out ------------------------------------------------------------------------------


def test_only_the_public_interface_gets_out(up: Member, folder: Place) -> None:
    key = {"type": "foreign_key", "expression": f"other.{SECRET} (id)", "to": SECRET}
    node = model("dbt_up", "public_9")
    node |= {"access": "public", "constraints": [key | {"columns": ["column_0"]}]}
    node["depends_on"]["nodes"] = ["model.dbt_up.public_0", f"model.dbt_up.private_0_{SECRET}"]
    ephemeral = model("dbt_up", SECRET) | {"access": "public"}
    ephemeral["config"]["materialized"] = "ephemeral"
    theirs = model("dbt_other", SECRET) | {"access": "public"}
    nodes = {each["unique_id"]: each for each in (node, ephemeral, theirs)}
    build(up, manifest(models=6, public=2, nodes=nodes))
    up.ok(PUBLISH, *folder.flags)
    body = folder.get(LATEST)
    for secret in (SECRET, USER_ID, "raw_code", "compiled_code", "pre-hook", "private_"):
        assert secret not in body.decode(), secret
    published = json.loads(body)
    names = ["public_0", "public_1", "public_9"]
    assert [each["name"] for each in published["nodes"].values()] == names
    assert published["macros"] == published["parent_map"] == {}
    assert published["nodes"]["model.dbt_up.public_9"]["depends_on"] == {
        "macros": [],
        # the second one through what is private, whose name stays here
        "nodes": ["model.dbt_up.public_0", "model.dbt_up.public_1"],
    }
    columns = published["nodes"]["model.dbt_up.public_0"]["columns"]
    assert columns["column_1"]["data_type"] == "varchar(200)"
    assert columns["column_0"]["constraints"][0]["type"] == "not_null"


def test_the_interface_is_small(up: Member, folder: Place) -> None:
    build(up, manifest(models=1000, public=100, columns=6))
    up.ok(PUBLISH, *folder.flags)
    assert len(folder.get(LATEST)) * 10 < len(folder.get(STATE, "state"))


def test_dbt_itself_reads_it(up: Member, folder: Place, tmp_path: Path) -> None:
    from dbt.artifacts.resources.v1.model import Model
    from dbt.artifacts.schemas.manifest import WritableManifest

    up.ok(PUBLISH, *folder.flags)
    (tmp_path / "copy.json").write_bytes(folder.get(LATEST))
    validator = jsonschema.Draft202012Validator(WritableManifest.json_schema())
    assert list(validator.iter_errors(json.loads(folder.get(LATEST)))) == []
    read = WritableManifest.read_and_check_versions(str(tmp_path / "copy.json"))
    node = read.nodes["model.dbt_up.public_0"]
    assert isinstance(node, Model)
    assert node.columns["column_0"].data_type == "integer"
    assert node.config.contract.enforced
    for release in written_by_dbt.RELEASES:
        body = extract(written_by_dbt.manifest(release), "shop").body
        assert list(validator.iter_errors(json.loads(body))) == []
        (tmp_path / "copy.json").write_bytes(body)
        read = WritableManifest.read_and_check_versions(str(tmp_path / "copy.json"))
        assert read.groups["group.shop.finance"].owner.name == "Finance"


def test_dbt_defers_to_it_and_a_hub_publishes_its_own(
    render: Render, s3: S3, tmp_path: Path
) -> None:
    """dbt with --defer --state, dbt-loom from S3, and a hub whose manifest has nodes of others."""
    shop = render(kind="upstream", project_name="dbt_shop")
    shop.dbt("parse")
    shop.ok(PUBLISH)
    place = ("--bucket", BUCKET, "--env", "local")  # DuckDB's names are those of a laptop
    shop.ok(PUBLISH, *place, **s3.environment())
    (shop.path / "models/reader.sql").write_text("select * from {{ ref('public_orders') }}")
    latest = tmp_path / ".mesh/registry/dbt_shop/local/latest"
    shop.dbt("compile", "-s", "state:new", "--defer", "--state", str(latest))
    results = json.loads((shop.path / "target/run_results.json").read_bytes())["results"]
    compiled = {result["unique_id"] for result in results}
    assert "model.dbt_shop.reader" in compiled
    assert "model.dbt_shop.public_orders" not in compiled

    hub = render(
        kind="loom",
        project_name="dbt_hub",
        publishes=True,
        upstreams="dbt_shop",
        registry_bucket=BUCKET,
        starter=False,
    )
    (hub.path / "models").mkdir(exist_ok=True)
    (hub.path / "models/hub_orders.sql").write_text(
        "{{ config(access='public') }} select * from {{ ref('dbt_shop', 'public_orders') }}"
    )
    hub.ok("scripts/sync_mesh.py", *place, **s3.environment())
    hub.dbt("parse")
    injected = json.loads((hub.path / "target/manifest.json").read_bytes())
    assert "model.dbt_shop.public_orders" in injected["nodes"]
    hub.ok(PUBLISH, *place, **s3.environment())
    published = s3.get("registry/dbt_hub/local/latest/manifest.json")
    assert list(json.loads(published)["nodes"]) == ["model.dbt_hub.hub_orders"]
    assert b"dbt_shop" not in published
    lineage = hub.ok("scripts/validate_lineage.py", *place, **s3.environment())
    assert "all resolve" in lineage


# --- Again, older, breaking ---------------------------------------------------------------------


def test_again_is_nothing_new(up: Member, place: Place) -> None:
    up.ok(PUBLISH, *place.flags, **place.environment)
    up.ok(PUBLISH, *place.flags, **place.environment)
    assert len(place.history()) == 1
    if place.s3:
        assert place.s3.versions(f"{place.prefix}/registry/{LATEST}") == 1


def test_an_older_build_joins_the_history_only(up: Member, place: Place, publish: Publish) -> None:
    publish(place, at(2))
    newest = place.get(LATEST)
    build(up, at(1))
    done = up.run(PUBLISH, *place.flags, **place.environment)
    assert (done.returncode, done.stdout) == (0, "")
    assert "newer build is published already" in done.stderr
    assert len(place.history()) == 2
    assert place.get(LATEST) == newest
    assert place.get(STATE, "state") == at(2)


def test_a_breaking_change_is_stopped_before_anything_is_written(
    up: Member, place: Place, publish: Publish
) -> None:
    publish(place, at(1, public=2))
    before = place.keys(), place.get(LATEST), place.get(STATE, "state")
    build(up, at(2, public=1))
    for more in ([], ["--check"], ["--dry-run"]):
        said = exporting(up, **place.environment).refused(PUBLISH, *place.flags, *more, status=2)
        assert "public_1" in said
    assert (place.keys(), place.get(LATEST), place.get(STATE, "state")) == before
    up.ok(PUBLISH, *place.flags, "--allow-breaking", **place.environment)
    assert len(place.history()) == 2


@pytest.mark.parametrize("flag", ["--check", "--dry-run"])
def test_what_only_looks_writes_nothing(flag: str, up: Member, place: Place) -> None:
    said = up.ok(PUBLISH, *place.flags, flag, **place.environment)
    assert "nothing to compare with" in said
    assert ("model.dbt_up.public_0" in said) == (flag == "--dry-run")
    assert place.keys() == place.keys("state") == []


def test_a_damaged_publication_is_told_and_can_be_replaced(
    up: Member, place: Place, publish: Publish
) -> None:
    publish(place, manifest())
    place.put(LATEST, place.get(LATEST).replace(b"integer", b"varchar"))
    build(up, at(1))
    said = exporting(up, **place.environment).refused(PUBLISH, *place.flags)
    assert "damaged" in said
    assert "--allow-breaking" in said
    up.ok(PUBLISH, *place.flags, "--allow-breaking", **place.environment)
    up.ok(PUBLISH, *place.flags, "--check", **place.environment)


def test_a_version_is_never_replaced(up: Member, place: Place, publish: Publish) -> None:
    version = publish(place, manifest())
    forged = history(place, version).replace(b"integer", b"varchar")
    place.put(f"dbt_up/prod/history/{version}/manifest.json", forged)
    place.put(LATEST, b"{}")
    said = exporting(up, **place.environment).refused(PUBLISH, *place.flags, "--allow-breaking")
    assert "versions are never replaced" in said
    assert history(place, version) == forged


# --- Bad input ----------------------------------------------------------------------------------


def _changed(*path: str, value: Any) -> bytes:
    """The manifest with one value in it changed."""
    document = json.loads(manifest())
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return json.dumps(document).encode()


V11 = "https://schemas.getdbt.com/dbt/manifest/v11.json"
PUBLIC = ("nodes", "model.dbt_up.public_0")
WITHOUT_NODES = json.dumps(
    {key: value for key, value in json.loads(manifest()).items() if key != "nodes"}
).encode()
BAD_MANIFESTS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "run `dbt build`"),
    "empty": (b"", "not a whole JSON"),
    "truncated": (manifest()[:2000], "not a whole JSON"),
    "not JSON": (b"metadata: {}", "not a whole JSON"),
    "a list": (b"[]", "expected `object`, got `array`"),
    "nothing in it": (b"{}", "missing required field `metadata`"),
    "byte order mark": (b"\xef\xbb\xbf" + manifest(), "not a whole JSON"),
    "UTF-16": (manifest().decode().encode("utf-16"), "not a whole JSON"),
    "not UTF-8": (manifest().replace(b"One row", b"\xff\xfe row", 1), "public_0"),
    "v11": (_changed("metadata", "dbt_schema_version", value=V11), "v11"),
    "of nothing": (_changed("metadata", value={}), "dbt_schema_version"),
    "of another project": (manifest("dbt_other"), "'dbt_other'"),
    "no nodes": (WITHOUT_NODES, "nodes"),
    "nodes a list": (_changed("nodes", value=[]), "nodes"),
    "nodes null": (_changed("nodes", value=None), "nodes"),
    "node a text": (_changed(*PUBLIC, value="x"), "model.dbt_up.public_0"),
    "node without name": (_changed(*PUBLIC, value={"package_name": "dbt_up"}), "public_0"),
    "columns a list": (_changed(*PUBLIC, "columns", value=[1]), "public_0"),
    "column a text": (_changed(*PUBLIC, "columns", value={"a": "b"}), "public_0"),
    "constraints a text": (_changed(*PUBLIC, "constraints", value="x"), "public_0"),
    "depends_on a list": (_changed(*PUBLIC, "depends_on", value=[]), "public_0"),
    "group a list": (_changed(*PUBLIC, "group", value=[]), "public_0"),
    "relation a number": (_changed(*PUBLIC, "relation_name", value=1), "public_0"),
    "groups a list": (_changed("groups", value=[]), "groups"),
    "group a text in groups": (_changed("groups", value={"group.a": "b"}), "group.a"),
    "no time": (_changed("metadata", "generated_at", value="yesterday"), "generated_at"),
}


# the others by the same function, without the command around it
COMMANDED = ("missing", "empty", "truncated", "v11", "of another project", "no nodes")


@pytest.mark.parametrize("bad", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_and_nothing_written(
    bad: str, up: Member, folder: Place, mesh: SimpleNamespace
) -> None:
    body, expected = BAD_MANIFESTS[bad]
    (up.path / "target/manifest.json").unlink()
    if body is not None:
        build(up, body)
    if bad in COMMANDED:
        said = up.refused(PUBLISH, *folder.flags)
        assert expected in said
        assert str(up.path / "target/manifest.json") in said
        assert folder.keys() == folder.keys("state") == []
    for read in (mesh.extract, mesh.read) if body is not None else ():
        with pytest.raises(mesh.MeshError, match=expected) as told:
            read(body, "dbt_up")
        assert len(str(told.value).splitlines()) == 1


BAD_MESH: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "git checkout mesh.yml"),
    "empty": (b"", "mapping"),
    "not YAML": (b"project: [dbt_up", "line"),
    "tabs": (b"project: dbt_up\nupstreams:\n\t- name: x\n", "line 3"),
    "not UTF-8": (b"project: \xff\xfe", "YAML"),
    "NUL": (b"project: \0", "YAML"),
    "a list": (b"- project", "mapping"),
    "impossible date": (b"project: 2026-13-01", "YAML"),
    "project missing": (b"kind: upstream\n", "project"),
    "project a number": (b"kind: upstream\nproject: 1\ndatabase_prefix: X\n", "project"),
    "project no name": (b"kind: upstream\nproject: a/b\ndatabase_prefix: X\n", "a/b"),
    "kind unknown": (b"kind: downstream\nproject: dbt_up\n", "downstream"),
    "upstreams a text": (b"kind: native\nproject: d\ndatabase_prefix: D\nupstreams: a\n", "upstr"),
    "upstream nameless": (b"kind: native\nproject: d\nupstreams: [{}]\n", "name"),
    "bucket a list": (b"kind: upstream\nproject: d\ndatabase_prefix: D\nbucket: []\n", "bucket"),
    "publishes maybe": (b"kind: upstream\npublishes: maybe\n", "publishes"),
}


@pytest.mark.parametrize("bad", BAD_MESH)
def test_a_badly_edited_mesh_yml_is_told(bad: str, up: Member, mesh: SimpleNamespace) -> None:
    body, expected = BAD_MESH[bad]
    (up.path / "mesh.yml").unlink()
    if body is not None:
        (up.path / "mesh.yml").write_bytes(body)
    with pytest.raises(mesh.MeshError, match=expected) as told:
        mesh.config.load_member(up.path)
    assert len(str(told.value).splitlines()) == 1
    if bad in ("tabs", "impossible date"):  # the command says the same
        assert expected in up.refused(PUBLISH)


def test_wrong_flags_are_no_finding(up: Member) -> None:
    """Status 2 means that a check found something."""
    assert "--frobnicate" in up.refused(PUBLISH, "--frobnicate")


# --- Rivals -------------------------------------------------------------------------------------


def test_of_rivals_none_is_lost_and_the_newest_wins(
    up: Member, place: Place, mesh: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight publishers at once, and readers who watch."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    store = mesh.registry.open_store(place.url)
    over = threading.Event()

    def watch() -> list[str]:
        seen = []
        while not over.is_set():
            if stored := store.read(LATEST):
                seen.append(mesh.read(stored.body, "dbt_up").version)  # checks the digest
        return seen

    minutes = list(range(8))
    paths = {minute: tmp_path / f"{minute}.json" for minute in minutes}
    for minute, path in paths.items():
        path.write_bytes(at(minute, models=50, public=40))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        watching = [pool.submit(watch) for _ in range(2)]
        publishers = [
            start(up, PUBLISH, *place.flags, "--manifest", str(path), **place.environment)
            for path in paths.values()
        ]
        ended = [(*each.communicate(), each.returncode) for each in publishers]
        over.set()
    assert [code for *_, code in ended] == [0] * 8, ended
    versions = place.history()
    assert len(versions) == 8
    newest = history(place, versions[-1])
    assert place.get(LATEST) == newest
    assert place.get(STATE, "state") == paths[7].read_bytes()
    for seen in (each.result() for each in watching):
        assert seen == sorted(seen), "an older build came after a newer one"
        assert set(seen) <= set(versions)


# --- Interruptions ------------------------------------------------------------------------------


def kill_at(number: int, when: str, process: list[Process]) -> Callable[..., Answer | None]:
    """A rule: the publisher dies at its PUT of that number, before or after it takes effect."""
    puts: list[Request] = []

    def rule(request: Request, forward: Callable[[], Answer]) -> Answer | None:
        if request.method != "PUT":
            return forward()
        puts.append(request)
        if len(puts) == number:
            if when == "after":
                forward()
            while not process:  # it is just being started
                time.sleep(0.01)
            process[0].send_signal(KILL)
            process[0].wait()  # else it would ask again
            return None
        return forward()

    return rule


def check_interrupted(up: Member, place: Place, mesh: SimpleNamespace, old: bytes) -> None:
    """Readers see old or new, whole, and the next run completes what was begun."""
    assert mesh.read(place.get(LATEST), "dbt_up")
    assert place.get(LATEST) in {old, *(history(place, version) for version in place.history())}
    up.ok(PUBLISH, *place.flags, **place.environment)
    assert len(place.history()) == 2
    assert place.get(LATEST) == history(place, place.history()[1])
    assert place.get(STATE, "state") == at(2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_between_writes_to_s3(
    number: int, when: str, up: Member, proxy: Proxy, mesh: SimpleNamespace, publish: Publish
) -> None:
    place = s3_place(proxy.s3, proxy.url)
    publish(place, at(1))
    old = place.get(LATEST)
    build(up, at(2))
    process: list[Process] = []
    proxy.rule = kill_at(number, when, process)
    process.append(start(up, PUBLISH, *place.flags, **place.environment))
    process[0].communicate()
    assert process[0].returncode == -signal.SIGKILL
    check_interrupted(up, place, mesh, old)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_between_writes_to_a_folder(
    number: int,
    when: str,
    up: Member,
    folder: Place,
    mesh: SimpleNamespace,
    shim: Shim,
    publish: Publish,
) -> None:
    publish(folder, at(1))
    old = folder.get(LATEST)
    build(up, at(2))
    killed = up.run(PUBLISH, *folder.flags, **shim.at_call("replace", number, f"kill {when}"))
    assert killed.returncode == -signal.SIGKILL
    check_interrupted(up, folder, mesh, old)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_full_disk_loses_nothing(
    number: int, up: Member, folder: Place, shim: Shim, publish: Publish
) -> None:
    publish(folder, at(1))
    old = folder.get(LATEST), folder.get(STATE, "state")
    build(up, at(2))
    said = exporting(up, **shim.at_call("fsync", number, "ENOSPC")).refused(PUBLISH, *folder.flags)
    assert "No space left" in said
    assert folder.get(STATE, "state") == old[1]
    assert number == 3 or folder.get(LATEST) == old[0]
    assert not list(up.path.parent.rglob("*.tmp"))
    up.ok(PUBLISH, *folder.flags)
    assert folder.get(STATE, "state") == at(2)


@pytest.mark.parametrize("lost", ["/history/", "/latest/", "/state/"])
def test_a_lost_answer_is_recognised_by_content(
    lost: str, up: Member, proxy: Proxy, shim: Shim, publish: Publish
) -> None:
    """The write took effect, its answer got lost: the client's own retry is refused with 412."""
    place = s3_place(proxy.s3, proxy.url)
    publish(place, at(1))
    build(up, at(2))
    dropped: list[Request] = []

    def rule(request: Request, forward: Callable[[], Answer]) -> Answer | None:
        answer = forward()
        if request.method == "PUT" and lost in request.path and not dropped:
            dropped.append(request)
            return None
        return answer

    proxy.rule = rule
    up.ok(PUBLISH, *place.flags, **place.environment, **shim.hurried())
    assert dropped
    versions = place.history()
    assert len(versions) == 2
    assert place.get(LATEST) == history(place, versions[1])
    assert place.get(STATE, "state") == at(2)
    assert proxy.s3.versions(f"{place.prefix}/registry/{LATEST}") == 2
    key = f"{place.prefix}/registry/dbt_up/prod/history/{versions[1]}/"
    assert proxy.s3.versions(key) == 1


def test_answers_that_are_lost_forever(up: Member, proxy: Proxy, shim: Shim) -> None:
    place = s3_place(proxy.s3, proxy.url)
    proxy.rule = lambda request, forward: (
        None if request.method == "PUT" and forward() else forward()
    )
    said = exporting(up, **place.environment, **shim.hurried()).refused(PUBLISH, *place.flags)
    assert "out of reach" in said
    proxy.rule = lambda request, forward: forward()
    up.ok(PUBLISH, *place.flags, **place.environment)
    assert len(place.history()) == 1


def test_a_rival_who_takes_the_place_between_our_write_and_its_answer(
    up: Member, proxy: Proxy, shim: Shim, mesh: SimpleNamespace
) -> None:
    """The lost answer's 412 must not be taken for our own success where a newer build is latest."""
    place = s3_place(proxy.s3, proxy.url)
    build(up, at(1))
    rival = mesh.extract(at(5), "dbt_up").body

    def rule(request: Request, forward: Callable[[], Answer]) -> Answer | None:
        answer = forward()
        if request.method == "PUT" and "/latest/" in request.path and place.get(LATEST) != rival:
            place.put(LATEST, rival)
            return None
        return answer

    proxy.rule = rule
    done = up.run(PUBLISH, *place.flags, **place.environment, **shim.hurried())
    assert done.returncode == 0
    assert "newer build is published already" in done.stderr
    assert place.get(LATEST) == rival
    assert place.keys("state") == []


def test_state_that_is_denied_says_what_has_been_published(up: Member, proxy: Proxy) -> None:
    place = s3_place(proxy.s3, proxy.url)
    proxy.rule = lambda request, forward: (
        error(403, "AccessDenied") if "/state/" in request.path else forward()
    )
    done = up.run(PUBLISH, *place.flags, **place.environment)
    assert done.returncode == 1
    assert "published 1 public model" in done.stdout
    assert "/state/dbt_up/prod/manifest.json: access denied" in done.stderr


@pytest.mark.parametrize(
    "reason",
    [
        "not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:1:key/1",
        "not authorized to perform: s3:PutObject with an explicit deny in a resource-based policy",
    ],
)
def test_what_s3_itself_says_is_shown(up: Member, proxy: Proxy, reason: str) -> None:
    """One code stands for a key of KMS, a deny and a missing right; only the message tells."""
    place = s3_place(proxy.s3, proxy.url)
    proxy.rule = lambda request, forward: (
        error(403, "AccessDenied", reason) if request.method == "PUT" else forward()
    )
    done = up.run(PUBLISH, *place.flags, **place.environment)
    assert done.returncode == 1
    assert "access denied" in done.stderr
    assert f"S3 says: {reason}" in done.stderr


def test_concurrent_runs_of_one_build(up: Member, place: Place) -> None:
    """CI that was started twice: both end well, and there is one version."""
    both = [start(up, PUBLISH, *place.flags, **place.environment) for _ in range(2)]
    ended = [(*each.communicate(), each.returncode) for each in both]
    assert [code for *_, code in ended] == [0, 0], ended
    assert len(place.history()) == 1
