"""What runs after `copier copy`, as the person at the terminal sees it, and where there is none."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import after_copy
import next_steps
import pexpect
import pytest
import set_up_snowflake

from fleet.render import Source
from tests import rendered, versions
from tests.conftest import BIN, ROOT, Member
from tests.interpreters import interpreter
from tests.keypair_world import ACCOUNT, TeamLaptop, fingerprint
from tests.snowflake_standin import Standin
from tests.snowflake_standin.names import Ref
from tests.versions import git
from tests.warm import run

COPIER = str(BIN / "copier")
ANSWERS = {"snowflake_account": ACCOUNT, "project_name": "dbt_up"}
QUESTION = "Which connection, of an administrator?"


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin(account_name=ACCOUNT) as standin:
        yield standin


@dataclass
class Desk:
    """A person who makes a member called dbt_up on their laptop."""

    laptop: TeamLaptop
    template: Source

    @property
    def member(self) -> Path:
        return self.laptop.member.path

    @property
    def environment(self) -> dict[str, str]:
        """The hook has to find Python by itself."""
        known = self.laptop.environment
        return {name: value for name, value in known.items() if name != "DBT_MESH_PYTHON"}

    def arguments(self, setup: str, *more: str) -> list[str]:
        answers = {"setup": setup, **ANSWERS}
        data = [word for key, value in answers.items() for word in ("-d", f"{key}={value}")]
        source = ["--vcs-ref", "HEAD", self.template.url, str(self.member)]
        return ["copy", "--trust", "--defaults", *more, *data, *source]

    def copy(self, setup: str, *more: str, **environment: str) -> str:
        """Without a terminal; never fails, whatever the hook meets."""
        place = self.member.parent
        told = self.environment | environment | {"PWD": str(place)}
        done = run([COPIER, *self.arguments(setup, *more)], place, told, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        self.is_whole()
        return done.stdout + done.stderr

    def terminal(self, **environment: str) -> Any:
        return self._spawn(self.member.parent, COPIER, *self.arguments("now", "-q"), **environment)

    def hook(self) -> Any:
        """The hook as Copier runs it, in a member that is there: what Copier makes of it is the
        same whatever happens."""
        rendered.render(self.template, self.member, {"setup": "now", **ANSWERS})
        hook, version = str(ROOT / "hooks/after_copy.py"), str(self.template.ref).removeprefix("v")
        words = (".copier-answers.yml", version, "quiet", "DBT_UP_CI_SVC", "")
        # a shell stands for Copier, whose terminal it is
        shell = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
        return self._spawn(self.member, *shell, sys.executable, "-B", hook, *words)

    def _spawn(self, folder: Path, *words: str, **environment: str) -> Any:
        return pexpect.spawn(
            words[0],
            [*words[1:]],
            cwd=str(folder),
            env=self.environment | {"PROMPT_TOOLKIT_NO_CPR": "1"} | environment,
            dimensions=(60, 250),
            encoding="utf-8",
            timeout=90,
        )

    def end(self, terminal: Any) -> str:
        """The rest of what is shown; it has ended well, and the member is there."""
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0, terminal.before
        assert "Traceback" not in terminal.before
        self.is_whole()
        return str(terminal.before)

    def is_whole(self) -> None:
        assert (self.member / "mesh.yml").exists()
        assert (self.member / ".copier-answers.yml").exists()


@pytest.fixture
def desk(standin: Standin, template: Source, tmp_path: Path) -> Desk:
    place = tmp_path / "work"
    place.mkdir()
    member = Member(place / "dbt_up", {"DBT_MESH_HOME": str(place / ".mesh")})
    return Desk(TeamLaptop(tmp_path / "home", member, standin), template)


def created(standin: Standin) -> set[str]:
    return {ref.name[0] for ref in standin.model.account.things if ref.kind == "DATABASE"} - {
        "SNOWFLAKE"
    }


# ── without a terminal ────────────────────────────────────────────────────────────────


def test_later_prints_numbered_steps(desk: Desk) -> None:
    out = desk.copy("later")
    steps = [
        line.strip() for line in out.splitlines() if line.strip()[:2] in ("1.", "2.", "3.", "4.")
    ]
    assert len(steps) == 4
    for command in ("cd dbt_up", "dbt build", "snowflake_access.py plan", "setup_keypair_auth.sh"):
        assert command in out
    for word in out.partition("Next:")[2].partition("Read on")[0].split():
        if word.startswith(("scripts/", "./setup")):
            assert os.access(desk.member / word, os.X_OK), word
    assert (desk.member.parent / ".mesh").is_dir()
    assert desk.laptop.standin.sign_ins == []


def test_who_commits_is_asked_for_where_git_does_not_know(desk: Desk) -> None:
    nobody = dict.fromkeys(("EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"), "")
    settings = desk.member.parent / "gitconfig"
    for text, asked in (("", True), ("[user]\n\temail = ada@example.com\n", False)):
        settings.write_text(text)
        shutil.rmtree(desk.member, ignore_errors=True)
        said = subprocess.run(  # cold: hooks of a warm Copier see what it began with
            [COPIER, *desk.arguments("later")],
            cwd=desk.member.parent,
            env=desk.environment | nobody | {"GIT_CONFIG_GLOBAL": str(settings)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        first, found, then = said.partition("git config --global user.name")
        assert bool(found) is asked
        if asked:
            assert "git init" in first
            assert "git commit" in then


def test_quiet_is_quiet(desk: Desk) -> None:
    assert "Next:" not in desk.copy("later", "-q")
    assert (desk.member.parent / ".mesh").is_dir()


def test_plan_prints_what_would_be_created(desk: Desk) -> None:
    out = desk.copy("plan")
    assert "CREATE DATABASE IF NOT EXISTS DBT_UP_PROD" in out
    assert "Next:" in out
    assert desk.laptop.standin.sign_ins == []


def test_plan_needs_nothing_but_copier(template: Source, tmp_path: Path) -> None:
    """The library runs from its file, and Copier has what it needs for this."""
    python = interpreter(tmp_path / "env", "copier", "copier-template-extensions")
    data = ("--data", "setup=plan", "--data", f"snowflake_account={ACCOUNT}")
    copy = ("copy", "--trust", "--defaults", *data, "--vcs-ref", str(template.ref))
    done = subprocess.run(
        [python, "-m", "copier", *copy, template.url, tmp_path / "dbt_up"],
        env={**os.environ, "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CREATE DATABASE IF NOT EXISTS DBT_UP_PROD" in done.stdout
    assert not (tmp_path / "dbt_up/.venv").exists()


def test_now_without_a_terminal_creates_nothing(desk: Desk) -> None:
    out = desk.copy("now")
    assert "CREATE DATABASE IF NOT EXISTS DBT_UP_PROD" in out
    assert "Nothing was created: there is no terminal to ask in." in out
    for command in ("apply --connection NAME", "setup_keypair_auth.sh create", "verify"):
        assert command in out
    assert desk.laptop.standin.sign_ins == []
    assert not desk.laptop.file().parent.exists()


def test_the_environment_of_a_project_in_a_folder_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copier runs at the top of a shared repository, which may have a .venv of its own."""
    project, own = tmp_path / "shop", tmp_path / ".venv" / set_up_snowflake.IN_A_VENV
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.chdir(tmp_path)
    set_up_snowflake.print_rest([], project)
    assert "folder shop:\n  python3 -m venv .venv && " in capsys.readouterr().out
    shutil.move(tmp_path / ".venv", project / ".venv")
    set_up_snowflake.print_rest([], project)
    assert "-m venv" not in capsys.readouterr().out


