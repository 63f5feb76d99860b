"""python -m dbtmesh COMMAND …: the commands of a member of a dbt mesh.

`scripts/<command>.py` of a member runs the same command. Commands that only workflows call have no
script.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dbtmesh import cli

COMMANDS = {
    "publish-manifest": "publish this project's public interface to the registry",
    "sync-mesh": "write what the upstreams publish as dbt sources",
    "stub-mesh": "make stand-ins for the upstreams' models on DuckDB",
    "validate-lineage": "check that everything this project reads is published",
    "check-freshness": "find publications and tables that are too old",
    "snowflake-access": "plan, apply and verify roles and grants on Snowflake",
    "doctor": "find what the mesh relies on and this project lacks",
    "keypair-auth": "create and rotate key pairs (./setup_keypair_auth.sh)",
    "announce": "tell the projects that read this one of a new publication",
    "check-environment": "fail if other branches could deploy, too",
    "await-upstream": "wait for the publication that started this deploy",
    "deploy-state": "store the results of a deploy, and fetch them",
    "notify": "tell people of a failed deploy",
    "pull-request": "comment on a pull request; drop its schema",
    "run-summary": "summarise a run of dbt as Markdown",
    "signed-in": "run a command that signs in to Snowflake, as CI does",
    "update-template": "update this project to a newer version of the template",
    "with-snowflake-token": "run a command with a token of GitHub Actions for Snowflake",
}
"""The name of each command, and what it does. Its module is `dbtmesh.commands.<name>`."""


def usage() -> str:
    width = max(map(len, COMMANDS))
    listed = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m dbtmesh [--project-dir FOLDER] COMMAND [ARGUMENT ...]",
            "",
            *listed,
            "",
            "python -m dbtmesh COMMAND --help tells more. FOLDER holds mesh.yml (default: the",
            "nearest one from here upwards).",
        ]
    )


def project_folder(start: str) -> str:
    """Returns the nearest folder, from `start` upwards, that holds mesh.yml, or else `start`."""
    folder = start
    while not os.path.isfile(os.path.join(folder, "mesh.yml")):
        above = os.path.dirname(folder)
        if above == folder:
            return start
        folder = above
    return folder


def run(command: str, words: Sequence[str], root: os.PathLike[str] | str | None = None) -> NoReturn:
    """Runs a command and exits with its status.

    words: what follows its name on the command line. root: the project's folder (default: the
    nearest one that holds mesh.yml).
    """

    def main() -> int:
        folder = os.path.realpath(root or project_folder(os.getcwd()))
        known: tuple[object, ...] = ()
        if command == "sync-mesh":
            from dbtmesh.downstream import last_sync

            answers = last_sync.ask(folder, words)
            if said := last_sync.nothing_new(answers):
                cli.say(*said)
                return cli.OK
            known = (answers,)
        from importlib import import_module  # imported here: these load much
        from pathlib import Path

        from dbtmesh import installed

        if other := installed.other_than_required(Path(folder)):
            cli.note(other)
        module = import_module(f"dbtmesh.commands.{command.replace('-', '_')}")
        status: int = module.main(words, Path(folder), *known)
        return status

    cli.run(main)


def main() -> None:
    match sys.argv[1:]:
        case [] | ["-h" | "--help"]:
            cli.say(*usage().splitlines())
            sys.exit(cli.OK)
        case ["--version"]:
            from importlib.metadata import version

            cli.say(version("dbtmesh"))
            sys.exit(cli.OK)
        case [cli.PROJECT_DIR, folder, command, *words] if command in COMMANDS:
            run(command, words, folder)
        case [command, *words] if command in COMMANDS:
            run(command, words)
        case [cli.PROJECT_DIR, _, command, *_]:
            unknown(command)
        case [command, *_]:
            unknown(command)


def unknown(command: str) -> NoReturn:
    cli.fail(f"{command!r} is not a command: see python -m dbtmesh --help")


if __name__ == "__main__":
    main()
