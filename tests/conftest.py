"""Provides rendered members, and runs their commands, for all tests."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_copie.plugin import Copie

from dbtmesh.__main__ import COMMANDS
from dbtmesh.config import Engine
from fleet import dbt_v2
from fleet.render import Source
from tests import engines, memory, shared, versions, warm
from tests.warm.serve import SELDOM

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

# Tests use nothing of the machine they run on: not its mesh, its AWS or its git settings.
for name in list(os.environ):
    if name.startswith(("DBT_", "AWS_", "SNOWFLAKE_", "GIT_", "GITHUB_", "COPIER_")):
        del os.environ[name]
# Python keeps compiled files, in this process and in those that tests start. Otherwise each process
# would compile them again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ |= {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_LOG_LEVEL_FILE": "error",  # to write logs/dbt.log takes a tenth of a build
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
    "AWS_EC2_METADATA_DISABLED": "true",
    # at each sign-in the connector asks the clouds whether it runs there, only for statistics
    "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
}


@cache
def questions() -> Mapping[str, Any]:
    """Returns the questions of copier.yml by key, without computed answers."""
    loaded = yaml.load((ROOT / "copier.yml").read_text(), yaml.CSafeLoader)
    return {
        key: details
        for key, details in loaded.items()
        if not key.startswith("_") and details.get("when") is not False
    }


def program(command: str) -> list[str]:
    """Returns how people start `scripts/….py`, a command of the library, or `dbt`."""
    if command in COMMANDS:
        return [sys.executable, "-m", "dbtmesh", command]
    return ["dbt"] if command == "dbt" else [sys.executable, command]


def use_git_of_tests(folder: Path) -> None:
    """Configures git to skip maintenance after commits, and sample files in new repositories."""
    for name in ("hooks", "info"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    settings = folder.with_name("gitconfig")
    settings.write_text("[gc]\nauto = 0\n[maintenance]\nauto = false\n")
    os.environ |= {"GIT_TEMPLATE_DIR": str(folder), "GIT_CONFIG_GLOBAL": str(settings)}


def pytest_configure() -> None:
    """Speeds up this process. Only tests do that: a bench measures what people have."""
    memory.use()
    use_git_of_tests(shared.folder() / "git")  # before there are other processes
    gc.freeze()
    gc.set_threshold(*SELDOM)


def pytest_xdist_auto_num_workers() -> int:
    """Returns one worker more than there are processors, for `-n auto`.

    Tests spend a tenth of their time waiting for a server, a browser, or for time to pass.
    """
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return (processors or 1) + 1


def pytest_sessionfinish() -> None:
    if shared.is_mine():
        warm.close()


@dataclass(frozen=True)
class Member:
    """A rendered member, whose commands a test runs as its team would.

    path: the member's folder.
    environment: the variables that the team has exported.
    """

    path: Path
    environment: dict[str, str]

    def run(
        self, command: str, *arguments: str | Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs `scripts/….py`, a command of the library or `dbt` in the member's folder."""
        whole = {**os.environ, **self.environment, **environment}
        return warm.run([*program(command), *arguments], self.path, whole)

    def dbt(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs dbt, which has to succeed."""
        done = self.run("dbt", *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def ok(self, command: str, *arguments: str | Path, **environment: str) -> str:
        """Runs a script, which has to succeed. Returns what it printed."""
        done = self.run(command, *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(
        self, command: str, *arguments: str | Path, status: int = 1, **environment: str
    ) -> str:
        """Runs a script that has to end with `status`, and returns what it says: errors have one or
        two lines."""
        done = self.run(command, *arguments, **environment)
        text = done.stderr if status == 1 else done.stdout
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        if status == 1:
            assert 1 <= len(text.strip().splitlines()) <= 2, text
        return text

    def files(self) -> dict[str, bytes]:
        """Returns the member's files by path, without what dbt and Python leave behind."""
        skipped = {"target", "logs", "__pycache__", ".git", ".user.yml"}
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and not skipped & set(path.relative_to(self.path).parts)
        }


@pytest.fixture(scope="session")
def template() -> Source:
    """This repository with its changes, as if it were released. All processes share it."""
    return Source(str(shared.once("template", versions.snapshot)), versions.newest())


