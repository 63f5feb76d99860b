"""Stores a registry on Azure Blob Storage."""

from __future__ import annotations

import os
import re
from typing import Any

from dbtmesh import MeshError
from dbtmesh.registry.cloud_store import RETRY, CloudStore, client_options, is_in_job, opening
from dbtmesh.registry.store import Access

KEYS = """
    STORAGE_ACCOUNT_KEY STORAGE_SAS_TOKEN STORAGE_TOKEN CLIENT_SECRET FEDERATED_TOKEN_FILE
    SKIP_SIGNATURE
""".split()
"""Environment variables, without the prefix AZURE_, with which obstore itself signs in."""

ACCOUNT = r"[a-z0-9]{3,24}"
CONTAINER = r"[a-z0-9](?:-?[a-z0-9]){2,62}"


class AzureStore(CloudStore):
    """A store of blobs in a container: az://<storage account>/<container>/<prefix>."""

    service, kind, sign_in = "Azure", "container", "az login"

    def __init__(self, url: str, place: str, access: Access) -> None:
        account, _, rest = place.partition("/")
        self.container, _, prefix = rest.partition("/")
        if not re.fullmatch(ACCOUNT, account) or not re.fullmatch(CONTAINER, self.container):
            raise MeshError(
                f"{url!r} is not a valid registry on Azure: write "
                "az://<storage account>/<container>/registry"
            )
        from obstore.store import AzureStore as Client

        with opening(url):
            client = Client(
                self.container,
                account_name=account,
                client_options=client_options("AZURE"),
                retry_config=RETRY,
                **_sign_in(url, access),
            )
        super().__init__(url, prefix.strip("/"), client)


def _sign_in(url: str, access: Access) -> dict[str, Any]:
    """Returns the client's options for GitHub's token in its jobs, else for the credentials in the
    environment, else for the person's `az login`. Raises MeshError where there is none of them."""
    if access.azure_tenant and access.azure_client and is_in_job():
        from dbtmesh.registry import cloud_sign_in  # slow to import

        return {
            "credential_provider": cloud_sign_in.azure(access.azure_tenant, access.azure_client)
        }
    if any(os.environ.get(f"AZURE_{key}") for key in KEYS) or os.environ.get("IDENTITY_ENDPOINT"):
        return {}
    import shutil  # slow to import

    if not shutil.which("az"):
        raise MeshError(
            f"{url}: no Azure credentials: sign in (`az login`), or set AZURE_STORAGE_ACCOUNT_KEY"
        )
    return {"use_azure_cli": True}
