"""The workflows of combinations of answers, linted and checked for what linters do not see."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbtmesh.registry.snowflake.connection import STATEMENT_TIMEOUT
from fleet import render as rendering
from fleet.render import Source
from tests import warm
from tests.actions import ACTIONS
from tests.conftest import BIN, ROOT, Render, questions
from tests.github_api import NEWS

KINDS: Mapping[str, dict[str, Any]] = {
    "upstream": {"kind": "upstream"},
    "native": {"kind": "native"},
    "loom": {"kind": "loom"},
    "native_hub": {"kind": "native", "publishes": True, "upstreams": "dbt_up, finance=FIN"},
    "loom_hub": {"kind": "loom", "publishes": True},
}
CONNECTED = {
    "snowflake_account": "ACME-MAIN",
    "registry_bucket": "acme-mesh",
    "aws_role_arn": "arn:aws:iam::123456789012:role/dbt-mesh-member",
    "github_repository": "acme/member",
}
DEPLOYMENTS = ("sequential", "independent", "on_demand")
ALERTS = {"none": "key_pair", "slack": "workload_identity", "email": "key_pair"}
"""The alerts, each with a way for the other jobs to sign in. The job that alerts needs none."""
OIDC = ("aws-actions/configure-aws-credentials", "actions/deploy-pages")
PIN = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<sha>\S+)(?: # (?P<version>\S+))?")

SECRET = re.compile(r"secrets\.(\w+)")
ANNOUNCING = "MESH_APP_PRIVATE_KEY"
APP_KEY = re.compile(r"secrets\.MESH_(MAINTENANCE_)?APP_PRIVATE_KEY")
SNOWFLAKE, MAINTAINING = "SNOWFLAKE_PRIVATE_KEY", "MESH_MAINTENANCE_APP_PRIVATE_KEY"
SECRETS: Mapping[str, set[str]] = {
    **{job: {SNOWFLAKE} for job in "changed deploy snowflake drop freshness sweep".split()},
    "announce": {ANNOUNCING},
    "template": {MAINTAINING, "TEMPLATE_TOKEN"},
    "keys": {MAINTAINING, SNOWFLAKE},
    "alert": {"SLACK_WEBHOOK_URL", "SMTP_PASSWORD"},
}
"""What each job may be given. GitHub hands a job the secrets that its part of the workflow names,
and no others of its environment."""

Document = dict[Any, Any]
WORKFLOWS = "template/.github/workflows"


@dataclass(frozen=True)
class Workflow:
    """A rendered workflow. answers: of its member."""

    path: Path
    answers: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def on_server(self) -> bool:
        return "github_server" in self.answers

    @property
    def document(self) -> Document:
        """The same for all of the same text: to be looked at."""
        return parsed(self.text)


def load(text: str) -> Document:
    loaded: Document = yaml.load(text, yaml.CSafeLoader)
    return loaded


def dump(document: object, **how: Any) -> str:
    return str(yaml.dump(document, Dumper=yaml.CSafeDumper, **how))


@cache
def parsed(text: str) -> Document:
    loaded = load(text)
    loaded["on"] = loaded.pop(True)  # YAML 1.1 reads `on` so
    return loaded


def combinations() -> Iterator[dict[str, Any]]:
    for kind, deployment, (alerts, auth) in product(KINDS, DEPLOYMENTS, ALERTS.items()):
        answers = {"deployment": deployment, "auth": auth, "alerts": alerts}
        yield {"project_name": kind, **KINDS[kind], **CONNECTED, **answers}
    for kind in KINDS:  # of a registry, with docs on GitHub Pages, and the library of an index
        more = {"github_pages": True, "library": "index"}
        yield {"project_name": kind, **KINDS[kind], **CONNECTED, **more}
    for kind in KINDS:  # a laptop that nothing was connected to yet
        yield {"project_name": kind, **KINDS[kind]}
    for kind in KINDS:
        server = {"github_server": "git.acme.example", "auth": "key_pair"}
        yield {"project_name": kind, **KINDS[kind], **CONNECTED, **server}
    for kind in KINDS:
        yield {
            "project_name": f"shared_{kind}",
            **KINDS[kind],
            **CONNECTED,
            "working_directory": "teams/member",
            "deploy_branch": "upstream/dbt_up",
        }


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> list[Workflow]:
    """Of a template that has nothing else."""
    folder = tmp_path_factory.mktemp("workflows")
    small = folder / "template"
    for part in ("extensions", "hooks", "src", WORKFLOWS):
        shutil.copytree(ROOT / part, small / part)
    shutil.copy(ROOT / "copier.yml", small)
    template = Source(str(small), None)
    found: list[Workflow] = []
    for number, answers in enumerate(combinations()):
        assert answers.keys() <= questions().keys()
        member = folder / str(number)
        folder_of = answers.get("working_directory")
        answers_file = f"{folder_of}/.copier-answers.yml" if folder_of else None
        rendering.render(template, member, answers, answers_file)
        paths = sorted((member / ".github/workflows").iterdir())
        found += [Workflow(path, answers) for path in paths]
    return found


def distinct(workflows: list[Workflow]) -> list[Path]:
    return list({each.text: each.path for each in workflows}.values())


def scripts(texts: Iterable[str]) -> str:
    """A workflow with each of their scripts once. Of a step, shellcheck reads no more than that."""
    steps = {}
    for document in map(parsed, texts):
        for job in document["jobs"].values():
            shells = (each.get("defaults", {}).get("run", {}) for each in (job, document))
            default = next(each["shell"] for each in shells if "shell" in each)
            for step in job["steps"]:
                if "run" in step:
                    shell = step.get("shell", default)
                    steps[shell, step["run"]] = {"shell": shell, "run": step["run"]}
    job = {"runs-on": "ubuntu-latest", "steps": [*steps.values()]}
    return dump({"on": "push", "jobs": {"all": job}})


def linted(paths: Sequence[Path], folder: Path) -> None:
    """By all that lints workflows."""
    every = folder / "scripts.yml"
    every.write_text(scripts(path.read_text() for path in paths))
    commands: Sequence[Sequence[str | Path]] = (
        ("actionlint", "-shellcheck", "", *paths),
        ("actionlint", "-shellcheck", BIN / "shellcheck", every),
        ("zizmor", "--offline", "--persona", "pedantic", "--quiet", *paths),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths),
    )
    for command in commands:
        done = run(*command)
        assert done.returncode == 0, done.stdout


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = map(str, command)
    return subprocess.run(
        [str(BIN / program), *arguments], capture_output=True, text=True, check=False
    )


def test_every_member_has_three(workflows: list[Workflow]) -> None:
    number = sum(1 for _ in combinations())
    assert number == 5 * 3 * 3 + 5 + 5 + 5 + 5
    assert len(workflows) == 3 * number


def test_an_enterprise_server_gets_nothing_that_it_does_not_run(workflows: list[Workflow]) -> None:
    newer = re.compile("upload-artifact|upload-pages|queue: max|deployment: false")
    for each in workflows:
        if each.on_server or each.path.name.endswith("deploy.yml"):
            assert bool(newer.search(each.text)) is not each.on_server, each.path


def test_a_merge_queue_waits_for_no_job_that_it_does_not_run(workflows: list[Workflow]) -> None:
    """It has no pull request: a job that needs one is skipped, which GitHub counts as passed."""
    for each in workflows:
        if not each.path.name.endswith("ci.yml"):
            continue
        assert "merge_group" in each.document["on"], each.path
        for name, job in each.document["jobs"].items():
            said = str(job.get("if", ""))
            is_skipped = "pull_request" in said or "needs." in said
            assert is_skipped is (name not in ("lint", "local")), (each.path, name)


def test_linters(workflows: list[Workflow], tmp_path: Path) -> None:
    linted(distinct(workflows), tmp_path)


# ── what linters do not see ───────────────────────────────────────────────────────────


def problems(text: str) -> list[str]:
    """What is wrong with a workflow."""
    document = load(text)
    found = []
    if document.get("permissions") != {}:
        found.append("permissions at the top are not {}")
    if "concurrency" not in document:
        found.append("no concurrency")
    for pin in PIN.finditer(text):
        known = ACTIONS.get(pin["action"])
        if not known or pin["sha"] != known["sha"] or pin["version"] != known["version"]:
            found.append(f"{pin[0]} is not what tests/data/actions.yml says")
    for name, job in document["jobs"].items():
        found += [f"{name}: {each}" for each in _problems_of_job(name, job)]
        needs = job.get("needs") or []
        waits = {"closed", "deploy"} & {needs} if isinstance(needs, str) else {"closed"} & {*needs}
        where = _environment(job)
        if where.startswith(("prod", "${{ vars.MESH_APP_ENVIRONMENT")) and not waits:
            found.append(f"{name}: would make the environment that deploys, open to every branch")
    if SECRET.findall(dump({**document, "jobs": {}})) or "secrets)" in text:
        found.append("secrets for every job")
    return found


def _environment(job: Document) -> str:
    named = job.get("environment") or ""
    return str(named["name"]) if isinstance(named, dict) else str(named)


def _problems_of_job(name: str, job: Document) -> Iterator[str]:
    if "permissions" not in job:
        yield "no permissions of its own"
    if "timeout-minutes" not in job:
        yield "no timeout"
    elif "DBT_MESH_TARGET" in str(job) and job["timeout-minutes"] * 60 < STATEMENT_TIMEOUT + 240:
        yield "ends before a statement of one project's, and then it is nobody's fault"
    permissions = job.get("permissions") or {}
    text = dump(job)
    uses = {step["uses"].split("@")[0]: step for step in job["steps"] if "uses" in step}
    on_snowflake = "signed-in" in text or "DBT_MESH_TARGET" in text  # for models, for a registry
    tokens = on_snowflake and "SNOWFLAKE_PRIVATE_KEY" not in text
    asks = tokens or any(action in uses for action in OIDC)
    if asks != ("id-token" in permissions):
        yield "asks GitHub for a token without id-token: write, or has it for nothing"
    if "secrets.SNOWFLAKE_PRIVATE_KEY" in text and "environment" not in job:
        yield "takes the key of Snowflake without an environment"
    if asks and "environment" not in job:
        yield "signs in as nobody in particular: no environment"
    if APP_KEY.search(text) and "environment" not in job:
        yield "takes the App's key without an environment"
    secrets = set(SECRET.findall(text)) - {"GITHUB_TOKEN"}
    if ANNOUNCING in secrets and (len(secrets) > 1 or "id-token" in permissions):
        yield "takes the key of the App that tells readers beside another secret"
    if more := secrets - SECRETS.get(name, set()):
        yield f"is given {sorted(more)}, which it does not need"
    for step in job["steps"]:
        action = step.get("uses", "").split("@")[0]
        if action and action in ACTIONS:
            unknown = (step.get("with") or {}).keys() - set(ACTIONS[action]["inputs"])
            if unknown:
                yield f"{action} has no inputs {sorted(unknown)}"
        if action == "actions/checkout" and step.get("with", {}).get("persist-credentials"):
            yield "leaves git its token"
        if action == "actions/checkout" and "persist-credentials" not in step.get("with", {}):
            yield "leaves git its token"
        if "${{" in step.get("run", ""):
            yield f"`{step.get('name')}` has an expression in its script"
        where = {**(step.get("with") or {})}
        if any("secrets." in str(value) for value in where.values()) and not action:
            yield "a secret outside of env"
    writes = {name for name, level in permissions.items() if level == "write"} - {"id-token"}
    refs = [(step.get("with") or {}).get("ref") for step in job["steps"] if "uses" in step]
    pull_request = "github.event.pull_request" in text
    of_base = "${{ github.event.pull_request.base.sha }}" in refs
    if writes and pull_request and not of_base:
        yield "may write, and runs code of the pull request"
    holds = secrets or "environment" in job or writes or "id-token" in permissions
    if holds and any("cache" in (step.get("with") or {}) for step in job["steps"]):
        yield "has credentials, and takes what other jobs left in the cache"


def test_nothing_else_is_wrong(workflows: list[Workflow]) -> None:
    known = {workflow.text: workflow for workflow in workflows}
    found = {
        f"{workflow.path.name} {workflow.answers}": wrong
        for text, workflow in known.items()
        if (wrong := problems(text))
    }
    assert not found


def _edited(text: str, edit: Callable[[Document], None]) -> str:
    document = copy.deepcopy(load(text))
    edit(document)
    return dump(document, sort_keys=False)


MISTAKES: Mapping[str, tuple[Callable[[str], str], str]] = {
    "permissions": (lambda text: text.replace("permissions: {}", "", 1), "at the top"),
    "too many permissions": (
        lambda text: text.replace("permissions: {}", "permissions: {contents: write}", 1),
        "at the top",
    ),
    "concurrency": (
        lambda text: _edited(text, lambda it: it.pop("concurrency")),
        "no concurrency",
    ),
    "a tag": (
        lambda text: re.sub(r"(actions/checkout)@\S+", r"\1@v7.0.1", text),
        "is not what",
    ),
    "another version in the comment": (
        lambda text: text.replace("# v7.0.1", "# v6.0.0"),
        "is not what",
    ),
    "an action that is not known": (
        lambda text: text.replace("actions/checkout@", "actions/check-out@"),
        "is not what",
    ),
    "no id-token": (
        lambda text: re.sub(r"\n +id-token: write.*", "", text),
        "without id-token",
    ),
    "no environment": (
        lambda text: re.sub(r"\n    environment:( .*|(\n      .*)+)", "", text),
        "without an environment",
    ),
    "no timeout": (lambda text: re.sub(r"\n +timeout-minutes: .*", "", text), "no timeout"),
    "a wrong input": (lambda text: text.replace("aws-region:", "region:"), "has no inputs"),
    "git keeps the token": (
        lambda text: text.replace("persist-credentials: false", "persist-credentials: true"),
        "leaves git its token",
    ),
    "an expression in a script": (
        lambda text: text.replace("run: scripts/", "run: echo ${{ github.head_ref }} scripts/"),
        "expression in its script",
    ),
    "code of the pull request where it may write": (
        lambda text: text.replace("ref: ${{ github.event.pull_request.base.sha }}", "clean: true"),
        "runs code of the pull request",
    ),
    "a cache that pull requests fill": (
        lambda text: re.sub(r'(\n +)(python-version: "3.12")', r"\1\2\1cache: pip", text),
        "left in the cache",
    ),
    "the App's key for every branch": (
        lambda text: re.sub(
            r"\n    environment:( .*|(\n      .*)+)", "", text.replace("SNOWFLAKE_", "MESH_APP_")
        ),
        "takes the App's key",
    ),
    "the App's key where another one is": (
        lambda text: text.replace("SNOWFLAKE_PRIVATE_KEY }}", "MESH_APP_PRIVATE_KEY }}", 1),
        "beside another secret",
    ),
}


def test_what_names_the_environment_that_deploys_waits_for_it_to_be_closed(
    workflows: list[Workflow],
) -> None:
    found = 0
    for each in {each.text: each for each in workflows}.values():
        wrong = each.text.replace("    needs: closed\n", "")
        jobs = [name for name, job in each.document["jobs"].items() if job.get("needs") == "closed"]
        found += len(jobs)
        for name in jobs:
            said = f"{name}: would make the environment that deploys, open to every branch"
            assert said in problems(wrong)
    assert found


def test_what_an_update_runs_has_no_token_that_may_push(workflows: list[Workflow]) -> None:
    """The template's hooks run before the App's token is made."""
    for each in {each.text: each for each in workflows}.values():
        if "template" not in each.document["jobs"]:
            continue
        steps = each.document["jobs"]["template"]["steps"]
        names = [step.get("name") for step in steps]
        update = names.index("Update")
        assert steps[update]["env"].keys() == {"TEMPLATE_TOKEN"}
        before = dump(steps[:update])
        assert not re.search(r"github\.token|APP_PRIVATE_KEY|GH_TOKEN", before)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_found(mistake: str, workflows: list[Workflow]) -> None:
    (workflow,) = (
        each
        for each in workflows
        if each.answers == next(combinations()) and each.path.name == "ci.yml"
    )
    make, message = MISTAKES[mistake]
    wrong = make(workflow.text)
    assert wrong != workflow.text
    assert any(message in problem for problem in problems(wrong)), problems(wrong)


# ── what the answers say ──────────────────────────────────────────────────────────────


def deploys(workflows: list[Workflow], **answers: Any) -> list[Workflow]:
    return [
        each
        for each in workflows
        if each.path.name.endswith("deploy.yml") and each.answers.get("snowflake_account")
        if all(each.answers.get(key) == value for key, value in answers.items())
    ]


TRIGGERS = {
    ("sequential", True): {"workflow_dispatch", "push"},
    ("sequential", False): {"workflow_dispatch", "push", "repository_dispatch"},
    ("independent", True): {"workflow_dispatch", "schedule"},
    ("independent", False): {"workflow_dispatch", "schedule"},
    ("on_demand", True): {"workflow_dispatch"},
    ("on_demand", False): {"workflow_dispatch", "repository_dispatch"},
}


@pytest.mark.parametrize(("deployment", "is_upstream"), TRIGGERS)
def test_a_pattern_is_when_it_deploys(
    deployment: str, is_upstream: bool, workflows: list[Workflow]
) -> None:
    found = [
        each
        for each in deploys(workflows, deployment=deployment)
        if (each.answers["kind"] == "upstream") == is_upstream
    ]
    assert found
    for each in found:
        assert set(each.document["on"]) == TRIGGERS[deployment, is_upstream]


def test_an_independent_upstream_deploys_hourly_and_its_readers_look_each_quarter(
    workflows: list[Workflow],
) -> None:
    for each in deploys(workflows, deployment="independent"):
        (schedule,) = each.document["on"]["schedule"]
        minutes, hours, *_ = schedule["cron"].split()
        assert hours == "*"
        assert ("/15" in minutes) == (each.answers["kind"] != "upstream")


def test_two_deploys_of_one_environment_never_run_at_once(workflows: list[Workflow]) -> None:
    for each in deploys(workflows):
        concurrency = each.document["concurrency"]
        assert concurrency["cancel-in-progress"] is False
        # else one that waits is dropped for the next
        assert concurrency.get("queue") == (None if each.on_server else "max")
        assert "${{" not in concurrency["group"]


def test_keys_are_not_rotated_during_a_deploy(workflows: list[Workflow]) -> None:
    groups = {
        (each.path.parent, each.document["concurrency"]["group"]) for each in deploys(workflows)
    }
    found = 0
    for each in workflows:
        if job := each.document["jobs"].get("keys"):
            found += 1
            assert (each.path.parent, job["concurrency"]["group"]) in groups
            assert job["concurrency"].get("queue") == (None if each.on_server else "max")
    assert found


def test_a_deploy_is_of_what_the_branch_holds_now(workflows: list[Workflow]) -> None:
    """A run that is run again has the commit of then: it must not bring old code back."""
    for each in deploys(workflows):
        for job in each.document["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["ref"] == each.answers.get("deploy_branch", "main")


def test_a_build_may_take_longer_than_a_session_of_aws(workflows: list[Workflow]) -> None:
    """An hour; and a job that GitHub stops is cancelled, of which nobody is told."""
    found = 0
    for each in deploys(workflows):
        job = each.document["jobs"]["deploy"]
        names = [step.get("name", "") for step in job["steps"]]
        if "Build" not in names:
            continue
        found += 1
        build = names.index("Build")
        assert names[build + 1].startswith("Sign in to AWS again")
        assert (
            job["steps"][build + 1]["with"] == job["steps"][names.index("Sign in to AWS")]["with"]
        )
        assert job["steps"][build]["timeout-minutes"] < job["timeout-minutes"]
    assert found


def test_each_app_key_is_of_the_job_that_needs_it(workflows: list[Workflow]) -> None:
    found = set()
    for text in {each.text for each in workflows}:
        for name, job in parsed(text)["jobs"].items():
            if keys := set(SECRET.findall(dump(job))) & {
                ANNOUNCING,
                "MESH_MAINTENANCE_APP_PRIVATE_KEY",
            }:
                found.add((name, *keys))
    assert found == {
        ("announce", ANNOUNCING),
        ("template", "MESH_MAINTENANCE_APP_PRIVATE_KEY"),
        ("keys", "MESH_MAINTENANCE_APP_PRIVATE_KEY"),
    }


def test_nobody_is_asked_whether_to_look_for_changes(workflows: list[Workflow]) -> None:
    """Of those that look every 15 minutes: a job without the environment of deploys, by the role
    that only reads; and no other job where nothing has changed."""
    for each in deploys(workflows):
        polls = (
            each.answers["kind"] != "upstream" and each.answers.get("deployment") == "independent"
        )
        jobs = each.document["jobs"]
        assert ("changed" in jobs) == polls
        if not polls:
            continue
        assert jobs["changed"]["environment"] == {"name": "ci", "deployment": False}
        assert "role-to-assume: arn:aws:iam::123456789012:role/dbt-mesh-member-ci" in (
            dump(jobs["changed"], width=1000)
        )
        assert "dbt-core" not in dump(jobs["changed"])
        assert [name for name, job in jobs.items() if "needs" not in job] == ["changed"]
        assert jobs["closed"]["needs"] == "changed"
        assert "needs.changed.outputs.changed == 'true'" in jobs["closed"]["if"]


def test_the_page_of_a_private_repository_is_published_where_that_is_accepted(
    workflows: list[Workflow],
) -> None:
    """And each attempt of a run has an artifact of its own, for a run has a name once."""
    found = [each for each in deploys(workflows) if "pages" in each.document["jobs"]]
    assert found
    for each in found:
        jobs = each.document["jobs"]
        shown = (
            "needs.closed.outputs.visibility == 'public' || vars.MESH_PRIVATE_PAGES == 'accepted'"
        )
        assert f"&& ({shown})" in jobs["pages"]["if"]
        assert "steps.environment.outputs.visibility" in jobs["closed"]["outputs"]["visibility"]
        name = "github-pages-${{ github.run_attempt }}"
        (kept,) = [
            s for s in jobs["deploy"]["steps"] if "upload-pages-artifact" in s.get("uses", "")
        ]
        (given,) = jobs["pages"]["steps"]
        assert kept["with"]["name"] == jobs["deploy"]["outputs"]["pages"] == name
        assert given["with"]["artifact_name"] == "${{ needs.deploy.outputs.pages }}"


def test_what_waits_for_others_takes_news_by_input_and_by_event(workflows: list[Workflow]) -> None:
    for each in deploys(workflows):
        on = each.document["on"]
        inputs = (on["workflow_dispatch"] or {}).get("inputs")
        assert ("repository_dispatch" in on) == bool(inputs)
        if inputs:
            assert set(inputs) == set(NEWS)
            assert not any(each.get("required") for each in inputs.values())


def test_only_deploys_are_deployments(workflows: list[Workflow]) -> None:
    for each in workflows:
        for name, job in each.document["jobs"].items():
            if "environment" in job and name not in ("deploy", "pages") and not each.on_server:
                assert job["environment"]["deployment"] is False


def test_only_what_publishes_publishes(workflows: list[Workflow]) -> None:
    for each in deploys(workflows):
        publishes = each.answers["kind"] == "upstream" or each.answers.get("publishes", False)
        assert ("scripts/publish_manifest.py" in each.text) == publishes
        assert ("announce" in each.document["jobs"]) == publishes


def test_alerts_are_those_that_were_asked_for(workflows: list[Workflow]) -> None:
    for alerts in ALERTS:
        for each in deploys(workflows, alerts=alerts):
            assert ("alert" in each.document["jobs"]) == (alerts != "none")
            assert ("SLACK_WEBHOOK_URL" in each.text) == (alerts == "slack")
            assert ("SMTP_HOST" in each.text) == (alerts == "email")


def test_without_answers_nothing_deploys_by_itself(workflows: list[Workflow]) -> None:
    found = [each for each in workflows if not each.answers.get("snowflake_account")]
    assert len(found) == 3 * len(KINDS)
    for each in found:
        assert "secrets.SNOWFLAKE" not in each.text
        if each.path.name == "deploy.yml":
            assert set(each.document["on"]) == {"workflow_dispatch"}
            assert "copier update --trust --skip-answered --ask snowflake_account" in each.text


def test_members_that_share_a_repository_keep_apart(workflows: list[Workflow]) -> None:
    shared = [each for each in workflows if "working_directory" in each.answers]
    assert shared
    for each in shared:
        name = each.answers["project_name"]
        assert each.path.name.startswith(f"{name}-")
        assert each.document["defaults"]["run"]["working-directory"] == "teams/member"
        assert each.document["concurrency"]["group"].startswith(f"{name}-")
        for job in each.document["jobs"].values():
            named = job.get("environment", f"ci-{name}")
            named = named if isinstance(named, str) else named["name"]
            app = f"${{{{ vars.MESH_APP_ENVIRONMENT || 'prod-{name}' }}}}"
            assert named in (f"prod-{name}", f"ci-{name}", app, "github-pages")
        on = each.document["on"]
        for event in ("push", "pull_request"):
            if event in on:
                assert "teams/member/**" in on[event]["paths"]


def test_a_member_in_a_folder_has_its_workflows_at_the_top(render: Render, tmp_path: Path) -> None:
    flags = ("--trust", "--defaults", "--quiet", "--vcs-ref", "HEAD")
    where = ("--answers-file", "dbt_up/.copier-answers.yml", ROOT, tmp_path / "mesh")
    done = warm.run(("copier", "copy", *flags, *where), tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "mesh/.github/workflows").iterdir()}
    assert names == {"dbt_up-ci.yml", "dbt_up-deploy.yml", "dbt_up-maintenance.yml"}
    assert (tmp_path / "mesh/dbt_up/dbt_project.yml").is_file()
    assert not (tmp_path / "mesh/dbt_project.yml").exists()


@pytest.mark.parametrize("name", ['"P$(touch PWNED)`id`;x"', '"d: #b & c"'])
def test_a_name_in_quotes_is_text_for_shells(render: Render, name: str) -> None:
    member = render(**CONNECTED, prod_database=name, dev_database=f'"dev {name[1:]}')
    titles = []
    for path in (member.path / ".github/workflows").iterdir():
        for job in load(path.read_text())["jobs"].values():
            for step in job.get("steps", ()):
                assert name[1:-1] not in step.get("run", "")
                titles += [step["env"]["TITLE"]] if "TITLE" in step.get("env", {}) else []
    assert sorted(titles) == sorted([f'dbt_up in "dev {name[1:]}', f"dbt_up in {name}"])


def test_a_name_in_quotes_is_one_word_of_a_command_that_people_paste(render: Render) -> None:
    member = render(kind="native", upstreams='sales:"P$(touch PWNED)x", finance')
    (line,) = [
        line for line in (member.path / "README.md").read_text().splitlines() if ",NEW" in line
    ]
    words = shlex.split(line)
    assert 'upstreams=sales:"P$(touch PWNED)x",finance,NEW' in words
    assert "'upstreams=" in line


def test_what_github_limits_is_told() -> None:
    """Nothing here can show it, so people have to read it."""
    text = " ".join((ROOT / "docs/ci.md").read_text(encoding="utf-8").split())
    for says in (
        "Up to 100 can wait in the queue; GitHub cancels further ones",
        "(for up to 30 days), the queue is blocked",
        "a required check that does not run blocks the merge",
        "GitHub disables scheduled workflows after 60 days",
    ):
        assert says in text
    asked = (ROOT / "copier.yml").read_text(encoding="utf-8")
    for says in (
        "opted in to immutable subjects",
        "$2 a credit (Standard edition, US)",
        "about 2,900 billed minutes a month",
    ):
        assert says in asked
