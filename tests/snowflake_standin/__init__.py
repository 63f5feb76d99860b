"""A stand-in for Snowflake: fakesnow on loopback, behind an authoriser with a closed grammar."""

from .errors import SnowflakeError
from .lexer import split_statements
from .matrix import READS, Fact, matrix
from .model import ADMIN, Model
from .server import PASSWORD, Record, Standin

__all__ = [
    "ADMIN",
    "PASSWORD",
    "READS",
    "Fact",
    "Model",
    "Record",
    "SnowflakeError",
    "Standin",
    "matrix",
    "split_statements",
]