def test_the_environment_is_closed_before_its_jobs_are_let_in() -> None:
    """With workload identity `apply` does that; with key pairs, the key that `create` stores."""
    answers = {"auth": "workload_identity", "project_name": "up", "kind": "upstream"}
    words = [" ".join(each.words) for each in set_up_snowflake.commands(answers, "admin")]
    assert words[0] == "./setup_keypair_auth.sh create"
    assert "apply" in words[1]
    steps = next_steps.numbered(answers, Path(".copier-answers.yml"), Path(), None, None)
    (told,) = [commands for title, commands in steps.items() if "Snowflake" in title]
    where = {word: n for n, line in enumerate(told) for word in line.split()}
    assert where["./setup_keypair_auth.sh"] < where["apply"]


def test_a_mesh_home_that_cannot_be_made_is_a_note(desk: Desk) -> None:
    out = desk.copy("later", DBT_MESH_HOME="/proc/nowhere")
    assert "note: cannot make /proc/nowhere" in out
    assert "Next:" in out


def test_a_relative_mesh_home_is_relative_to_the_member(desk: Desk) -> None:
    desk.copy("later", DBT_MESH_HOME="../elsewhere/mesh")
    assert (desk.member.parent / "elsewhere/mesh").is_dir()


def test_a_hook_that_breaks_does_not_delete_the_member(desk: Desk) -> None:
    """Whatever it is: here, an answers file that nobody can read as text."""
    hook = ROOT / "hooks/after_copy.py"
    answers = desk.member.parent / "answers"
    answers.write_bytes(b"\xff\xfe\x00")
    done = subprocess.run(
        [sys.executable, hook, answers, ""], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "the step after it failed" in done.stderr


def test_later_imports_next_to_nothing(desk: Desk) -> None:
    desk.copy("later")
    code = (
        f"import json, runpy, sys; sys.path.insert(0, {str(ROOT / 'hooks')!r});"
        "before = set(sys.modules);"
        "sys.argv = ['hook', '.copier-answers.yml', ''];"
        f"runpy.run_path({str(ROOT / 'hooks/after_copy.py')!r}, run_name='__main__');"
        "print(); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=desk.member, capture_output=True, text=True, check=True
    ).stdout
    modules = set(json.loads(out.splitlines()[-1]))
    assert not modules & {"yaml", "questionary", "subprocess", "argparse", "rich", "snowflake"}


@pytest.mark.parametrize(
    ("commit", "warned"),
    [
        ("v1.2.0", False),
        ("1.2.0rc1", False),
        ("2024.10.1", False),
        ("v1.2.0-3-gabc1234", True),
        ("abc1234", True),
        ("0123456", True),
        ("", True),
    ],
)
def test_an_untagged_template_is_warned_of(
    desk: Desk, tmp_path: Path, commit: str, warned: bool
) -> None:
    answers = tmp_path / "answers.yml"
    answers.write_text(f"_commit: {commit}\nsetup: later\nkind: upstream\ndatabase_prefix: A\n")
    done = subprocess.run(
        [sys.executable, ROOT / "hooks/after_copy.py", answers, ""],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("untagged version of the template" in done.stderr) is warned
    assert "is ready. Next:" in done.stdout


@pytest.mark.parametrize(
    ("source", "warned"),
    [
        ("../template", True),
        ("template", True),
        (".", True),
        ("/srv/template", False),
        ("~/template", False),
        ("gh:acme/template", False),
        ("https://git.example.com/template.git", False),
        ("git@example.com:acme/template", False),
    ],
)
def test_a_template_by_a_relative_path_is_warned_of(
    tmp_path: Path, source: str, warned: bool
) -> None:
    answers = tmp_path / "answers.yml"
    answers.write_text(
        f"_commit: v1.2.0\n_src_path: {source}\nkind: upstream\ndatabase_prefix: A\n"
    )
    for quiet in ([], ["quiet"]):
        done = subprocess.run(
            [sys.executable, ROOT / "hooks/after_copy.py", answers, "", *quiet],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("from a URL or an absolute path" in done.stderr) is (warned and not quiet)
        assert "untagged" not in done.stderr


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("https://ghp_abc123@github.com/acme/mesh.git", "https://github.com/acme/mesh.git"),
        ("https://ada:pass@git.acme.com:8443/mesh", "https://git.acme.com:8443/mesh"),
        ("http://oauth2:glpat-x@mirror/mesh", "http://mirror/mesh"),
        ("https://x-access-token:ghs_1@acme.ghe.com/a/b", "https://acme.ghe.com/a/b"),
        *((each, "") for each in ("https://github.com/acme/mesh", "git@github.com:acme/mesh.git")),
        *((each, "") for each in ("https://git@github.com/a/b", "ssh://git@mirror/a/b", "gh:a/b")),
    ],
)
def test_a_template_whose_url_holds_a_token_is_warned_of(source: str, shown: str) -> None:
    said = after_copy.source_warning(source)
    assert (shown in said and "take it out of `_src_path`" in said) if shown else said == ""
    for secret in ("ghp_abc123", "pass", "glpat-x", "ghs_1"):
        assert secret not in said


def test_what_it_says_of_a_relative_path_makes_updates_work(desk: Desk, tmp_path: Path) -> None:
    versions.snapshot(tmp_path / "template")
    work = desk.member.parent
    environment = desk.environment | {"PWD": str(work)}
    flags = ["--trust", "--defaults", "--overwrite"]
    first = run([COPIER, "copy", *flags, "../template", desk.member], work, environment)
    assert "has recorded its template as ../template" in first.stderr
    again = re.search(r"copier copy --trust (\S+) …", first.stderr)
    assert again
    second = run([COPIER, "copy", *flags, again[1], desk.member], work, environment)
    assert second.returncode == 0, second.stderr
    assert "warning" not in second.stderr
    for line in ("init -q", "add -A", "commit -qm x"):
        subprocess.run(["git", *line.split()], cwd=desk.member, check=True, capture_output=True)
    command = [COPIER, "update", "--trust", "--defaults"]
    run(command, desk.member, environment).check_returncode()


def test_nothing_runs_on_update(desk: Desk, tmp_path: Path) -> None:
    template = versions.snapshot(tmp_path / "template")
    data = ["-d", "setup=plan", "-d", f"snowflake_account={ACCOUNT}"]
    copy = [COPIER, "copy", "--trust", "--defaults", *data, template, desk.member]
    first = run(copy, tmp_path, desk.environment)
    assert "CREATE DATABASE" in first.stdout
    assert "untagged" not in first.stderr
    git(desk.member, "init", "-q")
    versions.release(desk.member, "joined")
    (template / "template/new.txt").write_text("new\n")
    versions.release(template, "v9.0.0")
    update = run([COPIER, "update", "--trust", "--defaults"], desk.member, desk.environment)
    assert (desk.member / "new.txt").exists()
    assert "CREATE DATABASE" not in update.stdout
    assert "Next:" not in update.stdout


# ── now, in a terminal ────────────────────────────────────────────────────────────────


def choose(terminal: Any, nth: int = 1) -> None:
    """Chooses the n-th connection of the list."""
    terminal.expect_exact(QUESTION)
    terminal.send("\x1b[B" * (nth - 1) + "\r")


def test_now_sets_everything_up(desk: Desk) -> None:
    laptop, account = desk.laptop, desk.laptop.standin.model.account
    laptop.install_gh()
    terminal = desk.terminal()
    choose(terminal)
    terminal.expect_exact("CREATE DATABASE IF NOT EXISTS DBT_UP_PROD")
    terminal.expect_exact("Create this on connection admin?")
    terminal.send("y")
    out = desk.end(terminal)
    assert "Snowflake is set up" in out
    assert created(laptop.standin) == {"DBT_UP_PROD", "DBT_UP_DEV"}
    for user in ("DBT_UP_SVC", "DBT_UP_CI_SVC"):
        assert laptop.accepted(user) == {fingerprint(laptop.file(user=user).read_bytes())}
        assert Ref("USER", (user,)) in account.things
    assert [call["asked"][2:5] for call in laptop.gh_calls if call["asked"][0] == "secret"] == [
        ["SNOWFLAKE_PRIVATE_KEY", "--env", environment] for environment in ("prod", "ci")
    ]


def test_no_is_an_answer(desk: Desk) -> None:
    terminal = desk.hook()
    choose(terminal)
    terminal.expect_exact("Create this on connection admin?")
    terminal.send("\r")  # the default
    out = desk.end(terminal)
    assert "Nothing was created." in out
    assert "apply --connection admin" in out
    assert created(desk.laptop.standin) == set()


def test_no_connection(desk: Desk) -> None:
    (desk.laptop.home / ".snowflake/connections.toml").unlink()
    out = desk.end(desk.hook())
    assert "no connection in connections.toml" in out
    assert "apply --connection NAME" in out


def test_a_wrong_password(desk: Desk) -> None:
    desk.laptop.connection("mistyped", user="STANDIN_ADMIN", password="wrong")
    terminal = desk.hook()
    choose(terminal, 2)
    out = desk.end(terminal)
    assert "Incorrect username or password" in out
    assert "The plan could not be made. The new project is complete." in out
    assert "apply --connection mistyped" in out


def test_a_missing_privilege_half_way(desk: Desk) -> None:
    desk.laptop.standin.faults.fail("CREATE USER")
    terminal = desk.hook()
    choose(terminal)
    terminal.expect_exact("Create this on connection admin?")
    terminal.send("y")
    out = desk.end(terminal)
    assert "This did not finish: create databases, roles, users and grants." in out
    assert "Insufficient privileges" in out
    assert "apply --connection admin --yes" in out
    # and the commands that were told do the rest
    rest = [
        line.strip()
        for line in out.splitlines()
        if "--connection admin" in line and "  " in line[:2]
    ]
    for command in rest:
        words = command.replace(".venv/bin/python", sys.executable).split()
        done = run(words, desk.member, desk.environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert desk.laptop.accepted() == {fingerprint(desk.laptop.file().read_bytes())}


def test_what_was_done_is_told(desk: Desk) -> None:
    desk.laptop.standin.faults.fail("SET RSA_PUBLIC_KEY")
    terminal = desk.hook()
    choose(terminal)
    terminal.expect_exact("Create this on connection admin?")
    terminal.send("y")
    out = desk.end(terminal)
    assert "Done: create databases, roles, users and grants." in out
    assert "This did not finish: key pair of the user that deploys." in out
    rest = out[out.index("To go on") :]
    assert "apply" not in rest
    assert "./setup_keypair_auth.sh create --connection admin" in rest


def test_ctrl_c_at_a_question(desk: Desk) -> None:
    terminal = desk.terminal()
    terminal.expect_exact(QUESTION)
    terminal.send("\x03")
    out = desk.end(terminal)
    assert "Stopped. The new project is complete." in out
    assert "apply --connection NAME" in out


def test_ctrl_c_in_the_middle_of_a_command(desk: Desk) -> None:
    """It reaches the whole terminal; Copier must not die of it, nor the hook."""
    desk.laptop.standin.faults.delay("CREATE ROLE", 5, nth=1)
    terminal = desk.terminal()
    choose(terminal)
    terminal.expect_exact("Create this on connection admin?")
    terminal.send("y")
    terminal.expect_exact("--yes")
    while not any("CREATE DATABASE ROLE" in r.sql for r in desk.laptop.standin.statements):
        terminal.expect([pexpect.TIMEOUT, "."], timeout=0.1)
    time.sleep(0.5)  # CREATE ROLE is under way
    terminal.sendintr()
    out = desk.end(terminal)
    assert "This did not finish: create databases, roles, users and grants." in out
    assert "apply --connection admin --yes" in out


def test_the_network_goes(desk: Desk) -> None:
    terminal = desk.hook()
    choose(terminal)
    terminal.expect_exact("Create this on connection admin?")
    desk.laptop.standin.stop()
    terminal.send("y")
    out = desk.end(terminal)
    assert "This did not finish: create databases, roles, users and grants." in out
    assert "apply --connection admin --yes" in out


def without_connector(folder: Path) -> dict[str, str]:
    """An environment in which Copier's Python has no Snowflake connector."""
    (folder / "snowflake").mkdir(parents=True)
    (folder / "snowflake/__init__.py").touch()
    return {"PYTHONPATH": str(folder)}


def test_without_the_connector_it_offers_to_install_it(desk: Desk, tmp_path: Path) -> None:
    terminal = desk.terminal(**without_connector(tmp_path / "empty"))
    terminal.expect_exact("Make .venv and install requirements.txt there")
    terminal.send("n")
    out = desk.end(terminal)
    assert "the requirements are not installed" in out
    assert "pip install -r requirements.txt -c constraints.txt" in out


def test_an_installation_that_fails_is_told(desk: Desk, tmp_path: Path) -> None:
    terminal = desk.terminal(
        **without_connector(tmp_path / "empty"),
        PIP_NO_INDEX="1",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )
    terminal.expect_exact("Make .venv and install requirements.txt there")
    terminal.send("y")
    out = desk.end(terminal)
    assert "the requirements could not be installed" in out
