"""What the tests read of a workflow that act has run (tests/actions.py)."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.actions import Actions
from tests.workflow_world import git

STEPS = 30


def test_nothing_is_lost_of_what_a_failing_step_prints(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    workflows = repository / ".github/workflows"
    workflows.mkdir(parents=True)
    step = {"run": 'echo "printed by $STEP"; exit 1', "continue-on-error": True}
    steps = [step | {"env": {"STEP": f"step {number}"}} for number in range(STEPS)]
    jobs = {"job": {"runs-on": "ubuntu-latest", "steps": steps}}
    (workflows / "fails.yml").write_text(yaml.safe_dump({"on": "push", "jobs": jobs}))
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "remote", "add", "origin", "https://github.com/acme/shop")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "begin")
    actions = Actions(tmp_path / "actions")
    # On one processor, act alone loses what some of these steps print.
    run = actions.run(repository, "fails.yml", "push", GOMAXPROCS="1")
    printed = [step.output.strip() for step in run.steps]
    assert printed == [f"printed by step {number}" for number in range(STEPS)]
