"""A registry on Azure or Google: what a member gets for it, and how GitHub's jobs sign in."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import hcl2
import pytest

from dbtmesh import MeshError
from dbtmesh.config import load_member, locate
from dbtmesh.registry import cloud_sign_in
from dbtmesh.registry.routing import open_registry
from dbtmesh.registry.store import open_store
from tests.azurite import ACCOUNT, Azure
from tests.conftest import Member, Render
from tests.gcs_standin import Gcs
from tests.manifests import manifest
from tests.registry_world import PUBLISH, SYNC, build, exporting

pytest_plugins = ("tests.azurite", "tests.gcs_standin", "tests.registry_world")

ID = "12345678-1234-1234-1234-123456789ab"
PROVIDER = "projects/12/locations/global/workloadIdentityPools/dbt-mesh-github/providers/github"
ANSWERS: dict[str, dict[str, Any]] = {
    "azure": {"azure_storage_account": ACCOUNT, "azure_container": "mesh"},
    "gcs": {"gcs_bucket": "mesh"},
}
SIGN_IN = {
    "azure": {"azure_identities": f"{ID}0/{ID}1/{ID}2"},
    "gcs": {"google_provider": PROVIDER},
}
FILES = {"azure": "azure/registry.tf", "gcs": "google/registry.tf", "s3": "aws/registry.yml"}
CLOUDS = ("azure", "gcs")


def member(render: Render, registry: str, **answers: Any) -> Member:
    given = {"starter": False, "registry": registry, **ANSWERS[registry], **SIGN_IN[registry]}
    return render(**given, **answers)


@pytest.mark.parametrize("registry", CLOUDS)
def test_a_member_publishes_and_another_reads_by_their_own_settings(
    registry: str, render: Render, request: pytest.FixtureRequest
) -> None:
    server: Azure | Gcs = request.getfixturevalue(registry)
    environment = {**server.environment(), "DBT_MESH_ENV": f"e-{registry}"}
    up = member(render, registry, kind="upstream")
    down = member(render, registry, kind="native", upstreams="dbt_up")
    build(up, manifest())
    up.ok(PUBLISH, **environment)
    assert "1 public model" in down.ok(SYNC, **environment)
    assert "unchanged" in down.ok(SYNC, **environment)
    assert (down.path / "models/_mesh_dbt_up.yml").is_file()


@pytest.mark.parametrize("registry", CLOUDS)
@pytest.mark.parametrize("kind", ["upstream", "native"])
def test_a_member_gets_what_its_registry_needs_and_nothing_of_another(
    registry: str, kind: str, render: Render
) -> None:
    answers: dict[str, Any] = {"kind": kind, "snowflake_account": "ORG-ACCOUNT"}
    if kind == "native":
        answers |= {"upstreams": "dbt_up,finance=FIN", "project_name": "dbt_down"}
    path = member(render, registry, github_repository="acme/up", **answers).path
    assert [(path / file).is_file() for file in FILES.values()] == [
        name == registry for name in FILES
    ]
    (line,) = [
        line for line in (path / "requirements.txt").read_text().splitlines() if "vendor/" in line
    ]
    assert line.split("[")[1].split(",")[0] == registry
    workflows = [file.read_text() for file in (path / ".github/workflows").glob("*.yml")]
    for text in (*workflows, (path / "README.md").read_text(), (path / "mesh.yml").read_text()):
        assert "aws" not in text.lower()
    assert any("id-token: write" in text for text in workflows)
    assert any("build on Snowflake" in text for text in workflows)
    facts = load_member(path)
    place = locate(facts, bucket=None, registry=None, env="prod")
    assert place.url.endswith("mesh/registry")
    assert place.state_url.endswith("mesh/state")
    access = facts.access
    assert (access.azure_client == f"{ID}1") is (registry == "azure")
    assert (access.google_provider == PROVIDER) is (registry == "gcs")


@pytest.mark.parametrize("registry", CLOUDS)
def test_without_a_place_it_stays_on_the_laptop(registry: str, render: Render) -> None:
    path = render(kind="upstream", starter=False, registry=registry).path
    assert locate(load_member(path), bucket=None, registry=None, env=None).url.startswith("file:")
    deploy = (path / ".github/workflows/deploy.yml").read_text()
    assert "nowhere to deploy to yet" in deploy
    assert "--ask azure_storage" in deploy if registry == "azure" else "--ask gcs_" in deploy


def resources(text: str, kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a type in a Terraform file, by name."""
    found: dict[str, dict[str, Any]] = {}
    for each in hcl2.loads(text)["resource"]:
        for name, body in each.get(f'"{kind}"', each.get(kind, {})).items():
            found[name.strip('"')] = body
    return found


