"""One function for each place of output: whatever the text, nothing of it is markup or a command.

What reads the output is real where it can be had: cmark-gfm, GitHub's own Markdown; DuckDB; PyYAML
and Jinja, as dbt calls them. GitHub's runner is a copy of the rules of its ActionCommand.cs.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import cmarkgfm
import duckdb
import jinja2
import pytest
import yaml as pyyaml
from cmarkgfm.cmark import Options
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtmesh import cli
from dbtmesh.ci.github import workflow_commands
from dbtmesh.output import dbt_docs, markdown, sql, terminal, yaml
from dbtmesh.output.escape import visible
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import quoted

HOSTILE = [
    "::error::from data",
    "  ::add-mask::public",
    "\u3000::stop-commands::x",
    "a\n::error::x",
    "a\r::error::x",
    "\x85::error::x",
    "said ##[error]x",
    "##[add-mask]public",
    "###[stop-commands]x",
    "\x1b]0;title\x07\x1b[2J\x9b31m\x00",
    "user\u202etxt.exe",
    "a\u2066b\u2069\u200b\u200d\u00ad\U000e0041",
    "[click](https://evil.example/login)",
    "![x](https://evil.example/track.png)",
    "\\[click](https://evil.example/login)",
    "\\\\[click](https://evil.example/login)",
    "[click]: https://evil.example",
    "<img src=https://evil.example/x.png>",
    "&lt;img src=x&gt; &#91;click&#93;(https://evil.example)",
    "https://evil.example/path",
    "HTTPS://evil.example",
    "www.evil.example",
    "see _www.evil.example/login and x_www.evil.example",
    "<https://evil.example>",
    "mailto:jane@evil.example or jane@evil.example",
    "@acme/everybody and @jane",
    "fixes #12, acme/other#12, GH-12, _GH-12",
    "`code` ``` *bold* _it_ **b** ~~s~~ $x$",
    "`<img src=x>`",
    "a | b \\| c",
    "# Title",
    "- item",
    "1. item",
    "1) item",
    "Title\n===",
    "> quote",
    "```",
    "' or 1=1 --",
    '"; drop table x; --',
    "\\'; drop table x; --",
    "{{ 1 + 1 }} {% raw %} {# x #} {",
    "{{ env_var('SECRET') }}",
    "yes",
    "1_000",
    "12:30",
    "",
    " ",
    "\ttab",
]
ANYTHING = st.text(
    st.one_of(st.sampled_from("\n\r\\`*_[](){}<>|#@:/!~$&;'\"%-+=.1 www"), st.characters())
)

_HALF = re.compile("[\ud800-\udfff]")


examples = settings(deadline=None, max_examples=60)


hostile = pytest.mark.parametrize("text", HOSTILE, ids=ascii)


# ── Terminals and logs ────────────────────────────────────────────────────────────────

COMMANDS = {"error", "warning", "notice", "debug", "add-mask", "stop-commands", "group", "echo"}


def command_in(line: str) -> str | None:
    """What GitHub's runner takes a line of a step's output for."""
    trimmed = line.lstrip()
    if trimmed.startswith("::") and (end := trimmed.find("::", 2)) >= 0:
        name = trimmed[2:end].split(" ")[0]
        if name in COMMANDS:
            return name
    if (start := line.find("##[")) >= 0 and (end := line.find("]", start)) >= 0:
        name = line[start + 3 : end].split(" ")[0]
        if name in COMMANDS:
            return name
    return None


def test_the_runners_rules_find_commands() -> None:
    assert [command_in(line) for line in HOSTILE[:3]] == ["error", "add-mask", "stop-commands"]
    assert command_in("said ##[error]x") == "error"
    assert command_in("an error:: is:: no command") is None


def is_plain(shown: str) -> bool:
    lines = shown.split("\n")
    return not any(map(command_in, lines)) and all(
        char.isprintable() or char.isspace() for char in shown if char not in "\n\t"
    )


@hostile
def test_a_line_for_the_terminal_is_one_line_without_commands(text: str) -> None:
    shown = terminal.line(text)
    assert is_plain(shown)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", shown)


@examples
@given(ANYTHING)
def test_whatever_is_printed_is_no_command(text: str) -> None:
    assert "\n" not in terminal.line(text)
    for line in terminal.text(text).split("\n"):
        assert not command_in(line)
        assert not re.match(r"\s*::", line)
        assert "##[" not in line


def test_what_is_escaped_can_be_read() -> None:
    assert terminal.line("a\x1b[2J\u202eb\n::error::c") == r"a\u001b[2J\u202eb\u000a::error::c"
    assert terminal.text("a\n ::error::c") == "a\n \\u003a:error::c"
    assert terminal.line("##[error]x") == r"\u0023#[error]x"
    ordinary = "größe – naïve ✅ ⚠️ a::b  C:\\x 10\u00a0%"
    assert terminal.line(ordinary) == visible(ordinary) == ordinary


def test_commands_print_lines_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    cli.say("a\n::error::x", "::error::y")
    cli.note("\x1b[2J")
    with pytest.raises(SystemExit):
        cli.fail("::error::z")
    done = capsys.readouterr()
    assert done.out == "a\\u000a::error::x\n\\u003a:error::y\n"
    assert done.err == "note: \\u001b[2J\nerror: ::error::z\n"


# ── GitHub Actions ────────────────────────────────────────────────────────────────────


@hostile
def test_an_annotation_is_one_command(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    workflow_commands.warning(text, title=f"t{text}")
    (line,) = capsys.readouterr().out.splitlines()
    head, title, said = re.split(r"::(?=warning)| title=|(?<=.)::", line, maxsplit=3)[1:]
    assert head == "warning"
    assert not set(",:\r\n") & set(title)
    assert said.replace("%0A", "\n").replace("%25", "%") == visible(text)


def test_a_secret_is_masked_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    workflow_commands.mask("a%b")
    assert capsys.readouterr().err == "::add-mask::a%25b\n"
    for secret in ("", "a\nb"):
        with pytest.raises(ValueError, match="a secret has to be one line"):
            workflow_commands.mask(secret)


def test_outputs_cannot_smuggle_in_another(tmp_path: Any, monkeypatch: Any) -> None:
    file = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(file))
    workflow_commands.output(one="x\nEOF\ntwo=evil\ntwo<<end\nevil\nend", three="3")
    found: dict[str, str] = {}
    lines = iter(file.read_text().splitlines())
    for line in lines:  # as GitHub reads it
        name, mark = line.split("<<")
        found[name] = "\n".join(iter(lambda mark=mark: next(lines), mark))  # type: ignore[misc]
    assert found == {"one": "x\nEOF\ntwo=evil\ntwo<<end\nevil\nend", "three": "3"}
    with pytest.raises(ValueError, match="not a valid name of an output"):
        workflow_commands.output(**{"a=b\nc": "d"})


# ── Markdown ──────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.plain = ""  # outside of code, where GitHub looks for mentions
        self._code = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_data(self, data: str) -> None:
        self.text += data
        self.plain += "" if self._code else data


def rendered(source: str) -> Page:
    options = Options.CMARK_OPT_UNSAFE
    return Page(cmarkgfm.github_flavored_markdown_to_html(source, options))


LINKED = re.compile(r"(?i)(?<![a-z0-9])@[a-z0-9]|#\d|GH-\d|://|www\.")
"""What GitHub makes links of after Markdown, in the page's text."""


