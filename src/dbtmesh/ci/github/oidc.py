"""Fetches the token with which GitHub Actions identifies this job to other services.

https://docs.github.com/en/actions/reference/security/oidc
"""

from __future__ import annotations

import os
import re

from dbtmesh import MeshError
from dbtmesh.ci.github import workflow_commands
from dbtmesh.ci.github.rest import GitHub, Refused
from dbtmesh.https import check_url

_TOKEN = re.compile(r"[!-~]+")


def identity_token(audience: str) -> str:
    """Returns a token that identifies this job to `audience` for about five minutes. GitHub masks
    it in the job's log. Raises MeshError.

    https://docs.github.com/en/actions/reference/security/oidc
    """
    url = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    if not url:
        raise MeshError(
            "GitHub gives this job no token (ACTIONS_ID_TOKEN_REQUEST_URL is not set): "
            "it needs `permissions: id-token: write`"
        )
    check_url("ACTIONS_ID_TOKEN_REQUEST_URL", url)
    issuer = GitHub(url, os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""))
    try:
        token = issuer.get(f"&audience={audience}")["value"]
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise LookupError  # the token becomes a variable, and a command in the log
    except Refused as error:
        raise MeshError(
            "GitHub gives this job no token, asked for at $ACTIONS_ID_TOKEN_REQUEST_URL: it says "
            f"{error}"
        ) from None
    except (LookupError, TypeError):
        raise MeshError(
            "GitHub answers $ACTIONS_ID_TOKEN_REQUEST_URL without a token: try again later"
        ) from None
    workflow_commands.mask(token)
    return token
