"""Runs a command of the mesh with the library that this Python has: see requirements.txt."""

import os
import sys

PROJECT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def run(command: str, *words: str) -> None:
    try:
        from dbtmesh.__main__ import main
    except ModuleNotFoundError:
        lists = ("requirements.txt", "requirements-mesh.txt")
        there = [name for name in lists if os.path.isfile(os.path.join(PROJECT, name))]
        install = " && ".join(f"pip install -r {name} -c constraints.txt" for name in there)
        sys.exit(
            f"error: {sys.executable} lacks the package dbtmesh: activate the environment of the "
            f"project (. .venv/bin/activate), or {install}"
        )
    sys.argv[1:] = ["--project-dir", PROJECT, command, *words]
    main()


if __name__ == "__main__":
    run(*sys.argv[1:])
