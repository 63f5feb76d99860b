"""Summarise a run of dbt as Markdown.

  python -m dbtmesh run-summary --title "dbt_up in DBT_UP_PROD"

The summary goes to the step's summary in GitHub Actions, and to the terminal elsewhere. --output
NAME also makes it an output of the step, for a comment. There it follows the findings of other
commands: the Markdown files that --after names, without those that are missing.

The output `failures` names the nodes that failed, a line each, and counts those beyond 30. Other
jobs get both outputs as environment variables, which Linux limits to 128 KiB. So they are cut to
less.

Exit status: 0 done (whether or not the run failed), 1 it failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dbtmesh import MeshError, cli, flags
from dbtmesh.artifacts import run_report
from dbtmesh.ci.github import job, workflow_commands
from dbtmesh.output import markdown

LONGEST = 60_000
"""Bytes of the output for a comment; GitHub takes 65,536 characters in one."""


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument("--title", required=True, help="title of the summary")
    parser.add_argument(
        "--run-results",
        type=Path,
        default=Path("target/run_results.json"),
        metavar="FILE",
        help="default target/run_results.json",
    )
    parser.add_argument(
        "--after",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="Markdown that comes first in the output",
    )
    parser.add_argument("--output", metavar="NAME", help="output of the step to set")
    arguments = parser.parse_args(words)
    run = run_report.read(arguments.run_results)
    lines = run_report.summary(arguments.title, run)
    if job.has_summary():
        workflow_commands.summarise(lines, None)
    else:
        cli.say(*lines)
    before = [text for path in arguments.after if (text := _text(path))]
    if arguments.output:
        whole = "\n".join([*before, *lines])
        short = markdown.cut(whole, LONGEST, "the rest is in the run's summary")
        workflow_commands.output(**{arguments.output: short})
    workflow_commands.output(failures="\n".join(run_report.named(run_report.failures(run))))
    return cli.OK


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise MeshError(f"{path} is not text") from None
