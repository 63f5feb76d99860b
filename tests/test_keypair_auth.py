"""./setup_keypair_auth.sh in a rendered member, with the real connector, against the stand-in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dbtmesh.snowflake.keypair import rsa_keys
from tests.conftest import Member, Render
from tests.keypair_world import (
    ACCOUNT,
    TeamLaptop,
    add_users,
    fingerprint,
    mode,
    on_every_request,
)
from tests.snowflake_standin import Standin
from tests.warm.client import KILL

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


@pytest.fixture(scope="module")
def member(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    return render_into(
        tmp_path_factory.mktemp("keypair") / "dbt_up",
        project_name="dbt_up",
        snowflake_account=ACCOUNT,
        github_repository="acme/dbt-up",
    )


@pytest.fixture(params=["slots"])
def standin(request: pytest.FixtureRequest) -> Iterator[Standin]:
    with Standin(account_name=ACCOUNT, named_key_pairs=request.param == "named") as standin:
        add_users(standin)
        yield standin


@pytest.fixture
def laptop(standin: Standin, member: Member, tmp_path: Path) -> TeamLaptop:
    return TeamLaptop(tmp_path / "home", member, standin)


both_kinds = pytest.mark.parametrize("standin", ["slots", "named"], indirect=True)


# ── create ────────────────────────────────────────────────────────────────────────────


@both_kinds
def test_create(laptop: TeamLaptop) -> None:
    laptop.install_gh()
    out = laptop.ok("create")
    pem = laptop.file().read_bytes()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert laptop.accepted() == {fingerprint(pem)}
    assert laptop.github_key == fingerprint(pem)
    assert mode(laptop.file()) == 0o600
    assert mode(laptop.file().parent) == 0o700
    assert [path.name for path in laptop.file().parent.glob("*.p8")] == ["DBT_UP_SVC.p8"]
    assert "signed in" in out
    assert "left to do" not in out


def test_a_new_key_is_as_long_as_it_has_to_be() -> None:
    assert rsa_keys.generate().key_size == 3072


def test_create_again_changes_nothing(laptop: TeamLaptop) -> None:
    laptop.install_gh()
    laptop.ok("create")
    pem = laptop.file().read_bytes()
    laptop.ok("create")
    assert laptop.file().read_bytes() == pem
    assert laptop.accepted() == {fingerprint(pem)}


def test_the_secret_goes_to_gh_on_standard_input(laptop: TeamLaptop) -> None:
    laptop.install_gh()
    laptop.ok("create")
    *before, secret = laptop.gh_calls
    assert secret["asked"] == [
        *("secret", "set", "SNOWFLAKE_PRIVATE_KEY", "--env", "prod", "--repo", "acme/dbt-up")
    ]
    assert secret["given"].startswith("-----BEGIN PRIVATE KEY-----")
    assert all("PRIVATE KEY" not in str(call["asked"]) for call in laptop.gh_calls)
    assert all(call["given"] == "" for call in before)


def test_the_key_of_pull_requests_is_a_secret_of_another_environment(laptop: TeamLaptop) -> None:
    laptop.install_gh()
    laptop.ok("create", "--user", "dbt_up_ci_svc")
    assert laptop.gh_calls[-1]["asked"] == [
        *("secret", "set", "SNOWFLAKE_PRIVATE_KEY", "--env", "ci", "--repo", "acme/dbt-up")
    ]
    assert laptop.accepted("DBT_UP_CI_SVC") == {
        fingerprint(laptop.file(user="DBT_UP_CI_SVC").read_bytes())
    }
    assert laptop.accepted() == set()


def test_a_person_has_a_key_that_github_does_not_get(laptop: TeamLaptop) -> None:
    laptop.install_gh()
    laptop.standin.model.run_script(
        """USE ROLE USERADMIN; CREATE USER "ADA@EXAMPLE.COM" TYPE = PERSON"""
    )
    out = laptop.ok("create", "--user", "ADA@EXAMPLE.COM")
    assert "signed in   as ADA@EXAMPLE.COM" in out
    assert laptop.file(user="ADA@EXAMPLE.COM").exists()
    assert laptop.gh_calls == []


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"GH_STANDIN_FAILS_AT": "auth status"}, "`gh` is not signed in"),
        ({"GH_STANDIN_FAILS_AT": "secret set"}, "gh says: HTTP 403: Resource not accessible"),
        ({"PATH": ""}, "`gh` is not installed"),
    ],
)
def test_without_github_the_rest_is_done_and_the_command_told(
    laptop: TeamLaptop, environment: dict[str, str], reason: str
) -> None:
    laptop.install_gh()
    if "PATH" in environment:
        environment = {"PATH": laptop.path_without_gh()}
    left = laptop.refused("create", **environment)
    assert reason in left
    assert "gh secret set SNOWFLAKE_PRIVATE_KEY --env prod --repo acme/dbt-up" in left
    assert len(laptop.accepted()) == 1


def test_without_a_connection_the_sql_is_told_and_the_next_run_goes_on(laptop: TeamLaptop) -> None:
    reach = laptop.standin.reach
    first = laptop.keypair("create", connection=None, **reach)
    assert "no connection to Snowflake" in first.refusal
    assert not laptop.file().exists()
    sql = first.out[first.out.index("USE ROLE USERADMIN;") :]
    laptop.standin.model.run_script(sql)
    second = laptop.keypair("create", connection=None, **reach)
    assert "signed in   as DBT_UP_SVC with the new key" in second.out
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}


# ── passphrases ───────────────────────────────────────────────────────────────────────


def test_a_passphrase_from_the_environment(laptop: TeamLaptop) -> None:
    laptop.install_gh()
    secret = {"SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "correct horse"}
    laptop.ok("create", "--passphrase", **secret)
    pem = laptop.file().read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    # GitHub gets it open: a passphrase beside it would protect nothing.
    assert laptop.github_key == fingerprint(pem, b"correct horse")
    assert "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE" in laptop.refused("status")
    assert "does not open it" in laptop.refused("status", SNOWFLAKE_PRIVATE_KEY_PASSPHRASE="wrong")
    laptop.ok("rotate", **secret)
    assert b"ENCRYPTED" in laptop.file().read_bytes()
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes(), b"correct horse")}


def test_a_passphrase_is_asked_for_without_echo(laptop: TeamLaptop) -> None:
    terminal = pexpect.spawn(
        *(laptop.command()[0], ["create", "--passphrase", "--connection", "admin", "--no-github"]),
        cwd=str(laptop.member.path),
        env=laptop.environment,
        dimensions=(50, 200),
        encoding="utf-8",
        timeout=60,
    )
    terminal.expect("Passphrase for the new key: ")
    terminal.sendline("battery staple")
    terminal.expect("Once more: ")
    terminal.sendline("battery staple")
    terminal.expect(pexpect.EOF)
    assert "battery" not in terminal.before
    terminal.close()
    assert terminal.exitstatus == 0
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes(), b"battery staple")}


def test_two_different_passphrases_make_nothing(laptop: TeamLaptop) -> None:
    terminal = pexpect.spawn(
        *(laptop.command()[0], ["create", "--passphrase", "--connection", "admin"]),
        cwd=str(laptop.member.path),
        env=laptop.environment,
        encoding="utf-8",
        timeout=60,
    )
    for answer in ("one", "another"):
        terminal.expect(": ")
        terminal.sendline(answer)
    terminal.expect("the two passphrases differ")
    terminal.expect(pexpect.EOF)
    assert not list(laptop.file().parent.glob("*.p8"))


def test_a_passphrase_without_anybody_to_ask(laptop: TeamLaptop) -> None:
    assert "needs $SNOWFLAKE_PRIVATE_KEY_PASSPHRASE" in laptop.refused("create", "--passphrase")


# ── rotate ────────────────────────────────────────────────────────────────────────────


@both_kinds
def test_rotate(laptop: TeamLaptop) -> None:
    laptop.has_a_key()
    before = laptop.file().read_bytes()
    for _ in range(2):
        laptop.ok("rotate")
        after = laptop.file().read_bytes()
        assert after != before
        assert laptop.accepted() == {fingerprint(after)}
        assert laptop.github_key == fingerprint(after)
        assert mode(laptop.file()) == 0o600
        assert [path.name for path in laptop.file().parent.glob("*.p8")] == ["DBT_UP_SVC.p8"]
        before = after


def test_a_named_key_pair_is_bound_to_its_role_and_expires(member: Member, tmp_path: Path) -> None:
    with Standin(account_name=ACCOUNT, named_key_pairs=True) as standin:
        add_users(standin)
        laptop = TeamLaptop(tmp_path / "home", member, standin)
        laptop.ok("create", "--no-github")
        laptop.ok("rotate", "--no-github")
        rows = standin.model.execute("SHOW USER KEY PAIRS FOR USER DBT_UP_SVC").dicts()
        (pair,) = rows
        assert (pair["name"], pair["role_scope"]) == ("MESH", "DBT_UP_ROLE")
        verbs = [
            r.sql.split("KEY PAIR")[0].split()[-1] for r in standin.statements if "ALTER" in r.sql
        ]
        assert verbs == ["ADD", "ROTATE", "REMOVE"]


def test_slots_give_way_to_named_pairs(member: Member, tmp_path: Path) -> None:
    """An account that has learnt them since the last rotation."""
    with Standin(account_name=ACCOUNT) as standin:
        add_users(standin)
        laptop = TeamLaptop(tmp_path / "home", member, standin)
        laptop.ok("create", "--no-github")
        standin.model.behaviour.named_key_pairs = True
        laptop.ok("rotate", "--no-github")
        assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}
        assert "(MESH)" in laptop.ok("status")


def test_without_github_the_old_key_stays_until_it_is_told_otherwise(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    old = fingerprint(laptop.file().read_bytes())
    for _ in range(2):
        error = laptop.refused("rotate")
        assert "the old one stays valid" in error
        assert "openssl pkcs8 -in" in error
        assert laptop.accepted() == {old, fingerprint(laptop.file().read_bytes())}
    assert "was begun and not finished" in laptop.keypair("status").out
    laptop.ok("rotate", "--no-github")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())} != {old}


@pytest.mark.parametrize(
    ("standin", "request_", "nth"),
    [
        # Before each step the user is looked at: so this is between every two of them.
        *(("slots", "DESC USER", n) for n in range(1, 7)),
        *(("named", "DESC USER", n) for n in (2, 3, 5)),
        # And while a change is on its way back.
        ("slots", " SET RSA_PUBLIC_KEY_2", 1),
        ("slots", "sign in", 2),
        ("slots", " UNSET RSA_PUBLIC_KEY", 1),
        ("named", "ROTATE KEY PAIR", 1),
        ("named", "REMOVE KEY PAIR", 1),
    ],
    indirect=["standin"],
)
def test_killed_between_any_steps(laptop: TeamLaptop, request_: str, nth: int) -> None:
    """SIGKILL when Snowflake has done what a request says, and has not answered yet. At every
    request before and after, the key on the laptop and the one in GitHub work."""
    laptop.has_a_key()
    seen = 0
    rotation: list[subprocess.Popen[bytes]] = []

    def look(asked: str) -> None:
        nonlocal seen
        assert fingerprint(laptop.file().read_bytes()) in laptop.accepted()
        assert laptop.github_key in laptop.accepted()
        seen += request_ in asked
        if seen == nth and rotation and rotation[0].poll() is None:
            rotation[0].send_signal(KILL)
            rotation[0].wait()

    on_every_request(laptop.standin, look)
    rotation.append(laptop.start("rotate"))
    rotation[0].wait(60)
    assert rotation[0].returncode == -signal.SIGKILL, f"{seen} requests like this"
    laptop.ok("rotate")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())} == {laptop.github_key}
    assert [path.name for path in laptop.file().parent.glob("*.p8")] == ["DBT_UP_SVC.p8"]


@both_kinds
def test_killed_while_it_hands_the_key_to_github(laptop: TeamLaptop) -> None:
    laptop.has_a_key()
    old = fingerprint(laptop.file().read_bytes())
    killed = laptop.keypair("rotate", GH_STANDIN_KILLS_AT="secret set")
    assert killed.status == -signal.SIGKILL
    new = fingerprint(laptop.file().read_bytes())
    assert laptop.accepted() == {old, new}
    laptop.ok("rotate")
    assert laptop.accepted() == {new} == {laptop.github_key}


def test_a_statement_that_fails_is_told_and_the_next_run_goes_on(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    for pattern in ("SET RSA_PUBLIC_KEY", "UNSET RSA_PUBLIC_KEY"):
        laptop.standin.faults.fail(pattern)
        failed = laptop.keypair("rotate", "--no-github")
        assert "Insufficient privileges" in failed.refusal
        assert f"ALTER USER DBT_UP_SVC {pattern}" in failed.out
    laptop.ok("rotate", "--no-github")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}


def test_a_key_that_died_with_its_machine(laptop: TeamLaptop) -> None:
    """A runner of CI that was stopped in the middle: the next has the key of the secret only."""
    laptop.has_a_key()
    laptop.keypair("rotate", GH_STANDIN_FAILS_AT="secret set")
    laptop.file().unlink()
    laptop.file("old").rename(laptop.file())
    assert "both of the user's key slots are taken" in laptop.refused("rotate")
    laptop.ok("rotate", "--unset-others")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())} == {laptop.github_key}


@both_kinds
def test_a_runner_that_cannot_hand_over_unsets_nothing(laptop: TeamLaptop) -> None:
    """CI rotates the key of pull requests with the one that deploys: there is no file of the key
    that works, and the new one dies with the runner."""
    laptop.install_gh()
    laptop.ok("create")
    laptop.ok("create", "--user", "DBT_UP_CI_SVC")
    (works,) = laptop.accepted("DBT_UP_CI_SVC")
    laptop.file(user="DBT_UP_CI_SVC").unlink()
    rotate = ("rotate", "--unset-others", "--user", "DBT_UP_CI_SVC")
    for _ in range(2):  # by hand, a second time with the file of the new key
        error = laptop.refused(*rotate, GH_STANDIN_FAILS_AT="secret set")
        assert "GitHub does not have the new key" in error
        assert "gh says: HTTP 403" in error
        assert works in laptop.accepted("DBT_UP_CI_SVC")
    # the next runner has no file at all: which key of two CI uses is not known to it
    laptop.file(user="DBT_UP_CI_SVC").unlink()
    laptop.refused(*rotate, GH_STANDIN_FAILS_AT="secret set")
    assert works in laptop.accepted("DBT_UP_CI_SVC")
    if not laptop.standin.model.behaviour.named_key_pairs:
        assert "CI may use any of them" in laptop.refused(*rotate)
        assert works in laptop.accepted("DBT_UP_CI_SVC")
        sql = "ALTER USER DBT_UP_CI_SVC UNSET RSA_PUBLIC_KEY_2"
        laptop.standin.model.execute(sql, "USERADMIN")
    laptop.ok(*rotate)
    (now,) = laptop.accepted("DBT_UP_CI_SVC")
    assert now == fingerprint(laptop.file(user="DBT_UP_CI_SVC").read_bytes()) != works


def test_two_at_once(laptop: TeamLaptop) -> None:
    laptop.has_a_key()
    laptop.standin.faults.delay("DESC USER", 4, nth=1)
    first = laptop.start("rotate", "--no-github")
    lock = laptop.file().with_name(".DBT_UP_SVC.p8.lock")
    while first.poll() is None and not lock.exists():
        time.sleep(0.05)
    assert "another ./setup_keypair_auth.sh is at work" in laptop.refused("rotate")
    assert first.wait(60) == 0
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}


def test_a_user_rotates_its_own_key_and_an_administrator_runs_what_it_may_not(
    laptop: TeamLaptop,
) -> None:
    """As in a workflow of CI, which has the key of one user and nothing else."""
    laptop.has_a_key()
    runner = {
        "SNOWFLAKE_ACCOUNT": ACCOUNT,
        "SNOWFLAKE_USER": "DBT_UP_SVC",
        "SNOWFLAKE_PRIVATE_KEY_PATH": str(laptop.file()),
        **laptop.standin.reach,
    }
    for change in (" SET RSA_PUBLIC_KEY_2 = ", " UNSET RSA_PUBLIC_KEY;"):
        done = laptop.keypair("rotate", connection=None, **runner)
        assert "have an administrator run the above" in done.refusal
        assert change in done.out
        laptop.standin.model.run_script(done.out[done.out.index("USE ROLE") :])
    laptop.ok("rotate", connection=None, **runner)
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())} == {laptop.github_key}


# ── status ────────────────────────────────────────────────────────────────────────────


def test_status(laptop: TeamLaptop) -> None:
    empty = laptop.keypair("status")
    assert empty.status == 2
    assert "~/.snowflake/keys/DBT_UP_SVC.p8 is missing" in empty.out
    laptop.ok("create", "--no-github")
    key = fingerprint(laptop.file().read_bytes())
    out = laptop.ok("status")
    assert f"accepted   {key} (RSA_PUBLIC_KEY)" in out
    assert "0 days old" in out
    assert "sign-in    works" in out


def test_status_of_an_old_key(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    then = time.time() - 91 * 86400
    os.utime(laptop.file(), (then, then))
    old = laptop.keypair("status")
    assert old.status == 2
    assert "older than 90 days" in old.out
    laptop.ok("status", "--max-age", "100")


def test_status_of_a_key_that_is_not_registered(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    laptop.standin.model.execute("ALTER USER DBT_UP_SVC UNSET RSA_PUBLIC_KEY", "USERADMIN")
    found = laptop.keypair("status")
    assert found.status == 2
    assert "is not registered" in found.out


def test_status_of_a_disabled_user(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    laptop.standin.model.execute("ALTER USER DBT_UP_SVC SET DISABLED = TRUE", "USERADMIN")
    found = laptop.keypair("status")
    assert found.status == 2
    assert "User access disabled" in found.out


def test_status_with_the_users_own_key(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    out = laptop.ok("status", connection=None, **laptop.standin.reach)
    assert "sign-in    works" in out


# ── bad input: each one line ──────────────────────────────────────────────────────────


def rsa_pem(bits: int = 2048) -> bytes:
    return rsa.generate_private_key(65537, bits).private_bytes(PEM, PKCS8, PLAIN)


def public_pem() -> bytes:
    return (
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (public_pem(), "holds a public key"),
        (ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, PLAIN), "not RSA"),
        (rsa_pem(1024), "has 1024 bits"),
        (b"", "is not a private key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "or is damaged"),
        (
            rsa.generate_private_key(65537, 2048).private_bytes(
                PEM, PKCS8, serialization.BestAvailableEncryption(b"x")
            ),
            "is encrypted",
        ),
    ],
)
def test_a_file_that_is_no_key(laptop: TeamLaptop, content: bytes, complaint: str) -> None:
    laptop.file().parent.mkdir(parents=True)
    laptop.file().write_bytes(content)
    laptop.file().chmod(0o600)
    assert complaint in laptop.refused("rotate")
    assert laptop.accepted() == set()
    assert laptop.file().read_bytes() == content


def test_a_key_that_others_can_read(laptop: TeamLaptop) -> None:
    laptop.file().parent.mkdir(parents=True)
    laptop.file().write_bytes(rsa_pem())
    laptop.file().chmod(0o644)
    error = laptop.refused("create")
    assert "can be read by others (mode 0644)" in error
    assert "chmod 600" in error


def test_an_own_key_is_registered(laptop: TeamLaptop) -> None:
    laptop.file().parent.mkdir(parents=True)
    laptop.file().write_bytes(rsa_pem())
    laptop.file().chmod(0o600)
    laptop.ok("create", "--no-github")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}


def test_a_user_who_does_not_exist(laptop: TeamLaptop) -> None:
    error = laptop.refused("create", "--user", "NOBODY")
    assert "user NOBODY does not exist" in error


@pytest.mark.parametrize("user", ["", "x\ny", "x" * 256])
def test_a_user_who_cannot_exist(laptop: TeamLaptop, user: str) -> None:
    assert "is not a valid name" in laptop.refused("status", "--user", user)


def test_a_user_who_is_sql(laptop: TeamLaptop) -> None:
    error = laptop.refused("create", "--user", 'x"; DROP USER DBT_UP_SVC; --')
    assert "does not exist" in error
    assert laptop.accepted() == set()


def test_a_key_that_was_made_elsewhere(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    laptop.file().unlink()
    assert "has a key already, whose file is not here" in laptop.refused("create")
    laptop.ok("create", "--no-github", "--unset-others")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}


def test_a_connection_that_does_not_exist(laptop: TeamLaptop) -> None:
    assert "nowhere" in laptop.refused("create", connection="nowhere")
    assert not list(laptop.file().parent.glob("*.p8"))


def test_a_wrong_password(laptop: TeamLaptop) -> None:
    laptop.connection("mistyped", user="STANDIN_ADMIN", password="wrong")
    assert "Incorrect username or password" in laptop.refused("create", connection="mistyped")
    assert not list(laptop.file().parent.glob("*.p8"))


def test_a_person_without_the_privilege(laptop: TeamLaptop) -> None:
    laptop.standin.model.add_admin("CLERK", "SYSADMIN", password="clerk")
    laptop.connection("clerk", user="CLERK", password="clerk")
    assert "USERADMIN" in laptop.refused("create", connection="clerk")
    assert not list(laptop.file().parent.glob("*.p8"))


def test_the_network_is_gone(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    laptop.connection("gone", host="127.0.0.1", port=9, user="X", password="X")
    assert "could not sign in (connection gone)" in laptop.refused("rotate", connection="gone")
    assert [path.name for path in laptop.file().parent.glob("*.p8")] == ["DBT_UP_SVC.p8"]


def test_the_network_goes_in_the_middle(laptop: TeamLaptop) -> None:
    laptop.has_a_key(github=False)
    laptop.standin.faults.fail(
        "UNSET RSA", errno=604, sqlstate="57014", message="Query was canceled."
    )
    laptop.refused("rotate", "--no-github")
    assert fingerprint(laptop.file().read_bytes()) in laptop.accepted()
    laptop.ok("rotate", "--no-github")
    assert laptop.accepted() == {fingerprint(laptop.file().read_bytes())}


# ── workload identity ─────────────────────────────────────────────────────────────────


def test_workload_identity_has_no_key(
    render_into: Render, standin: Standin, tmp_path: Path
) -> None:
    member = render_into(
        tmp_path / "dbt_up",
        project_name="dbt_up",
        snowflake_account=ACCOUNT,
        github_repository="acme/dbt-up",
        auth="workload_identity",
    )
    laptop = TeamLaptop(tmp_path / "home", member, standin)
    laptop.install_gh()
    assert "there is no key to make or keep" in laptop.ok("create", connection=None)
    found = laptop.keypair("status")
    assert found.status == 2
    assert "no token is trusted" in found.out
    standin.model.execute(
        "ALTER USER DBT_UP_SVC SET WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = "
        "'https://token.actions.githubusercontent.com' "
        "SUBJECT = 'repo:acme/dbt-up:environment:prod')",
        "USERADMIN",
    )
    assert "token      trusted" in laptop.ok("status")
    assert not laptop.file().parent.exists()


def test_help(member: Member) -> None:
    done = subprocess.run(
        [member.path / "setup_keypair_auth.sh", "--help"],
        env=os.environ | {"DBT_MESH_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "create   makes a key" in done.stdout
    assert done.stdout.startswith("usage: ./setup_keypair_auth.sh ")


def test_nothing_heavy_is_imported_for_nothing(member: Member) -> None:
    code = (
        "import sys, dbtmesh.commands.keypair_auth; "
        "print({'cryptography', 'snowflake', 'yaml'} & set(sys.modules))"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", code],
        cwd=member.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
