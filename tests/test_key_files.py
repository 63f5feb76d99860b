"""Private keys never lie in a git work tree, whatever the path that leads to them is made of."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtmesh import MeshError
from dbtmesh.snowflake.keypair.files import File, KeyFiles
from tests.conftest import Member, Render
from tests.keypair_world import ACCOUNT, TeamLaptop, add_users, mode
from tests.snowflake_standin import Standin

PEM = b"-----BEGIN PRIVATE KEY-----\nof the test\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o700)
    return folder


def keys_in(folder: Path) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and b"PRIVATE KEY" in path.read_bytes()
    ]


def everything(files: KeyFiles) -> None:
    """What a rotation does with the files."""
    files.write(File.NEXT, PEM)
    files.promote()
    files.write(File.NEXT, PEM + PEM)
    files.promote()
    files.forget(File.OLD)


def test_files_are_for_their_owner_alone(outside: Path) -> None:
    files = KeyFiles.at(outside / "deeper" / "user.p8")
    before = os.umask(0)
    try:
        files.write(File.CURRENT, PEM)
        files.write(File.NEXT, PEM)
    finally:
        os.umask(before)
    assert mode(outside / "deeper") == 0o700
    assert {mode(path) for path in (outside / "deeper").iterdir()} == {0o600}
    assert files.read(File.CURRENT) == PEM


def test_a_link_to_a_key_is_followed_and_the_new_key_is_where_it_leads(
    repository: Path, outside: Path
) -> None:
    KeyFiles.at(outside / "key.p8").write(File.CURRENT, PEM)
    (repository / "key.p8").symlink_to(outside / "key.p8")
    files = KeyFiles.at(repository / "key.p8")
    everything(files)
    assert keys_in(repository) == []
    assert (repository / "key.p8").is_symlink()
    assert files.current == outside / "key.p8"
    assert files.read(File.CURRENT) == PEM + PEM


@pytest.mark.parametrize(
    "path",
    [
        "link/key.p8",
        "link/deeper/key.p8",
        "link-to-file.p8",
        "up/../repository/key.p8",
        "loop/x.p8",
    ],
)
def test_a_path_into_a_work_tree_is_refused(
    path: str, tmp_path: Path, repository: Path, outside: Path
) -> None:
    (outside / "link").symlink_to(repository)
    (repository / "inner").mkdir()
    (outside / "link-to-file.p8").symlink_to(repository / "inner" / "key.p8")
    (outside / "up").symlink_to(repository / "inner")
    (outside / "loop").symlink_to(outside / "loop")
    with pytest.raises((MeshError, OSError)) as error:
        everything(KeyFiles.at(outside / path))
    if "loop" not in path:
        assert "inside the git repository" in str(error.value)
    assert keys_in(tmp_path) == []


def test_so_are_a_worktree_and_a_submodule_whose_git_is_a_file(outside: Path) -> None:
    (outside / ".git").write_text("gitdir: elsewhere\n")
    with pytest.raises(MeshError, match="inside the git repository"):
        KeyFiles.at(outside / "keys" / "key.p8")


def test_a_folder_that_becomes_a_link_after_the_check(
    tmp_path: Path, repository: Path, outside: Path
) -> None:
    folder = outside / "keys"
    folder.mkdir(mode=0o700)
    files = KeyFiles.at(folder / "key.p8")
    folder.rmdir()
    folder.symlink_to(repository)
    with pytest.raises(MeshError, match="inside the git repository"):
        files.write(File.NEXT, PEM)
    assert keys_in(tmp_path) == []


def test_a_work_tree_that_is_made_around_it(tmp_path: Path, outside: Path) -> None:
    files = KeyFiles.at(outside / "key.p8")
    files.write(File.CURRENT, PEM)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    with pytest.raises(MeshError, match="inside the git repository"):
        files.write(File.NEXT, PEM)
    with pytest.raises(MeshError, match="inside the git repository"):
        files.promote()
    assert keys_in(tmp_path) == ["key.p8"]


def test_a_race_for_the_folder_is_never_won(
    tmp_path: Path, repository: Path, outside: Path
) -> None:
    """Somebody swaps the folder for a link into the work tree, again and again."""
    folder, aside = outside / "keys", outside / "aside"
    folder.mkdir(mode=0o700)
    files = KeyFiles.at(folder / "key.p8")
    ends = threading.Event()

    def swap() -> None:
        while not ends.is_set():
            for step in (
                lambda: folder.rename(aside),
                lambda: folder.symlink_to(repository),
                lambda: folder.unlink(),
                lambda: aside.rename(folder),
            ):
                with contextlib.suppress(OSError):  # of a folder that was made meanwhile
                    step()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(300):
            try:
                files.write(File.NEXT, PEM)
                files.promote()
            except (MeshError, OSError):
                continue
    finally:
        ends.set()
        swapper.join()
    assert keys_in(repository) == []


@pytest.mark.parametrize("which", [File.CURRENT, File.NEXT, File.OLD])
def test_a_link_in_the_place_of_a_file_is_not_followed(
    which: File, repository: Path, outside: Path
) -> None:
    files = KeyFiles.at(outside / "key.p8")
    (repository / "theirs.p8").write_bytes(PEM)
    files.path(which).symlink_to(repository / "theirs.p8")
    with pytest.raises(MeshError, match="it is a link"):
        files.read(which)
    files.write(which, PEM + PEM)
    assert (repository / "theirs.p8").read_bytes() == PEM
    assert not files.path(which).is_symlink()
    # nor one in the place of the file that is written first
    files.path(which).with_name(f".{files.path(which).name}.tmp").symlink_to(repository / "new.p8")
    files.write(which, PEM)
    assert keys_in(repository) == ["theirs.p8"]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_key_that_others_may_read_is_refused(outside: Path, bits: int) -> None:
    files = KeyFiles.at(outside / "key.p8")
    files.write(File.CURRENT, PEM)
    files.current.chmod(bits)
    with pytest.raises(MeshError, match=r"can be read by others \(mode 0.*chmod 600"):
        files.read(File.CURRENT)


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(outside: Path, bits: int) -> None:
    outside.chmod(bits)
    files = KeyFiles.at(outside / "key.p8")
    with pytest.raises(MeshError, match=r"others can write to the folder .*chmod 700"):
        files.write(File.CURRENT, PEM)
    assert list(outside.iterdir()) == []


# ── As people use it ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def member(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    return render_into(
        tmp_path_factory.mktemp("files") / "dbt_up",
        project_name="dbt_up",
        snowflake_account=ACCOUNT,
    )


@pytest.fixture
def laptop(member: Member, tmp_path: Path) -> Iterator[TeamLaptop]:
    with Standin(account_name=ACCOUNT) as standin:
        add_users(standin)
        yield TeamLaptop(tmp_path / "home", member, standin)


def test_rotation_by_way_of_a_link_in_a_work_tree(
    laptop: TeamLaptop, repository: Path, outside: Path
) -> None:
    file = outside / "key.p8"
    laptop.ok("create", "--no-github", "--key-file", str(file))
    before = file.read_bytes()
    (repository / "key.p8").symlink_to(file)
    laptop.ok("rotate", "--no-github", "--key-file", str(repository / "key.p8"))
    assert keys_in(repository) == []
    assert file.read_bytes() != before
    assert mode(file) == 0o600


def test_a_key_in_a_repository(laptop: TeamLaptop, repository: Path, outside: Path) -> None:
    (outside / "link").symlink_to(repository)
    for path in (repository / "keys/x.p8", outside / "link/keys/x.p8"):
        said = laptop.refused("create", "--key-file", str(path))
        assert "inside the git repository" in said
        assert "--key-file" in said
    assert not (repository / "keys").exists()
    assert laptop.accepted() == set()
