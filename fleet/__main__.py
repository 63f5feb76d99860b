"""python -m fleet: commands that act on many members at once. Each command has --help."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbtmesh import MeshError, cli, flags
from dbtmesh.config import Engine
from dbtmesh.output import terminal
from fleet.errors import FleetError
from fleet.members import Member


def main(arguments: list[str] | None = None) -> int:
    parser = flags.parser(__doc__)
    parser.prog = "python -m fleet"
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="render, build and publish three members of a mesh on this machine",
        description="Renders dbt_up, dbt_down and dbt_down_loom, builds them on DuckDB, publishes "
        "and syncs between them, and shows the result. If you run it again, it keeps your edits of "
        "the members and builds them again. The database files and the registry are in "
        "$DBT_MESH_HOME, or else beside the members.",
    )
    demo.add_argument(
        "--folder",
        type=Path,
        help="where the members go (default ./demo, ./demo-v2 or ./demo-snowflake)",
    )
    demo.add_argument(
        "--clean",
        action="store_true",
        help="remove only what the demo made; members under version control stay",
    )
    demo.add_argument(
        "--target",
        choices=["local", "snowflake"],
        default="local",
        help="local: DuckDB on this machine, without an account (default); snowflake: an account, "
        "after showing what that creates and costs",
    )
    demo.add_argument(
        "--engine",
        choices=list(Engine),
        type=Engine,
        default=Engine.CORE,
        help="which dbt runs the members: core, from this environment (default), or v2, the first "
        "2.x on PATH or else one that is installed into an environment of its own",
    )
    demo.add_argument(
        "--connection",
        metavar="NAME",
        help="an administrator's connection in connections.toml (for --target snowflake)",
    )
    demo.add_argument("--yes", action="store_true", help="do not ask before creating or dropping")
    demo.set_defaults(run=_demo)
    _add_map(commands)
    _add_status(commands)
    _add_update(commands)
    try:
        options = parser.parse_args(arguments)
        terminal.tolerate()
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except (FleetError, MeshError) as error:
        terminal.write(*f"error: {error}".split("\n"), to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, wants no more, also not the flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        terminal.write(f"error: {cli.explain(error)}", to=sys.stderr)
        return 1


@contextmanager
def _explained() -> Iterator[None]:
    """Turns errors of writing to a disk or a pipe into one line. Raises FleetError."""
    from dbtmesh.cli import explain

    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if not error.filename:  # stdout: flushing the rest would fail again when Python exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader, such as `head`, wants no more
            sys.exit(0)
        raise FleetError(explain(error)) from None


def _demo(options: argparse.Namespace) -> int:
    with _explained():
        return _run_demo(options)


def _run_demo(options: argparse.Namespace) -> int:
    if options.target == "snowflake":
        from fleet import demo_snowflake

        if options.engine is not Engine.CORE:
            raise FleetError("the demo on Snowflake runs on dbt Core: leave --engine out")

        if not options.connection:
            raise FleetError(
                "which account? Name a connection of ~/.snowflake/connections.toml: "
                "make demo TARGET=snowflake CONNECTION=NAME"
            )
        act = demo_snowflake.destroy if options.clean else demo_snowflake.run
        return act(options.folder or demo_snowflake.FOLDER, options.connection, sure=options.yes)
    from fleet import demo, demo_cleanup

    folder = options.folder or Path("demo" if options.engine is Engine.CORE else "demo-v2")
    return demo_cleanup.clean(folder) if options.clean else demo.run(folder, options.engine)


def _add_map(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from dbtmesh.flags import add_registry_flags

    parser = commands.add_parser(
        "map",
        help="show the whole mesh as one page: projects, public models, contracts, who reads what",
        description="Reads the registry and writes one HTML file that needs no network. In it you "
        "can search, filter, and click a model to see its columns, its owner and everything "
        "downstream of it. It also writes Mermaid for a README, and JSON. Without flags it reads "
        "the registry on this machine: $DBT_MESH_HOME/registry, or else the demo's.",
        epilog="for example: python -m fleet map --bucket acme-mesh --output mesh.html",
    )
    add_registry_flags(parser)
    parser.add_argument(
        "--format", choices=["html", "mermaid", "json"], default="html", help="default html"
    )
    parser.add_argument(
        "--models", action="store_true", help="mermaid: a box for each model, not for each project"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="- for standard output (default: mesh.html for html, - for others)",
    )
    parser.set_defaults(run=_map)


def _map(options: argparse.Namespace) -> int:
    from fleet import map as mesh_map

    with _explained():
        return mesh_map.run(
            bucket=options.bucket,
            registry=options.registry,
            env=options.env,
            form=options.format,
            models=options.models,
            output=options.output,
        )


def _add_members(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name members and the template."""
    members = parser.add_argument_group("members")
    members.add_argument(
        "--members",
        type=Path,
        metavar="FILE",
        help="a list with one member a line: the folder of a clone, a git URL, or org/repo. Append "
        "the folder of a project that is not at the top: acme/shop#dbt_up. A # after a space "
        "starts a comment",
    )
    members.add_argument(
        "--clones", type=Path, metavar="FOLDER", help="all git clones directly in a folder"
    )
    members.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only members of this name, such as finance or 'sales_*' (can be repeated)",
    )
    template = parser.add_argument_group("template")
    template.add_argument(
        "--template", metavar="URL", help="the repository of its releases (default: this one)"
    )
    template.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="URL",
        help="another address of it, which members have recorded (can be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _members(options: argparse.Namespace) -> list[Member]:
    """Returns the members that the flags name. Raises FleetError if they name none."""
    from fleet import members

    found: list[Member] = []
    if options.members:
        found += members.from_list(options.members)
    if options.clones:
        found += members.from_folder(options.clones)
    if not found:
        raise FleetError("which members? --members FILE or --clones FOLDER")
    return members.distinct(found)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from dbtmesh.flags import add_registry_flags

    parser = commands.add_parser(
        "status",
        help="show each member: kind, template version, how far behind, publications, contracts",
        description="Reads each member's answers from a clone or from the repository, with one "
        "request to GitHub for a hundred members. If a registry is named, it also reads what the "
        "members published there, and on which publications they built. Without a list of members, "
        "it shows those whose repository the registry knows.",
        epilog="for example: python -m fleet status --members members.txt --bucket acme-mesh. "
        "Exit status: 0 all could be read, 1 it could not start, 2 some have a problem (being "
        "behind or stale is not a problem).",
    )
    _add_members(parser)
    add_registry_flags(parser)
    parser.add_argument(
        "--stale-after",
        type=int,
        default=30,
        metavar="DAYS",
        help="a publication older than this is stale (default 30)",
    )
    parser.set_defaults(run=_status)


