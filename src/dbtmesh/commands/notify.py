"""Tell people how a deploy went: on failure, and on recovery; silent otherwise.

  python -m dbtmesh notify --result failure --nodes "$FAILURES"
  python -m dbtmesh notify --result success --previous failure

Slack is told at $SLACK_WEBHOOK_URL. Mail goes by $SMTP_HOST and $SMTP_PORT (587: STARTTLS, 465:
TLS), as $SMTP_USER with $SMTP_PASSWORD where there is one, from $ALERT_EMAIL_FROM to
$ALERT_EMAIL_TO (with commas between). How the deploy before this one ended is asked of GitHub,
with $GITHUB_TOKEN (permission actions: read), unless --previous tells.

Python's standard library is all it needs.

Exit status: 0, also where nobody could be told, which is a warning in the log of the workflow, for
no deploy fails because of an alert; with --strict 1.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path

from dbtmesh import MeshError, cli
from dbtmesh.ci import github, runs
from dbtmesh.output import workflow

RESULTS = ("success", "failure", "cancelled", "skipped")
BAD = ("failure", "timed_out", "startup_failure")
SHOWN, LONGEST = 10, 300
"""How many failing nodes are named, and how many characters of each."""
SECRETS = ("SLACK_WEBHOOK_URL", "SMTP_PASSWORD", "GITHUB_TOKEN")
TIMEOUT, ATTEMPTS, PAUSE = 20, 3, 1.0


@dataclass(frozen=True)
class Alert:
    """What there is to tell. failing: a line for each node; url: of the run; code: who deployed
    which commit."""

    project: str
    env: str
    failed: bool
    again: bool
    failing: Sequence[str]
    url: str | None
    code: str

    @property
    def headline(self) -> str:
        if not self.failed:
            return f"{self.project}: the deploy to {self.env} succeeds again"
        return (
            f"{self.project}: the deploy to {self.env} {'still fails' if self.again else 'failed'}"
        )


def main(words: Sequence[str], root: Path) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--result", required=True, choices=RESULTS, help="how the deploy ended")
    parser.add_argument(
        "--previous",
        choices=(*RESULTS, ""),
        help="how the one before ended (default: GitHub is asked; '': there was none)",
    )
    parser.add_argument(
        "--nodes", metavar="TEXT", help="a line for each node that failed (of another job)"
    )
    parser.add_argument(
        "--run-results", type=Path, metavar="FILE", help="or dbt's own target/run_results.json"
    )
    parser.add_argument(
        "--commit", metavar="SHA", help="what was deployed (of another job; default: what is here)"
    )
    parser.add_argument("--env", metavar="E", help="where to ($DBT_MESH_ENV; default prod)")
    parser.add_argument(
        "--workflow", metavar="FILE", help="of the deploys (default: this run's, or deploy.yml)"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 where nobody could be told")
    arguments = parser.parse_args(words)
    try:
        return notify(arguments, root)
    except (MeshError, OSError) as error:
        if arguments.strict:
            raise MeshError(hidden(str(error))) from None
        workflow.warning(hidden(f"nobody was told: {error}"), title="alert")
        return cli.OK


def notify(arguments: argparse.Namespace, root: Path) -> int:
    failed = arguments.result == "failure"
    if arguments.result not in ("success", "failure"):
        cli.say(f"nothing to tell: the deploy was {arguments.result}")
        return cli.OK
    before = arguments.previous
    if before is None:
        try:
            before = previous(arguments.workflow or own_workflow())
        except MeshError:
            if not failed:
                raise
            before = ""  # a failure is told in any case
    if not failed and before not in BAD:
        cli.say("nothing to tell: the deploy succeeded, and so did the one before, if any")
        return cli.OK
    lines = (arguments.nodes or "").splitlines()
    if arguments.run_results:
        lines += runs.failures(runs.read(arguments.run_results))
    alert = Alert(
        project=own_project(root),
        env=arguments.env or os.environ.get("DBT_MESH_ENV") or "prod",
        failed=failed,
        again=before in BAD,
        failing=shortened(lines) if failed else (),
        url=github.run_url(),
        code=code(arguments.commit or github.commit(root) or ""),
    )
    tell(alert)
    return cli.OK


# ── What there is to tell ─────────────────────────────────────────────────────────────


def own_project(root: Path) -> str:
    """From mesh.yml, for which no YAML package is needed."""
    text = (root / "mesh.yml").read_text(encoding="utf-8")
    found = re.search(r"(?m)^project: (\w+)$", text)
    return found[1] if found else root.name


def own_workflow() -> str:
    """File of the workflow that this runs in."""
    named = os.environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    return named.rpartition("/")[2] or "deploy.yml"


def code(commit: str) -> str:
    """Which commit, and who started the run, as far as they are known."""
    actor = os.environ.get("GITHUB_ACTOR")
    return " by ".join(filter(None, (commit and f"commit {commit[:12]}", actor)))


def previous(workflow: str) -> str:
    """How the deploy before this one ended, or this one's own earlier attempt; '' for none.

    Those that were cancelled or skipped tell nothing. Raises MeshError.
    """
    api, repository = github.from_environment(), github.repository()
    run = int(os.environ.get("GITHUB_RUN_ID") or 0)
    for attempt in range(int(os.environ.get("GITHUB_RUN_ATTEMPT") or 1) - 1, 0, -1):
        ended = api.get(f"/repos/{repository}/actions/runs/{run}/attempts/{attempt}")
        if ended.get("conclusion") in ("success", *BAD):
            return str(ended["conclusion"])
    path = f"/repos/{repository}/actions/workflows/{workflow}/runs"
    for each in api.get(path, status="completed", per_page=50)["workflow_runs"]:
        if each["id"] < run and each["conclusion"] in ("success", *BAD):
            return str(each["conclusion"])
    return ""


def shortened(lines: Sequence[str]) -> list[str]:
    """At most SHOWN lines of printable text, and how many more there are; another job may have
    counted some already."""
    clean = ["".join(c if c.isprintable() else " " for c in line).strip() for line in lines]
    kept = [hidden(line)[:LONGEST] for line in clean if line]
    counted = runs.MORE.fullmatch(kept[-1]) if kept else None
    if counted:
        kept.pop()
    more = len(kept) - SHOWN + (int(counted[1]) if counted else 0)
    return kept[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


def hidden(text: str) -> str:
    """Without this job's secrets, wherever they may have come from."""
    for name in SECRETS:
        if secret := os.environ.get(name, "").strip():
            text = text.replace(secret, "***")
    return text