def as_shown(text: str) -> str:
    return " ".join(visible(text).replace("\n", " ").split())


def shown(page: Page) -> str:
    return " ".join(page.text.replace("\u200b", "").split())


@examples
@given(ANYTHING)
def test_text_in_markdown_is_text(text: str) -> None:
    page = rendered(f"x {markdown.text(text)} x")
    assert page.elements == ["p"]
    assert shown(page) == as_shown(f"x {text} x")
    assert not LINKED.search(page.plain)


@hostile
def test_text_in_a_list_or_alone_is_text(text: str) -> None:
    for before, elements in (("", [["p"], []]), ("- ", [["ul", "li"]])):
        page = rendered(before + markdown.text(text))
        assert page.elements in elements
        assert shown(page) == as_shown(text)
        assert not LINKED.search(page.plain)


@examples
@given(ANYTHING, ANYTHING)
def test_cells_stay_cells(text: str, name: str) -> None:
    rows = [[markdown.text(text), markdown.code(name), "end"]]
    page = rendered("\n".join(markdown.table(["a", "b", "c"], rows)))
    assert page.elements == "table thead tr th th th tbody tr td td code td".split()
    assert shown(page).endswith("end")
    assert not LINKED.search(page.plain)


@hostile
def test_a_name_in_code_style_is_code(text: str) -> None:
    page = rendered(f"x {markdown.code(text)} x")
    assert page.elements == ["p", "code"]
    assert shown(page).split() == as_shown(f"x {text} x").split()


