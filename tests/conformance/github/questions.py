"""The questions, in the order in which they are asked. They are only about what they create."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.conformance.github import workflows
from tests.conformance.github.script import SECRET, Away, Question, SetUp, Step
from tests.conformance.script import See
from tests.github_rules import Rule

_NAMED = {"protected_branches": False, "custom_branch_policies": True}
_PROTECTED = {"protected_branches": True, "custom_branch_policies": False}
_POLICY = ("deployment_branch_policy.custom_branch_policies",)
_FILES = "contents/.github/workflows"
RUNS = "runs of workflows"


def _ask(name: str, rule: Rule, method: str, path: str, body: Any = None, **more: Any) -> Question:
    return Question(method, path, body, name=name, rule=rule, **more)


def _rows(name: str, rule: Rule, path: str, *keep: str, of: str = "", **more: Any) -> Question:
    return Question("GET", path, name=name, rule=rule, see=See.ROWS, of=of, keep=keep, **more)


def _environment(name: str, body: Mapping[str, Any]) -> SetUp:
    return SetUp("PUT", f"environments/{{p}}-{name}", body, gives="rules of environments")


REPOSITORY: tuple[Step, ...] = (
    _rows("visibility", Rule.REPOSITORY_SHOWN, "/repos/{r}", "private", decides="private"),
    _ask("repository-fields", Rule.REPOSITORY_SHOWN, "GET", "/repos/{r}", see=See.COLUMNS),
    _ask(
        *("organisation", Rule.PLAN_TOLD, "GET", "/orgs/{owner}"),
        decides="organisation",
        see=See.REFUSED,
    ),
    _rows(
        *("actions-open-pulls", Rule.TOKEN_PULLS, "actions/permissions/workflow"),
        "can_approve_pull_request_reviews",
        decides="actions_open_pulls",
    ),
)

_A = "environments/{p}-a"
_PATTERNS = f"{_A}/deployment-branch-policies"
ENVIRONMENTS: tuple[Step, ...] = (
    _ask("missing", Rule.ENVIRONMENT_SHOWN, "GET", "environments/{p}-none"),
    _ask("made", Rule.ENVIRONMENT_SHOWN, "PUT", _A, {}),
    _ask("environment-fields", Rule.ENVIRONMENT_SHOWN, "GET", _A, see=See.COLUMNS),
    _rows("made-open", Rule.ENVIRONMENT_SHOWN, _A, "deployment_branch_policy", "protection_rules"),
    _ask("other-case", Rule.NAMES_IGNORE_CASE, "GET", "environments/{P}-A"),
    _ask("pattern-of-open", Rule.PATTERNS, "POST", _PATTERNS, {"name": "main"}),
    _ask(
        *("pattern-of-missing", Rule.PATTERNS, "POST"),
        "environments/{p}-none/deployment-branch-policies",
        {"name": "main"},
    ),
    _ask(
        *("limited", Rule.FREE_REFUSES, "PUT", _A, {"deployment_branch_policy": _NAMED}),
        decides="rules_if_private",
    ),
    _rows("limited-shown", Rule.ENVIRONMENT_SHOWN, _A, *_POLICY),
    _rows("limited-rules", Rule.ENVIRONMENT_SHOWN, _A, "type", of="protection_rules"),
    _rows("no-pattern", Rule.PATTERNS, _PATTERNS, "name", of="branch_policies"),
    _ask("pattern", Rule.PATTERNS, "POST", _PATTERNS, {"name": "{branch}"}),
    _ask("pattern-twice", Rule.PATTERNS, "POST", _PATTERNS, {"name": "{branch}"}),
    _ask("pattern-tag", Rule.PATTERNS, "POST", _PATTERNS, {"name": "v*", "type": "tag"}),
    _rows("patterns", Rule.PATTERNS, _PATTERNS, "type", "name", of="branch_policies"),
    _ask(
        *("both", Rule.ENVIRONMENT_POLICY, "PUT", "environments/{p}-b"),
        {"deployment_branch_policy": dict.fromkeys(_NAMED, True)},
    ),
    _ask(
        *("neither", Rule.ENVIRONMENT_POLICY, "PUT", "environments/{p}-b"),
        {"deployment_branch_policy": dict.fromkeys(_NAMED, False)},
    ),
    _ask("put-nothing", Rule.PUT_REPLACES, "PUT", _A, {}),
    _rows("put-took-away", Rule.PUT_REPLACES, _A, "deployment_branch_policy"),
    _ask(
        *("limited-again", Rule.PUT_REPLACES, "PUT", _A, {"deployment_branch_policy": _NAMED}),
    ),
    _rows("patterns-again", Rule.PUT_REPLACES, _PATTERNS, "type", "name", of="branch_policies"),
    _ask(
        *("protected", Rule.PLANS, "PUT", "environments/{p}-b"),
        {"deployment_branch_policy": _PROTECTED},
    ),
    _rows("protected-shown", Rule.ENVIRONMENT_SHOWN, "environments/{p}-b", *_POLICY),
    _rows("protected-branches", Rule.PROTECTED_BRANCHES, "branches?protected=true", "protected"),
    _ask(
        *("reviewers", Rule.PLANS, "PUT", "environments/{p}-b"),
        {"reviewers": [{"type": "User", "id": "{id}"}]},
        decides="approvals_if_private",
    ),
    _rows(
        *("reviewers-shown", Rule.PLANS, "environments/{p}-b", "reviewers.0.type"),
        of="protection_rules",
        where=("type", "required_reviewers"),
    ),
    _ask("wait-timer", Rule.PLANS, "PUT", "environments/{p}-b", {"wait_timer": 1}),
    _ask("no-timer", Rule.PLANS, "PUT", "environments/{p}-b", {"wait_timer": 0}),
    _ask("long-timer", Rule.WAIT_TIMER, "PUT", "environments/{p}-b", {"wait_timer": 43201}),
)

_S = "environments/{p}-s"
SECRETS: tuple[Step, ...] = (
    SetUp("PUT", _S, {}, gives="environments"),
    _ask("secrets-of-missing", Rule.SECRETS_SHOWN, "GET", "environments/{p}-none/secrets"),
    _ask(
        *("secret-of-missing", Rule.SECRETS_SHOWN, SECRET, "CONFORMANCE {p}-none"),
        see=See.REFUSED,
    ),
    _ask("public-key", Rule.SECRETS_SHOWN, "GET", f"{_S}/secrets/public-key", see=See.COLUMNS),
    _ask("secret", Rule.SECRETS_SHOWN, SECRET, "CONFORMANCE {p}-s", see=See.REFUSED),
    _ask("secret-twice", Rule.SECRETS_SHOWN, SECRET, "CONFORMANCE {p}-s", see=See.REFUSED),
    _ask("secret-reserved", Rule.SECRET_NAMES, SECRET, "GITHUB_CONFORMANCE {p}-s", see=See.REFUSED),
    _rows("secrets", Rule.SECRETS_SHOWN, f"{_S}/secrets", "name", "value", of="secrets"),
    _ask("deleted", Rule.ENVIRONMENT_DELETED, "DELETE", _S),
    _ask("deleted-twice", Rule.ENVIRONMENT_DELETED, "DELETE", _S),
    SetUp("PUT", _S, {}, gives="environments"),
    _rows("secrets-deleted", Rule.ENVIRONMENT_DELETED, f"{_S}/secrets", "name", of="secrets"),
)


def _workflow(name: str, text: str, **more: Any) -> SetUp:
    path = f"{_FILES}/{{p}}-{name}.yml"
    return SetUp("PUT", path, {"message": "Conformance"}, text, gives=RUNS, **more)


_ASKS, _LISTENS, _AGAIN = (f"actions/workflows/{{p}}-{n}.yml" for n in ("asks", "listens", "again"))
_EVERY = {"event_type": "{p}-unheard"}
_DETAILS = {"ref": "{branch}", "return_run_details": True}
DISPATCHES: tuple[Step, ...] = (
    _ask("unheard", Rule.DISPATCH_UNHEARD, "POST", "dispatches", _EVERY),
    _ask("long-type", Rule.DISPATCH_LIMITS, "POST", "dispatches", {"event_type": "x" * 101}),
    _ask(
        *("eleven", Rule.DISPATCH_LIMITS, "POST", "dispatches"),
        {**_EVERY, "client_payload": {f"k{n}": 1 for n in range(11)}},
    ),
    _ask(
        *("no-workflow", Rule.WORKFLOW_DISPATCH, "POST"),
        "actions/workflows/{p}-none.yml/dispatches",
        {"ref": "{branch}"},
    ),
    _workflow("listens", workflows.LISTENS),
    _workflow("asks", workflows.ASKS, needs=RUNS),
    _workflow("again", workflows.AGAIN, needs=RUNS),
    SetUp(
        *("GET", "git/ref/heads/{branch}"),
        captures={"head": "object.sha"},
        needs=RUNS,
    ),
    SetUp("GET", _ASKS, until=("state", "active"), needs=RUNS),
    *(
        _ask(name, rule, "POST", path, body, needs=RUNS)
        for name, rule, path, body in (
            ("no-trigger", Rule.WORKFLOW_DISPATCH, f"{_LISTENS}/dispatches", {"ref": "{branch}"}),
            ("no-ref", Rule.WORKFLOW_DISPATCH, f"{_ASKS}/dispatches", {"ref": "{p}-none"}),
            (
                *("no-input", Rule.WORKFLOW_DISPATCH, f"{_ASKS}/dispatches"),
                {"ref": "{branch}", "inputs": {"other": "x"}},
            ),
        )
    ),
    SetUp("PUT", f"{_ASKS}/disable", needs=RUNS),
    _rows("disabled-shown", Rule.DISABLED, _ASKS, "state", needs=RUNS),
    _ask(
        *("disabled", Rule.DISABLED, "POST", f"{_ASKS}/dispatches", {"ref": "{branch}"}),
        needs=RUNS,
    ),
    SetUp("PUT", f"{_ASKS}/enable", needs=RUNS),
)


def _refs() -> Iterable[Step]:
    for name, ref in (("ref", "refs/heads/{p}/x"), ("ref-twice", "refs/heads/{p}/x")):
        body = {"ref": ref, "sha": "{head}"}
        yield _ask(name, Rule.REFS, "POST", "git/refs", body, needs=RUNS)
    body = {"ref": "{p}-bare", "sha": "{head}"}
    yield _ask("ref-bare", Rule.REFS, "POST", "git/refs", body, needs=RUNS)


def _job(name: str, rule: Rule) -> Question:
    """Asks how a job of the run ended."""
    return _rows(
        *(f"job-{name}", rule, "actions/runs/{run}/jobs?per_page=100", "conclusion"),
        of="jobs",
        where=("name", name),
        needs=RUNS,
    )


def _ended(workflow: str, name: str) -> SetUp:
    """Waits for the newest run of a workflow, and captures its number."""
    return SetUp(
        *("GET", f"{workflow}/runs?per_page=1"),
        captures={name: "workflow_runs.0.id"},
        until=("workflow_runs.0.status", "completed"),
        needs=RUNS,
    )


def _events(event: str) -> str:
    return f"{_LISTENS}/runs?event={event}&per_page=100"


JOBS: tuple[Step, ...] = (
    _environment("star", {"deployment_branch_policy": _NAMED}),
    SetUp(
        *("POST", "environments/{p}-star/deployment-branch-policies", {"name": "*"}),
        needs="rules of environments",
    ),
    *_refs(),
    _environment("closed", {"deployment_branch_policy": _NAMED}),
    SetUp(
        *("POST", "environments/{p}-closed/deployment-branch-policies", {"name": "{p}-*"}),
        needs="rules of environments",
    ),
    _environment("open", {"deployment_branch_policy": _NAMED}),
    SetUp(
        *("POST", "environments/{p}-open/deployment-branch-policies", {"name": "{branch}"}),
        needs="rules of environments",
    ),
    _ask(
        *("run-told", Rule.WORKFLOW_DISPATCH, "POST", f"{_ASKS}/dispatches", _DETAILS),
        see=See.COLUMNS,
        needs=RUNS,
    ),
    _ended(_ASKS, "run"),
    _job("names", Rule.MADE_BY_JOB),
    _rows(
        *("made-by-job", Rule.MADE_BY_JOB, "environments/{p}-by-job"),
        *("deployment_branch_policy", "protection_rules"),
        needs=RUNS,
    ),
    _job("closed", Rule.BRANCH_REFUSED),
    _job("allowed", Rule.BRANCH_REFUSED),
    _job("reads", Rule.TOKEN_READS),
    _job("blind", Rule.TOKEN_READS),
    _job("pulls", Rule.TOKEN_PULLS),
    _job("pushes", Rule.TOKEN_STARTS_NOTHING),
    _job("workflows", Rule.TOKEN_WORKFLOWS),
    _job("dispatches", Rule.TOKEN_STARTS_NOTHING),
    *(
        SetUp("GET", _events(each), until=("workflow_runs.0.status", "completed"), needs=RUNS)
        for each in ("repository_dispatch", "push")
    ),
    *(
        _rows(name, rule, _events(event), "event", of="workflow_runs", needs=RUNS)
        for name, rule, event in (
            ("dispatch-started", Rule.TOKEN_STARTS_NOTHING, "repository_dispatch"),
            ("push-started", Rule.TOKEN_STARTS_NOTHING, "push"),
        )
    ),
    *(
        _rows(
            name, Rule.PATTERN_MATCHES, _events(event), "conclusion", of="workflow_runs", needs=RUNS
        )
        for name, event in (("star", "repository_dispatch"), ("star-and-slash", "push"))
    ),
    _rows(
        *("pull-started", Rule.TOKEN_PULLS_WAIT, _events("pull_request"), "event", "conclusion"),
        of="workflow_runs",
        decides="their_pulls_wait",
        needs=RUNS,
    ),
    SetUp("POST", f"{_AGAIN}/dispatches", _DETAILS, needs=RUNS),
    _ended(_AGAIN, "again"),
    _ask("run-again", Rule.ATTEMPTS, "POST", "actions/runs/{again}/rerun", needs=RUNS),
    SetUp("GET", "actions/runs/{again}", until=("run_attempt", "2"), needs=RUNS),
    SetUp("GET", "actions/runs/{again}", until=("status", "completed"), needs=RUNS),
    *(
        _rows(
            *(f"attempt-{n}", Rule.ATTEMPTS, f"actions/runs/{{again}}/attempts/{n}"),
            *("run_attempt", "conclusion"),
            needs=RUNS,
        )
        for n in (1, 2)
    ),
    _ask("attempt-3", Rule.ATTEMPTS, "GET", "actions/runs/{again}/attempts/3", needs=RUNS),
    _rows(
        *("artifacts", Rule.ARTIFACT_NAMES, "actions/runs/{again}/artifacts", "name"),
        of="artifacts",
        needs=RUNS,
    ),
)

SCRIPT: tuple[Step, ...] = (*REPOSITORY, *ENVIRONMENTS, *SECRETS, *DISPATCHES, *JOBS)
QUESTIONS = tuple(step for step in SCRIPT if isinstance(step, Question))

_DELETED = {"message": "Conformance: taken away", "sha": "{sha}"}
CLEAN_UP = (
    Away("pulls?per_page=100", "", "head.ref", (("PATCH", "pulls/{number}", {"state": "closed"}),)),
    Away(_FILES, "", "path", (("DELETE", "contents/{path}", _DELETED),)),
    Away(
        *("actions/runs?per_page=100", "workflow_runs", "path"),
        (("POST", "actions/runs/{id}/cancel", None), ("DELETE", "actions/runs/{id}", None)),
    ),
    Away(
        *("deployments?per_page=100", "", "environment"),
        (
            ("POST", "deployments/{id}/statuses", {"state": "inactive"}),
            ("DELETE", "deployments/{id}", None),
        ),
    ),
    Away(
        *("environments?per_page=100", "environments", "name"),
        (("DELETE", "environments/{name}", None),),
    ),
    Away("git/matching-refs/heads/{p}", "", "ref", (("DELETE", "git/{ref}", None),)),
)
"""In this order, so that nothing can start any more before the runs are removed."""
