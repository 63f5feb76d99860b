"""deploy_state.py: what deploys keep beside the registry, and is there anything to deploy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Member, Render
from tests.manifests import manifest
from tests.registry_world import PUBLISH, SYNC, Place, Publish, at, build, exporting, s3_place
from tests.s3_server import BUCKET, S3, Answer, Proxy, Request

pytest_plugins = ("tests.s3_server", "tests.registry_world")

STATE = "deploy-state"
RUN = {
    "GITHUB_REPOSITORY": "acme/down",
    "GITHUB_RUN_ID": "7",
    "GITHUB_SHA": "c0ffee",
    "GITHUB_SERVER_URL": "https://github.com",
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x", "--allow-empty")


def head(folder: Path) -> str:
    """What a deploy has checked out; $GITHUB_SHA is the event's, which may be another."""
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()


def publish_all(publish: Publish, place: Place) -> None:
    for project in ("dbt_up", "up_b", "up_c"):
        publish(place, manifest(project), project)


@pytest.fixture
def built(down: Member) -> Member:
    """A downstream in a folder of a shared repository, built."""
    git(down.path.parent, "init", "-q")
    (down.path.parent / ".gitignore").write_text(".mesh/\na shared disk/\noutputs\n")
    build(down, manifest("dbt_down"))  # writes the models of the manifest, which are own code
    commit(down.path.parent)
    (down.path / "target/run_results.json").write_text('{"results": []}')
    return exporting(down, **RUN)


@pytest.fixture
def member(built: Member, place: Place, publish: Publish) -> Member:
    """And its upstreams have published."""
    publish_all(publish, place)
    return exporting(built, **place.environment)


def deploy(place: Place, project: str = "dbt_down") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(place.get(f"{project}/prod/deploy.json", "state"))
    return loaded


def changed(member: Member, place: Place) -> tuple[bool, str]:
    """What the command puts out, and the reasons it prints."""
    outputs = member.path.parent / "outputs"
    outputs.unlink(missing_ok=True)
    said = member.ok(STATE, "changed", *place.flags, GITHUB_OUTPUT=str(outputs))
    name, value, *_ = outputs.read_text().splitlines()  # of those that are refused come after
    assert name.startswith("changed<<")
    return value == "true", said


def test_a_deploy_is_kept_and_nothing_is_rebuilt_where_nothing_changed(
    member: Member, place: Place, publish: Publish
) -> None:
    assert changed(member, place) == (True, "no deploy has succeeded yet\n")
    (member.path / "target/static_index.html").write_text("<html>docs</html>")
    member.ok(STATE, "push", *place.flags)
    assert place.get("dbt_down/prod/manifest.json", "state") == manifest("dbt_down")
    assert place.get("dbt_down/prod/index.html", "state") == b"<html>docs</html>"
    assert place.get("dbt_down/prod/run_results.json", "state") == b'{"results": []}'
    kept = deploy(place)
    assert (kept["result"], kept["commit"]) == ("success", head(member.path))
    assert kept["run"] == "https://github.com/acme/down/actions/runs/7"
    versions = {name: each["version"] for name, each in kept["built"]["upstreams"].items()}
    assert versions == {name: place.history(name)[-1] for name in ("dbt_up", "up_b", "up_c")}
    assert kept["built"]["published"] is None

    assert changed(member, place) == (False, "nothing to deploy: dbt_down is as it was built\n")
    (member.path.parent / "elsewhere").write_text("another project's")
    commit(member.path.parent)
    assert changed(member, place) == (False, "nothing to deploy: dbt_down is as it was built\n")
    (member.path / "models").mkdir(exist_ok=True)
    (member.path / "models/new.sql").write_text("select 1 as one")
    commit(member.path.parent)
    assert changed(member, place) == (True, f"own code has changed since {kept['commit']}\n")
    member.ok(STATE, "push", *place.flags)
    old, new = place.history()[-1], publish(place, at(1))
    reason = f"dbt_up: {new} is published, the last build read {old}\n"
    assert changed(member, place) == (True, reason)


