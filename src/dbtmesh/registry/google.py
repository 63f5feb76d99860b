"""Stores a registry on Google Cloud Storage."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from dbtmesh import MeshError
from dbtmesh.registry.cloud_store import RETRY, CloudStore, client_options, is_in_job, opening
from dbtmesh.registry.store import Access, Changed

KEYS = """
    APPLICATION_CREDENTIALS SERVICE_ACCOUNT SERVICE_ACCOUNT_PATH SERVICE_ACCOUNT_KEY BEARER_TOKEN
    SKIP_SIGNATURE
""".split()
"""Environment variables, without the prefix GOOGLE_, with which obstore itself signs in."""

BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"


class GoogleStore(CloudStore):
    """A store of objects in a bucket: gs://<bucket>/<prefix>.

    Google compares the object's generation on a write, and its ETag on a read.
    """

    service, kind = "Google", "bucket"
    sign_in = "gcloud auth application-default login"

    def __init__(self, url: str, place: str, access: Access) -> None:
        self.container, _, prefix = place.partition("/")
        if not re.fullmatch(BUCKET, self.container):
            raise MeshError(f"{url}: {self.container!r} is not a valid name of a bucket")
        from obstore.store import GCSStore as Client

        with opening(url):
            client = Client(
                self.container,
                client_options=client_options("GOOGLE"),
                retry_config=RETRY,
                **_sign_in(url, access),
            )
        super().__init__(url, prefix.strip("/"), client)

    def _etag(self, meta: Mapping[str, Any]) -> str:
        return f"{meta['version']}:{meta['e_tag']}"

    def _known(self, etag: str) -> str:
        return etag.partition(":")[2] or etag

    def _update(self, etag: str) -> dict[str, str]:
        generation, _, tag = etag.partition(":")
        if not generation.isdecimal():  # an ETag of another store, from before a move
            raise Changed(etag)
        return {"version": generation, "e_tag": tag}


def _sign_in(url: str, access: Access) -> dict[str, Any]:
    """Returns the client's options for GitHub's token in its jobs.

    They are empty otherwise: obstore itself finds the credentials in the environment, and those of
    `gcloud auth application-default login`. Raises MeshError where there are none.
    """
    if access.google_provider and is_in_job():
        from dbtmesh.registry import cloud_sign_in

        return {"credential_provider": cloud_sign_in.google(access.google_provider)}
    folder = os.environ.get("CLOUDSDK_CONFIG") or os.path.expanduser("~/.config/gcloud")
    if not any(os.environ.get(f"GOOGLE_{key}") for key in KEYS) and not os.path.isfile(
        os.path.join(folder, "application_default_credentials.json")
    ):
        raise MeshError(
            f"{url}: no Google credentials: sign in (`gcloud auth application-default login`), or "
            "set GOOGLE_APPLICATION_CREDENTIALS"
        )
    return {}
