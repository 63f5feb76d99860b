"""A stand-in for GitHub's REST API on loopback, as far as members' workflows use it.

It checks the token, the token's permissions and its repositories, and records every request. It
knows the public key of an App, checks signature and claims of the App's JWTs, and issues tokens
within what the App is installed for.

Each rule has its source in tests/github_rules.py, which also lists what this stand-in cannot show,
and a question of the conformance run (tests/conformance/github).

A pytest plugin: `pytest_plugins = "tests.github_api"` gives a module the fixture `github`. Tests
import its helpers before pytest could rewrite it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests import github_environments
from tests.github_actions import BOT, FOLDER, Actions, Workflow
from tests.github_environments import Refused, Settings

TOKEN = "ghs_of-the-stand-in"
PERSON = "gho_of-an-administrator"
APP = "Iv1.app"


@cache
def app_key() -> tuple[str, RSAPublicKey]:
    """Returns the private key of the App APP, in GitHub's format, and its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return pem.decode(), key.public_key()


@dataclass(frozen=True)
class Token:
    """A token, with its owner, its permissions and its repositories (None: all).

    permissions: as in a workflow, such as {"contents": "write", "actions": "read"}.
    """

    permissions: Mapping[str, str]
    repositories: frozenset[str] | None = None
    login: str = BOT

    def may(self, permission: str, level: str, repository: str) -> bool:
        granted = self.permissions.get(permission, self.permissions.get("everything"))
        granted = "read" if permission == "metadata" else granted  # every token has that
        here = self.repositories is None or repository in self.repositories
        return here and (granted == "write" or granted == level)


@dataclass
class Installation:
    """An installation of an App in repositories of an owner, with the permissions it was given."""

    client_id: str
    repositories: frozenset[str]
    permissions: Mapping[str, str]
    is_suspended: bool = False


LONGEST_JWT = 600
"""The longest lifetime of a JWT, in seconds, by GitHub's own clock."""


