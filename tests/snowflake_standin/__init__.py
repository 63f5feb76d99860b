"""A stand-in for Snowflake: fakesnow on loopback, behind an authoriser with a closed grammar.

Who may do what is decided by a model of Snowflake's access rules (`model`, pure: SQL in, answers
out), data by fakesnow (`engine`), and both are served to the real connector and to real
dbt-snowflake (`server`). A statement that the grammar does not know is an error ("stand-in:
unknown statement"), so that nothing passes because nobody looked.

    with Standin(copy_grants_on_replace=True) as standin:
        with standin.admin_connection() as admin:
            admin.cursor().execute("USE ROLE USERADMIN")
        assert not standin.model.can("SOME_ROLE", "SELECT", "DB.SCHEMA.T")
        assert matrix(standin.model) == expected

    model = Model()                      # the same without a server
    model.run_script(Path("snowflake/01.sql").read_text())

What it shows is model-checked, not Snowflake. It cannot show

- that Snowflake's rules are as the model has them. Where the documentation leaves room, the model
  takes the reading that refuses more: USAGE, not any privilege, opens a database and a schema;
  only ACCOUNTADMIN grants global privileges and assigns resource monitors; CREATE … IF NOT
  EXISTS needs the privilege to create. Numbers of rarer errors are guesses.
- what SHOW GRANTS TO DATABASE ROLE tells a role that may enter the database and has not got that
  database role: here everything, as its objects are its own.
- anything that takes the real thing: network policies and authentication policies are objects
  that can be attached, but do not decide who signs in; resource monitors do not suspend,
  warehouses do not cost or resize; ACCOUNT_USAGE has columns and no rows.
- signatures of OIDC tokens (issuer, subject, audience and age alone are compared; the connector
  sends such a token to loopback only if told to), SSO, MFA, sign-in through a browser.
- Snowflake's SQL dialect and types beyond fakesnow on DuckDB: names that differ only in case are
  one table there, an error inside BEGIN … COMMIT rolls back, statements run one at a time.
- that temporary relations are hidden from other sessions; they do end with their own.
- shares, tags, masking and row access policies, tasks, streams, dynamic and Iceberg tables,
  procedures, user-defined functions, stages with files, account replication.

`verify` on a real account is what closes these gaps.
"""

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
    "Fact",
    "Laptop",
    "Model",
    "Record",
    "SnowflakeError",
    "Standin",
    "matrix",
    "split_statements",
]
