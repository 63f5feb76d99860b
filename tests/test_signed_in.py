"""Commands of CI that sign in to Snowflake (`signed-in`): with a key, without one, and where GitHub
is asked for a token instead (tests/test_workload_identity.py has what that is)."""

from __future__ import annotations

import pytest

from tests.conftest import Member, Render
from tests.registry_world import exporting

SIGNED_IN = "signed-in"
SAY = ("python3", "-c", "print('ran')")
IN_CI = {"GITHUB_ACTIONS": "true"}


@pytest.fixture(scope="module")
def member(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    folder = tmp_path_factory.mktemp("signed-in") / "dbt_up"
    return render_into(folder, kind="upstream", snowflake_account="ACME-MAIN")


@pytest.mark.parametrize("flags", [(), ("--if-possible",)])
def test_with_a_key_it_becomes_the_command(member: Member, flags: tuple[str, ...]) -> None:
    in_ci = exporting(member, SNOWFLAKE_PRIVATE_KEY="a key", **IN_CI)
    assert in_ci.ok(SIGNED_IN, *flags, *SAY) == "ran\n"
    assert in_ci.run(SIGNED_IN, *flags, "false").returncode == 1


def test_without_a_key_nothing_is_started(member: Member) -> None:
    in_ci = exporting(member, SNOWFLAKE_PRIVATE_KEY="", **IN_CI)
    done = in_ci.run(SIGNED_IN, *SAY)
    assert done.returncode == 1
    assert "ran" not in done.stdout
    assert "this job has no secret SNOWFLAKE_PRIVATE_KEY: ./setup_keypair_auth.sh" in done.stderr
    said = in_ci.ok(SIGNED_IN, "--if-possible", *SAY)
    assert said.startswith("::notice::not run on Snowflake: this job has no secret")
    assert "ran" not in said.splitlines()


def test_on_a_laptop_people_have_keys_of_their_own(member: Member) -> None:
    assert member.ok(SIGNED_IN, *SAY, GITHUB_ACTIONS="", SNOWFLAKE_PRIVATE_KEY="") == "ran\n"


def test_a_member_without_keys_asks_github(render: Render) -> None:
    member = render(kind="upstream", snowflake_account="ACME-MAIN", auth="workload_identity")
    refused = exporting(member, **IN_CI).refused(SIGNED_IN, "--if-possible", *SAY)
    assert "it needs `permissions: id-token: write`" in refused


def test_what_is_to_be_run_has_to_be_said(member: Member) -> None:
    assert "which command?" in member.refused(SIGNED_IN)
