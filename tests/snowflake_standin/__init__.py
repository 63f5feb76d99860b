"""A stand-in for Snowflake: fakesnow on loopback, behind an authoriser with a closed grammar.

A model of Snowflake's access rules decides who may do what (`model`, pure: SQL in, answers out).
fakesnow handles the data (`engine`). Both are served to the real connector and to real
dbt-snowflake (`server`). A statement that the grammar does not know is an error ("stand-in:
unknown statement"), so that nothing passes unchecked.

    with Standin(copy_grants_on_replace=True) as standin:
        with standin.admin_connection() as admin:
            admin.cursor().execute("USE ROLE USERADMIN")
        assert not standin.model.can("SOME_ROLE", "SELECT", "DB.SCHEMA.T")
        assert matrix(standin.model) == expected

    model = Model()                      # the same without a server
    model.run_script(Path("snowflake/01.sql").read_text())

What it proves holds for the model, not for Snowflake itself. `sources` says where each rule and
each column is documented, which rules are assumptions, and what cannot be shown; docs/proof.md is
generated from it. If the documentation is ambiguous, the model follows the stricter reading: only
USAGE opens a database and a schema; only ACCOUNTADMIN grants global privileges; CREATE … IF NOT
EXISTS needs the privilege to create. Numbers of rare errors are guesses.

`python -m tests.conformance` asks an account the same questions.
"""

from .behaviour import Behaviour
from .errors import SnowflakeError
from .laptop import Laptop
from .lexer import split_statements
from .matrix import READS, Fact, matrix
from .model import ADMIN, Model
from .server import PASSWORD, Record, Standin

__all__ = [
    "ADMIN",
    "PASSWORD",
    "READS",
    "Behaviour",
    "Fact",
    "Laptop",
    "Model",
    "Record",
    "SnowflakeError",
    "Standin",
    "matrix",
    "split_statements",
]
