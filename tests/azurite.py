"""Runs Azurite, Microsoft's emulator of Azure Storage, for the tests of the registry on Azure.

Azurite checks signatures and conditions. `python -m tests.azurite` installs it into this
environment, with npm. Where it cannot be installed, its tests are skipped; in CI they fail.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import (  # of dbt-loom's own
    BlobServiceClient,
    ContainerSasPermissions,
    generate_container_sas,
)

from tests.s3_server import on_free_ports

RELEASE = "3.35.0"  # the last that runs on node 20
HOME = Path(sys.prefix) / "azurite"
PROGRAM = HOME / "node_modules/azurite/dist/src/blob/main.js"
INSTALLED_WITHIN = 600
"""Seconds. Usually it takes twenty."""
ACCOUNT, CONTAINER = "meshaccount", "mesh"
KEY = base64.b64encode(b"a key of the tests").decode()


@dataclass(frozen=True)
class Azure:
    """The server, with one container. url: its own, or that of a proxy in front of it."""

    url: str

    def environment(self, identity: str = "admin", **others: str) -> dict[str, str]:
        """Returns what somebody exports to sign in as `identity`.

        `consumer` and `pull_request` have a signature that may only read, others the account's key.
        """
        sign_in = {"AZURE_STORAGE_ACCOUNT_KEY": KEY}
        if identity in ("consumer", "pull_request"):
            until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
            may = ContainerSasPermissions(read=True, list=True)
            signature = generate_container_sas(
                ACCOUNT, CONTAINER, account_key=KEY, permission=may, expiry=until
            )
            sign_in = {"AZURE_STORAGE_SAS_TOKEN": signature}
        return {
            "AZURE_STORAGE_ENDPOINT": f"{self.url}/{ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
            **sign_in,
            **others,
        }


def make() -> None:
    """Installs Azurite. Raises FileNotFoundError where there is no npm, and SubprocessError where
    npm fails or takes too long, as it does for a certificate that it does not trust."""
    what = ["--no-audit", "--no-fund", "--ignore-scripts", f"azurite@{RELEASE}"]
    subprocess.run(
        ["npm", "install", "--silent", "--prefix", HOME, *what],
        check=True,
        timeout=INSTALLED_WITHIN,
    )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Azure]:
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]

    def command(ports: Sequence[int]) -> list[object]:
        return ["node", PROGRAM, "--blobHost", "127.0.0.1", "--blobPort", *ports, *options]

    def prepare(ports: Sequence[int]) -> None:
        url = f"http://127.0.0.1:{ports[0]}/{ACCOUNT}"
        credential = {"account_name": ACCOUNT, "account_key": KEY}
        BlobServiceClient(url, credential, retry_total=0).create_container(CONTAINER)

    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with on_free_ports(1, command, prepare, folder, environment) as ports:
        yield Azure(f"http://127.0.0.1:{ports[0]}")


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    if not PROGRAM.is_file() or not shutil.which("node"):
        why = "no Azurite here: python -m tests.azurite installs it, with npm"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with running(tmp_path_factory.mktemp("azurite")) as server:
        yield server


def main() -> int:
    """Installs what is missing; exit status 1 in CI where that fails."""
    if PROGRAM.is_file():
        return 0
    try:
        make()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"note: no Azurite ({error}); its tests are skipped", file=sys.stderr)
        return int(bool(os.environ.get("CI")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
