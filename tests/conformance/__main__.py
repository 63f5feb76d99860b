"""`make conformance CONNECTION=…` or `REPOSITORY=…`: see the package's docstring."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import snowflake.connector
from snowflake.connector.errors import Error

from dbtmesh.ci.github.job import REPOSITORY
from dbtmesh.config import GITHUB as GITHUB_COM
from tests.conformance import __doc__ as about
from tests.conformance import report
from tests.conformance.compare import Difference, behaviour_of, differences
from tests.conformance.github import ask as requests
from tests.conformance.github.questions import SCRIPT as REQUESTS
from tests.conformance.github.service import GITHUB, ByGh
from tests.conformance.running import Asked, Stopped
from tests.conformance.script import NOT_ASKED, Service
from tests.conformance.snowflake import ask as sql
from tests.conformance.snowflake.questions import SCRIPT as STATEMENTS
from tests.conformance.snowflake.service import SNOWFLAKE

OK, FAILED, FOUND = 0, 1, 2


@dataclass(frozen=True)
class Plan:
    """A run that is about to start.

    says: what it will do, for people.
    lines: every statement or request.
    ask: runs it, and calls its argument with the number of each step.
    """

    service: Service
    says: str
    lines: Iterator[str]
    steps: int
    ask: Callable[[Callable[[int], None]], Asked]


def main(words: Sequence[str] | None = None) -> int:
    """Exits with 0 if the account answers as the stand-in, 2 if not, 1 if it was not asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--connection", metavar="NAME", help="a connection of ~/.snowflake/connections.toml"
    )
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="a repository that `gh` may read and write"
    )
    parser.add_argument("--report", type=Path, default=Path("conformance.md"), metavar="FILE")
    parser.add_argument(
        "--dry-run", action="store_true", help="only print what would be sent; needs no account"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before it starts")
    given = parser.parse_args(words)
    if given.connection and given.repository:
        parser.error("one at a time: --connection or --repository")
    if given.repository and not REPOSITORY.fullmatch(given.repository):
        parser.error("--repository is owner/name")
    plan = _of_github(given.repository) if given.repository else _of_snowflake(given.connection)
    if given.dry_run:
        print(*plan.lines, sep="\n")
        return OK
    if not given.connection and not given.repository:
        parser.error(
            "which account? --connection NAME of Snowflake, or --repository OWNER/NAME of GitHub "
            "(make conformance CONNECTION=NAME, make conformance REPOSITORY=OWNER/NAME)"
        )
    if not given.yes and not _agreed(plan.says):
        print("nothing was done", file=sys.stderr)
        return FAILED
    try:
        return _run(plan, given.report)
    except (Stopped, Error) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted: everything that was created is removed again", file=sys.stderr)
        return 130


def _agreed(says: str) -> bool:
    print(says)
    return sys.stdin.isatty() and input("Go on? [y] ").strip().lower() == "y"


def _of_snowflake(connection: str | None) -> Plan:
    prefix = f"DBTMESH_CONFORMANCE_{secrets.token_hex(4).upper()}"

    def connect() -> snowflake.connector.SnowflakeConnection:
        return snowflake.connector.connect(
            connection_name=connection, role="ACCOUNTADMIN", login_timeout=60, network_timeout=120
        )

    def ask(progress: Callable[[int], None]) -> Asked:
        first = connect()
        found = first.cursor().execute("SELECT CURRENT_USER()").fetchone()[0]  # type: ignore
        first.close()
        user = '"' + str(found).replace('"', '""') + '"'
        return sql.ask(connect, sql.Run(prefix, user), progress)

    return Plan(
        SNOWFLAKE,
        f"This asks {len(SNOWFLAKE.questions)} questions of the account of connection "
        f"{connection}, as its ACCOUNTADMIN.\nIt creates users, roles, databases, a warehouse and "
        f"a resource monitor, all named\n{prefix}_…, and drops them at the end. It costs less than "
        "a credit, and is meant for\na trial account.",
        (f"{statement};" for statement in sql.statements(sql.Run(prefix, "YOU"))),
        len(STATEMENTS),
        ask,
    )


def _of_github(repository: str) -> Plan:
    prefix = f"dbtmesh-conformance-{secrets.token_hex(4)}"

    def ask(progress: Callable[[int], None]) -> Asked:
        asks = ByGh(os.environ.get("GH_HOST") or GITHUB_COM)
        return requests.ask(asks, requests.Run(repository, prefix), progress)

    shown = {"branch": "BRANCH", "me": "YOU", "id": "1"}
    return Plan(
        GITHUB,
        f"This asks {len(GITHUB.questions)} questions of {repository}, by `gh`, as you are signed "
        "in: you have to\nadminister it, and `gh` needs the scope `workflow`. It creates "
        f"environments, secrets,\na branch and workflows, all named {prefix}-…,\nand removes them "
        "at the end. An empty repository gets a README, which stays. Jobs run\nfor about 15 "
        "minutes of GitHub Actions. It is meant for a repository that holds nothing else.",
        map(requests.Run(repository, prefix, shown).text, requests.requests()),
        len(REQUESTS),
        ask,
    )


def _run(plan: Plan, file: Path) -> int:
    def progress(number: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {plan.steps}", end="", file=sys.stderr, flush=True)

    service, asked = plan.service, plan.ask(progress)
    behaviour, ours = behaviour_of(service, asked.answers)
    answers = report.clean(service, asked.answers, ours)
    found = differences(service, answers, ours)
    text = report.markdown(service, version("dbtmesh"), answers, behaviour, asked.lacks, found)
    file.write_text(text, encoding="utf-8")
    print(f"\n{_summary(asked, found)}; {file} holds no names: attach it to an issue")
    return FOUND if found else OK


def _summary(asked: Asked, found: Sequence[Difference]) -> str:
    number = sum(answer.number != NOT_ASKED for answer in asked.answers.values())
    if not found:
        return f"all {number} questions are answered as the stand-in answers them"
    names = ", ".join(each.question.name for each in found)
    return f"{len(found)} of {number} questions are answered otherwise: {names}"


if __name__ == "__main__":
    sys.exit(main())
