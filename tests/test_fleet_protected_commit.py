"""What members' code can do to the operator who checks it: attacks, carried out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet import checks, landlock
from fleet.git import git
from fleet.members import Member
from fleet.protected_commit import Kept, keep

BRANCH = "template/v9"
ATTACK = r"""
import os, pathlib, subprocess, sys
base, seen = pathlib.Path(sys.argv[1]), sys.argv[2]
act = f"touch {seen}"

def tried(change, *words):
    try:
        change(*words)
    except OSError:
        pass

def spoil(path, text, append=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if append else "w") as file:
        file.write(text)
    path.chmod(0o755)

SETTINGS = f'''
[core]
    fsmonitor = "{act}; false"
    hooksPath = {base}/hooks
    sshCommand = "{act}; false"
    pager = "{act}"
    editor = "{act}"
    attributesFile = {base}/attributes
[remote "origin"]
    pushurl = {base}/elsewhere
    uploadpack = "{act}; git-upload-pack"
    receivepack = "{act}; git-receive-pack"
[include]
    path = {base}/more
[credential]
    helper = "!{act}"
[filter "act"]
    clean = "{act}; cat"
    smudge = "{act}; cat"
    process = "{act}"
[diff "act"]
    textconv = "{act}; cat"
    command = "{act}"
[merge "act"]
    driver = "{act}"
[diff]
    external = "{act}"
[gpg]
    program = "{act}"
[url "{base}/elsewhere"]
    insteadOf = {base}/remote
'''
found = [pathlib.Path.cwd() / ".git", *base.rglob(".git")]
homes = [base / "home", pathlib.Path.home()]
for gitdir in found:
    tried(spoil, gitdir.parent / "planted", "x")
    for words in (["add", "planted"], ["commit", "-qm", "x"], ["branch", "-f", "template/v9"]):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words],
                       cwd=gitdir.parent, capture_output=True)
for gitdir in found:
    tried(spoil, gitdir / "config", SETTINGS, True)
    for hook in ("pre-push", "post-checkout", "reference-transaction", "pre-auto-gc", "fsmonitor"):
        tried(spoil, gitdir / "hooks" / hook, f"#!/bin/sh\n{act}\n")
    tried(spoil, gitdir / "info/attributes", "* filter=act diff=act merge=act\n")
    tried(spoil, gitdir / "objects/info/alternates", f"{base}/elsewhere/objects\n")
for hook in ("pre-push", "post-checkout", "reference-transaction"):
    tried(spoil, base / "hooks" / hook, f"#!/bin/sh\n{act}\n")
for home in homes:
    tried(spoil, home / ".gitconfig", SETTINGS)
    tried(spoil, home / ".bashrc", act)
# leaves its group, waits for the operator's git
subprocess.Popen(["setsid", "sh", "-c", f"sleep 60; {act}"], start_new_session=True)
"""

UNCONFINED = """
import os, sys
command = sys.argv[sys.argv.index("--") + 1:]
os.execvp(command[0], command)
"""


@dataclass(frozen=True)
class World:
    folder: Path
    clone: Path
    seen: Path
    kept: Kept
    member: Member

    def attacked(self) -> str:
        """What the check said that attacks."""
        attack = self.folder / "attack.py"
        return checks.run_checks(
            [f"{sys.executable} {attack} {self.folder} {self.seen}"], self.kept, self.member
        )


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not in memory, to which programs may write wherever they work: see `landlock.DEVICES`."""
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as made:
        yield Path(made).resolve()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("home", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("remote", "elsewhere"):
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", name)
    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "remote"), "theirs")
    (theirs / "mesh.yml").write_text("project: up\n")
    (theirs / ".gitattributes").write_text("* filter=act\n")
    for name, value in (("user.name", "a"), ("user.email", "a@b")):
        monkeypatch.setenv(f"GIT_COMMITTER_{name[5:].upper()}", value)
        monkeypatch.setenv(f"GIT_AUTHOR_{name[5:].upper()}", value)
    git(theirs, "add", "--all")
    git(theirs, "commit", "--quiet", "--message", "one")
    git(theirs, "push", "--quiet", "origin", "HEAD:main")
    clone = tmp_path / "scratch" / "up"
    git(None, "clone", "--quiet", str(tmp_path / "remote"), str(clone))
    (clone / "new").write_text("new\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "the update")
    (tmp_path / "attack.py").write_text(ATTACK)
    kept = keep(clone, tmp_path / "scratch")
    return World(tmp_path, clone, tmp_path / "seen", kept, Member("up", str(theirs)))


def test_nothing_of_theirs_runs_with_the_operators_git(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system cannot keep it from writing to the clone."""
    launcher = world.folder / "launcher.py"
    launcher.write_text(UNCONFINED)
    monkeypatch.setattr(landlock, "__file__", str(launcher))
    (world.folder / "home" / ".gitconfig").touch()
    assert world.attacked() == ""
    assert "fsmonitor" in (world.clone / ".git" / "config").read_text()
    assert git(world.folder / "theirs", "config", "core.pager")
    (world.folder / "home" / ".gitconfig").write_text("")
    with world.kept.repository(BRANCH) as repository:
        git(repository, "push", "--quiet", "origin", f"{BRANCH}:refs/heads/{BRANCH}")
        fetched = world.folder / "fetched"
        git(None, "init", "--quiet", str(fetched))
        git(fetched, "fetch", "--quiet", str(repository), f"{BRANCH}:{BRANCH}")
    with world.kept.files(world.kept.parent) as before:
        assert not (before / "new").exists()
        assert not (before / "planted").exists()
    for place in (world.folder / "remote", fetched):
        assert git(place, "rev-parse", f"refs/heads/{BRANCH}") == world.kept.commit
    assert not git(world.folder / "elsewhere", "for-each-ref")
    assert not world.seen.exists()


@pytest.mark.skipif(not landlock.is_possible(), reason="this system has no Landlock")
def test_it_writes_to_its_own_copy_only(world: World) -> None:
    places = [world.clone / ".git", world.folder / "theirs", world.folder / "home"]
    before = {file: file.read_bytes() for place in places for file in files(place)}
    assert world.attacked() == ""
    assert {file: file.read_bytes() for place in places for file in files(place)} == before
    assert not (world.folder / "hooks").exists()
    assert not world.seen.exists()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.skipif(not landlock.is_possible(), reason="this system has no Landlock")
@pytest.mark.parametrize(
    "code",
    [
        "open({outside!r}, 'w')",
        "os.mkdir({outside!r})",
        "os.symlink('/etc', 'a'); os.rename('a', {outside!r})",
        "open('a', 'w'); os.link('a', {outside!r})",
        "os.truncate({there!r}, 0)",
        "os.remove({there!r})",
        "os.symlink({there!r}, 'a'); open('a', 'a').write('x')",
        "os.kill(os.getppid(), 0)",
    ],
)
def test_nothing_gets_around_it(world: World, code: str) -> None:
    there = world.folder / "attack.py"
    outside = world.folder / "outside"
    code = code.format(outside=str(outside), there=str(there))
    (world.folder / "try.py").write_text(f"import os\n{code}")
    said = checks.run_checks([f"{sys.executable} {world.folder}/try.py"], world.kept, world.member)
    assert "ermi" in said or "not permitted" in said or "cross-device" in said, said
    assert not os.path.lexists(outside)
    assert there.read_text() == ATTACK


def test_an_address_with_a_password_stays_with_the_clone(world: World) -> None:
    with world.kept.files(world.kept.commit) as copy:
        assert str(world.folder / "remote") not in (copy / ".git" / "config").read_text()
        assert git(copy, "status", "--porcelain") == ""
