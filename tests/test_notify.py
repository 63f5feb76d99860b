"""notify.py: who is told what, when, and that nothing fails or leaks because of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dbtmesh.alerts import channels
from tests.alert_servers import Slack, mail_server, slack
from tests.conftest import ROOT, Member, Render
from tests.github_api import TOKEN, GitHubApi
from tests.registry_world import Shim, exporting

pytest_plugins = ("tests.s3_server", "tests.registry_world", "tests.github_api")

NOTIFY = "notify"
FAILED = ("--result", "failure", "--previous", "")
RUN = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/up",
    "GITHUB_RUN_ID": "77",
    "GITHUB_SHA": "c0ffee0123456789",
    "GITHUB_ACTOR": "ada",
}


@pytest.fixture(scope="module")
def rendered(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    folder = tmp_path_factory.mktemp("alerts") / "dbt_up"
    member = render_into(folder, kind="upstream", project_name="dbt_up", alerts="slack")
    return exporting(member, **RUN)


@pytest.fixture
def channel() -> Iterator[Slack]:
    with slack() as known:
        yield known


@pytest.fixture
def member(rendered: Member, channel: Slack) -> Member:
    return exporting(rendered, SLACK_WEBHOOK_URL=channel.url)


@pytest.mark.parametrize(
    ("result", "previous", "says"),
    [
        ("failure", "", "dbt_up: the deploy to prod failed"),
        ("failure", "success", "dbt_up: the deploy to prod failed"),
        ("failure", "failure", "dbt_up: the deploy to prod still fails"),
        ("success", "failure", "dbt_up: the deploy to prod succeeds again"),
        ("success", "success", None),
        ("success", "", None),
        ("cancelled", "failure", None),
        ("skipped", "failure", None),
    ],
)
def test_failures_and_recoveries_are_told_and_nothing_else(
    member: Member, channel: Slack, result: str, previous: str, says: str | None
) -> None:
    said = member.ok(NOTIFY, "--result", result, "--previous", previous, "--strict")
    if says is None:
        assert channel.messages == []
        assert "nothing to tell" in said
    else:
        assert says in channel.messages[0]["text"]


def test_slack_gets_what_one_has_to_know(member: Member, channel: Slack) -> None:
    nodes = "model orders: <!channel> a & b\nTest x:\x1b[31m red"
    member.ok(NOTIFY, *FAILED, "--nodes", nodes, "--strict")
    assert channel.messages[0]["text"] == (
        ":red_circle: *dbt_up: the deploy to prod failed*\n"
        "• `model orders: &lt;!channel&gt; a &amp; b`\n"
        "• `Test x: [31m red`\n"
        "<https://github.com/acme/up/actions/runs/77|the run>, commit c0ffee012345 by ada"
    )
    many = "\n".join(f"model m{n}: {'x' * 1000}" for n in range(25))
    member.ok(NOTIFY, *FAILED, "--nodes", many, "--strict")
    lines = channel.messages[1]["text"].splitlines()
    assert len(lines) == 13
    assert lines[-2] == "• `and 15 more`"
    assert max(map(len, lines)) < 310


def test_those_that_another_job_has_only_counted_are_counted(
    member: Member, channel: Slack
) -> None:
    many = "\n".join([*(f"model m{number}: no" for number in range(30)), "… and 1970 more"])
    member.ok(NOTIFY, *FAILED, "--nodes", many, "--strict")
    assert channel.messages[0]["text"].splitlines()[-2] == "• `and 1990 more`"


def test_what_dbt_wrote_will_do(member: Member, channel: Slack) -> None:
    results = [
        {"unique_id": "model.dbt_up.good", "status": "success", "message": "OK"},
        {"unique_id": "model.dbt_up.bad", "status": "error", "message": "no such column"},
        {"unique_id": "test.dbt_up.unique_x.ab12", "status": "fail", "message": "Got 3 results"},
        {"unique_id": "model.dbt_up.after", "status": "skipped", "message": None},
    ]
    (member.path / "results.json").write_text(json.dumps({"results": results}))
    member.ok(NOTIFY, *FAILED, "--run-results", "results.json", "--strict")
    told = channel.messages[0]["text"].splitlines()[1:-1]
    assert told == ["• `model bad: no such column`", "• `test unique_x: Got 3 results`"]


# ── How the one before ended ──────────────────────────────────────────────────────────


def ask(member: Member, github: GitHubApi, **environment: str) -> tuple[str, str]:
    """Reports a success; what is said and warned of."""
    github.token(TOKEN, actions="read")
    facts = github.environment("acme/up", GITHUB_RUN_ID="77", **environment)
    done = member.run(NOTIFY, "--result", "success", **facts)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def runs_of(github: GitHubApi, *conclusions: str | None, **facts: Any) -> None:
    """Runs before this one, newest last, and one after it."""
    known = github.repository("acme/up")
    for number, conclusion in enumerate(conclusions, 70):
        known.run("deploy.yml", number, conclusion, **facts)
    known.run("deploy.yml", 77, None)
    known.run("deploy.yml", 78, "failure")


@pytest.mark.parametrize(
    ("conclusions", "told"),
    [
        (("success", "failure"), True),
        (("failure", "success"), False),
        (("failure", "cancelled", "skipped"), True),
        (("success", "timed_out", None), True),
        ((), False),
    ],
)
def test_github_is_asked_how_the_one_before_ended(
    member: Member,
    channel: Slack,
    github: GitHubApi,
    conclusions: tuple[str | None, ...],
    told: bool,
) -> None:
    runs_of(github, *conclusions)
    ask(member, github)
    assert bool(channel.messages) is told


def test_an_earlier_attempt_of_this_run_counts(
    member: Member, channel: Slack, github: GitHubApi
) -> None:
    runs_of(github, "success")
    github.repository("acme/up").run("deploy.yml", 77, "failure")
    ask(member, github, GITHUB_RUN_ATTEMPT="2")
    assert "succeeds again" in channel.messages[0]["text"]


def test_the_workflow_is_this_ones(member: Member, channel: Slack, github: GitHubApi) -> None:
    github.repository("acme/up").run("dbt_up-deploy.yml", 70, "failure")
    ref = "acme/up/.github/workflows/dbt_up-deploy.yml@refs/heads/main"
    ask(member, github, GITHUB_WORKFLOW_REF=ref)
    assert len(channel.messages) == 1


def test_without_an_answer_a_failure_is_told_and_a_success_warned_of(
    member: Member, channel: Slack, github: GitHubApi
) -> None:
    said, _ = ask(member, github)  # the repository is not there
    assert said.startswith("::warning title=alert::nobody was told: GitHub answers GET /repos")
    assert channel.messages == []
    facts = github.environment("acme/up")
    member.ok(NOTIFY, "--result", "failure", "--strict", **facts)
    assert len(channel.messages) == 1


# ── Nothing fails or leaks ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"SLACK_WEBHOOK_URL": ""}, "set SLACK_WEBHOOK_URL or SMTP_HOST"),
        ({"SLACK_WEBHOOK_URL": "http://hooks.example/swordfish"}, "is not an https:// address"),
        ({"SLACK_WEBHOOK_URL": "http://127.0.0.1:9/swordfish"}, "no answer from Slack"),
        ({"SLACK_WEBHOOK_URL": "https://[swordfish"}, "SLACK_WEBHOOK_URL"),
        (
            {"SLACK_WEBHOOK_URL": "", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "9"},
            "ALERT_EMAIL_FROM is not a valid address",
        ),
    ],
)
def test_an_alert_that_fails_is_a_warning(
    member: Member, environment: dict[str, str], says: str
) -> None:
    done = member.run(NOTIFY, *FAILED, **environment)
    assert done.returncode == 0
    assert done.stdout.startswith("::warning title=alert::nobody was told: ")
    assert says in done.stdout
    assert "swordfish" not in done.stdout + done.stderr
    assert says in exporting(member, **environment).refused(NOTIFY, *FAILED, "--strict")


def test_slack_that_is_gone_or_elsewhere(member: Member, channel: Slack) -> None:
    channel.statuses = [500, 200]
    member.ok(NOTIFY, *FAILED, "--strict")
    assert len(channel.messages) == 1
    channel.statuses = [404]
    assert "Slack answers 404: check that the webhook" in member.refused(
        NOTIFY, *FAILED, "--strict"
    )
    with slack() as other:
        channel.statuses, channel.location = [307], other.url
        assert "Slack answers 307" in member.refused(NOTIFY, *FAILED, "--strict")
        assert other.messages == []


def test_no_secret_is_told(member: Member, channel: Slack) -> None:
    nodes = f"model x: could not sign in with {channel.url} or hunter2"
    member.ok(NOTIFY, *FAILED, "--nodes", nodes, "--strict", GITHUB_TOKEN="hunter2")
    text = channel.messages[0]["text"]
    assert "swordfish" not in text
    assert "hunter2" not in text


def test_it_needs_no_package(rendered: Member, channel: Slack) -> None:
    """Only the library itself is installed in the job that alerts, without what it depends on."""
    command = [_ISOLATED, str(ROOT / "src"), NOTIFY, *FAILED, "--project", "dbt_up", "--strict"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", *command],
        env={**RUN, "SLACK_WEBHOOK_URL": channel.url},
        cwd=rendered.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(channel.messages) == 1


_ISOLATED = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from dbtmesh.__main__ import main
main()
"""