@dataclass(frozen=True)
class Request:
    """A request and the status of its response."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    token: str
    status: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


@dataclass
class Fault:
    """The response to `times` requests that match `METHOD /path`, after the first `after`."""

    pattern: re.Pattern[str]
    status: int
    times: int
    headers: Mapping[str, str]
    body: Any
    after: int = 0


NEWS = ("project", "version", "digest", "chain")
"""Inputs of the deploy workflow of a project that reads others."""


@dataclass
class Repository:
    """What the API knows of a repository.

    comments: by the number of the issue or pull request.
    pulls: the state of each pull request, by number. heads: their branches.
    runs: by workflow file, newest first. jobs: of a run's last attempt. attempts: earlier ones.
    is_archived: an archived repository is read-only.
    workflows: by file. started: the bodies of workflow_dispatch, with the workflow.
    refs: commits of refs that were created here. files: of the default branch.
    artifacts: names, by run.
    is_empty: whether it has no commit.
    """

    dispatches: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    pulls: dict[int, str] = field(default_factory=dict)
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    is_archived: bool = False
    settings: Settings = field(default_factory=Settings)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    heads: dict[int, str] = field(default_factory=dict)
    artifacts: dict[int, list[str]] = field(default_factory=dict)
    jobs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    attempts: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    is_empty: bool = False

    def run(self, file: str, number: int, conclusion: str | None, **facts: Any) -> None:
        """Adds a run of a workflow; without a conclusion it has not ended."""
        status = "completed" if conclusion else "in_progress"
        run = {"id": number, "run_number": number, "run_attempt": 1, "status": status}
        run |= {"conclusion": conclusion, "head_branch": "main", **facts}
        self.runs.setdefault(file, []).insert(0, run)


Answer = tuple[int, Any]


class GitHubApi:
    """The API, which runs as long as the `with` block.

    repositories: by full name. A test has to add each before it is requested.
    tokens: by text.
    apps: public keys by client id.
    installations: of Apps, by number.
    issued: tokens of Apps, in order.
    """

    def __init__(self, port: int = 0) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens: dict[str, Token] = {}
        self.apps: dict[str, RSAPublicKey] = {}
        self.installations: dict[int, Installation] = {}
        self.issued: list[str] = []
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._ids = iter(range(1, 10**9))
        self._lock = threading.Lock()
        self.handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self.handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> GitHubApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- what a test sets and asks ----------------------------------------------------------

    def repository(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def token(self, text: str = TOKEN, *repositories: str, login: str = BOT, **may: str) -> str:
        """Makes a token: token("ghs_1", "acme/up", contents="write", pull_requests="read")."""
        permissions = {name.replace("_", "-"): level for name, level in may.items()}
        self.tokens[text] = Token(permissions, frozenset(repositories) or None, login)
        return text

    def install(self, *repositories: str, **may: str) -> Installation:
        """Installs the App in repositories of one owner, with their deploy workflows."""
        permissions = {name.replace("_", "-"): level for name, level in may.items()}
        made = Installation(APP, frozenset(repositories), permissions)
        for name in repositories:
            self.repository(name).workflows.setdefault("deploy.yml", Workflow(inputs=NEWS))
        self.apps[APP] = app_key()[1]
        self.installations[self.number()] = made
        return made

    def environment(self, repository: str, token: str = TOKEN, **others: str) -> dict[str, str]:
        """Returns the variables of a step in a workflow of the repository."""
        return {
            "GITHUB_API_URL": self.url,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": repository,
            "GITHUB_TOKEN": token,
            **others,
        }

    def fail(
        self,
        pattern: str,
        status: int,
        *,
        times: int = 1,
        after: int = 0,
        body: Any = None,
        **headers: str,
    ) -> None:
        """Answers the next matching requests with an error, such as
        fail("POST .*/dispatches", 403, Retry_After="0")."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"message": "injected"} if body is None else body
        self._faults.append(Fault(re.compile(pattern), status, times, named, body, after))

    def number(self) -> int:
        """Returns an unused number."""
        return next(self._ids)

    def job_token(self, repository: str, permissions: Mapping[str, str]) -> Token:
        """Returns GITHUB_TOKEN of a job."""
        return Token(dict(permissions), frozenset({repository}))

    def asked_by(self, token: Token, method: str, path: str, body: Any) -> int:
        """Sends a request of a job that runs in this process. Returns the status."""
        query = dict(parse_qsl(urlsplit(path).query))
        request = Request(method, urlsplit(path).path, query, body, "")
        try:
            status, _ = self._serve(token, request)
        except Refused as error:
            status = error.status
        self.requests.append(replace(request, status=status))
        return status

    def seen(self, method: str = "") -> list[str]:
        """Returns the requests as `METHOD /path status`, in order."""
        return [str(each) for each in self.requests if each.method.startswith(method)]

    # -- answering --------------------------------------------------------------------------

    def answer(self, request: Request) -> tuple[int, Mapping[str, str], Any]:
        with self._lock:
            headers: Mapping[str, str] = {}
            fault = next(
                (f for f in self._faults if f.pattern.match(f"{request.method} {request.path}")),
                None,
            )
            if fault and fault.after:
                fault.after -= 1
                fault = None
            if fault:
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                status, headers, body = fault.status, fault.headers, fault.body
            else:
                try:
                    status, body = self._route(request)
                except Refused as error:
                    status, body = error.status, {"message": error.message}
            self.requests.append(replace(request, status=status))
            return status, headers, body

    def _route(self, request: Request) -> Answer:
        for method, pattern, answer in _APP_ROUTES:
            match = re.fullmatch(pattern, request.path)
            if method == request.method and match:
                return answer(self, self._app(request.token), request, *match.groups())
        token = self.tokens.get(request.token)
        if token is None:
            raise Refused(401, "Bad credentials")
        return self._serve(token, request)

    def _serve(self, token: Token, request: Request) -> Answer:
        if request.path in ("/", "/user"):
            return 200, {"login": token.login, "id": 1}
        if request.path == "/graphql" and "viewer{login}" in request.body["query"]:
            return 200, {"data": {"viewer": {"login": token.login}}}  # for `gh auth status`
        if match := re.fullmatch(r"/orgs/([^/]+)", request.path):
            return self._organisation(match[1], token)
        for method, pattern, permission, level, serve in _ROUTES:
            match = re.fullmatch(pattern, request.path)
            if method == request.method and match:
                name, *rest = match.groups()
                found = self.repositories.get(name)
                if found is None or (
                    token.repositories is not None and name not in token.repositories
                ):
                    raise Refused(404, "Not Found")
                needed = permission.split(" or ")
                is_open = found.settings.visibility == "public" and method == "GET"
                if is_open and not _SECRETIVE & set(needed):
                    return serve(self, found, token, request, *rest)
                if not any(token.may(each, level, name) for each in needed):
                    raise Refused(403, "Resource not accessible by integration")
                if found.is_archived and request.method != "GET":
                    raise Refused(403, "Repository was archived so is read-only.")
                return serve(self, found, token, request, *rest)
        raise Refused(404, "Not Found")

    def _app(self, signed: str) -> str:
        """Returns the client id of the App that signed a JWT, if it is at most minutes old.

        https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
        """
        now = time.time()
        try:
            client_id = str(jwt.decode(signed, options={"verify_signature": False}).get("iss"))
            key = self.apps[client_id]
            claims = jwt.decode(signed, key, ["RS256"], options={"require": ["iat", "exp"]})
        except (jwt.InvalidTokenError, KeyError):
            raise Refused(401, "A JSON web token could not be decoded") from None
        if claims["exp"] > now + LONGEST_JWT or claims["iat"] > now:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
        return client_id

    def _installation(self, client_id: str, _: Request, name: str) -> Answer:
        for number, each in self.installations.items():
            known = name in self.repositories and name in each.repositories
            if known and each.client_id == client_id:
                return 200, {"id": number, "client_id": client_id}
        raise Refused(404, "Not Found")

    def _issue(self, client_id: str, request: Request, number: str) -> Answer:
        found = self.installations.get(int(number))
        if found is None or found.client_id != client_id:
            raise Refused(404, "Not Found")
        if found.is_suspended:
            raise Refused(403, "This installation has been suspended")
        asked = request.body or {}
        owner = next(iter(found.repositories)).partition("/")[0]
        named = frozenset(f"{owner}/{name}" for name in asked.get("repositories", ()))
        names = named or found.repositories
        may = {
            name.replace("_", "-"): level
            for name, level in asked.get("permissions", found.permissions).items()
        }
        if not names <= found.repositories:
            raise Refused(422, "There is at least one repository that does not exist")
        granted = Token(found.permissions)
        if not all(granted.may(name, level, "") for name, level in may.items()):
            raise Refused(422, "The permissions requested are not granted to this installation.")
        text = f"ghs_of-an-app-{self.number()}"
        self.tokens[text] = Token(may, names, "mesh[bot]")
        self.issued.append(text)
        return 201, {"token": text, "permissions": may, "repositories": sorted(names)}

    def _organisation(self, owner: str, token: Token) -> Answer:
        """Returns an organisation. It shows its plan only to owners."""
        found = [each for name, each in self.repositories.items() if name.startswith(f"{owner}/")]
        if not found or found[0].settings.of_a_person:
            raise Refused(404, "Not Found")
        answer: dict[str, Any] = {"login": owner}
        if token.permissions.get("everything"):
            answer["plan"] = {"name": found[0].settings.plan}
        return 200, answer

    def _start(self, found: Repository, _: Token, request: Request, file: str) -> Answer:
        workflow = found.workflows.get(file)
        if workflow is None:
            raise Refused(404, "Not Found")
        if workflow.branch != request.body.get("ref"):
            raise Refused(422, f"No ref found for: {request.body.get('ref')}")
        if workflow.inputs is None:
            raise Refused(422, "Workflow does not have 'workflow_dispatch' trigger")
        if workflow.state != "active":
            raise Refused(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
        given = request.body.get("inputs", {})
        if unknown := sorted(given.keys() - set(workflow.inputs)):
            raise Refused(422, f"Unexpected inputs provided: {unknown}")
        if not all(isinstance(value, str) for value in given.values()) or len(given) > 25:
            raise Refused(422, "Invalid value for input")
        found.started.append({"workflow": file, **request.body})
        if workflow.jobs:
            run = self._actions(request, found).start(file, "workflow_dispatch", workflow.branch)
            if request.body.get("return_run_details"):
                return 200, {"workflow_run_id": run, "run_url": "", "html_url": ""}
        return 204, None

    def _actions(self, request: Request, found: Repository) -> Actions:
        return Actions(self, "/".join(request.path.split("/")[2:4]), found)

    def _switch(self, found: Repository, _: Token, __: Request, file: str, how: str) -> Answer:
        if file not in found.workflows:
            raise Refused(404, "Not Found")
        state = "active" if how == "enable" else "disabled_manually"
        found.workflows[file].state = state
        return 204, None

    def _make_ref(self, found: Repository, token: Token, request: Request) -> Answer:
        ref, sha = request.body["ref"], request.body["sha"]
        if found.is_empty:
            raise Refused(409, "Git Repository is empty.")
        if not re.fullmatch(r"refs/[^/]+/.+", ref):
            raise Refused(422, "Reference name must start with 'refs/'")
        if ref in found.refs:
            raise Refused(422, "Reference already exists")
        found.refs[ref] = sha
        if ref.startswith("refs/heads/"):
            branch = ref.removeprefix("refs/heads/")
            self._actions(request, found).happened("push", token.login, branch)
        return 201, {"ref": ref, "object": {"type": "commit", "sha": sha}}

    def _refs(self, found: Repository, _: Token, __: Request, begins: str) -> Answer:
        listed = [{"ref": ref} for ref in found.refs if ref.startswith(f"refs/{begins}")]
        return 200, listed

    def _ref(self, found: Repository, _: Token, __: Request, ref: str) -> Answer:
        if found.is_empty:
            raise Refused(409, "Git Repository is empty.")
        if f"refs/{ref}" not in found.refs and ref != f"heads/{found.settings.default_branch}":
            raise Refused(404, "Not Found")
        return 200, {"ref": f"refs/{ref}", "object": {"type": "commit", "sha": "0" * 40}}

    def _drop_ref(self, found: Repository, _: Token, __: Request, ref: str) -> Answer:
        if found.refs.pop(ref, None) is None:
            raise Refused(422, "Reference does not exist")
        return 204, None

    def _put_file(self, found: Repository, token: Token, request: Request, path: str) -> Answer:
        default = found.settings.default_branch
        branch = request.body.get("branch", default)
        if path.startswith(FOLDER) and token.login == BOT:
            raise Refused(403, "Resource not accessible by integration")
        if branch != default and f"refs/heads/{branch}" not in found.refs:
            raise Refused(404, f"Branch {branch} not found")
        found.is_empty = False
        if branch == default:
            text = base64.b64decode(request.body["content"]).decode()
            found.files[path] = text
            if path.startswith(FOLDER):
                found.workflows[path.removeprefix(FOLDER)] = Workflow.of(text, default)
        self._actions(request, found).happened("push", token.login, branch)
        return 201, {"content": {"path": path, "sha": "1" * 40}, "commit": {"sha": "0" * 40}}

    def _files(self, found: Repository, _: Token, __: Request, folder: str) -> Answer:
        listed = [
            {"name": path.rpartition("/")[2], "path": path, "sha": "1" * 40}
            for path in found.files
            if path.startswith(f"{folder}/")
        ]
        if not listed:
            raise Refused(404, "Not Found")
        return 200, listed

    def _drop_file(self, found: Repository, _: Token, request: Request, path: str) -> Answer:
        if path not in found.files or not request.body.get("sha"):
            raise Refused(404, "Not Found")
        del found.files[path]
        found.workflows.pop(path.removeprefix(FOLDER), None)
        return 200, {"commit": {}}

    def _dispatch(self, found: Repository, token: Token, request: Request) -> Answer:
        event, payload = request.body.get("event_type"), request.body.get("client_payload", {})
        if not isinstance(event, str) or not 1 <= len(event) <= 100 or len(payload) > 10:
            raise Refused(422, "Invalid request.")
        found.dispatches.append(request.body)
        branch = found.settings.default_branch
        actions = self._actions(request, found)
        actions.happened("repository_dispatch", token.login, branch, event)
        return 204, None

    def _comments(self, found: Repository, _: Token, request: Request, number: str) -> Answer:
        return 200, _page(found.comments.get(int(number), []), request.query)

    def _add_comment(
        self, found: Repository, token: Token, request: Request, number: str
    ) -> Answer:
        body = _comment_body(request)
        comment = {"id": self.number(), "body": body, "user": {"login": token.login}}
        found.comments.setdefault(int(number), []).append(comment)
        return 201, comment

    def _edit_comment(self, found: Repository, _: Token, request: Request, ident: str) -> Answer:
        for comment in (each for comments in found.comments.values() for each in comments):
            if comment["id"] == int(ident):
                comment["body"] = _comment_body(request)
                return 200, comment
        raise Refused(404, "Not Found")

    def _pulls(self, found: Repository, _: Token, request: Request) -> Answer:
        state = request.query.get("state", "open")
        listed = [
            {"number": number, "state": is_, "head": {"ref": found.heads.get(number, "")}}
            for number, is_ in sorted(found.pulls.items(), reverse=True)
            if state in ("all", is_)
        ]
        return 200, _page(listed, request.query)

    def _open_pull(self, found: Repository, token: Token, request: Request) -> Answer:
        if token.login == BOT and not found.settings.actions_open_pulls:
            raise Refused(
                403, "GitHub Actions is not permitted to create or approve pull requests."
            )
        number = self.number()
        found.pulls[number], found.heads[number] = "open", request.body["head"]
        base = request.body["base"]
        self._actions(request, found).happened("pull_request", token.login, base)
        return 201, {"number": number}

    def _change_pull(self, found: Repository, _: Token, request: Request, number: str) -> Answer:
        found.pulls[int(number)] = request.body["state"]
        return 200, {"number": int(number)}

    def _all_runs(self, found: Repository, _: Token, request: Request) -> Answer:
        listed = [run for runs in found.runs.values() for run in runs]
        return 200, {"total_count": len(listed), "workflow_runs": _page(listed, request.query)}

    def _one_run(self, found: Repository, _: Token, request: Request, number: str) -> Answer:
        return 200, self._actions(request, found).find(int(number))[1]

    def _drop_run(self, found: Repository, _: Token, request: Request, number: str) -> Answer:
        file, run = self._actions(request, found).find(int(number))
        found.runs[file].remove(run)
        return 204, None

    def _run_again(self, found: Repository, _: Token, request: Request, number: str) -> Answer:
        self._actions(request, found).again(int(number))
        return 201, {}

    def _cancel(self, found: Repository, __: Token, request: Request, number: str) -> Answer:
        _, run = self._actions(request, found).find(int(number))
        if run["status"] == "completed":
            raise Refused(409, "Cannot cancel a workflow run that is completed.")
        return 202, {}

    def _jobs(self, found: Repository, _: Token, __: Request, number: str) -> Answer:
        jobs = found.jobs.get(int(number), [])
        return 200, {"total_count": len(jobs), "jobs": jobs}

    def _artifacts(self, found: Repository, _: Token, __: Request, number: str) -> Answer:
        named = [{"name": name} for name in found.artifacts.get(int(number), ())]
        return 200, {"total_count": len(named), "artifacts": named}

    def _deployments(self, found: Repository, _: Token, __: Request) -> Answer:
        return 200, found.deployments

    def _end_deployment(self, found: Repository, _: Token, request: Request, ident: str) -> Answer:
        if request.method == "DELETE":
            found.deployments = [d for d in found.deployments if d["id"] != int(ident)]
            return 204, None
        return 201, {"state": request.body["state"]}

    def _token_settings(self, found: Repository, _: Token, __: Request) -> Answer:
        return 200, {
            "default_workflow_permissions": "read",
            "can_approve_pull_request_reviews": found.settings.actions_open_pulls,
        }

    def _runs(self, found: Repository, _: Token, request: Request, file: str) -> Answer:
        if file not in found.runs:
            raise Refused(404, "Not Found")
        asked = request.query
        listed = [
            run
            for run in found.runs[file]
            if asked.get("branch") in (None, run["head_branch"])
            and asked.get("status") in (None, run["status"], run["conclusion"])
            and asked.get("event") in (None, run.get("event"))
        ]
        return 200, {"total_count": len(listed), "workflow_runs": _page(listed, asked)}

    def _workflows(self, found: Repository, _: Token, request: Request) -> Answer:
        """https://docs.github.com/en/rest/actions/workflows#list-repository-workflows"""
        listed = [
            {"path": f".github/workflows/{file}", "state": workflow.state}
            for file, workflow in found.workflows.items()
        ]
        return 200, {"total_count": len(listed), "workflows": _page(listed, request.query)}

    def _workflow(self, found: Repository, _: Token, __: Request, file: str) -> Answer:
        if file not in found.workflows:
            raise Refused(404, "Not Found")
        return 200, {"path": FOLDER + file, "state": found.workflows[file].state}

    def _attempt(
        self, found: Repository, _: Token, request: Request, ident: str, attempt: str
    ) -> Answer:
        now = [each for runs in found.runs.values() for each in runs]
        for run in (*now, *found.attempts.values()):
            if (run["id"], run["run_attempt"]) == (int(ident), int(attempt)):
                return 200, run
        raise Refused(404, "Not Found")


def _settings(serve: Callable[..., Any], key: str = "", status: int = 200) -> Callable[..., Answer]:
    """Returns a route to tests/github_environments.py. key: the key of a list in the response."""

    def route(_: GitHubApi, found: Repository, __: Token, request: Request, *rest: str) -> Answer:
        body = (request.body,) if request.method in ("PUT", "POST") else ()
        answer = serve(found.settings, *rest, *body)
        if key:
            answer = {"total_count": len(answer), key: _page(answer, request.query)}
        return status, answer

    return route


def _repository(_: GitHubApi, found: Repository, __: Token, request: Request) -> Answer:
    name = request.path.removeprefix("/repos/")
    return 200, github_environments.get_repository(found.settings, name)


def _branches(_: GitHubApi, found: Repository, __: Token, request: Request) -> Answer:
    protected = found.settings.protected_branches
    listed = protected | (set() if request.query.get("protected") else {"main"})
    return 200, _page(
        [{"name": name, "protected": name in protected} for name in sorted(listed)], request.query
    )


def _secrets(settings: Settings, environment: str | None = None) -> list[dict[str, str]]:
    kept = (
        github_environments.known(settings, environment).secrets
        if environment
        else settings.secrets
    )
    return github_environments.names(kept)


def _put_secret(
    _: GitHubApi, found: Repository, __: Token, request: Request, environment: str, key: str
) -> Answer:
    """Sets a secret, which the stand-in for `gh` sends in the clear, and the real one encrypted."""
    had = github_environments.known(found.settings, environment).secrets.keys() | set()
    value = request.body.get("value") or request.body["encrypted_value"]
    github_environments.set_secret(found.settings, environment, key, value)
    return (204, None) if key.upper() in had else (201, {})


_REPO = r"/repos/([^/]+/[^/]+)"
_ENVIRONMENT = rf"{_REPO}/environments/([^/]+)"
_Serve = Callable[..., Answer]
_TALK = "issues or pull-requests"
_SECRETIVE = {"administration", "environments", "secrets", "variables"}
"""Permissions that reading requires in a public repository, too."""
_APP_ROUTES: list[tuple[str, str, _Serve]] = [
    ("GET", f"{_REPO}/installation", GitHubApi._installation),
    ("POST", r"/app/installations/([0-9]+)/access_tokens", GitHubApi._issue),
]
"""Routes for an App's JWT. All others require a token."""
_ROUTES: list[tuple[str, str, str, str, _Serve]] = [
    ("GET", _REPO, "metadata", "read", _repository),
    ("GET", f"{_REPO}/branches", "contents", "read", _branches),
    ("GET", _ENVIRONMENT, "actions", "read", _settings(github_environments.get)),
    ("PUT", _ENVIRONMENT, "administration", "write", _settings(github_environments.put)),
    (
        *("DELETE", _ENVIRONMENT, "administration", "write"),
        _settings(github_environments.delete, status=204),
    ),
    (
        *("GET", f"{_REPO}/environments", "actions", "read"),
        _settings(github_environments.listed, "environments"),
    ),
    (
        *("GET", f"{_ENVIRONMENT}/secrets/public-key", "environments", "read"),
        _settings(github_environments.public_key),
    ),
    (
        *("GET", f"{_ENVIRONMENT}/deployment-branch-policies", "actions", "read"),
        _settings(github_environments.patterns, "branch_policies"),
    ),
    (
        *("POST", f"{_ENVIRONMENT}/deployment-branch-policies", "administration", "write"),
        _settings(github_environments.add_pattern),
    ),
    ("GET", f"{_ENVIRONMENT}/secrets", "environments", "read", _settings(_secrets, "secrets")),
    (
        *("PUT", f"{_ENVIRONMENT}/secrets/([^/]+)", "environments", "write"),
        _put_secret,
    ),
    ("GET", f"{_REPO}/actions/secrets", "secrets", "read", _settings(_secrets, "secrets")),
    (
        *("GET", f"{_REPO}/actions/variables/([^/]+)", "variables", "read"),
        _settings(github_environments.variable),
    ),
    (
        *("POST", f"{_REPO}/actions/workflows/([^/]+)/dispatches", "actions", "write"),
        GitHubApi._start,
    ),
    (
        *("PUT", f"{_REPO}/actions/workflows/([^/]+)/(enable|disable)", "actions", "write"),
        GitHubApi._switch,
    ),
    ("POST", f"{_REPO}/git/refs", "contents", "write", GitHubApi._make_ref),
    ("GET", f"{_REPO}/git/ref/(.+)", "contents", "read", GitHubApi._ref),
    ("GET", f"{_REPO}/git/matching-refs/(.+)", "contents", "read", GitHubApi._refs),
    ("DELETE", f"{_REPO}/git/(refs/.+)", "contents", "write", GitHubApi._drop_ref),
    ("GET", f"{_REPO}/contents/(.+)", "contents", "read", GitHubApi._files),
    ("PUT", f"{_REPO}/contents/(.+)", "contents", "write", GitHubApi._put_file),
    ("DELETE", f"{_REPO}/contents/(.+)", "contents", "write", GitHubApi._drop_file),
    ("POST", f"{_REPO}/dispatches", "contents", "write", GitHubApi._dispatch),
    ("GET", f"{_REPO}/issues/([0-9]+)/comments", _TALK, "read", GitHubApi._comments),
    ("POST", f"{_REPO}/issues/([0-9]+)/comments", _TALK, "write", GitHubApi._add_comment),
    ("PATCH", f"{_REPO}/issues/comments/([0-9]+)", _TALK, "write", GitHubApi._edit_comment),
    ("GET", f"{_REPO}/pulls", "pull-requests", "read", GitHubApi._pulls),
    ("POST", f"{_REPO}/pulls", "pull-requests", "write", GitHubApi._open_pull),
    ("PATCH", f"{_REPO}/pulls/([0-9]+)", "pull-requests", "write", GitHubApi._change_pull),
    ("GET", f"{_REPO}/deployments", "deployments", "read", GitHubApi._deployments),
    (
        *("POST", f"{_REPO}/deployments/([0-9]+)/statuses", "deployments", "write"),
        GitHubApi._end_deployment,
    ),
    (
        *("DELETE", f"{_REPO}/deployments/([0-9]+)", "deployments", "write"),
        GitHubApi._end_deployment,
    ),
    (
        *("GET", f"{_REPO}/actions/permissions/workflow", "administration", "read"),
        GitHubApi._token_settings,
    ),
    ("GET", f"{_REPO}/actions/runs", "actions", "read", GitHubApi._all_runs),
    ("GET", f"{_REPO}/actions/runs/([0-9]+)", "actions", "read", GitHubApi._one_run),
    ("DELETE", f"{_REPO}/actions/runs/([0-9]+)", "actions", "write", GitHubApi._drop_run),
    ("GET", f"{_REPO}/actions/runs/([0-9]+)/jobs", "actions", "read", GitHubApi._jobs),
    ("GET", f"{_REPO}/actions/runs/([0-9]+)/artifacts", "actions", "read", GitHubApi._artifacts),
    ("POST", f"{_REPO}/actions/runs/([0-9]+)/rerun", "actions", "write", GitHubApi._run_again),
    ("POST", f"{_REPO}/actions/runs/([0-9]+)/cancel", "actions", "write", GitHubApi._cancel),
    ("GET", f"{_REPO}/actions/workflows", "actions", "read", GitHubApi._workflows),
    ("GET", f"{_REPO}/actions/workflows/([^/]+)", "actions", "read", GitHubApi._workflow),
    ("GET", f"{_REPO}/actions/workflows/([^/]+)/runs", "actions", "read", GitHubApi._runs),
    (
        "GET",
        f"{_REPO}/actions/runs/([0-9]+)/attempts/([0-9]+)",
        "actions",
        "read",
        GitHubApi._attempt,
    ),
]


def _page(entries: list[Any], query: Mapping[str, str]) -> list[Any]:
    size = min(int(query.get("per_page", 30)), 100)
    start = (int(query.get("page", 1)) - 1) * size
    return entries[start : start + size]


def _comment_body(request: Request) -> str:
    body = request.body.get("body")
    if not isinstance(body, str) or not 1 <= len(body) <= 65_536:
        raise Refused(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    return body


class _Handler(BaseHTTPRequestHandler):
    api: GitHubApi

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        sent = self._chunks() if chunked else self._sized()
        try:
            body = json.loads(sent) if sent else None
        except ValueError:
            body = sent.decode(errors="replace")
        token = self.headers.get("Authorization", "").partition(" ")[2]
        query = dict(parse_qsl(parts.query))
        request = Request(self.command, parts.path, query, body, token)
        status, headers, answer = self.api.answer(request)
        text = b"" if answer is None or status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if text:
            self.wfile.write(text)

    def _sized(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        """Reads a chunked body, which `gh` sends for its standard input."""
        sent = b""
        while size := int(self.rfile.readline(), 16):
            sent += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return sent

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def github() -> Iterator[GitHubApi]:
    with GitHubApi() as api:
        yield api
