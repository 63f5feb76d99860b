"""Comment on a pull request, and drop its schema on Snowflake.

  comment FILE   writes the Markdown in FILE as this project's comment, or updates the comment
  drop N         drops the schema <PREFIX>_DEV.PR_<N> of a pull request that closes
  sweep          drops the schemas of all pull requests that are not open any more

  python -m dbtmesh pull-request comment report.md --number 42
  python -m dbtmesh pull-request drop 42
  python -m dbtmesh pull-request sweep --dry-run

It talks to GitHub with $GITHUB_TOKEN, and to Snowflake as the target `ci` does: by the key in
$SNOWFLAKE_PRIVATE_KEY or its file, or by workload identity. Only schemas called PR_<number> are
dropped, and none where GitHub does not tell which pull requests are open.

Exit status: 0 done, 1 it failed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.ci.github import job, rest
from dbtmesh.snowflake.names import names_of

if TYPE_CHECKING:
    from dbtmesh.snowflake.session import Session

SCHEMA = re.compile(r"PR_(\d+)")
LONGEST = 65_000
"""Characters; GitHub takes 65,536 in a comment."""


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commented = commands.add_parser("comment", help="write or update this project's comment")
    commented.add_argument("file", type=Path, metavar="FILE", help="Markdown")
    commented.add_argument(
        "--number",
        type=flags.positive,
        metavar="N",
        help="number of the pull request (default: this run's)",
    )
    commented.add_argument(
        "--author",
        default="github-actions[bot]",
        metavar="LOGIN",
        help="who the token writes as (default github-actions[bot]); others' comments stay",
    )
    dropped = commands.add_parser("drop", help="drop the schema of a pull request")
    dropped.add_argument("number", type=flags.positive, metavar="N", help="its number")
    swept = commands.add_parser("sweep", help="drop the schemas of closed pull requests")
    swept.add_argument("--dry-run", action="store_true", help="say which, and drop none")
    arguments = parser.parse_args(words)
    command = {"comment": comment, "drop": drop, "sweep": sweep}[arguments.command]
    return command(arguments, config.load_member(root))


# ── comment ───────────────────────────────────────────────────────────────────────────


def comment(arguments: argparse.Namespace, member: config.Member) -> int:
    """Writes the project's comment, or replaces it. Raises MeshError."""
    try:
        text = arguments.file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise MeshError(f"{arguments.file} is not text") from None
    number = arguments.number or own_number()
    # Projects that share a repository have a comment each.
    marker = f"<!-- dbt-mesh {member.project} -->"
    body = {"body": f"{marker}\n{fitting(text)}"}
    api = rest.from_environment()
    repository = f"/repos/{job.repository()}"
    comments = f"{repository}/issues/{number}/comments"
    there = [*rest.pages(api, comments)]
    with rest.understood(f"GET {comments}"):
        own = next(
            (
                int(each["id"])
                for each in there
                if (each.get("user") or {}).get("login") == arguments.author
                and str(each.get("body")).startswith(marker)
            ),
            None,
        )
    if own is not None:
        api.patch(f"{repository}/issues/comments/{own}", body)
        cli.say(f"updated the comment on pull request {number}")
        return cli.OK
    api.post(comments, body)
    cli.say(f"commented on pull request {number}")
    return cli.OK


def own_number() -> int:
    """Returns the number of the pull request whose workflow this is. Raises MeshError in any other
    workflow."""
    number = job.pull_request()
    if number is None:
        raise MeshError(
            "this is not the workflow of a pull request: name the pull request with --number"
        )
    return number


def fitting(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n\n… cut: the rest is in the summary of the run"


# ── drop and sweep ────────────────────────────────────────────────────────────────────


def drop(arguments: argparse.Namespace, member: config.Member) -> int:
    from dbtmesh.snowflake import session as snowflake

    drop_schema(snowflake.sign_in_as(member, "ci"), f"{names_of(member).dev}.PR_{arguments.number}")
    return cli.OK


def drop_schema(session: Session, schema: str) -> None:
    session.run(f"DROP SCHEMA IF EXISTS {schema}", session.role)
    cli.say(f"dropped {schema}")


def sweep(arguments: argparse.Namespace, member: config.Member) -> int:
    from dbtmesh.snowflake import session as snowflake

    api, repository = rest.from_environment(), job.repository()
    session = snowflake.sign_in_as(member, "ci")
    # Schemas are listed first, so none of them is of a pull request that opens after that.
    database = names_of(member).dev
    rows = session.rows(f"SHOW SCHEMAS IN DATABASE {database}", session.role)
    schemas = {row["name"]: int(of[1]) for row in rows if (of := SCHEMA.fullmatch(row["name"]))}
    path = f"/repos/{repository}/pulls"
    listed = [*rest.pages(api, path, state="open")]
    with rest.understood(f"GET {path}"):
        opened = {int(each["number"]) for each in listed}
    closed = sorted(name for name, number in schemas.items() if number not in opened)
    for name in closed:
        if arguments.dry_run:
            cli.say(f"would drop {database}.{name}")
        else:
            drop_schema(session, f"{database}.{name}")
    cli.say(f"{len(schemas)} schemas of pull requests, {len(closed)} of them closed")
    return cli.OK
