"""What libraries find out anew in each process, and what stays here: for tests alone.

Each function replaces a function of a library by one that gives the same, which it keeps. What is
kept follows from what was asked, and nobody changes it.
"""

from __future__ import annotations

import json
import pickle
from typing import IO, Any


def parsed() -> None:
    """Jinja's syntax trees stay: half of the time of `dbt parse` is for dbt's own macros. dbt only
    looks at what `parse` returns; what it compiles Jinja parses by another method."""
    from jinja2 import Environment, nodes

    parse = Environment.parse
    known: dict[tuple[type, tuple[str, ...], str], nodes.Template] = {}

    def remembered(
        self: Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> nodes.Template:
        if name is not None or filename is not None:
            return parse(self, source, name, filename)
        key = (type(self), tuple(self.extensions), source)
        if key not in known:
            known[key] = parse(self, source)
        return known[key]

    Environment.parse = remembered  # type: ignore[method-assign]


def compiled() -> None:
    """Strings stay as Jinja compiled them for Copier, whose environments are sandboxed. It compiles
    each part of a path, each type and each condition of a question anew, and that is half of what a
    rendering costs. The code follows from the text and the environment's syntax, filters and tests.
    """
    from jinja2 import Environment
    from jinja2.sandbox import SandboxedEnvironment

    compile = Environment.compile
    known: dict[tuple[object, ...], Any] = {}

    def remembered(  # type: ignore[no-untyped-def]
        self, source, name=None, filename=None, raw=False, defer_init=False
    ):
        if not isinstance(self, SandboxedEnvironment) or not isinstance(source, str) or name or raw:
            return compile(self, source, name, filename, raw, defer_init)
        # one lexer for each syntax
        key = (
            type(self),
            self.lexer,
            *map(frozenset, (self.extensions, self.filters, self.tests)),
            source,
        )
        if key not in known:
            known[key] = compile(self, source, name, filename, raw, defer_init)
        return known[key]

    Environment.compile = remembered  # type: ignore[method-assign]


def searched() -> None:
    """The nodes of a syntax tree by their type, in trees that stay themselves (`parsed`)."""
    from jinja2 import nodes

    find_all = nodes.Node.find_all

    def remembered(self: nodes.Node, node_type: Any) -> Any:
        if not isinstance(self, nodes.Template):
            return find_all(self, node_type)
        known = vars(self).setdefault("found", {})
        if node_type not in known:
            known[node_type] = list(find_all(self, node_type))
        return iter(known[node_type])

    nodes.Node.find_all = remembered  # type: ignore[method-assign]


def taken_apart() -> None:
    """The macros of each file of dbt's own and its adapters'."""
    from dbt_common.clients._jinja_blocks import BlockIterator

    lex_for_blocks = BlockIterator.lex_for_blocks
    known: dict[tuple[str, frozenset[str] | None, bool], list[Any]] = {}

    def remembered(
        self: BlockIterator, allowed_blocks: set[str] | None = None, collect_raw_data: bool = True
    ) -> list[Any]:
        allowed = None if allowed_blocks is None else frozenset(allowed_blocks)
        key = (self.data, allowed, collect_raw_data)
        if key in known:
            return [*known[key]]
        warned: list[Any] = []
        if warn := self.warning_callback:

            def callback(warning: Any) -> None:
                warned.append(warning)
                warn(warning)

            self.warning_callback = callback
        blocks = lex_for_blocks(self, allowed_blocks, collect_raw_data)
        if not warned:
            known[key] = [*blocks]
        return blocks

    BlockIterator.lex_for_blocks = remembered  # type: ignore[method-assign]


def questions() -> None:
    """What is in a copier.yml, which Copier reads for each copy and four times for an update. It
    gets an object of its own each time."""
    import yaml

    load_all = yaml.load_all
    known: dict[bytes, bytes] = {}

    def remembered(stream: Any, Loader: type) -> Any:
        if not Loader.__qualname__.startswith("load_template_config.") or not hasattr(
            stream, "read"
        ):
            return load_all(stream, Loader)
        text = stream.read()
        if b"!include" in text:
            return load_all(text, Loader)
        if text not in known:
            known[text] = pickle.dumps([*load_all(text, Loader)])
        return iter(pickle.loads(known[text]))

    yaml.load_all = remembered


def written_at_once() -> None:
    """`json.dump` writes what `json.dumps` returns: it is the same text, made in C."""

    def dump(value: Any, file: IO[str], **how: Any) -> None:
        file.write(json.dumps(value, **how))

    json.dump = dump  # type: ignore[assignment]


def loaded() -> None:
    """What botocore knows of each service stays: most of what it takes to make a client is to read
    it. One session shares it among its clients, too."""
    from botocore.loaders import JSONFileLoader

    load = JSONFileLoader.load_file
    known: dict[str, Any] = {}

    def remembered(self: JSONFileLoader, path: str) -> Any:
        if path not in known:
            known[path] = load(self, path)
        return known[path]

    JSONFileLoader.load_file = remembered