@pytest.fixture(scope="session")
def line_of_versions() -> Path:
    """The template's repository with all versions. Tests share it: clone it to change it."""
    return shared.once("releases", versions.build)


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The template as a folder without versions, which Copier reads in place, without a clone."""
    folder = tmp_path_factory.mktemp("template") / "folder"
    folder.mkdir()
    versions.copy_working_tree(folder)
    return Source(str(folder), None)


def dbt_of(release: str) -> engines.Dbt:
    """Returns a dbt of that release (tests.engines.ALL), or skips the test if it is not here."""
    found = engines.found(release)
    if found is None:
        why = f"no dbt {release} here: python -m tests.engines makes it, where it can"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


def quickest(driver: str) -> engines.Dbt | None:
    """Returns the dbt for tests that are not about the engine: v2, which takes a tenth of the time.

    It returns None if v2 or its driver is not here. Then dbt Core builds, and the summary says so.
    In CI both have to be here.
    """
    if not (engines.found(engines.V2) and dbt_v2.has_driver(driver)) and not os.environ.get("CI"):
        return None
    assert dbt_v2.has_driver(driver), f"python -m tests.engines brings the ADBC driver of {driver}"
    return dbt_of(engines.V2)


def answers_for(dbt: engines.Dbt | None) -> dict[str, str]:
    """Returns the answers for a member that runs on this dbt."""
    return {"engine": dbt.engine if dbt else Engine.CORE}


@pytest.fixture(scope="session")
def quick() -> dict[str, str]:
    """Answers for members on DuckDB that are built in tests that are not about the engine."""
    return answers_for(quickest("duckdb"))


@pytest.fixture(scope="session")
def quick_on_snowflake() -> dict[str, str]:
    """The same for members on the stand-in for Snowflake."""
    return answers_for(quickest("snowflake"))


JOURNEYS = """
    updates fleet_update workflows_engines stores workflows_snowflake workflows_run hooks_after_copy
    first_hour snowflake_public_read snowflake_registry aws_registry update_template
    workflows_pull_request joining workflows_cloud engines workflows_shared shared_repositories
    demo_snowflake keypair_auth map demo conformance snowflake_engines joining_projects questions
    snowflake_consumers sync_faults references publish demo_engines standin_dbt environments
    workload_identity workflows members lineage prompts library own_sources snowflake_v2 sources
    stub breakages
""".split()
"""Modules with long tests, with real members, dbt, stores or workflows; longest first. They have
the marker `journey`, and start first, so that no worker is left running alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {f"test_{name}": number for number, name in enumerate(JOURNEYS)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
    for item in items:
        if item.path.stem in place:
            item.add_marker(pytest.mark.journey)


def pytest_report_header() -> str:
    here = [release for release in engines.ALL if engines.found(release)]
    return f"engines: {', '.join(here)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if missing := [release for release in engines.ALL if not engines.found(release)]:
        terminalreporter.write_line(
            f"not run on dbt {', '.join(missing)}: python -m tests.engines makes them, where it can"
        )
        if engines.V2 in missing:
            terminalreporter.write_line("dbt Core built what dbt v2 builds in a tenth of the time")


@pytest.fixture(autouse=True)
def own_aws_session() -> None:
    """Resets boto3, which would keep the credentials of the test that used it first."""
    boto3: Any = sys.modules.get("boto3")  # a test that does not need it does not load it
    if boto3:
        boto3.DEFAULT_SESSION = None


Render = Callable[..., Member]


@pytest.fixture(scope="session")
def render_into(template: Source, copie_session: Copie) -> Render:
    """render_into(folder, **answers) → Member; members in one folder share its .mesh.

    A member is rendered only once for the same answers, and then copied.
    """

    def render(folder: Path, **answers: Any) -> Member:
        unknown = answers.keys() - questions().keys()
        assert not unknown, f"no such questions: {unknown}"
        dbt = dbt_of(engines.V2) if answers.get("engine") == Engine.V2 else None
        key = json.dumps({"project_name": folder.name, **answers}, sort_keys=True)

        def make(made: Path) -> None:
            done = copie_session.copy(json.loads(key), Path(template.url), str(template.ref))
            if done.exception:
                raise done.exception
            assert done.project_dir
            shutil.copytree(done.project_dir, made)

        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(shared.once(f"rendered {key}", make), folder)
        home = folder.parent / ".mesh"
        home.mkdir(exist_ok=True)
        return Member(folder, {"DBT_MESH_HOME": str(home), **(dbt.environment if dbt else {})})

    return render


@pytest.fixture
def render(render_into: Render, tmp_path: Path) -> Render:
    """render(kind=…, **answers) → Member in the test's own folder."""

    def render(**answers: Any) -> Member:
        names = {"upstream": "dbt_up", "native": "dbt_down", "loom": "dbt_down_loom"}
        name = answers.get("project_name") or names[answers.get("kind", "upstream")]
        return render_into(tmp_path / name, **{"project_name": name, **answers})

    return render