def test_a_failed_deploy_leaves_the_last_good_one(
    member: Member, place: Place, publish: Publish
) -> None:
    (member.path / "target/static_index.html").write_text("good docs")
    changed(member, place)
    member.ok(STATE, "push", *place.flags)
    good = deploy(place)["built"]
    publish(place, at(1))
    changed(member, place)
    build(member, b"broken")
    (member.path / "target/static_index.html").write_text("bad docs")
    (member.path / "target/run_results.json").write_text('{"results": ["bad"]}')
    member.ok(STATE, "push", "--failed", *place.flags, GITHUB_RUN_ID="8")
    assert place.get("dbt_down/prod/manifest.json", "state") == manifest("dbt_down")
    assert place.get("dbt_down/prod/index.html", "state") == b"good docs"
    assert place.get("dbt_down/prod/run_results.json", "state") == b'{"results": ["bad"]}'
    kept = deploy(place)
    assert (kept["result"], kept["run"][-1]) == ("failure", "8")
    assert kept["commit"] == head(member.path)
    assert kept["built"] == good
    yes, why = changed(member, place)
    assert yes
    assert "the last deploy failed (https://github.com/acme/down/actions/runs/8)" in why
    assert "dbt_up: " in why


def test_what_was_published_during_the_build_counts_as_new(
    built: Member, folder: Place, publish: Publish
) -> None:
    publish_all(publish, folder)
    changed(built, folder)
    publish(folder, at(1))
    built.ok(STATE, "push", *folder.flags)
    assert changed(built, folder)[0] is True
    built.ok(SYNC, *folder.flags)  # what a native member builds is what it has synced
    commit(built.path.parent)
    built.ok(STATE, "push", *folder.flags)
    assert changed(built, folder)[0] is False


def test_what_is_not_known_is_deployed(built: Member, folder: Place, publish: Publish) -> None:
    publish_all(publish, folder)
    built.ok(STATE, "push", *folder.flags)  # without `changed` before it, nor a sync
    assert "up_b: it is not known which version the last build read" in changed(built, folder)[1]
    folder.put("dbt_down/prod/deploy.json", b'{"result": 1}', "state")
    done = built.run(STATE, "changed", *folder.flags)
    assert done.stdout == "no deploy has succeeded yet\n"
    assert "is not what a deploy writes" in done.stderr


def test_without_git_the_commit_tells(down: Member, folder: Place, publish: Publish) -> None:
    publish_all(publish, folder)
    build(down, manifest("dbt_down"))
    (down.path / "target/run_results.json").write_text("{}")
    one = exporting(down, GITHUB_SHA="one")
    changed(one, folder)
    one.ok(STATE, "push", *folder.flags)
    assert changed(one, folder)[0] is False
    assert changed(exporting(down, GITHUB_SHA="two"), folder)[0] is True
    assert (
        "it is not known which code this is" in changed(exporting(down, GITHUB_SHA=""), folder)[1]
    )


def test_an_upstream_that_has_published_nothing_is_an_error(down: Member, folder: Place) -> None:
    refused = down.refused(STATE, "changed", *folder.flags)
    assert "has published nothing to prod" in refused


def test_an_answer_without_a_body_for_each_upstream(
    built: Member, proxy: Proxy, publish: Publish
) -> None:
    """Nothing is downloaded of upstreams that have not changed."""
    place = s3_place(proxy.s3, proxy.url)
    publish_all(publish, place)
    member = exporting(built, **place.environment)
    changed(member, place)
    member.ok(STATE, "push", *place.flags)
    answers: list[Answer] = []

    def noted(_: Request, forward: Callable[[], Answer]) -> Answer:
        answers.append(forward())
        return answers[-1]

    proxy.rule = noted
    assert changed(member, place) == (False, "nothing to deploy: dbt_down is as it was built\n")
    assert sorted(each.status for each in answers) == [200, 304, 304, 304]  # 200: deploy.json
    assert [each.body for each in answers if each.status == 304] == [b"", b"", b""]


