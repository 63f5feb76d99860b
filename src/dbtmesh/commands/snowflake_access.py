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
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli
from dbtmesh.config import Member, load_member
from dbtmesh.snowflake import expected, matrix, plan, report, sqlscript
from dbtmesh.snowflake.expected import Public
from dbtmesh.snowflake.names import Names, names_of
from dbtmesh.snowflake.objects import Object
from dbtmesh.snowflake.plan import Change, Live
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.warehouse.names import canonical

if TYPE_CHECKING:
    from dbtmesh.snowflake.session import Session

TEARDOWN = "99_teardown.sql"


def main(words: Sequence[str], root: Path) -> int:
    arguments = _arguments(words)
    member = load_member(root)
    names = names_of(member)
    commands = {
        "plan": show_plan,
        "apply": apply,
        "verify": verify,
        "matrix": show_matrix,
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


def show_plan(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import session as snowflake

    steps = read_steps(member)
    if arguments.offline or not snowflake.is_configured(arguments.connection):
        show(plan.plan(steps), arguments.json)
        cli.note("everything is shown; with --connection NAME only what would change there")
        return cli.OK
    session, live = _look(arguments, member, names, steps)
    session.close()
    show(plan.plan(steps, live), arguments.json)
    return cli.OK


def read_steps(member: Member, *, teardown: bool = False) -> list[Step]:
    """The statements of snowflake/*.sql, in the order of the files' names. Raises MeshError."""
    folder = member.root / "snowflake"
    files = (
        [folder / TEARDOWN] if teardown else sorted(set(folder.glob("*.sql")) - {folder / TEARDOWN})
    )
    if not files:
        raise MeshError(f"{folder} holds no SQL: `git checkout snowflake` brings it back")
    try:
        texts = {f"snowflake/{file.name}": file.read_text(encoding="utf-8") for file in files}
    except FileNotFoundError as error:
        raise MeshError(
            f"{error.filename} is missing: `git checkout snowflake` brings it back"
        ) from None
    except UnicodeDecodeError as error:
        raise MeshError(f"{folder}: not UTF-8 ({error.reason})") from None
    return sqlscript.read_steps(texts)


def _look(
    arguments: argparse.Namespace, member: Member, names: Names, steps: Sequence[Step]
) -> tuple[Session, Live]:
    """A session, and the account as it is. Raises MeshError where something is somebody else's."""
    from dbtmesh.snowflake import account
    from dbtmesh.snowflake import session as snowflake

    session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
    live = account.read_live(session, steps, names)
    plan.check_ownership(steps, live, names.project)
    plan.check_prerequisites(steps, live)
    return session, live


def show(changes: Sequence[Change], as_json: bool) -> None:
    if as_json:
        cli.say_json([report.as_data(change) for change in changes])
        return
    for line in report.plan_lines(changes):
        cli.say(*line.split("\n"))  # a statement may have several


# ── apply ─────────────────────────────────────────────────────────────────────────────


def apply(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    steps = read_steps(member)
    session, live = _look(arguments, member, names, steps)
    changes = plan.plan(steps, live)
    _check_roles(session, changes)
    if not arguments.json:
        show(changes, as_json=False)
    if changes:
        _ask(f"Run {'it' if len(changes) == 1 else 'them'} on {session.name}?", "y", arguments)
        _run(session, changes, "apply", quiet=arguments.json)
    if arguments.json:
        cli.say_json({"done": [report.as_data(change) for change in changes]})
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
            f"{done} of {report.counted(len(changes))} done, the rest not tried: "
            f"`scripts/snowflake_access.py {command}` goes on from there"
        )
        try:
            session.run(step.statement, step.role)
        except MeshError as error:
            raise MeshError(
                f"{step.place}: {report.title(step)} (as {step.role}): {error}\n{again}"
            ) from None
        except KeyboardInterrupt:
            cli.note(again)
            raise
        if not quiet:
            cli.say(f"ok  {step.place}  {report.title(step)}")


# ── verify ────────────────────────────────────────────────────────────────────────────


def verify(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import probes

    steps = read_steps(member)
    session, live = _look(arguments, member, names, steps)
    wanted = expected.expected(steps, public_models(arguments.manifest, member, names))
    excess = expected.excess(wanted, live, names)
    fixed = []
    if arguments.fix:
        fixed = [grant for grant in excess if expected.revocable(grant, names)]
        for grant in fixed:
            session.run(expected.revoke(grant), "SECURITYADMIN")
    found = report.Findings(
        missing=[change for change in plan.plan(steps, live) if change.effect.is_certain],
        unpublished=expected.missing_select(wanted, live, names),
        extra=[grant for grant in excess if grant not in fixed],
        revoked=fixed,
        probes=probes.run(session, names, live.grants.difference(fixed)),
    )
    session.close()
    if arguments.json:
        cli.say_json(found.as_data())
    else:
        cli.say(*(found.lines(names)))
    return cli.OK if found.is_clean else cli.FOUND


def public_models(manifest: Path | None, member: Member, names: Names) -> Public | None:
    """Relations of the public models in prod, and the projects that they are for; None where no
    manifest of prod is at hand.

    Raises MeshError where the manifest cannot be read.
    """
    if not member.publishes:
        return {}
    from dbtmesh.manifest.extract import extract
    from dbtmesh.manifest.interface import shared_with

    path = manifest or member.root / "target" / "manifest.json"
    try:
        nodes = extract(path.read_bytes(), member.project).nodes.values()
    except FileNotFoundError:
        if manifest:
            raise MeshError(f"{manifest} does not exist") from None
        nodes = {}.values()
    public = {
        Object(
            "VIEW" if node["config"].get("materialized") == "view" else "TABLE", name
        ): shared_with(node)
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


def show_matrix(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    public = public_models(arguments.manifest, member, names)
    rows = matrix.matrix(expected.expected(read_steps(member), public), names)
    if arguments.json:
        cli.say_json(rows)
    else:
        cli.say(*matrix.markdown(rows, names).splitlines())
    return cli.OK


def teardown(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import account
    from dbtmesh.snowflake import session as snowflake

    steps = read_steps(member, teardown=True)
    session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
    live = account.read_live(session, steps, names)
    plan.check_ownership(steps, live, names.project)
    changes = plan.plan(steps, live)
    _check_roles(session, changes)
    if not arguments.json:
        for change in changes:
            cli.say(f"{report.title(change.step)}  (as {change.step.role})")
        for line in report.bereft(live, names):
            cli.say(line)
    if changes:
        _ask(
            f"Everything in it is gone then. Type the project's name to drop it on {session.name}:",
            names.project,
            arguments,
        )
        _run(session, changes, "teardown", quiet=arguments.json)
    elif not arguments.json:
        cli.say("Nothing to drop.")
    if arguments.json:
        cli.say_json({"done": [report.as_data(change) for change in changes]})
    return cli.OK
