#!/usr/bin/env python3
"""Say what a run of dbt did, as Markdown that a reviewer can read.

  scripts/run_summary.py --title "dbt_up in DBT_UP_PROD"

goes to the step's summary in GitHub Actions, and to the terminal elsewhere. What other commands
have found comes along: --after FILE … are Markdown files of the same report, those that are missing
left out. --output NAME makes all of it an output of the step, for a comment.

The output `failures` names the nodes that failed, a line each.

Exit status: 0 done (whether or not the run failed), 1 it failed.
"""

from __future__ import annotations

import os
from pathlib import Path

from mesh import MeshError, cli, markdown, runs


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--title", required=True, help="of what")
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
        help="Markdown that comes first",
    )
    parser.add_argument("--output", metavar="NAME", help="output of the step that gets all of it")
    arguments = parser.parse_args()
    run = runs.read(arguments.run_results)
    lines = runs.summary(arguments.title, run)
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        markdown.publish(lines, None)
    else:
        print("\n".join(lines))
    before = [text for path in arguments.after if (text := _text(path))]
    if arguments.output:
        cli.output(**{arguments.output: "\n".join([*before, *lines])})
    cli.output(failures="\n".join(runs.failures(run)))
    return cli.OK


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise MeshError(f"{path} is no text") from None


if __name__ == "__main__":
    cli.run(main)
