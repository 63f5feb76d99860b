"""What a sync leaves for the next one: a short cut where nothing is another, and nowhere else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtmesh import config
from dbtmesh.commands import sync_mesh
from dbtmesh.downstream import last_sync, sync
from dbtmesh.registry import routing
from dbtmesh.registry.store import NotModified
from tests.conftest import ROOT, Member
from tests.manifests import manifest
from tests.registry_world import SYNC, UPSTREAMS, Place, Publish, Shim, at, exporting

pytest_plugins = ("tests.s3_server", "tests.registry_world")

RECORD = "state/.sync.json"
SOURCES = "models/_mesh_dbt_up.yml"
MESH = "mesh.yml"
LOADS_MUCH = ("argparse", "dataclasses", "hashlib", "msgspec", "pathlib", "shutil", "yaml")


class Settled:
    """A member that has synced; its commands run in this process."""

    def __init__(self, member: Member, words: tuple[str, ...]) -> None:
        self.member, self.root, self.words = member, member.path, words

    def sync(self) -> int:
        return sync_mesh.main(self.words, self.root)

    def said(self, *words: str) -> list[str]:
        """What the short cut says; nothing where it is none."""
        return last_sync.nothing_new(last_sync.ask(str(self.root), words or self.words))

    def record(self) -> last_sync.LastSync:
        return last_sync._read(str(self.root))

    def edit(self, path: str, old: str = "", new: str = "# edited\n") -> None:
        """By default at the end of the file, which may not be there yet."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text() if file.exists() else ""
        assert old in text
        file.write_text(text.replace(old, new) if old else text + new)


@pytest.fixture
def settled(
    down: Member, folder: Place, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> Settled:
    for name in last_sync.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(down.path)
    for name, value in down.environment.items():
        monkeypatch.setenv(name, value)
    (down.path / "macros").mkdir(exist_ok=True)
    for project in UPSTREAMS:
        publish(folder, manifest(project), project)
    found = Settled(down, folder.flags)
    assert found.sync() == 0
    assert len(found.said()) == len(UPSTREAMS)
    return found


def test_it_says_what_the_whole_way_says(
    settled: Settled, capsys: pytest.CaptureFixture[str]
) -> None:
    before = settled.member.files()
    capsys.readouterr()
    short = settled.said()
    assert settled.sync() == 0
    assert capsys.readouterr() == ("".join(f"{line}\n" for line in short), "")
    (settled.root / RECORD).unlink()  # that of the whole way is another one only by its own inode
    assert settled.sync() == 0
    assert settled.member.files() == before
    assert settled.member.ok(SYNC, *settled.words).splitlines() == short


def test_little_is_loaded_for_it(settled: Settled, shim: Shim) -> None:
    """A folder is read by pathlib and hashlib; the clouds are read without these, too."""
    without = "import sys\nsys.modules.update(dict.fromkeys({}))"
    lacking = shim(without.format(("argparse", "msgspec", "yaml")))
    assert settled.member.ok(SYNC, *settled.words, **lacking).count("unchanged") == len(UPSTREAMS)
    (settled.root / RECORD).unlink()
    whole = settled.member.run(SYNC, *settled.words, **lacking)
    assert "lacks the package argparse" in whole.stderr
    code = """
import sys
sys.path[:] = eval(sys.argv[1])
import dbtmesh.__main__, dbtmesh.downstream.last_sync
import dbtmesh.registry.azure, dbtmesh.registry.google
from dbtmesh.registry.store import open_store
open_store("az://account/container/registry")
open_store("gs://bucket/registry")
print(*sorted(sys.modules))
"""
    cloud = {"AZURE_STORAGE_ACCOUNT_KEY": "a2V5", "GOOGLE_SKIP_SIGNATURE": "true"}
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, repr(sys.path)],  # what `site` loads is not ours
        env={**os.environ, **cloud},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "obstore" in loaded
    assert not {*LOADS_MUCH} & {*loaded}


