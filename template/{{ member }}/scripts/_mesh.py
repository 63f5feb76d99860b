"""Starts a command of the mesh with the library that this Python has: see requirements.txt."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def run(command: str, *words: str) -> None:
    try:
        from dbtmesh.__main__ import run as start
    except ModuleNotFoundError:
        sys.exit(
            f"error: {sys.executable} lacks the package dbtmesh: activate the environment of the "
            "project (. .venv/bin/activate), or pip install -r requirements.txt -c constraints.txt"
        )
    start(command, words, PROJECT)


if __name__ == "__main__":
    run(*sys.argv[1:])
