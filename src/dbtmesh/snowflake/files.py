"""Reads the SQL files in a member's folder snowflake/ as steps, and writes those of an adoption."""

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
    """Returns the statements that set the member up, in the order of the file names. Raises
    MeshError."""
    folder = _folder(member)
    files = sorted(set(folder.glob("*.sql")) - {folder / TEARDOWN, folder / GIVE_BACK})
    if not files:
        raise MeshError(f"{folder} holds no SQL: `git checkout snowflake` brings it back")
    return _read(files)


def read_teardown(member: Member) -> list[Step]:
    """Returns the statements that drop what the member made. Raises MeshError."""
    return _read([_folder(member) / TEARDOWN])


def read_give_back(member: Member) -> list[Step]:
    """Returns the statements that give back what the member took over; none if it took nothing.
    Raises MeshError."""
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
    """Appends to the files that an adoption leaves, and returns the names of those it wrote.

    give_back: SQL that undoes the adoption. kept: SQL that grants others what they have.
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
