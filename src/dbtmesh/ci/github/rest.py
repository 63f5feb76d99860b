"""Calls GitHub's REST API, as far as the workflows need it. Standard library only.

The token goes to the API's host and nowhere else: no redirection is followed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from dbtmesh import MeshError, https
from dbtmesh.output.words import one_line

TIMEOUT = 20
ATTEMPTS = 4
WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before the second attempt, doubled each time; and the limit, even if GitHub asks for
more."""
PAGE, MOST_PAGES = 100, 1_000


class Refused(MeshError):
    """GitHub answered with an error. status: the HTTP status. limited: whether a rate limit is the
    reason, so that a later request may succeed."""

    def __init__(self, message: str, status: int, limited: bool = False) -> None:
        super().__init__(message)
        self.status, self.limited = status, limited


class Api(Protocol):
    """GitHub's REST API: `GitHub` with a token, or `gh.Gh` with a person's own sign-in.

    Every method raises Refused where GitHub answers with an error, and MeshError where it does not
    answer. Every method returns JSON, or None for no content.
    """

    def get(self, path: str, **query: str | int) -> Any: ...

    def post(self, path: str, body: Mapping[str, Any], *, repeatable: bool = False) -> Any:
        """repeatable: doing it twice does no harm, so it is tried again if there is no answer."""

    def put(self, path: str, body: Mapping[str, Any]) -> Any: ...

    def patch(self, path: str, body: Mapping[str, Any]) -> Any: ...


@contextlib.contextmanager
def understood(asked: str) -> Iterator[None]:
    """Raises MeshError if the code within finds an answer that is not as GitHub documents it.

    That code should only take the answer apart. asked: the request, such as `GET /repos/…`.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
        raise MeshError(f"GitHub answers {asked} in another format: try again later") from None


def pages(api: Api, path: str, key: str = "", **query: str | int) -> Iterator[dict[str, Any]]:
    """Yields the entries of a list, page after page. key: the list's key, if answers are mappings.

    Raises MeshError.
    """
    for page in range(1, MOST_PAGES + 1):
        answer = api.get(path, **query, per_page=PAGE, page=page)
        found = answer.get(key) if key and isinstance(answer, dict) else answer
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise MeshError(f"GitHub answers GET {path} without a list: try again later")
        yield from found
        if len(found) < PAGE:
            return
    raise MeshError(f"GitHub has more than {MOST_PAGES * PAGE:,} of {path}")


class GitHub:
    """The API at `url`, with a token. called: the token's name in messages, which have one line."""

    def __init__(self, url: str, token: str, called: str = "GITHUB_TOKEN") -> None:
        self._url, self._token, self._called = url.rstrip("/"), token, called

    def get(self, path: str, **query: str | int) -> Any:
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, Any], *, repeatable: bool = False) -> Any:
        return self._ask("POST", path, body, repeatable)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("PATCH", path, body)

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            pause = WAIT * 2**attempt
            request = urllib.request.Request(  # noqa: S310 from_environment checked the scheme
                self._url + path, data, self._headers(), method=method
            )
            try:
                with https.open_here(request, timeout=TIMEOUT) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                with error:
                    refused = _refusal(method, path, error, self._called)
                if last or not (refused.limited or (error.code >= 500 and repeatable)):
                    raise refused from None
                pause = _asked_for(error, pause)
            except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
                if last or not repeatable:
                    reason = getattr(error, "reason", None) or error
                    raise MeshError(
                        f"no answer from {self._url} to {method} {path} ({reason}): try again later"
                    ) from None
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _headers(self) -> dict[str, str]:
        return {
            # the second is for GitHub's OIDC issuer, which is not part of the API
            "Accept": "application/vnd.github+json, application/json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "User-Agent": "dbt-mesh",
            "X-GitHub-Api-Version": "2022-11-28",
        }


def _limited(error: urllib.error.HTTPError) -> bool:
    """Checks whether one of GitHub's rate limits is the reason for an error."""
    told = error.headers.get("Retry-After") or error.headers.get("X-RateLimit-Remaining") == "0"
    return error.code == 429 or (error.code == 403 and bool(told))


def _asked_for(error: urllib.error.HTTPError, otherwise: float) -> float:
    """Returns the seconds that GitHub asks to wait, or else `otherwise`."""
    with contextlib.suppress(ValueError):
        return min(float(error.headers.get("Retry-After") or otherwise), LONGEST_WAIT)
    return otherwise


def _refusal(method: str, path: str, error: urllib.error.HTTPError, token: str) -> Refused:
    message = ""
    with contextlib.suppress(
        OSError, ValueError, AttributeError, RecursionError, http.client.HTTPException
    ):
        message = one_line(json.loads(error.read()).get("message", ""), 200)
    advice = {
        401: f"{token} is not valid (any more)",
        403: f"{token} lacks a permission, or a rate limit is reached",
        404: f"it is not there, or {token} may not see it",
    }.get(error.code, "")
    if 300 <= error.code < 400:
        advice = "the repository has another name now"
    what = " ".join(filter(None, (str(error.code), message and f"({message})")))
    text = f"GitHub answers {method} {path.partition('?')[0]} with {what}"
    return Refused(f"{text}: {advice}" if advice else text, error.code, _limited(error))


def from_environment() -> GitHub:
    """Returns the API at $GITHUB_API_URL with $GITHUB_TOKEN, as in a workflow. Raises MeshError."""
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    if not token:
        raise MeshError("GITHUB_TOKEN is not set: give the step `env: GITHUB_TOKEN: …`")
    if not token.isprintable() or not token.isascii():
        raise MeshError("GITHUB_TOKEN is not a token: one line of plain text")
    return GitHub(api_url(), token)


def api_url() -> str:
    """Returns the address of GitHub's API. Raises MeshError where no token may be sent to it."""
    url = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
    https.check_url("GITHUB_API_URL", url)
    return url
