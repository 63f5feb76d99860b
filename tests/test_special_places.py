"""Accounts and GitHubs other than the usual ones reach the files and commands that act on them.

Buckets of special kinds: tests/test_aws_registry.py and tests/test_registry.py.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import hcl2
import pytest
import yaml
from snowflake.connector.util_text import construct_hostname

from dbtmesh import MeshError
from dbtmesh.ci.github import gh
from dbtmesh.config import load_member, locate
from dbtmesh.registry.snowflake.connection import open_for
from dbtmesh.registry.store import Access
from dbtmesh.snowflake import session
from tests.conftest import Render

BY_TOKEN = {"auth": "workload_identity", "github_repository": "acme/dbt-up"}
PLACES = {
    "github.com": {
        "snowflake_account": "xy12345.fhplus.us-gov-west-1.aws",
        "registry": "snowflake",
        "issuer": "token.actions.githubusercontent.com",
    },
    "acme.ghe.com": {
        "snowflake_account": "xy12345.us-central1.gcp.privatelink",
        "registry": "gcs",
        "issuer": "token.actions.acme.ghe.com",
    },
    "git.acme.example": {
        "snowflake_account": "acme-main.privatelink",
        "registry": "azure",
        "issuer": "git.acme.example/_services/token",
    },
}


@pytest.mark.parametrize("server", PLACES)
def test_an_account_and_a_github_of_another_kind(render: Render, server: str) -> None:
    place = dict(PLACES[server])
    issuer, account = f"https://{place.pop('issuer')}", place["snowflake_account"]
    path = render(starter=False, github_server=server, **BY_TOKEN, **place).path

    assert load_member(path).snowflake["account"] == account
    (profile,) = yaml.safe_load((path / "profiles.yml").read_text()).values()
    for target in ("dev", "ci", "prod"):
        said = profile["outputs"][target]["account"]
        assert said == f"{{{{ env_var('SNOWFLAKE_ACCOUNT', '{account}') }}}}"
    assert construct_hostname(None, account) == f"{account}.snowflakecomputing.com"

    users = (path / "snowflake/02_create_roles_and_users.sql").read_text()
    assert re.findall(r"ISSUER = '(.*)'", users) == [issuer] * 2  # who deploys, who builds
    for file in path.glob("*/registry.tf"):
        assert f'"{issuer}"' in str(hcl2.loads(file.read_text()))
    asks = re.findall(r"gh api (?:--hostname (\S+) )?repos", (path / "README.md").read_text())
    assert asks
    assert set(asks) == {server if server != "github.com" else ""}
    if place["registry"] == "snowflake":
        member = load_member(path)
        assert (
            locate(member, bucket=None, registry=None, env="prod").url == f"snowflake://{account}"
        )


@pytest.mark.parametrize(
    ("server", "given", "expected"),
    [
        ("github.com", {"GH_TOKEN": "x"}, {"GH_TOKEN": "x"}),
        ("acme.ghe.com", {"GH_TOKEN": "x"}, {"GH_HOST": "acme.ghe.com", "GH_TOKEN": "x"}),
        (
            "git.acme.example",
            {"GH_TOKEN": "x"},
            {"GH_HOST": "git.acme.example", "GH_TOKEN": "x", "GH_ENTERPRISE_TOKEN": "x"},
        ),
        ("git.acme.example", {"GH_HOST": "other"}, {"GH_HOST": "other"}),
    ],
)
def test_gh_speaks_to_the_company_s_github(
    monkeypatch: pytest.MonkeyPatch, server: str, given: dict[str, str], expected: dict[str, str]
) -> None:
    monkeypatch.setattr("os.environ", given)
    assert gh.for_gh(server) == expected


@pytest.mark.parametrize(
    ("found", "project", "can_be"),
    [
        ("acme-main", "acme-main.privatelink", True),
        ("ACME-MAIN", "acme-main", True),
        ("ACME-MAIN_1", "acme-main-1", True),
        ("xy12345", "xy12345.us-east-2.aws", True),
        ("acme-main", "xy12345.us-east-2.aws", True),  # only Snowflake can tell
        ("xy12345", "ACME-MAIN", True),
        ("acme-test", "acme-main.privatelink", False),
        ("xy99999", "xy12345.us-east-2.aws", False),
    ],
)
def test_a_connection_s_account_by_another_name(
    monkeypatch: pytest.MonkeyPatch, found: str, project: str, can_be: bool
) -> None:
    """What the connector calls the account has no region and no `privatelink`."""
    opened: Any = SimpleNamespace(account=found, close=lambda: None)
    monkeypatch.setattr(session, "_sign_in", lambda parameters, name: opened)
    if can_be:
        assert session.open_personal("admin", project, {})[0] is opened
    else:
        with pytest.raises(MeshError, match=r"is for account .* use another connection"):
            session.open_personal("admin", project, {})


def test_a_registry_in_the_project_s_account_by_another_name(
    monkeypatch: pytest.MonkeyPatch, render: Render
) -> None:
    member = load_member(
        render(starter=False, registry="snowflake", snowflake_account="acme-main.privatelink").path
    )
    opened: Any = "a connection"
    monkeypatch.setattr(session, "open_personal", lambda *_: (opened, "admin"))
    monkeypatch.delenv("DBT_MESH_TARGET", raising=False)
    assert open_for("ACME-MAIN", Access(member=member)) == opened
    with pytest.raises(MeshError, match="is not the account of this project"):
        open_for("ACME-TEST", Access(member=member))
