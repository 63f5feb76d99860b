"""What stops a build on a laptop is said in one line, with what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dbt_common.exceptions import DbtRuntimeError

from dbtmesh.warehouse.dbt_duckdb import Plugin
from tests import engines
from tests.conftest import Member, Render, dbt_of
from tests.test_members import write_model


@pytest.fixture(scope="module")
def books(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    """A member on dbt Core that reads nothing yet of its upstream."""
    folder = tmp_path_factory.mktemp("laptop") / "books"
    member = render_into(folder, kind="native", upstreams="sales")
    write_model(member)
    return member


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A database that this process has open. dbt runs in another one."""
    with duckdb.connect(str(path)):
        yield


def test_another_program_has_the_database(books: Member) -> None:
    path = Path(books.environment["DBT_MESH_HOME"], "BOOKS_LOCAL.duckdb")
    with held(path):
        done = books.run("dbt", "build")
    assert done.returncode == 2
    said = done.stdout.partition("Encountered an error:")[2]
    assert re.search(
        rf"{path} is in use by \S+ \(process \d+\), .*: wait for it, or close it", said
    )
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 3  # two are dbt's: Database Error, Runtime Error


@pytest.mark.parametrize("release", [engines.OURS, engines.V2])
def test_a_target_that_needs_an_account(books: Member, render: Render, release: str) -> None:
    dbt, member = dbt_of(release), books
    if release == engines.V2:
        member = render(kind="upstream", starter=False, engine=dbt.engine)
        write_model(member)
    quiet = {"RUST_BACKTRACE": "0"}
    (failed, said), (parsed, _) = dbt.run_all(
        member.path, quiet | member.environment, "build --target dev", "parse --target prod"
    )
    assert failed
    assert "the target dev needs an account: copier update --trust --skip-answered --ask" in said
    assert said.count("needs an account") == 1
    assert "251001" not in said
    assert parsed == 0


# ── the plugin by itself ──────────────────────────────────────────────────────────────


def look(folder: Path) -> None:
    """As dbt-duckdb calls it before it connects."""
    attached = SimpleNamespace(path=str(folder / "SALES_LOCAL.duckdb"), alias="SALES_LOCAL")
    theirs = SimpleNamespace(path="s3://bucket/file.duckdb", alias="theirs")
    creds: Any = SimpleNamespace(path=str(folder / "BOOKS_LOCAL.duckdb"), attach=[attached, theirs])
    Plugin("dbt_duckdb", {}, creds).update_connection_config(creds, {})


def test_an_upstream_that_is_not_built_here_can_be_attached(tmp_path: Path) -> None:
    look(tmp_path)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'SALES_LOCAL.duckdb'}' (read_only)")
    built = tmp_path / "SALES_LOCAL.duckdb"
    with duckdb.connect(str(built)) as connection:
        connection.execute("create table orders (id integer)")
    look(tmp_path)
    with duckdb.connect(str(built)) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (0,)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DbtRuntimeError, match=f"there is no folder {tmp_path}/away.*: mkdir -p "):
        look(tmp_path / "away")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "SALES_LOCAL.duckdb").write_text("no database")
    with pytest.raises(DbtRuntimeError, match=r"SALES_LOCAL\.duckdb: .*not a valid DuckDB") as told:
        look(tmp_path)
    assert len(str(told.value.msg).splitlines()) == 1
