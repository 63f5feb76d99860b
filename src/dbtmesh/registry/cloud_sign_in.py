"""Signs in to Azure or Google with the OIDC token of a GitHub Actions job.

This needs no secret and no third-party action. The cloud is configured to trust certain
repositories and environments. It exchanges GitHub's token for one of its own, which is valid for
about an hour.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from dbtmesh import MeshError
from dbtmesh.ci.github import oidc
from dbtmesh.output.words import one_line
from dbtmesh.registry.store import MOST_REASON

TIMEOUT = 20
JWT = "urn:ietf:params:oauth:token-type:jwt"
ENTRA = "https://login.microsoftonline.com"
ENTRA_AUDIENCE = "api://AzureADTokenExchange"
GOOGLE = "https://sts.googleapis.com/v1/token"


class Token(TypedDict):
    """An access token as obstore expects it."""

    token: str
    expires_at: datetime


def azure(tenant: str, client: str) -> Callable[[], Token]:
    """Returns a function that signs in to Azure as the application `client` of the tenant."""

    def sign_in() -> Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "scope": "https://storage.azure.com/.default",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": oidc.identity_token(ENTRA_AUDIENCE),
        }
        return _exchange("Azure", f"{ENTRA}/{tenant}/oauth2/v2.0/token", form)

    return sign_in


def google(provider: str) -> Callable[[], Token]:
    """Returns a function that signs in to Google Cloud through a workload identity pool.

    provider: projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>.
    """

    def sign_in() -> Token:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": f"//iam.googleapis.com/{provider}",
            "scope": "https://www.googleapis.com/auth/devstorage.read_write",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token_type": JWT,
            "subject_token": oidc.identity_token(f"https://iam.googleapis.com/{provider}"),
        }
        return _exchange("Google", GOOGLE, form)

    return sign_in


def _exchange(cloud: str, url: str, form: Mapping[str, str]) -> Token:
    """Posts the form, and returns the token that the cloud answers with. Raises MeshError where the
    cloud refuses, with its own reason, or where it cannot be reached."""
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode())  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            said = json.load(answer)
        seconds = int(said["expires_in"])
        return {
            "token": str(said["access_token"]),
            "expires_at": datetime.now(UTC) + timedelta(seconds=seconds),
        }
    except urllib.error.HTTPError as error:
        raise MeshError(
            f"{cloud} does not accept GitHub's token of this job: check that it trusts this "
            f"repository and environment. {cloud} says: {_reason(error)}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        host = urllib.parse.urlsplit(url).netloc
        raise MeshError(f"{host} gives no token: {one_line(error)}") from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        said = json.loads(error.read())
        text = said.get("error_description") or said.get("error")
    except (OSError, ValueError, AttributeError):
        text = error.reason
    return one_line(text, MOST_REASON)
