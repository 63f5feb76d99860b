"""Makes a git repository with the template's versions, from which members are updated.

A checkout may lack tags, so this package keeps what Copier reads of each released version as
`v1.2.3.tar.xz`. `make keep-version` adds one before it is tagged. `older` adds two invented
versions before the first. They contain what changes between versions: renamed and removed files,
other questions and other defaults. The newest version is the working tree.
"""

from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.versions import older

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
PARTS = ("CHANGELOG.md", "copier.yml", "extensions", "hooks", "src", "template")
"""What Copier reads of the template. A version consists of these."""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def numbers(tag: str) -> tuple[int, ...]:
    return tuple(int(number) for number in tag.removeprefix("v").split("."))


def kept() -> list[str]:
    """Returns the tags of the released versions, oldest first."""
    return sorted((path.name.removesuffix(".tar.xz") for path in FOLDER.glob("v*.xz")), key=numbers)


def earlier() -> list[str]:
    """Returns the tags that members are updated from, oldest first."""
    return [*older.VERSIONS, *kept()]


def newest() -> str:
    """Returns the tag of the working tree: the next minor version after the last released one."""
    major, minor, _ = numbers(kept()[-1])
    return f"v{major}.{minor + 1}.0"


def keep(tag: str, ref: str) -> Path:
    """Keeps what Copier reads of a commit as version `tag`.

    Raises ValueError where that version was released, because members have what it held then.
    """
    path = FOLDER / f"{tag}.tar.xz"
    if tag in git(ROOT, "tag", "--list", tag).split():
        raise ValueError(f"{tag} is released (there is the tag): set the next in pyproject.toml")
    if later := [each for each in kept() if numbers(each) > numbers(tag)]:
        raise ValueError(f"{tag} is older than {later[-1]}, which is kept: it was released")
    path.write_bytes(lzma.compress(archive(ref), preset=9 | lzma.PRESET_EXTREME))
    return path


def archive(ref: str) -> bytes:
    """Returns a tar archive of what Copier reads, as far as the commit has it."""
    there = git(ROOT, "ls-tree", "--name-only", ref, "--", *PARTS).splitlines()
    done = subprocess.run(
        ["git", "archive", "--format=tar", ref, *there], cwd=ROOT, check=True, capture_output=True
    )
    return done.stdout


def files(tar: bytes) -> dict[str, tuple[bytes, int]]:
    """Returns contents and modes by path, which are equal in two archives of the same version."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {
            each.name: (opened.extractfile(each).read(), each.mode & 0o111)  # type: ignore[union-attr]
            for each in opened
            if each.isfile()
        }


def build(repository: Path) -> None:
    """Makes the repository, with a commit and a tag for each version."""
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet", "--initial-branch=main")
    for tag, changes in older.VERSIONS.items():
        _unpack(kept()[0], repository)
        for change in changes:
            change(repository)
        release(repository, tag)
    for tag in kept():
        _unpack(tag, repository)
        release(repository, tag)
    copy_working_tree(repository)
    older.teach_the_newest(repository, newest(), kept()[0])
    release(repository, newest())


def snapshot(repository: Path) -> Path:
    """Makes the repository with only the newest version: the working tree, tagged."""
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet", "--initial-branch=main")
    copy_working_tree(repository)
    release(repository, newest())
    return repository


def _unpack(tag: str, repository: Path) -> None:
    clear(repository)
    packed = (FOLDER / f"{tag}.tar.xz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(packed))) as opened:
        opened.extractall(repository, filter="data")


def copy_working_tree(repository: Path) -> None:
    clear(repository)
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)


def clear(repository: Path) -> None:
    for path in repository.iterdir():
        if path.is_dir() and path.name != ".git":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def release(repository: Path, tag: str) -> None:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", tag)
    git(repository, "tag", tag)
