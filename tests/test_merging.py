"""Edits are merged line by line, whatever ends the lines of the member, of before and of after."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import migrations
import pytest

BASE = b"a\nb\nc\nd\ne\n"
EDITED = BASE.replace(b"b", b"mine")
NEW = BASE.replace(b"d", b"theirs")
BOTH = b"a\nmine\nc\ntheirs\ne\n"
CRLF = [b"\n", b"\r\n"]


@pytest.mark.parametrize(("edited", "base", "new"), [*itertools.product(CRLF, repeat=3)])
def test_both_sides_are_kept_and_the_endings_are_the_members(
    tmp_path: Path, edited: bytes, base: bytes, new: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(NEW.replace(b"\n", new))
    migrations.merge(path, EDITED.replace(b"\n", edited), BASE.replace(b"\n", base))
    assert path.read_bytes() == BOTH.replace(b"\n", edited)


@pytest.mark.parametrize("ending", CRLF)
def test_only_what_both_have_changed_is_in_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    path = Path("file")
    path.write_bytes(BASE.replace(b"b", b"other"))
    migrations.merge(path, EDITED.replace(b"\n", ending), BASE)
    lines = path.read_bytes().split(ending)
    assert [lines[0], *lines[-4:]] == [b"a", b"c", b"d", b"e", b""]
    marks = (b"<<<<<<< before updating", b"mine", b"other", b">>>>>>> after updating")
    for each in marks:
        assert each in lines
