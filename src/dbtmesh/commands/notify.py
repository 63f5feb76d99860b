"""Tell people how a deploy went: on failure, and on recovery; silent otherwise.

  python -m dbtmesh notify --result failure --nodes "$FAILURES"
  python -m dbtmesh notify --result success --previous failure

Slack messages go to $SLACK_WEBHOOK_URL. Mail goes through $SMTP_HOST and $SMTP_PORT (587: STARTTLS,
465: TLS), as $SMTP_USER with $SMTP_PASSWORD if the server asks for them, from $ALERT_EMAIL_FROM to
$ALERT_EMAIL_TO (separated by commas). GitHub is asked how the previous deploy ended, with
$GITHUB_TOKEN (permission actions: read), unless --previous says so.

With --project it needs only Python's standard library.

Exit status: 0, even if the alert could not be sent: that is a warning in the workflow's log, so
that an alert never fails a deploy. With --strict the status is 1 then.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from dbtmesh import MeshError, cli, flags
from dbtmesh.alerts import alert, channels
from dbtmesh.alerts.alert import Alert
from dbtmesh.artifacts import run_report
from dbtmesh.ci.github import job, workflow_commands, workflow_runs
from dbtmesh.ci.github.workflow_runs import Conclusion

RESULTS = (Conclusion.SUCCESS, Conclusion.FAILURE, Conclusion.CANCELLED, Conclusion.SKIPPED)


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    results = [each.value for each in RESULTS]
    parser.add_argument("--result", required=True, choices=results, help="how the deploy ended")
    parser.add_argument(
        "--previous",
        choices=(*results, ""),
        help="how the one before ended (default: GitHub is asked; '': there was none)",
    )
    parser.add_argument(
        "--nodes", metavar="TEXT", help="a line for each node that failed (from another job)"
    )
    parser.add_argument(
        "--run-results",
        type=Path,
        metavar="FILE",
        help="take failed nodes from dbt's run_results.json, too",
    )
    parser.add_argument(
        "--commit",
        metavar="SHA",
        help="the deployed commit (from another job; default: the one here)",
    )
    parser.add_argument("--project", metavar="NAME", help="whose deploy it was (default: mesh.yml)")
    parser.add_argument("--env", metavar="E", help="its environment ($DBT_MESH_ENV; default prod)")
    parser.add_argument(
        "--workflow",
        metavar="FILE",
        help="the deploys' workflow (default: this one, or deploy.yml)",
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 where nobody could be told")
    arguments = parser.parse_args(words)
    secrets = channels.secrets(os.environ)
    try:
        found = to_tell(arguments, root, secrets)
        if isinstance(found, str):
            cli.say(f"nothing to tell: {found}")
        else:
            for told in channels.tell(found, os.environ):
                cli.say(f"told {told}: {found.headline}")
    except (MeshError, OSError) as error:
        why = alert.hidden(str(error), secrets)
        if arguments.strict:
            raise MeshError(why) from None
        workflow_commands.warning(f"nobody was told: {why}", title="alert")
    return cli.OK


def to_tell(arguments: argparse.Namespace, root: Path, secrets: Sequence[str]) -> Alert | str:
    """Returns the alert, or why there is none. Raises MeshError."""
    result = Conclusion(arguments.result)
    if not result.tells:
        return f"the deploy was {result}"
    previous = previously(arguments, required=not result.is_bad)
    again = previous is not None and previous.is_bad
    if not result.is_bad and not again:
        return "the deploy succeeded, and so did the one before, if any"
    lines = (arguments.nodes or "").splitlines()
    if arguments.run_results:
        lines += run_report.failures(run_report.read(arguments.run_results))
    return Alert(
        project=arguments.project or own_project(root),
        env=arguments.env or os.environ.get("DBT_MESH_ENV") or "prod",
        failed=result.is_bad,
        again=again,
        failing=alert.shortened(lines, secrets) if result.is_bad else (),
        url=job.run_url(),
        code=code(arguments.commit or job.commit(root) or ""),
    )


def previously(arguments: argparse.Namespace, *, required: bool) -> Conclusion | None:
    """Returns how the previous deploy ended. Raises MeshError where that is required but cannot be
    found out."""
    if arguments.previous is not None:
        return workflow_runs.conclusion(arguments.previous)
    try:
        return workflow_runs.before_this(arguments.workflow or workflow_runs.own_workflow())
    except MeshError:
        if required:
            raise
        return None


def own_project(root: Path) -> str:
    from dbtmesh import config

    return config.load_member(root).project


def code(commit: str) -> str:
    """Names the commit, and who started the run, as far as these are known."""
    return " by ".join(filter(None, (commit and f"commit {commit[:12]}", job.actor())))