EDITS: dict[str, Callable[[Settled], object]] = {
    "generated sources": lambda it: it.edit(SOURCES),
    "the committed copy": lambda it: it.edit("state/dbt_up/manifest.json", new=" "),
    "sources are gone": lambda it: (it.root / SOURCES).unlink(),
    "a note is gone": lambda it: (it.root / "state/dbt_up/.sync.json").unlink(),
    "mesh.yml": lambda it: it.edit(MESH),
    "an upstream less": lambda it: it.edit(MESH, "name: up_b", "name: up_d"),
    "added tests": lambda it: it.edit("mesh_sources/dbt_up.yml"),
    "a new model": lambda it: it.edit("models/more/m.sql", new="select 1"),
    "dbt_project.yml": lambda it: it.edit("dbt_project.yml"),
    "packages": lambda it: it.edit("packages.yml"),
    "an installed package": lambda it: it.edit("dbt_packages/utils/dbt_project.yml"),
    "a macro": lambda it: it.edit("macros/ref.sql", new="{% macro ref() %}{% endmacro %}"),
    "requirements": lambda it: it.edit("requirements.txt"),
    "another project's copy": lambda it: it.edit("state/gone/.sync.json", new="{}"),
    "no record": lambda it: (it.root / RECORD).unlink(),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_anything_else_in_the_project_takes_the_whole_way(
    edit: Callable[[Settled], object], settled: Settled
) -> None:
    edit(settled)
    assert settled.said() == []


def test_what_was_edited_is_made_again(settled: Settled) -> None:
    """By an edit of the same length that keeps the file's time, too."""
    good = (settled.root / SOURCES).read_text()
    at = (settled.root / SOURCES).stat()
    time.sleep(0.02)  # older kernels count the time of a change in hundredths of a second
    (settled.root / SOURCES).write_text(good.replace("integer", "varchar"))
    os.utime(settled.root / SOURCES, ns=(at.st_atime_ns, at.st_mtime_ns))
    settled.member.ok(SYNC, *settled.words)
    assert (settled.root / SOURCES).read_text() == good


def test_an_upstream_that_was_added_is_read(
    settled: Settled, folder: Place, publish: Publish
) -> None:
    publish(folder, manifest("up_d"), "up_d")
    entry = "  - name: up_b\n"
    settled.edit(MESH, entry, f"  - name: up_d\n    database_prefix: UP_D\n{entry}")
    assert "up_d: 1 public model" in settled.member.ok(SYNC, *settled.words)
    assert settled.member.ok(SYNC, *settled.words).count("unchanged") == 4


@pytest.mark.parametrize("name", last_sync.VARIABLES)
def test_another_environment_takes_the_whole_way(
    name: str, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "another")
    assert settled.said() == []


def test_another_registry_is_asked(
    settled: Settled, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Place((tmp_path / "other/registry").as_uri(), {}, tmp_path / "other")
    for project in UPSTREAMS:
        publish(other, at(7, public=3) if project == "dbt_up" else manifest(project), project)
    down = exporting(settled.member, DBT_MESH_REGISTRY=other.url)
    assert "dbt_up: 3 public models" in down.ok(SYNC, "--env", "prod")
    assert "dbt_up: 1 public model" in settled.member.ok(SYNC, *settled.words)


@pytest.mark.parametrize(
    "flags", [["--upstream", "dbt_up"], ["--offline"], ["--max-age", "1"], ["--keep-going"]]
)
def test_other_flags_take_the_whole_way(flags: list[str], settled: Settled) -> None:
    assert settled.said(*settled.words, *flags) == []


def test_it_is_of_this_folder_and_library(
    settled: Settled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(last_sync, "LIBRARY", str(tmp_path))
        assert settled.said() == []
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)  # a flag may name a folder from here
        assert settled.said() == []
    assert settled.said()
    # a copy, which is what a clone with a committed record is
    shutil.copytree(settled.root, tmp_path / "copy")
    shutil.rmtree(settled.root)
    shutil.copytree(tmp_path / "copy", settled.root)
    monkeypatch.chdir(settled.root)
    assert settled.said() == []


@pytest.mark.parametrize("kept", ["LIBRARY", "mesh.yml", ""])
def test_a_record_that_looks_at_too_little_is_none(settled: Settled, kept: str) -> None:
    """As somebody could commit it, with an answer of a registry of theirs."""
    told, home, (places, _), *rest = json.loads((settled.root / RECORD).read_text())
    known = {"LIBRARY": last_sync.LIBRARY, "mesh.yml": f"{settled.root}/mesh.yml"}.get(kept)
    seen = ([known], last_sync.see([known]).marks) if known else ([], {})
    assert {last_sync.LIBRARY, f"{settled.root}/mesh.yml"} < {*places}
    (settled.root / RECORD).write_text(json.dumps([told, home, seen, *rest]))
    assert settled.said() == []


def test_a_link_that_leads_elsewhere(settled: Settled, tmp_path: Path) -> None:
    home = Path(os.environ["DBT_MESH_HOME"])
    home.mkdir(exist_ok=True)
    home.rename(tmp_path / "moved")
    home.symlink_to(tmp_path / "moved")
    assert settled.said() == []


def test_the_librarys_own_files_are_looked_at(settled: Settled) -> None:
    marks = settled.record().seen.marks
    assert {last_sync.__file__, sync_mesh.__file__, config.__file__} < marks.keys()


def test_a_record_that_is_damaged(settled: Settled) -> None:
    record, whole = settled.root / RECORD, settled.said()
    good = record.read_bytes()
    broken = (good[:-1], good[: len(good) // 2], b"", b"\xff", b"{}", b"[]", b"null", b"[" * 10_000)
    for body in broken:
        record.write_bytes(body)
        assert settled.said() == [], body[-300:]
    fields = json.loads(good)
    for number in range(len(fields)):
        for value in ("null", "1", '""', '"x"', "[]", "{}", "[null]", "[[]]", '{"a": 1}'):
            record.write_text(
                json.dumps([*fields[:number], json.loads(value), *fields[number + 1 :]])
            )
            # a place for projects that are none of ours does no harm
            assert settled.said() in ([], whole), (number, value)
    record.write_bytes(good)
    assert settled.said() == whole


def test_nothing_is_kept_of_a_sync_with_something_to_say(settled: Settled) -> None:
    """The next one has to say it again."""
    (settled.root / RECORD).unlink()
    settled.edit("models/_mesh_gone.yml", new=(settled.root / SOURCES).read_text())
    assert "gone is not an upstream any more" in settled.member.run(SYNC, *settled.words).stderr
    assert not (settled.root / RECORD).exists()


def test_nothing_is_kept_where_somebody_wrote_meanwhile(
    settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settled.root / RECORD).unlink()
    asked = sync.plans

    def plans(*arguments: object) -> object:
        found = asked(*arguments)  # type: ignore[arg-type]
        settled.edit("models/m.sql", new="select 1")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(sync, "plans", plans)
        assert settled.sync() == 0
    assert settled.said() == []
    assert settled.sync() == 0
    assert settled.said()


def test_news_are_asked_for_once(
    settled: Settled, folder: Place, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(folder, at(7, public=2))
    answers = last_sync.ask(str(settled.root), settled.words)
    assert last_sync.nothing_new(answers) == []
    kinds = [type(each) is NotModified for each in answers.values()]
    assert kinds == [False, True, True]

    class Silent:
        url = folder.url

        def read(self, *_: object, **__: object) -> None:
            raise AssertionError("it has been asked")

    monkeypatch.setattr(routing, "open_registry", lambda *_: Silent())
    assert sync_mesh.main(settled.words, settled.root, answers) == 0
    assert "public_1" in (settled.root / SOURCES).read_text()


def test_all_that_a_sync_reads_is_looked_at(settled: Settled, shim: Shim, tmp_path: Path) -> None:
    """Of the project's files: what Python opens is told by Python itself."""
    settled.edit("packages.yml", new="packages: [{local: ours}]\n")
    settled.edit("ours/dbt_project.yml", new="name: ours\nmacro-paths: [made]\n")
    settled.edit("ours/made/m.sql", new="select * from {{ ref('dbt_up', 'public_0') }}")
    settled.edit("dbt_packages/theirs/dbt_project.yml", new="name: theirs\n")
    settled.edit("mesh_sources/up_b.yml", new="sources: []\n")
    settled.member.ok(SYNC, *settled.words)
    (settled.root / RECORD).unlink()
    opened = tmp_path / "opened"
    code = f"""
import atexit, os, sys
read = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        if not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            read.append(os.path.abspath(arguments[0]))
def tell():
    with open({str(opened)!r}, "w") as file:
        file.write(chr(10).join(read))
sys.addaudithook(hook)
atexit.register(tell)
"""
    settled.member.ok(SYNC, *settled.words, **shim(code))
    marks = settled.record().seen.marks
    inside = f"{settled.root}/"
    read = {path for path in opened.read_text().splitlines() if path.startswith(inside)}
    read = {path for path in read if not path.startswith((f"{inside}scripts/", inside + RECORD))}
    read = {path for path in read if Path(path).exists()}  # else its folder is looked at
    assert {inside + path for path in (MESH, "ours/made/m.sql", "mesh_sources/up_b.yml")} < read
    assert read <= marks.keys()


def test_all_variables_are_looked_at() -> None:
    library = ROOT / "src/dbtmesh"
    files = [library / "config.py", library / "commands/sync_mesh.py"]
    files += (library / "downstream").glob("*.py")
    named = re.compile(r'os\.environ(?:\.get\(|\[)"(\w+)"')
    found = {name for file in files for name in named.findall(file.read_text())}
    assert found == set(last_sync.VARIABLES)
