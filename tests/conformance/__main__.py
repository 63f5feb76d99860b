"""`make conformance CONNECTION=…`: see the package."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import snowflake.connector
from snowflake.connector.errors import Error

from tests.conformance import __doc__ as about
from tests.conformance import report
from tests.conformance.ask import Asked, Run, Stopped, ask, statements
from tests.conformance.compare import Difference, compare, differences
from tests.conformance.questions import QUESTIONS, SCRIPT
from tests.conformance.script import NOT_ASKED

OK, FAILED, FOUND = 0, 1, 2


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 the account answers as the stand-in, 2 otherwise, 1 it was not asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connection", metavar="NAME", help="of ~/.snowflake/connections.toml")
    parser.add_argument("--report", type=Path, default=Path("conformance.md"), metavar="FILE")
    parser.add_argument("--dry-run", action="store_true", help="print every statement; no account")
    parser.add_argument("--yes", action="store_true", help="do not ask before it begins")
    given = parser.parse_args(words)
    prefix = f"DBTMESH_CONFORMANCE_{secrets.token_hex(4).upper()}"
    if given.dry_run:
        print(*(f"{sql};" for sql in statements(Run(prefix, "YOU"))), sep="\n")
        return OK
    if not given.connection:
        parser.error("which account? --connection NAME (make conformance CONNECTION=NAME)")
    if not given.yes and not _agreed(given.connection, prefix):
        print("nothing was done", file=sys.stderr)
        return FAILED
    try:
        return _run(given.connection, prefix, given.report)
    except (Stopped, Error) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted: everything that was created is dropped again", file=sys.stderr)
        return 130


def _agreed(connection: str, prefix: str) -> bool:
    print(
        f"This asks {len(QUESTIONS)} questions of the account of connection {connection}, as its "
        "ACCOUNTADMIN.\nIt creates users, roles, databases, a warehouse and a resource monitor, "
        f"all named\n{prefix}_…, and drops them at the end. It costs less than a credit, and is "
        "meant for\na trial account."
    )
    return sys.stdin.isatty() and input("Go on? [y] ").strip().lower() == "y"


def _run(name: str, prefix: str, file: Path) -> int:
    def connect() -> snowflake.connector.SnowflakeConnection:
        return snowflake.connector.connect(
            connection_name=name, role="ACCOUNTADMIN", login_timeout=60, network_timeout=120
        )

    first = connect()
    found_user = first.cursor().execute("SELECT CURRENT_USER()").fetchone()[0]  # type: ignore
    first.close()
    user = '"' + str(found_user).replace('"', '""') + '"'

    def progress(number: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(SCRIPT)}", end="", file=sys.stderr, flush=True)

    asked = ask(connect, Run(prefix, user), progress)
    behaviour, ours, _ = compare(asked.answers, prefix)
    asked.answers = report.clean(asked.answers, ours)
    found = differences(asked.answers, ours)
    text = report.markdown(version("dbtmesh"), asked, behaviour, found)
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
