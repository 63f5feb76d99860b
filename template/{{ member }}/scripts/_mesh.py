"""Starts a command of the mesh with the library that this Python has: see requirements.txt."""

import os
import sys

PROJECT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def run(command: str, *words: str) -> None:
    try:
        from dbtmesh.__main__ import main
    except ModuleNotFoundError:
        sys.exit(
            f"error: {sys.executable} lacks the package dbtmesh: activate the environment of the "
            "project (. .venv/bin/activate), or pip install -r requirements.txt -c constraints.txt"
        )
    sys.argv[1:] = ["--project-dir", PROJECT, command, *words]
    main()


if __name__ == "__main__":
    run(*sys.argv[1:])
