"""Plan, apply and verify roles and grants on Snowflake, from the SQL in snowflake/.

  plan      what would change, as a table and as SQL. Without a connection: everything
  apply     makes the changes, after asking. Stops at the first failure; run it again to go on.
            What exists and is not this project's stays as it is; --adopt takes it over. What
            everybody has, by the role PUBLIC, is shown; --revoke-public takes it away
  verify    compares the account with the SQL and the public models, and tries what must fail
  matrix    the access matrix as Markdown, for the README and for auditors
  teardown  drops what this project created, after asking; everything in it is gone. What it took
            over is given back as it was

It connects by --connection NAME, a section of ~/.snowflake/connections.toml, or by the environment:
SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, and SNOWFLAKE_PRIVATE_KEY_PATH, SNOWFLAKE_PASSWORD or
SNOWFLAKE_AUTHENTICATOR. To look, that user needs the role SECURITYADMIN (and ACCOUNTADMIN for the
resource monitor). To make changes, it needs the roles that each file in snowflake/ names at its
top. ACCOUNTADMIN has all of them. Every statement runs under the role that its file names.

  scripts/snowflake_access.py plan                             # on your laptop, no account needed
  scripts/snowflake_access.py apply --connection admin
  scripts/snowflake_access.py verify --connection admin --fix

Exit status: 0 done, 1 it failed, 2 verify found something that differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli, flags
from dbtmesh.config import Member, load_member
from dbtmesh.output.words import counted
from dbtmesh.snowflake import adopt, everybody, expected, files, giveback, matrix, plan, report
from dbtmesh.snowflake.adopt import Existing
from dbtmesh.snowflake.names import Names, names_of
from dbtmesh.snowflake.plan import Change, Live
from dbtmesh.snowflake.sqlscript import Step, read_steps
from dbtmesh.snowflake.statements import Verb

if TYPE_CHECKING:
    from dbtmesh.snowflake.models import Models
    from dbtmesh.snowflake.session import Session


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
    arguments = flags.parser(__doc__ or "")
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
    change = commands.add_parser(
        "apply", parents=[connection, output, sure], help="make the changes"
    )
    change.add_argument(
        "--adopt",
        action="store_true",
        help="take over what exists and is not this project's: owners, managed access, properties. "
        "What others were granted stays, and a teardown gives it back",
    )
    change.add_argument(
        everybody.FLAG,
        action="store_true",
        help="take from PUBLIC, and so from everybody, what it has on this project's objects",
    )
    change.add_argument(
        "--no-github",
        action="store_true",
        help="with auth: workload_identity, leave GitHub's environment alone: it is closed already",
    )
    check = commands.add_parser(
        "verify", parents=[connection, output, models], help="compare the account with the SQL"
    )
    check.add_argument(
        "--fix", action="store_true", help="revoke excess grants on this project's own objects"
    )
    commands.add_parser("matrix", parents=[output, models], help="the access matrix as Markdown")
    commands.add_parser("teardown", parents=[connection, output, sure], help="drop everything")
    return arguments.parse_args(words)


# ── plan ──────────────────────────────────────────────────────────────────────────────


def show_plan(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import session as snowflake

    steps = files.read_steps(member)
    if arguments.offline or not snowflake.is_configured(arguments.connection):
        show(plan.plan(steps), arguments.json)
        cli.note("everything is shown; with --connection NAME only what would change there")
        return cli.OK
    session, live, found = _look(arguments, member, names, steps)
    session.close()
    built = _built(member, names)
    changes = adopt.plan_all(steps, live, names, built)
    closing = everybody.closing(steps, adopt.foreign_of(found, names, live), live, names)
    show(changes, arguments.json, closing, names.project)
    for warning in report.locked_out(changes, live):
        cli.note(warning)
    if built is None and adopt.foreign_of(found, names, live):
        cli.note(
            "which tables dbt builds here is not known before `dbt parse --target prod`: until "
            "then, all tables in a schema that is taken over count"
        )
    return cli.OK


def _look(
    arguments: argparse.Namespace, member: Member, names: Names, steps: Sequence[Step]
) -> tuple[Session, Live, list[Existing]]:
    """Returns a session, the state of the account, and those objects of the steps that exist there.

    Raises MeshError where an object must not be taken over, or where a prerequisite is missing.
    """
    from dbtmesh.snowflake import account
    from dbtmesh.snowflake import session as snowflake

    session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
    live = account.read_live(session, steps, names)
    found = adopt.existing(steps, live)
    adopt.refuse_what_cannot_be_adopted(found, names)
    plan.check_prerequisites(steps, live)
    return session, live, found


def show(
    changes: Sequence[Change],
    as_json: bool,
    closing: Sequence[Change] = (),
    project: str = "",
) -> None:
    """Prints the changes. closing: changes that are shown, too, but are not made."""
    if as_json:
        more = [report.as_data(change) | {"flag": everybody.FLAG} for change in closing]
        cli.say_json([*map(report.as_data, changes), *more])
    else:
        cli.say(*report.plan_lines(changes), *report.public_lines(closing, project))


# ── apply ─────────────────────────────────────────────────────────────────────────────


def apply(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    steps = files.read_steps(member)
    session, live, found = _look(arguments, member, names, steps)
    closing = everybody.closing(steps, adopt.foreign_of(found, names, live), live, names)
    ended = [grant for each in closing for grant in each.step.grants]
    after = everybody.without(live, ended) if arguments.revoke_public else live
    changes = adopt.plan_all(steps, after, names, _built(member, names))
    if not arguments.adopt:
        adopt.refuse_unasked(changes, found, names)
    if arguments.revoke_public:
        changes, closing = [*changes, *closing], []
    _check_roles(session, changes)
    if not arguments.json:
        show(changes, False, closing, names.project)
    for warning in report.locked_out(changes, live):
        cli.note(warning)
    if changes:
        if not arguments.no_github:
            from dbtmesh.snowflake.keypair import environment

            tell = cli.note if arguments.json else cli.say
            environment.close_before(changes, member, names, tell)
        _ask(f"Run {'it' if len(changes) == 1 else 'them'} on {session.name}?", "y", arguments)
        if any(change.adopts for change in changes):
            tell = cli.note if arguments.json else cli.say
            for file in _write_adoption(member, names, steps, changes, live, found, session):
                tell(f"{file} records the former state: commit it")
        command = "apply --adopt" if arguments.adopt else "apply"
        _run(session, changes, command, quiet=arguments.json)
    if arguments.json:
        cli.say_json({"done": [report.as_data(change) for change in changes]})
    return cli.OK


def _write_adoption(
    member: Member,
    names: Names,
    steps: Sequence[Step],
    changes: Sequence[Change],
    live: Live,
    found: Sequence[Existing],
    session: Session,
) -> list[str]:
    """Records the present state before anything is changed, and returns the files written."""
    from dbtmesh.snowflake import account

    foreign = adopt.foreign_of(found, names, live)
    created = {step.object for step in steps if step.verb is Verb.CREATE and step.object}
    earlier = files.read_give_back(member)
    text = giveback.give_back(changes, created - foreign, live, earlier)

    def kept(live: Live) -> str:
        excess = expected.excess(expected.expected(steps, None), live, names)
        return giveback.kept(excess, foreign)

    # grants on a database name the roles that may use it; their own grants, what they read in it
    readers = read_steps({giveback.KEPT_FILE: kept(live)})
    everything = kept(account.read_live(session, [*steps, *readers], names)) if readers else ""
    return files.write_adoption(member, text, everything)


def _check_roles(session: Session, changes: Sequence[Change]) -> None:
    """Raises MeshError before anything is changed where a role is missing."""
    for role in dict.fromkeys(change.step.role for change in changes):
        session.use(role)


def _ask(question: str, answer: str, arguments: argparse.Namespace) -> None:
    """Asks for confirmation. Raises MeshError where it is not given, or there is no terminal."""
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise MeshError(
            "nothing was changed: there is no terminal to ask in; pass --yes to confirm"
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
            f"{done} of {counted(len(changes), 'statement')} done, the rest not tried: "
            f"`scripts/snowflake_access.py {command}` goes on from there"
        )
        try:
            session.run(step.statement, step.role)
        except MeshError as error:
            said = f"{step.place}: {report.title(step)} (as {step.role}): {error}"
            raise MeshError("\n".join(filter(None, (said, report.hint(step), again)))) from None
        except KeyboardInterrupt:
            cli.note(again)
            raise
        if not quiet:
            cli.say(f"ok  {step.place}  {report.title(step)}")


# ── verify ────────────────────────────────────────────────────────────────────────────


def verify(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import probes

    steps = files.read_steps(member)
    session, live, _ = _look(arguments, member, names, steps)
    models = _models(arguments.manifest, member, names)
    wanted = expected.expected(steps, models.public if models else None)
    excess = expected.excess(wanted, live, names)
    fixed = []
    if arguments.fix:
        fixed = [grant for grant in excess if expected.revocable(grant, names)]
        for role in sorted({grant.administrator for grant in fixed}):
            session.use(role)  # before anything is changed
        for grant in fixed:
            session.run(expected.remedy(grant, names), grant.administrator)
    changes = adopt.plan_all(steps, live, names, models.built if models else None)
    found = report.Findings(
        missing=[change for change in changes if change.effect.is_certain],
        unpublished=expected.missing_select(wanted, live, names),
        lacking=models.lacking if models else (),
        extra=[grant for grant in excess if grant not in fixed],
        revoked=fixed,
        everybodys=everybody.meant(wanted),
        probes=probes.run(session, names, live.grants.difference(fixed)),
    )
    session.close()
    if arguments.json:
        cli.say_json(found.as_data())
    else:
        cli.say(*found.lines(names))
    return cli.OK if found.is_clean else cli.FOUND


def _built(member: Member, names: Names) -> Collection[str] | None:
    from dbtmesh.snowflake.models import read_built  # a plan without an account does not need it

    return read_built(member, names)


def _models(manifest: Path | None, member: Member, names: Names) -> Models | None:
    """Returns what is built and public in prod; None, after a note, without a manifest of prod."""
    from dbtmesh.snowflake.models import read_models

    models = read_models(manifest, member, names)
    if models is None:
        cli.note(
            "target/manifest.json is not of a prod run, so it is not known which models are "
            "public: `dbt parse --target prod` first, or --manifest FILE"
        )
    elif manifest is None and member.publishes and (older := _stale(member)):
        cli.note(
            f"{older}: the public models are those of that time. Run `dbt parse --target prod` "
            "first, or name another with --manifest FILE"
        )
    return models


def _stale(member: Member) -> str | None:
    """Returns why dbt's manifest is out of date; None where it is not."""
    from dbtmesh.artifacts import check
    from dbtmesh.snowflake.models import path_of

    return check.stale(member.root, path_of(member), member.project)


