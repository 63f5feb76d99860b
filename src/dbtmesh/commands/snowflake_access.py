"""Who may do what on Snowflake: from the SQL in snowflake/, and the account itself.

  plan      what would change, as a table and as SQL. Without a connection: everything
  apply     makes the changes, after asking. Stops at the first failure; run it again to go on
  verify    compares the account with the SQL and the public models, and tries what must fail
  matrix    the access matrix as Markdown, for the README and for auditors
  teardown  drops what this project created, after asking; everything in it is gone

It connects by --connection NAME, a section of ~/.snowflake/connections.toml, or by the environment:
SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, and SNOWFLAKE_PRIVATE_KEY_PATH, SNOWFLAKE_PASSWORD or
SNOWFLAKE_AUTHENTICATOR. The person behind it needs the role SECURITYADMIN to look (and ACCOUNTADMIN
for the resource monitor), and to change what each file in snowflake/ says at its top: ACCOUNTADMIN
has all of them. No statement runs under another role than its file says.

  scripts/snowflake_access.py plan                             # on your laptop, no account needed
  scripts/snowflake_access.py apply --connection admin
  scripts/snowflake_access.py verify --connection admin --fix

Exit status: 0 done, 1 it failed, 2 verify found something that differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbtmesh import MeshError, cli
from dbtmesh.config import Member, load_member
from dbtmesh.snowflake import access, probes, sqlscript
from dbtmesh.snowflake.access import Change, Expected, Live, Names, Public
from dbtmesh.snowflake.sqlscript import Grant, Object, Step
from dbtmesh.warehouse.names import canonical

if TYPE_CHECKING:
    from dbtmesh.snowflake.session import Session

TEARDOWN = "99_teardown.sql"


def main(words: Sequence[str], root: Path) -> int:
    arguments = _arguments(words)
    member = load_member(root)
    names = access.names_of(member)
    commands = {
        "plan": plan,
        "apply": apply,
        "verify": verify,
        "matrix": matrix,
        "teardown": teardown,
    }
    return commands[arguments.command](arguments, member, names)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    arguments = cli.parser(__doc__ or "")
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
    connection = argparse.ArgumentParser(add_help=False)
    connection.add_argument(
        "--connection", metavar="NAME", help="connection of connections.toml (else the environment)"
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON, for programs")
    sure = argparse.ArgumentParser(add_help=False)
    sure.add_argument("--yes", action="store_true", help="do not ask")
    models = argparse.ArgumentParser(add_help=False)
    models.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="manifest of a prod run, for the public models (default target/manifest.json)",
    )
    shown = commands.add_parser("plan", parents=[connection, output], help="what would change")
    shown.add_argument("--offline", action="store_true", help="show everything; connect to nothing")
    commands.add_parser("apply", parents=[connection, output, sure], help="make the changes")
    check = commands.add_parser(
        "verify", parents=[connection, output, models], help="compare the account with the SQL"
    )
    check.add_argument(
        "--fix", action="store_true", help="revoke what is too much, on this project's own objects"
    )
    commands.add_parser("matrix", parents=[output, models], help="the access matrix as Markdown")
    commands.add_parser("teardown", parents=[connection, output, sure], help="drop everything")
    return arguments.parse_args(words)


# ── plan ──────────────────────────────────────────────────────────────────────────────


def plan(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import session as snowflake

    steps = read_steps(member)
    if arguments.offline or not snowflake.is_configured(arguments.connection):
        show(access.plan(steps), arguments.json)
        cli.note("everything is shown; with --connection NAME only what would change there")
        return cli.OK
    session, live = _look(arguments, member, names, steps)
    session.close()
    show(access.plan(steps, live), arguments.json)
    return cli.OK


def read_steps(member: Member, *, teardown: bool = False) -> list[Step]:
    """The statements of snowflake/*.sql, in the order of the files' names. Raises MeshError."""
    folder = member.root / "snowflake"
    files = (
        [folder / TEARDOWN] if teardown else sorted(set(folder.glob("*.sql")) - {folder / TEARDOWN})
    )
    if not files:
        raise MeshError(f"{folder} holds no SQL: `copier update --trust` brings it back")
    try:
        texts = {f"snowflake/{file.name}": file.read_text(encoding="utf-8") for file in files}
    except FileNotFoundError as error:
        raise MeshError(
            f"{error.filename} is missing: `copier update --trust` brings it back"
        ) from None
    except UnicodeDecodeError as error:
        raise MeshError(f"{folder}: not UTF-8 ({error.reason})") from None
    steps = sqlscript.read_steps(texts)
    for step in steps:
        if not step.role:
            raise MeshError(
                f"{step.place}: no USE ROLE before this statement: say under which role it runs"
            )
    return steps


def _look(
    arguments: argparse.Namespace, member: Member, names: Names, steps: Sequence[Step]
) -> tuple[Session, Live]:
    """A session, and the account as it is. Raises MeshError where something is somebody else's."""
    from dbtmesh.snowflake import session as snowflake

    session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
    live = snowflake.read_live(session, steps, names)
    access.check_ownership(steps, live, names.project)
    access.check_prerequisites(steps, live)
    return session, live


def show(changes: Sequence[Change], as_json: bool) -> None:
    if as_json:
        print(json.dumps([_as_data(change) for change in changes], indent=2))
        return
    if not changes:
        print("Nothing to change: the account is as snowflake/ says.")
        return
    rows = [(f"{c.step.place}", c.step.role, _title(c.step), c.what) for c in changes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print(
            "  ".join(
                text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)
            ).rstrip()
        )
    role = why = ""
    print()
    for change in changes:
        if change.step.role != role:
            role = change.step.role
            print(f"USE ROLE {role};")
        if change.step.why != why:
            why = change.step.why
            print(f"-- {why}")
        print(f"{change.step.statement};")
    print(f"\n{_counted(len(changes))}.")


def _as_data(change: Change) -> dict[str, Any]:
    """A step as JSON: {file, line, role, verb, object, statement, why, change}."""
    step = change.step
    return {
        "file": step.file,
        "line": step.line,
        "role": step.role,
        "verb": step.verb,
        "object": str(step.object) if step.object else None,
        "statement": step.statement,
        "why": step.why,
        "change": change.what,
    }


def _title(step: Step) -> str:
    """A statement in a few words."""
    if step.grants:
        privileges = ", ".join(grant.privilege for grant in step.grants)
        return f"GRANT {step.grants[0]._replace(privilege=privileges)}"
    return f"{step.verb} {step.object}" if step.object else " ".join(step.statement.split())[:60]


def _counted(number: int) -> str:
    return f"{number} statement{'' if number == 1 else 's'}"


# ── apply ─────────────────────────────────────────────────────────────────────────────


def apply(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    steps = read_steps(member)
    session, live = _look(arguments, member, names, steps)
    changes = access.plan(steps, live)
    _check_roles(session, changes)
    if not arguments.json:
        show(changes, as_json=False)
    if changes:
        _ask(f"Run {'it' if len(changes) == 1 else 'them'} on {session.name}?", "y", arguments)
        _run(session, changes, "apply", quiet=arguments.json)
    if arguments.json:
        print(json.dumps({"done": [_as_data(change) for change in changes]}, indent=2))
    return cli.OK


def _check_roles(session: Session, changes: Sequence[Change]) -> None:
    """Raises MeshError before anything is changed where a role is missing."""
    for role in dict.fromkeys(change.step.role for change in changes):
        session.use(role)


def _ask(question: str, answer: str, arguments: argparse.Namespace) -> None:
    """Raises MeshError where the answer is another, or there is nobody to ask."""
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise MeshError(
            "nothing was changed: without a terminal to ask in, --yes says that you mean it"
        )
    try:
        given = input(f"{question} [{answer}] ")
    except EOFError:
        given = ""
    if given.strip().lower() != answer.lower():
        raise MeshError("nothing was changed")


def _run(session: Session, changes: Sequence[Change], command: str, *, quiet: bool = False) -> None:
    """Runs the steps. Raises MeshError at the first that fails, with what was done."""
    for done, change in enumerate(changes):
        step = change.step
        again = (
            f"{done} of {_counted(len(changes))} done, the rest not tried: "
            f"`scripts/snowflake_access.py {command}` goes on from there"
        )
        try:
            session.run(step.statement, step.role)
        except MeshError as error:
            raise MeshError(
                f"{step.place}: {_title(step)} (as {step.role}): {error}\n{again}"
            ) from None
        except KeyboardInterrupt:
            cli.note(again)
            raise
        if not quiet:
            print(f"ok  {step.place}  {_title(step)}")


# ── verify ────────────────────────────────────────────────────────────────────────────


def verify(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    steps = read_steps(member)
    session, live = _look(arguments, member, names, steps)
    wanted = access.expected(steps, public_models(arguments.manifest, member, names))
    missing = [
        f"{_title(change.step)} ({change.step.place}: {change.what})"
        for change in access.plan(steps, live)
        if change.what not in access.AGAIN
    ]
    unpublished = access.missing_select(wanted, live, names)
    excess = access.excess(wanted, live, names)
    fixed = []
    if arguments.fix:
        fixed = [grant for grant in excess if access.revocable(grant, names)]
        for grant in fixed:
            session.run(access.revoke(grant), "SECURITYADMIN")
    left = [grant for grant in excess if grant not in fixed]
    tried = probes.run(session, names, live.grants.difference(fixed))
    wrong = [probe for probe in tried if not probe.as_it_should]
    if arguments.json:
        found = {
            "missing": missing + [str(grant) for grant in unpublished],
            "extra": [str(grant) for grant in left],
            "revoked": [str(grant) for grant in fixed],
            "probes": [asdict(probe) for probe in tried],
        }
        print(json.dumps(found, indent=2))
    else:
        report(missing, unpublished, left, fixed, tried, names)
    session.close()
    return cli.FOUND if missing or unpublished or left or wrong else cli.OK


def report(
    missing: Sequence[str],
    unpublished: Sequence[Grant],
    left: Sequence[Grant],
    fixed: Sequence[Grant],
    tried: Sequence[probes.Probe],
    names: Names,
) -> None:
    for line in missing:
        print(f"missing  {line}")
    if missing:
        print("         `scripts/snowflake_access.py apply` brings it back")
    for grant in unpublished:
        print(f"missing  {grant}")
    if unpublished:
        print("         `dbt build --target prod` grants it")
    for grant in fixed:
        print(f"revoked  {grant}")
    for grant in left:
        print(f"extra    {grant}")
        whose = (
            "--fix runs it"
            if access.revocable(grant, names)
            else "not this project's: ask its owner"
        )
        print(f"         {access.revoke(grant)};  ({whose})")
    for probe in tried:
        print(f"{'ok     ' if probe.as_it_should else 'WRONG  '}  {probe}")
    if not tried:
        print("note     nothing is built yet, so no SELECT was tried")
    if not (missing or unpublished or left):
        print(f"ok       every grant of {names.project} is as snowflake/ and its public models say")


def public_models(manifest: Path | None, member: Member, names: Names) -> Public | None:
    """Relations of the public models in prod, and the projects that they are for; None where no
    manifest of prod is at hand.

    Raises MeshError where the manifest cannot be read.
    """
    if not member.publishes:
        return {}
    from dbtmesh.manifest import interface

    path = manifest or member.root / "target" / "manifest.json"
    try:
        nodes = interface.extract(path.read_bytes(), member.project).nodes.values()
    except FileNotFoundError:
        if manifest:
            raise MeshError(f"{manifest} does not exist") from None
        nodes = {}.values()
    public = {
        Object(
            "VIEW" if node["config"].get("materialized") == "view" else "TABLE", name
        ): interface.shared_with(node)
        for node in nodes
        if (name := canonical(str(node.get("relation_name") or ""))).startswith(f"{names.prod}.")
    }
    if public or (nodes and all(str(node.get("database")).upper() == names.prod for node in nodes)):
        return public
    cli.note(
        "target/manifest.json is not of a prod run, so it is not known which models are public: "
        "`dbt parse --target prod` first, or --manifest FILE"
    )
    return None


# ── matrix, teardown ──────────────────────────────────────────────────────────────────


def matrix(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    wanted: Expected = access.expected(
        read_steps(member), public_models(arguments.manifest, member, names)
    )
    rows = access.matrix(wanted, names)
    print(json.dumps(rows, indent=2) if arguments.json else access.markdown(rows, names))
    return cli.OK


def teardown(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import session as snowflake

    steps = read_steps(member, teardown=True)
    session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
    live = snowflake.read_live(session, steps, names)
    access.check_ownership(steps, live, names.project)
    changes = access.plan(steps, live)
    _check_roles(session, changes)
    if not arguments.json:
        for change in changes:
            print(f"{_title(change.step)}  (as {change.step.role})")
        for line in bereft(live, names):
            print(line)
    if changes:
        _ask(
            f"Everything in it is gone then. Type the project's name to drop it on {session.name}:",
            names.project,
            arguments,
        )
        _run(session, changes, "teardown", quiet=arguments.json)
    elif not arguments.json:
        print("Nothing to drop.")
    if arguments.json:
        print(json.dumps({"done": [_as_data(change) for change in changes]}, indent=2))
    return cli.OK


def bereft(live: Live, names: Names) -> list[str]:
    """Who else loses something."""
    own = (names.role, names.dev_role)
    readers = [
        g.to.name for g in sorted(live.grants) if g.on == names.public_read and g.to not in own
    ]
    sharers = [
        g.to.name
        for g in sorted(live.grants)
        if g.on == names.warehouse and g.privilege == "USAGE" and g.to not in own
    ]
    return [
        f"warning: these roles {what}, and cannot any more: {', '.join(roles)}"
        for what, roles in (
            ("read its public models", readers),
            (f"use {names.warehouse.name}", sharers),
        )
        if roles
    ]