def _status(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from dbtmesh.cli import FOUND, note
    from fleet import map as mesh_map
    from fleet import releases, status, update

    named = _members(options) if options.members or options.clones else []
    mesh = unread = None
    flags = options.bucket or options.registry
    if flags or os.environ.get("DBT_MESH_REGISTRY") or os.environ.get("DBT_MESH_BUCKET"):
        where = mesh_map.location(options.bucket, options.registry, options.env)
        try:
            mesh = mesh_map.gather(where)
        except (FleetError, MeshError) as error:
            if not named:
                raise
            note(f"{error}; what the members publish is left out")
            unread = isinstance(error, MeshError)  # a FleetError says that it is only empty
        named = named or (status.of_registry(mesh) if mesh else [])
        if not named:
            raise FleetError(
                f"{where.url} knows no member's repository (consumers record theirs, the answer "
                "github_repository): --members FILE or --clones FOLDER names them"
            )
    named = named or _members(options)
    with releases.opened(options.template, also=tuple(options.also)) as opened:
        told = status.gather(update.choose(named, options.only), opened)
        newest = opened.newest
    if mesh:
        now = datetime.now(UTC)
        told = [status.with_registry(each, mesh, now, options.stale_after) for each in told]
    shown = status.show(told, newest, options.json)
    return FOUND if unread else shown


def _add_update(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "update",
        help="update every member to a release of the template by a pull request",
        description="Updates each member in a clone of its own, starting from the remote's branch "
        "that deploys. It runs checks in the clone, pushes the branch template/<release> (for a "
        "project in a folder: template/<folder>/<release>) and opens a pull request with the "
        "changes. Where a person has to decide (conflicts, uncommitted changes, a failing check), "
        "it names the member and the reason, and leaves the member as it is. If it was stopped or "
        "killed, run it again: it does not repeat what is done already.",
        epilog="for example: python -m fleet update --members members.txt --canary 3. "
        "Exit status: 0 done, 1 it could not start, 2 some members need a person, 130 stopped.",
    )
    _add_members(parser)
    parser.add_argument(
        "--to", metavar="TAG", help="the release to update to (default: the newest)"
    )
    goal = parser.add_mutually_exclusive_group()
    for name, text in (
        ("dry-run", "update and check in temporary clones, and keep nothing"),
        ("prepare", "create the branch in the local clone, and push nothing"),
        ("push", "push the branch, but open no pull request"),
    ):
        goal.add_argument(f"--{name}", dest="goal", action="store_const", const=name, help=text)
    parser.add_argument(
        "--canary",
        type=int,
        default=0,
        metavar="N",
        help="update the first N members first, and the others only if all of those succeeded",
    )
    parser.add_argument(
        "--check",
        action="append",
        metavar="COMMAND",
        help="a command that has to succeed in an updated member, with its dbt packages and stub "
        "tables made from the contracts it has committed. It runs without a shell (for several "
        "commands, sh -c '…'; default: dbt parse; can be repeated)",
    )
    parser.add_argument("--no-check", action="store_true", help="run no check")
    parser.add_argument(
        "--moved-to",
        default="",
        metavar="URL",
        help="new address of a template that has moved: members record it (--also: the old one)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many members to update at a time (default: one for each core)",
    )
    parser.set_defaults(run=_update, goal="propose")


def _update(options: argparse.Namespace) -> int:
    from fleet import outcome, releases, update

    checks = () if options.no_check else update.commands(options.check or ["dbt parse"])
    chosen = update.choose(_members(options), options.only)
    with releases.opened(options.template, also=tuple(options.also), to=options.to) as opened:
        return update.run(
            chosen,
            opened,
            goal=outcome.Goal(options.goal),
            checks=checks,
            moved_to=options.moved_to,
            canary=max(options.canary, 0),
            processes=max(options.processes, 1),
            as_json=options.json,
        )


if __name__ == "__main__":
    sys.exit(main())