def test_an_upstream_keeps_its_manifest_when_it_publishes(up: Member, place: Place) -> None:
    one = exporting(up, **place.environment, **RUN)
    one.ok(PUBLISH, *place.flags)
    (up.path / "target/run_results.json").write_text("{}")
    build(up, at(5))  # which nobody has published
    one.ok(STATE, "push", *place.flags)
    assert place.get("dbt_up/prod/manifest.json", "state") == manifest()
    assert deploy(place, "dbt_up")["built"]["published"] == place.history()[-1]


def test_slim_ci_gets_the_manifest_of_the_last_deploy(member: Member, place: Place) -> None:
    outputs = member.path.parent / "outputs"
    facts = {"GITHUB_OUTPUT": str(outputs)}
    none = member.ok(STATE, "pull", *place.flags, **facts)
    assert "dbt_down has no deploy to prod on record yet" in none
    assert outputs.read_text().splitlines()[1] == "false"
    member.ok(STATE, "push", *place.flags)
    outputs.unlink()
    member.ok(STATE, "pull", *place.flags, **facts)
    assert outputs.read_text().splitlines()[1] == "true"
    pulled = member.path / "target/deployed/manifest.json"
    assert pulled.read_bytes() == manifest("dbt_down")
    member.ok(STATE, "pull", *place.flags, "--into", member.path / "here")
    assert (member.path / "here/manifest.json").read_bytes() == manifest("dbt_down")


def test_a_dry_run_writes_nothing(member: Member, place: Place) -> None:
    before = place.keys("state")
    said = member.ok(STATE, "push", *place.flags, "--dry-run")
    assert "/dbt_down/prod/manifest.json (" in said
    assert '"result": "success"' in said
    assert place.keys("state") == before


def test_a_good_deploy_without_what_dbt_writes_is_refused(built: Member, folder: Place) -> None:
    (built.path / "target/run_results.json").unlink()
    assert "run `dbt build` first" in built.refused(STATE, "push", *folder.flags)
    built.ok(STATE, "push", "--failed", *folder.flags)  # dbt may have failed before that
    assert deploy(folder)["built"] is None


def test_pages_are_pages_on_s3(built: Member, s3: S3) -> None:
    (built.path / "target/static_index.html").write_text("<html>")
    flags = ("--registry", f"s3://{BUCKET}/types/registry", "--env", "prod")
    built.ok(STATE, "push", *flags, **s3.environment())
    kinds = {
        name: s3.client().head_object(Bucket=BUCKET, Key=f"types/state/dbt_down/prod/{name}")[
            "ContentType"
        ]
        for name in ("index.html", "deploy.json")
    }
    assert kinds == {"index.html": "text/html; charset=utf-8", "deploy.json": "application/json"}


def test_with_dbt_itself(render: Render, folder: Place, quick: dict[str, str]) -> None:
    """A loom member: what dbt writes is what slim CI takes, and what is shown as docs."""
    up = render(kind="upstream", **quick)
    up.dbt("build")
    up.ok(PUBLISH)
    down = render(kind="loom")
    git(down.path, "init", "-q")
    commit(down.path)
    down.ok(STATE, "changed")
    down.ok("scripts/sync_mesh.py")
    down.dbt("build")
    results = down.path / "target/run_results.json"
    results.rename(results.with_name("built.json"))
    down.dbt("docs", "generate", "--static")
    down.ok(STATE, "push", "--run-results", "target/built.json")
    assert "nothing to deploy" in down.ok(STATE, "changed")
    down.ok(STATE, "pull")
    listed = down.dbt("ls", "-q", "-s", "state:modified+", "--state", "target/deployed").stdout
    assert "downstream_orders" not in listed
    state = down.path.parent / ".mesh/state/dbt_down_loom/local"
    assert "<html" in (state / "index.html").read_text()
    assert json.loads((state / "run_results.json").read_text())["results"]