# ── Mail ──────────────────────────────────────────────────────────────────────────────

PEOPLE = {
    "ALERT_EMAIL_FROM": "dbt <dbt@acme.example>",
    "ALERT_EMAIL_TO": "a@acme.example, b@b.example",
}


@pytest.mark.parametrize("starttls", [True, False])
def test_mail(rendered: Member, tmp_path: Path, starttls: bool) -> None:
    with mail_server(tmp_path, starttls=starttls, password="swordfish") as mails:
        facts = {
            **PEOPLE,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mails.port),
            "SMTP_USER": "alerts",
            "SMTP_PASSWORD": "swordfish",
            "SSL_CERT_FILE": str(mails.certificate),
        }
        said = rendered.ok(NOTIFY, *FAILED, "--nodes", "model x: <b>", "--strict", **facts)
        assert said == "told 2 by mail: dbt_up: the deploy to prod failed\n"
        ((message, to, secure, known),) = mails.received
        assert to == ["a@acme.example", "b@b.example"]
        assert (secure, known) == (starttls, True)
        assert message["Subject"] == "dbt_up: the deploy to prod failed"
        assert message["From"] == "dbt <dbt@acme.example>"
        assert message.get_content().replace("\r\n", "\n") == (
            "dbt_up: the deploy to prod failed.\n  model x: <b>\n"
            "commit c0ffee012345 by ada\nhttps://github.com/acme/up/actions/runs/77\n"
        )
        wrong = exporting(rendered, **{**facts, "SMTP_PASSWORD": "tuna"}).refused(
            NOTIFY, *FAILED, "--strict"
        )
        assert "the mail server 127.0.0.1 answers 535" in wrong
        assert "tuna" not in wrong