def as_terraform_writes_it(path: Path) -> str:
    """The text of a file; where Terraform is at hand, checked by its own `fmt`."""
    if terraform := shutil.which("terraform"):
        done = subprocess.run(
            [terraform, "fmt", "-check", "-diff", path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return path.read_text()


@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_rights_on_azure(kind: str, render: Render) -> None:
    """The file is parsed, and its grants are read: Terraform would fetch its providers."""
    path = member(render, "azure", kind=kind, github_repository="acme/up").path
    text = as_terraform_writes_it(path / FILES["azure"])
    grants = resources(text, "azurerm_role_assignment")
    assert set(grants) == {"read", "replace", *(["history"] if kind == "upstream" else [])}
    for name in grants.keys() - {"read"}:
        assert 'github["deploy"]' in grants[name]["principal_id"].replace("\\", "")
        assert grants[name]["condition_version"].strip('"') == "2.0"
    actions = [
        str(role["permissions"]) for role in resources(text, "azurerm_role_definition").values()
    ]
    assert sum("blobs/write" in each for each in actions) == 1
    assert sum("blobs/add/action" in each for each in actions) == 1
    assert "delete" not in "".join(actions)
    replaced = text.partition("replaces = ")[2].partition("may_replace")[0]
    assert "history/*'" not in replaced.replace("StringNotLike 'registry/*/history/*'", "")
    assert ("latest/manifest.json" in replaced) is (kind == "upstream")
    assert ("/consumers/" in replaced) is (kind != "upstream")


@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_rights_on_google(kind: str, render: Render) -> None:
    path = member(render, "gcs", kind=kind, github_repository="acme/up").path
    text = as_terraform_writes_it(path / FILES["gcs"])
    grants = resources(text, "google_storage_bucket_iam_member")
    publisher, reader = {"publish", "history"}, {"records"}
    assert set(grants) == {"read", "list", "state"} | (publisher if kind == "upstream" else reader)
    for name in grants.keys() - {"read", "list"}:
        assert "local.deploy" in grants[name]["member"]
        assert grants[name]["condition"]
        assert ("write_once" in grants[name]["role"]) is (name == "history")
    roles = resources(text, "google_project_iam_custom_role")
    assert "delete" in str(roles["replace"]["permissions"])
    assert not any(
        "delete" in str(roles[name]["permissions"]) for name in roles.keys() - {"replace"}
    )


# --- Signing in from GitHub ---------------------------------------------------------------------


@contextlib.contextmanager
def token_server(status: int, answer: object) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Where a cloud exchanges tokens; and the forms that it got."""
    forms: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            forms.append(dict(urllib.parse.parse_qsl(body)) | {"path": self.path})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", forms
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def in_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:1/token")
    monkeypatch.setattr("dbtmesh.ci.github.oidc.identity_token", lambda audience: f"for {audience}")


@pytest.mark.usefixtures("in_github")
def test_github_signs_in_to_google_without_a_key(
    gcs: Gcs, monkeypatch: pytest.MonkeyPatch, render: Render
) -> None:
    for name, value in gcs.environment().items():
        if name != "GOOGLE_BEARER_TOKEN":
            monkeypatch.setenv(name, value)
    access = load_member(member(render, "gcs", kind="upstream").path).access
    with token_server(200, {"access_token": "admin", "expires_in": 3600}) as (url, forms):
        monkeypatch.setattr(cloud_sign_in, "GOOGLE", url)
        store = open_store("gs://mesh/signed-in", access)
        store.write("a", b"1", replaces=None)
        stored = store.read("a")
    assert stored
    assert stored.body == b"1"
    assert len(forms) == 1  # while the token lives
    assert forms[0]["audience"] == f"//iam.googleapis.com/{PROVIDER}"
    assert forms[0]["subject_token"] == f"for https://iam.googleapis.com/{PROVIDER}"


@pytest.mark.usefixtures("in_github")
def test_github_signs_in_to_azure_as_who_the_job_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with token_server(200, {"access_token": "t", "expires_in": "3599"}) as (url, forms):
        monkeypatch.setattr(cloud_sign_in, "ENTRA", url)
        token = cloud_sign_in.azure(f"{ID}0", f"{ID}2")()
    assert token["token"] == "t"
    left = token["expires_at"] - datetime.now(UTC)
    assert timedelta(minutes=58) < left < timedelta(hours=1)
    (form,) = forms
    assert form["path"] == f"/{ID}0/oauth2/v2.0/token"
    assert form["client_id"] == f"{ID}2"
    assert form["client_assertion"] == "for api://AzureADTokenExchange"


@pytest.mark.usefixtures("in_github")
def test_a_cloud_that_does_not_trust_the_job_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"error": "invalid_client", "error_description": "AADSTS700213: No matching\r\nidentity"}
    with token_server(401, said) as (url, _):
        monkeypatch.setattr(cloud_sign_in, "ENTRA", url)
        store = open_store(
            f"az://{ACCOUNT}/mesh/registry",
            load_access(f"{ID}0", f"{ID}1"),
        )
        with pytest.raises(MeshError, match="AADSTS700213: No matching identity") as refused:
            store.read("a")
    assert "\n" not in str(refused.value)


def load_access(tenant: str, client: str) -> Any:
    from dbtmesh.registry.store import Access

    return Access(azure_tenant=tenant, azure_client=client)


def test_a_reader_of_upstreams_in_different_registries(
    render: Render, azure: Azure, gcs: Gcs, tmp_path: Path
) -> None:
    environment = {**azure.environment(), **gcs.environment(), "DBT_MESH_ENV": "two-clouds"}
    up = member(render, "gcs", kind="upstream")
    other = member(render, "azure", kind="upstream", project_name="up_b")
    down = member(
        render,
        "azure",
        kind="native",
        upstreams="dbt_up@gs://mesh/registry,up_b",
        **SIGN_IN["gcs"],
    )
    for each, name in ((up, "dbt_up"), (other, "up_b")):
        build(each, manifest(name))
        each.ok(PUBLISH, **environment)
    said = down.ok(SYNC, **environment)
    assert said.count("1 public model") == 2
    assert down.ok(SYNC, **environment).count("unchanged") == 2
    (line,) = [
        line for line in (down.path / "requirements.txt").read_text().splitlines() if "[" in line
    ]
    assert "[azure,gcs,snowflake" in line
    facts = load_member(down.path)
    assert facts.access.azure_client
    assert facts.access.google_provider
    # one that is named on the command line is meant for all
    elsewhere = ("--registry", (tmp_path / "registry").as_uri())
    assert "nothing" in exporting(down, **environment).refused(SYNC, *elsewhere)


def test_records_go_to_the_registry_of_whom_is_read(tmp_path: Path) -> None:
    own, theirs = ((tmp_path / name).as_uri() for name in ("own/registry", "theirs"))
    (tmp_path / "mesh.yml").write_text(
        "project: down\nkind: native\ndatabase_prefix: DOWN\n"
        f"registry: {own}\nupstreams:\n- {{name: up, database_prefix: UP, registry: '{theirs}'}}\n"
    )
    facts = load_member(tmp_path)
    store = open_registry(facts, locate(facts, bucket=None, registry=None, env="prod"))
    store.write("up/prod/consumers/down.json", b"1", replaces=None)
    store.write("down/prod/latest/manifest.json", b"2", replaces=None)
    assert (tmp_path / "theirs/up/prod/consumers/down.json").read_bytes() == b"1"
    assert (tmp_path / "own/registry/down/prod/latest/manifest.json").read_bytes() == b"2"
    assert list(store.children("")) == ["down/", "up/"]
    assert list(store.children("up/")) == ["prod/"]
    assert store.etag("up/prod/consumers/down.json")
