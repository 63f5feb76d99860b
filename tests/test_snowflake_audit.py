"""snowflake/audit/*.sql as auditors run them: on an account where the member is set up, as a role
that has what the file names, and nothing else. The stand-in has these views without rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from snowflake.connector.errors import ProgrammingError

from tests.conftest import Render
from tests.snowflake_members import demo_answers, scripts_of
from tests.snowflake_standin import Standin, split_statements

GRANT = re.compile(r"^--   (USE ROLE ACCOUNTADMIN;|GRANT DATABASE ROLE .*;)$", re.MULTILINE)
FILES = ("credits_used", "who_did_what", "who_may_what")
QUOTED = {
    "kind": "upstream",
    "project_name": "shop",
    "prod_database": '"it\'s"',
    "dev_database": '"a dev.db"',
    "auth": "workload_identity",
    "github_repository": "acme/shop",
    "snowflake_account": "ORG-X",
}
AUDITOR = """USE ROLE USERADMIN; CREATE ROLE AUDITOR; CREATE ROLE STRANGER;
    USE ROLE SECURITYADMIN;
    GRANT ROLE AUDITOR TO ROLE SYSADMIN; GRANT ROLE STRANGER TO ROLE SYSADMIN;
    USE ROLE SYSADMIN; CREATE WAREHOUSE AUDITS;
    GRANT USAGE ON WAREHOUSE AUDITS TO ROLE AUDITOR;
    GRANT USAGE ON WAREHOUSE AUDITS TO ROLE STRANGER;"""


@dataclass
class Account:
    """folder: of the audits of the member that is set up there."""

    folder: Path
    standin: Standin

    def run(self, script: str, role: str) -> list[list[str]]:
        """The columns that each statement of a script answers with."""
        with self.standin.admin_connection() as connection:
            cursor = connection.cursor()
            cursor.execute(f"USE ROLE {role}")
            cursor.execute("USE WAREHOUSE AUDITS")
            shown = []
            for statement in split_statements(script):
                cursor.execute(statement)
                assert cursor.fetchall() == []
                shown.append([column.name for column in cursor.description])
            return shown


@pytest.fixture(scope="module", params=["demo", "quoted"])
def account(
    request: pytest.FixtureRequest, render_into: Render, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    answers = demo_answers("dbt_up") if request.param == "demo" else QUOTED
    folder = tmp_path_factory.mktemp("audit") / str(answers["project_name"])
    member = render_into(folder, **answers)
    with Standin() as standin:
        for text in (*scripts_of(member).values(), AUDITOR):
            standin.model.run_script(text)
        yield Account(member.path / "snowflake/audit", standin)


def test_every_audit_is_here(account: Account) -> None:
    assert {file.stem for file in account.folder.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_an_audit_runs_with_what_its_first_lines_grant_and_not_without(
    account: Account, name: str
) -> None:
    text = (account.folder / f"{name}.sql").read_text()
    with pytest.raises(ProgrammingError, match="not exist or not authorized"):
        account.run(text, "STRANGER")
    use, grant = GRANT.findall(text)
    account.standin.model.run_script(f"{use}\n{grant}")
    shown = account.run(text, "AUDITOR")
    assert len(shown) == text.count("\nORDER BY ")
    assert all(shown)


def test_names_are_found_in_statements_whatever_their_case(account: Account) -> None:
    """The stand-in has no rows, so the patterns are tried by themselves."""
    text = (account.folder / "who_did_what.sql").read_text()
    found = re.findall(r"REGEXP_INSTR\(query_text, '((?:[^']|'')*)', 1, 1, 0, 'i'\) > 0", text)
    administered, read = [each.replace("''", "'").replace("\\\\", "\\") for each in found]
    assert text.count("REGEXP_INSTR") == 2
    (stored,) = re.findall(r"'\.', 1\) IN \('((?:[^']|'')*)'\)", text)
    database = stored.replace("''", "'")
    for name in (database, database.lower()):
        assert re.search(administered, f"DROP DATABASE {name};", re.IGNORECASE)
        assert re.search(read, f"select 1 from {name}.marts.orders", re.IGNORECASE)
        assert not re.search(administered, f"DROP DATABASE MY_{name};", re.IGNORECASE)


def test_who_was_given_the_roles_is_shown(account: Account) -> None:
    """Users are in one view, and roles that have them in the other."""
    text = (account.folder / "who_may_what.sql").read_text()
    (roles,) = re.findall(r"\n    role IN (\(.*\))\n", text)
    assert f"OR (granted_on = 'ROLE' AND name IN {roles})" in text
