"""Keeps what Jinja compiled, by the two attributes of an environment that Jinja has for it.

An update renders a member three times, and the fleet renders many: compiling takes half of what
Copier does for one. `bytecode_cache`: the template's files stay compiled for the next rendering, in
a folder of the user's own among temporary files, by their text: a change of a file is another
entry. `code_generator_class`: a text that is no file, as each part of a path is and each text of a
question, is compiled many times over; the Python for it is written once.
https://jinja.palletsprojects.com/en/stable/api/#bytecode-cache
https://jinja.palletsprojects.com/en/stable/api/#jinja2.Environment.code_generator_class
"""

from __future__ import annotations

from contextlib import suppress
from io import StringIO
from typing import ClassVar

from jinja2 import Environment, FileSystemBytecodeCache, nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
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


class Once(CodeGenerator):
    """Writes the Python of a text once. written: what it wrote, by the text as Jinja parsed it."""

    written: ClassVar[dict[str, str]]

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        assert isinstance(self.stream, StringIO)
        if self.name is not None:  # of a file
            return super().visit_Template(node, frame)
        parsed = repr(node)
        if parsed in self.written:
            self.stream.write(self.written[parsed])
        else:
            super().visit_Template(node, frame)
            self.written[parsed] = self.stream.getvalue()
        return None


class Compiled(Extension):
    """Sets up both; the cache where the user has a folder that nobody else can write to."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        generator = environment.code_generator_class
        environment.code_generator_class = type("Once", (Once, generator), {"written": {}})
        with suppress(OSError, RuntimeError):
            environment.bytecode_cache = Cache(pattern="copier_dbt_mesh_%s.cache")
