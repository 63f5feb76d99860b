"""Keeps the code that Jinja compiles, through two attributes that its Environment has for this.

An update renders a member three times, and the fleet renders many members; compiling takes half of
Copier's time for one.

`bytecode_cache` keeps the compiled files of the template for the next rendering, in a folder of the
user's own among temporary files. A changed file is another entry.

`code_generator_class` is for texts that are not files: each part of a path, and each text of a
question. Copier renders the same ones many times. Each is compiled once, and one file in that
folder keeps the code of all of them.

The code depends on more than the text: on Python, Jinja, `_envops` and the filters, because Jinja
applies them to constants when it compiles, and writes how each is called. Both therefore contain a
digest of these: the keys of files, and the name of that one file.

https://jinja.palletsprojects.com/en/stable/api/#bytecode-cache
https://jinja.palletsprojects.com/en/stable/api/#jinja2.Environment.code_generator_class
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import tempfile
import weakref
from contextlib import suppress
from io import StringIO
from pathlib import Path
from types import CodeType
from typing import ClassVar

import jinja2
from jinja2 import Environment, FileSystemBytecodeCache, nodes
from jinja2.bccache import Bucket, bc_magic
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension

PATTERN = "copier_dbt_mesh_%s.cache"
FILTERS = ("extensions/*.py", "src/dbtmesh/output/*.py")
"""The modules that define filters, and those that they import, as patterns in the template."""


def compiler(environment: Environment) -> str:
    """Returns a digest of what compiles a text: the versions, the settings and the filters."""
    versions = bc_magic, sys.implementation.cache_tag, jinja2.__version__
    settings = sorted(each for each in vars(environment).items() if isinstance(each[1], str | bool))
    digest = hashlib.sha256(repr((versions, settings)).encode())
    for pattern in FILTERS:
        for module in sorted(Path(__file__).parents[1].glob(pattern)):
            digest.update(module.read_bytes())
    return digest.hexdigest()


class Cache(FileSystemBytecodeCache):
    """A cache by name and text. Jinja's own key has the path, too, which differs in each clone."""

    compiler = ""

    def get_bucket(
        self, environment: Environment, name: str, filename: str | None, source: str
    ) -> Bucket:
        of_text = f"{name}|{self.get_source_checksum(source)}|{self.compiler}"
        return super().get_bucket(environment, of_text, None, source)

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(Exception):  # a damaged entry: Jinja itself detects only some kinds of damage
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):  # the next rendering compiles it again
            super().dump_bytecode(bucket)


class Texts(dict[str, CodeType]):
    """The compiled code of texts, by a digest of the text as Jinja parsed it."""

    def __init__(self, kept: Path | None) -> None:
        """kept: the file that keeps the code; None to keep it only for this process."""
        super().__init__(_kept(kept) if kept else {})
        self.kept = kept
        self.known = len(self)

    def add(self, key: str, code: CodeType) -> None:
        """Keeps the code, on disk too once a fifth is new: a process may render many members."""
        self[key] = code
        if len(self) > 1.2 * self.known + 10:
            self.keep()

    def keep(self) -> None:
        if self.kept and len(self) > self.known:
            self.known = len(self)
            codes = marshal.dumps({**_kept(self.kept), **self})
            new = self.kept.with_name(f"{self.kept.name}.{os.getpid()}.{id(self)}")
            with suppress(OSError):  # the next process compiles them again
                try:
                    new.write_bytes(hashlib.sha256(codes).digest() + codes)
                    new.replace(self.kept)
                finally:
                    new.unlink(missing_ok=True)


def _kept(file: Path) -> dict[str, CodeType]:
    with suppress(OSError):  # the file is missing
        digest, codes = (body := file.read_bytes())[:32], body[32:]
        if hashlib.sha256(codes).digest() == digest:  # damaged code could crash Python
            return dict(marshal.loads(codes))  # noqa: S302 - in the user's own folder, as Jinja's
    return {}


class Once(CodeGenerator):
    """Compiles a text only once: the module that it generates executes the code that is kept."""

    texts: ClassVar[Texts]

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        if self.name is not None:  # a template file
            return super().visit_Template(node, frame)
        key = hashlib.sha256(repr(node).encode()).hexdigest()
        if key not in self.texts:
            assert isinstance(self.stream, StringIO)
            super().visit_Template(node, frame)
            self.texts.add(key, compile(self.stream.getvalue(), "<template>", "exec"))
            self.stream.seek(0)
            self.stream.truncate()
        self.stream.write(f"exec(environment.code_generator_class.texts[{key!r}])")
        return None


class Compiled(Extension):
    """Sets up both caches. Without a folder that only the user can write to, it keeps nothing."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        kept = None
        with suppress(OSError, RuntimeError):
            # without a folder for temporary files, Python takes the current one: a repository
            if Path(tempfile.gettempdir()) != Path.cwd():
                environment.bytecode_cache = cache = Cache(pattern=PATTERN)
                cache.compiler = compiler(environment)
                kept = Path(cache.directory, PATTERN % f"texts_{cache.compiler}")
        texts = Texts(kept)
        weakref.finalize(environment, texts.keep)  # once nothing renders with it, or at exit
        generator = environment.code_generator_class
        environment.code_generator_class = type("Once", (Once, generator), {"texts": texts})
