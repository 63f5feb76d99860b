"""Reports in one line why dbt-duckdb cannot open a file. profiles.yml names this plugin.

dbt-duckdb itself ends with a traceback of two hundred lines if another process holds the file, or
if a project that this one reads is not built on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from dbtmesh.warehouse import duckdb_files

LOCAL = "_LOCAL"
"""The suffix of a member's database on a laptop."""


class Plugin(BasePlugin):
    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Opens each file before dbt-duckdb does. Raises DbtRuntimeError where that fails."""
        for attachment in creds.attach or ():
            path = Path(attachment.path)
            if (attachment.alias or "").endswith(LOCAL):
                with told(path):
                    duckdb_files.make_missing(path)
                    duckdb.connect(path, read_only=True).close()
        with told(Path(creds.path)):
            duckdb.connect(creds.path, config=config).close()


@contextmanager
def told(path: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise DbtRuntimeError(duckdb_files.explain(path, error)) from None
