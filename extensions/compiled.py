"""Keeps the template's files as Jinja compiled them, for the next rendering.

An update renders a member three times, and the fleet renders many: compiling the files takes a
quarter of what Copier does for one. Jinja keeps them in a folder of the user's own among temporary
files, by their text: a change of a file is another entry.
https://jinja.palletsprojects.com/en/stable/api/#bytecode-cache
"""

from __future__ import annotations

from contextlib import suppress

from jinja2 import Environment, FileSystemBytecodeCache
from jinja2.bccache import Bucket
from jinja2.ext import Extension


class Cache(FileSystemBytecodeCache):
    """By name and text. Jinja's own asks for the path, too, and each clone has another one."""

    def get_bucket(
        self, environment: Environment, name: str, filename: str | None, source: str
    ) -> Bucket:
        of_text = f"{name}|{self.get_source_checksum(source)}"
        return super().get_bucket(environment, of_text, None, source)

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(Exception):  # a damaged entry: Jinja checks half of what can be wrong with it
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):  # the next rendering compiles it again
            super().dump_bytecode(bucket)


class Compiled(Extension):
    """Sets up the cache, where the user has a folder that nobody else can write to."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        with suppress(OSError, RuntimeError):
            environment.bytecode_cache = Cache(pattern="copier_dbt_mesh_%s.cache")