# ── matrix, teardown ──────────────────────────────────────────────────────────────────


def show_matrix(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    models = _models(arguments.manifest, member, names)
    wanted = expected.expected(files.read_steps(member), models.public if models else None)
    rows = matrix.matrix(wanted, names)
    if arguments.json:
        cli.say_json(rows)
    else:
        cli.say(*matrix.markdown(rows, names).splitlines())
    return cli.OK


def teardown(arguments: argparse.Namespace, member: Member, names: Names) -> int:
    from dbtmesh.snowflake import account
    from dbtmesh.snowflake import session as snowflake

    made = files.read_steps(member)
    drops, given_back = files.read_teardown(member), files.read_give_back(member)
    session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
    live = account.read_live(session, [*made, *drops, *given_back], names)
    drops = giveback.without_taken_over(drops, given_back, live, names)
    adopt.refuse_to_drop(drops, adopt.existing(made, live), live, names)
    changes = plan.plan(giveback.teardown_steps(drops, given_back, live, names), live)
    _check_roles(session, changes)
    if not arguments.json:
        for change in changes:
            cli.say(f"{report.title(change.step)}  (as {change.step.role})")
        cli.say(*report.bereft(changes, live, names))
    if changes:
        _ask(
            f"What is dropped is lost. Type the project's name to drop it on {session.name}:",
            names.project,
            arguments,
        )
        _run(session, changes, "teardown", quiet=arguments.json)
    elif not arguments.json:
        cli.say("Nothing to drop.")
    if arguments.json:
        cli.say_json({"done": [report.as_data(change) for change in changes]})
    return cli.OK
