"""The workflows that ask a repository what only its jobs can do.

They hold no secret, and read and write only what the run has made.
"""

from __future__ import annotations

_UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
_JOB = """\
  {name}:
    runs-on: ubuntu-latest
    timeout-minutes: 5
{more}    steps:
"""
_TOKEN = "        env: {GH_TOKEN: '${{ github.token }}'}\n"


def _job(name: str, *commands: str, needs: str = "", **permissions: str) -> str:
    """Returns a job. permissions: those of GITHUB_TOKEN, which the commands use."""
    given = ", ".join(f"{key.replace('_', '-')}: {level}" for key, level in permissions.items())
    more = f"    permissions: {{{given}}}\n"
    if needs:
        more += f"    needs: [{needs}]\n    if: always()\n"
    steps = "".join(f"      - run: {command}\n{_TOKEN}" for command in commands)
    return _JOB.format(name=name, more=more) + steps


def _in(name: str, environment: str) -> str:
    more = f"    environment: {environment}\n"
    return _JOB.format(name=name, more=more) + '      - run: "true"\n'


_REPO = "repos/$GITHUB_REPOSITORY"
_CONTENT = "--raw-field message=conformance --raw-field content=eA== --raw-field branch={p}/x"
ASKS = (
    "name: {p}\non: {workflow_dispatch: {inputs: {note: {required: false}}}}\n"
    "permissions: {}\njobs:\n"
    + _in("names", "{p}-by-job")
    + _in("closed", "{p}-closed")
    + _in("allowed", "{p}-open")
    + _job(
        "reads",
        f"gh api {_REPO}/environments/{{p}}-closed",
        f"gh api {_REPO}/environments/{{p}}-closed/deployment-branch-policies",
        f"gh api '{_REPO}/branches?protected=true'",
        actions="read",
        contents="read",
    )
    + _job("blind", f"gh api {_REPO}/environments/{{p}}-closed", contents="read")
    + _job(
        "pushes",
        f"gh api --method PUT {_REPO}/contents/{{p}}.txt {_CONTENT}",
        contents="write",
    )
    + _job(
        "pulls",
        f"gh api --method POST {_REPO}/pulls --raw-field title={{p}} "
        "--raw-field head={p}/x --raw-field base={branch}",
        needs="pushes",
        contents="write",
        pull_requests="write",
    )
    + _job(
        "workflows",
        f"gh api --method PUT {_REPO}/contents/.github/workflows/{{p}}-no.yml {_CONTENT}",
        contents="write",
    )
    + _job(
        "dispatches",
        f"gh api --method POST {_REPO}/dispatches --raw-field event_type={{p}}",
        needs="pulls, pushes",
        contents="write",
    )
)
LISTENS = (
    "name: {p}-listens\non:\n  push: {branches: ['{p}/x']}\n  pull_request: {}\n"
    "  repository_dispatch: {types: ['{p}']}\npermissions: {}\njobs:\n" + _in("runs", "{p}-star")
)
AGAIN = (
    "name: {p}-again\non: {workflow_dispatch: {}}\npermissions: {}\njobs:\n"
    + _JOB.format(name="uploads", more="")
    + "      - run: echo x > x.txt\n"
    + f"      - uses: {_UPLOAD} # v7.0.0\n        with: {{name: '{{p}}', path: x.txt}}\n"
)
