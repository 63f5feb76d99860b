"""Defines the flags that commands share, and how all of them are read."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dbtmesh import MeshError
from dbtmesh.cli import PROJECT_DIR


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse would exit with 2, which here means that a check found something
        raise MeshError(f"{message}: see {self.prog} --help")


def parser(doc: str) -> argparse.ArgumentParser:
    """Returns an argument parser whose --help is the command's docstring."""
    summary, _, rest = doc.strip().partition("\n\n")
    return _Parser(
        prog=_program(sys.argv),
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _program(argv: Sequence[str]) -> str:
    """Returns how the command was started, such as `scripts/sync_mesh.py`, or `python -m dbtmesh
    sync-mesh`."""
    path, words = Path(argv[0]), list(argv[1:])
    if path.name == "_mesh.py":  # started by ./setup_keypair_auth.sh, the one shell script
        return "./setup_keypair_auth.sh"
    if path.name != "__main__.py":
        return path.name if path.is_absolute() else argv[0]
    return " ".join(
        ["python -m dbtmesh", *(words[2:] if words[:1] == [PROJECT_DIR] else words)[:1]]
    )


def given(text: str) -> str:
    """Returns a flag's value. Raises ArgumentTypeError where it is empty: an unset shell variable
    must not select the default."""
    if not text:
        raise argparse.ArgumentTypeError("its value is empty (a variable that is not set?)")
    return text


def file(text: str) -> Path:
    return Path(given(text))


def positive(text: str) -> int:
    """Parses a whole number from 1 on. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def add_upstream_flag(arguments: argparse.ArgumentParser) -> None:
    """Adds the flag that selects upstreams; see `config.Member.chosen`."""
    arguments.add_argument(
        "--upstream", action="append", metavar="U", help="only this one (may be repeated)"
    )


def add_registry_flags(arguments: argparse.ArgumentParser) -> None:
    """Adds the flags that select the registry and the environment; see `config.locate`."""
    where = arguments.add_mutually_exclusive_group()
    where.add_argument(
        "--bucket",
        type=given,
        metavar="B",
        help="registry in this S3 bucket (s3://B/registry; $DBT_MESH_BUCKET)",
    )
    where.add_argument(
        "--registry",
        type=given,
        metavar="URL",
        help="registry at s3://…, az://…, gs://…, snowflake://… or file:///… ($DBT_MESH_REGISTRY)",
    )
    arguments.add_argument(
        "--env",
        type=given,
        metavar="E",
        help="environment (local, prod; $DBT_MESH_ENV; default prod if a flag or a variable names "
        "a registry in a cloud, else local)",
    )


def add_copy_flags(arguments: argparse.ArgumentParser) -> None:
    """Adds the flags that allow committed copies of publications; see `downstream.keep_going`."""
    when = arguments.add_mutually_exclusive_group()
    when.add_argument(
        "--offline", action="store_true", help="use the last good copies, and ask no registry"
    )
    when.add_argument(
        "--keep-going",
        action="store_true",
        help="use the last good copy of an upstream whose publication is refused, and warn",
    )