def test_mail_on_the_port_that_is_encrypted_from_the_first_byte(
    rendered: Member, tmp_path: Path, shim: Shim
) -> None:
    with mail_server(tmp_path, implicit=True) as mails:
        facts = {
            **PEOPLE,
            **shim(f"import smtplib; smtplib.SMTP_SSL_PORT = {mails.port}"),  # as if it were 465
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mails.port),
            "SSL_CERT_FILE": str(mails.certificate),
        }
        rendered.ok(NOTIFY, *FAILED, "--strict", **facts)
        assert [secure for _, _, secure, _ in mails.received] == [True]


def test_a_mail_server_that_nobody_vouches_for_gets_no_password(
    rendered: Member, tmp_path: Path
) -> None:
    with mail_server(tmp_path, password="swordfish") as mails:
        facts = {**PEOPLE, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mails.port)}
        facts |= {"SMTP_USER": "alerts", "SMTP_PASSWORD": "swordfish"}
        refused = exporting(rendered, **facts).refused(NOTIFY, *FAILED, "--strict")
        assert "CERTIFICATE_VERIFY_FAILED" in refused
        assert mails.received == []


@pytest.mark.parametrize(
    "people",
    [
        {"ALERT_EMAIL_TO": "a@acme.example\nBcc: eve@evil.example"},
        {"ALERT_EMAIL_TO": "nobody"},
        {"ALERT_EMAIL_FROM": "dbt@acme.example\r\nX: y"},
    ],
)
def test_headers_are_not_to_be_smuggled_in(rendered: Member, people: dict[str, str]) -> None:
    facts = {**PEOPLE, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "9", **people}
    assert "is not a valid address" in exporting(rendered, **facts).refused(
        NOTIFY, *FAILED, "--strict"
    )


def test_members_without_alerts_have_no_such_job(render: Render) -> None:
    member = render(kind="upstream", starter=False)
    assert "notify" not in (member.path / ".github/workflows/deploy.yml").read_text()


def test_a_channel_is_one_module_and_its_secrets_are_in_no_message() -> None:
    """Each channel says which variable switches it on and what no message may hold."""
    modules = {path.stem for path in (ROOT / "src/dbtmesh/alerts").glob("*.py")}
    assert modules == {"__init__", "alert", "channel", "channels", "slack", "email"}
    settings = {"SLACK_WEBHOOK_URL": " https://hooks.example/a ", "SMTP_PASSWORD": "b"}
    assert channels.secrets(settings) == ["https://hooks.example/a", "b"]
    assert [each.is_on(settings) for each in channels.CHANNELS] == [True, False]


def test_one_channel_that_fails_does_not_keep_another_from_telling(
    rendered: Member, channel: Slack
) -> None:
    facts = {"SLACK_WEBHOOK_URL": channel.url, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "9"}
    facts |= {"ALERT_EMAIL_FROM": "a@acme.example", "ALERT_EMAIL_TO": "b@acme.example"}
    refused = exporting(rendered, **facts).refused(NOTIFY, *FAILED, "--strict")
    assert "the mail server 127.0.0.1" in refused
    assert len(channel.messages) == 1
