"""Reads the SQL files of a member's folder snowflake/ as steps, and writes those of an adoption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.snowflake import sqlscript
from dbtmesh.snowflake.giveback import GIVE_BACK, GIVE_BACK_HEADER, KEPT, KEPT_HEADER
from dbtmesh.snowflake.sqlscript import Step

TEARDOWN = "99_teardown.sql"


def _folder(member: Member) -> Path:
    return member.root / "snowflake"


def read_steps(member: Member) -> list[Step]:
    """The statements that set the member up, in the order of the files' names. Raises MeshError."""
    folder = _folder(member)
    files = sorted(set(folder.glob("*.sql")) - {folder / TEARDOWN, folder / GIVE_BACK})
    if not files:
        raise MeshError(f"{folder} holds no SQL: `git checkout snowflake` brings it back")
    return _read(files)


def read_teardown(member: Member) -> list[Step]:
    """The statements that drop what the member made. Raises MeshError."""
    return _read([_folder(member) / TEARDOWN])


def read_give_back(member: Member) -> list[Step]:
    """The statements that give back what it took over; none where that is nothing."""
    file = _folder(member) / GIVE_BACK
    return _read([file]) if file.exists() else []


def _read(files: Sequence[Path]) -> list[Step]:
    try:
        texts = {f"snowflake/{file.name}": file.read_text(encoding="utf-8") for file in files}
    except FileNotFoundError as error:
        raise MeshError(
            f"{error.filename} is missing: `git checkout snowflake` brings it back"
        ) from None
    except UnicodeDecodeError as error:
        raise MeshError(f"{files[0].parent}: not UTF-8 ({error.reason})") from None
    return sqlscript.read_steps(texts)


def write_adoption(member: Member, give_back: str, kept: str) -> list[str]:
    """Adds to the files that an adoption leaves; the names of those that it wrote.

    give_back: SQL that takes the adoption back. kept: SQL that gives others what they have.
    """
    wrote = []
    for name, header, text in (
        (GIVE_BACK, GIVE_BACK_HEADER, give_back),
        (KEPT, KEPT_HEADER, kept),
    ):
        file = _folder(member) / name
        if text:
            old = file.read_text(encoding="utf-8") if file.exists() else header
            file.write_text(old + text, encoding="utf-8", newline="\n")
            wrote.append(f"snowflake/{name}")
    return wrote