@examples
@given(st.lists(ANYTHING, min_size=1))
def test_a_block_ends_where_it_ends(lines: list[str]) -> None:
    page = rendered("\n".join([*markdown.fenced(lines), "", "after"]))
    assert page.elements == ["pre", "code", "p"]
    assert page.text.rstrip("\n").endswith("after")


# ── dbt's docs ────────────────────────────────────────────────────────────────────────

OF_MARKDOWN = set(
    "p a em strong del code pre ul ol li h1 h2 h3 h4 h5 h6 blockquote hr br input".split()
    + "table thead tbody tr th td".split()
)


def is_harmless(source: str) -> bool:
    page = rendered(source)
    on_the_web = re.compile(r"(?i)(https?://|ftp://|mailto:|xmpp:|#)")
    return set(page.elements) <= OF_MARKDOWN and all(map(on_the_web.match, page.links))


@hostile
def test_a_description_loads_nothing_and_runs_nothing(text: str) -> None:
    assert is_harmless(dbt_docs.escaped(text))


@examples
@given(ANYTHING.filter(lambda text: not _HALF.search(text)))
def test_nor_does_any_other(text: str) -> None:
    assert is_harmless(dbt_docs.escaped(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](https://evil.example/a.png)", "!&#91;x](https://evil.example/a.png)"),
        ("\\![x](https://evil.example/a.png)", "\\!&#91;x](https://evil.example/a.png)"),
        ("![x][y]\n\n[y]: https://evil.example/a.png", None),
        ("![a[b](https://x.example)](//evil.example)", None),
        ("[x](javascript:alert(1)) [y]( &#106;avascript:alert(1))", None),
        ("[x\\](javascript:alert(1))", None),
        ("[x]\n\n[x]: javascript:alert(1)", None),
        ("[x](<data:text/html,y>) [z](//evil.example)", None),
        ("see [the guide](https://acme.example/g), [a](#!/model/x), a[0] < 5", ""),
    ],
)
def test_a_description_of_others_in_the_docs(text: str, shown: str | None) -> None:
    found = dbt_docs.escaped(text)
    assert is_harmless(found)
    assert shown is None or found == (shown or text)


# ── SQL ───────────────────────────────────────────────────────────────────────────────


@examples
@given(ANYTHING.filter(lambda text: "\0" not in text and not _HALF.search(text)))
def test_a_text_in_sql_is_that_text(text: str) -> None:
    statement = f"select {sql.literal(text, Warehouse.DUCKDB)}"
    assert duckdb.execute(statement).fetchall() == [(text,)]


@examples
@given(ANYTHING.filter(lambda text: text and "\0" not in text and not _HALF.search(text)))
def test_a_name_in_sql_is_that_name(text: str) -> None:
    assert duckdb.execute(f"select 1 as {quoted(text)}").description[0][0] == text


def test_snowflake_reads_backslashes_in_a_text() -> None:
    assert sql.literal("a\\'b", Warehouse.SNOWFLAKE) == "'a\\\\''b'"
    assert sql.literal("a\\'b", Warehouse.DUCKDB) == "'a\\''b'"


# ── YAML ──────────────────────────────────────────────────────────────────────────────


def as_dbt_reads(value: Any) -> Any:
    """dbt's way: PyYAML, then Jinja on every text."""
    if isinstance(value, str):
        return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(value).render()
    if isinstance(value, dict):
        return {key: as_dbt_reads(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_dbt_reads(item) for item in value]
    return value


@examples
@given(st.lists(ANYTHING.filter(lambda text: not _HALF.search(text))))
def test_text_in_yaml_is_that_text(texts: list[str]) -> None:
    document = {"tables": [{"name": "t", "description": text} for text in texts] or None}
    written = yaml.properties(document)
    assert as_dbt_reads(pyyaml.safe_load(written)) == document
    assert visible(written) == written


@hostile
def test_hostile_text_in_yaml_is_that_text(text: str) -> None:
    document = {"tables": [{"name": text, "meta": {"a": [text, 1, True, None]}}]}
    assert as_dbt_reads(pyyaml.safe_load(yaml.properties(document))) == document