# ── Telling ───────────────────────────────────────────────────────────────────────────


def tell(alert: Alert) -> None:
    """By every channel that the environment names. Raises MeshError for none, or one that fails."""
    channels = {"SLACK_WEBHOOK_URL": to_slack, "SMTP_HOST": by_mail}
    named = [send for name, send in channels.items() if os.environ.get(name, "").strip()]
    if not named:
        raise MeshError(f"set {' or '.join(channels)}: nobody is named to be told")
    failures = []
    for send in named:
        try:
            cli.say(f"told {send(alert)}: {alert.headline}")
        except MeshError as error:
            failures.append(str(error))
    if failures:
        raise MeshError("; ".join(failures))


def slack_text(alert: Alert) -> str:
    """In Slack's mrkdwn: https://docs.slack.dev/messaging/formatting-message-text"""

    def plain(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    sign = ":red_circle:" if alert.failed else ":large_green_circle:"
    link = f"<{plain(alert.url)}|the run>" if alert.url else ""
    facts = ", ".join(filter(None, (link, plain(alert.code))))
    failing = [f"• {plain(line)}" for line in alert.failing]
    return "\n".join(filter(None, (f"{sign} *{plain(alert.headline)}*", *failing, facts)))


def to_slack(alert: Alert) -> str:
    url = os.environ["SLACK_WEBHOOK_URL"].strip()
    github.check_url("SLACK_WEBHOOK_URL", url)
    body = json.dumps({"text": slack_text(alert), "unfurl_links": False}).encode()
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            request = urllib.request.Request(  # noqa: S310 checked above
                url, body, {"Content-Type": "application/json"}
            )
            with github.open_here(request, timeout=TIMEOUT):
                return "Slack"
        except urllib.error.HTTPError as error:
            with error:
                problem = f"Slack answers {error.code}"
            if error.code < 500 and error.code != 429:
                raise MeshError(f"{problem}: is the webhook still there?") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = f"no answer from Slack ({getattr(error, 'reason', None) or error})"
        time.sleep(PAUSE * attempt)
    raise MeshError(problem)


def mail(alert: Alert, sender: str, recipients: str) -> EmailMessage:
    """Raises MeshError where an address is none."""
    message = EmailMessage()
    for name, value in (("FROM", sender), ("TO", recipients)):
        found = [address for _, address in getaddresses([value])]
        if not value.isprintable() or not found or not all("@" in each for each in found):
            raise MeshError(f"ALERT_EMAIL_{name} is no address")
    message["From"], message["To"], message["Subject"] = sender, recipients, alert.headline
    failing = [f"  {line}" for line in alert.failing]
    lines = [f"{alert.headline}.", *failing, alert.code, alert.url or ""]
    message.set_content("\n".join(filter(None, lines)) + "\n")
    return message


def by_mail(alert: Alert) -> str:
    import smtplib
    import ssl

    names = ("SMTP_HOST", "ALERT_EMAIL_FROM", "ALERT_EMAIL_TO")
    host, sender, recipients = (os.environ.get(name, "").strip() for name in names)
    message = mail(alert, sender, recipients)
    user, password = os.environ.get("SMTP_USER", "").strip(), os.environ.get("SMTP_PASSWORD", "")
    try:
        port = int(os.environ.get("SMTP_PORT") or 587)
        secure = ssl.create_default_context()
        whole = port == smtplib.SMTP_SSL_PORT
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=secure)
            if whole
            else smtplib.SMTP(host, port, timeout=TIMEOUT)
        ) as server:
            server.ehlo()
            if not whole and (host not in github.LOOPBACK or server.has_extn("starttls")):
                server.starttls(context=secure)
            if user:
                server.login(user, password)
            server.send_message(message)
    except smtplib.SMTPResponseException as error:
        raise MeshError(f"the mail server {host} answers {error.smtp_code}") from None
    except (OSError, ValueError) as error:  # smtplib's other errors are OSErrors
        raise MeshError(f"the mail server {host}: {error}") from None
    return f"{len(getaddresses([recipients]))} by mail"
