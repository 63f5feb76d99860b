"""Makes two invented versions from the first released one, and the changes since then.

Each change is one that some release will make. The newest version gets the migrations and changelog
entries for it. Once released versions have a change of the same kind, the invented one can go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

Change = Callable[[Path], None]

STAGING = "template/{{ upstream }}/{{ starter_models }}/models/staging"
RENAMED_MACRO = ("macros/comment_of_query.sql", "macros/query_comment.sql")
RENAMED_STARTER = ("models/staging/stg_the_customers.sql", "models/staging/stg_customers.sql")
REMOVED = "scripts/check_setup.py"
NEW_QUESTION = "alerts"
RENAMED_QUESTION = ("credits_per_month", "monthly_credits")
CHANGED_DEFAULT = ("auto_suspend", 120)


def rename(layer: str, names: tuple[str, str], template: Path) -> None:
    """Gives a file its old name. names: the old and the new one."""
    old, new = names
    (template / layer / new).rename(template / layer / old)


def add(path: str, text: str, template: Path) -> None:
    (template / path).write_text(text)


def begin_with(path: str, line: str, template: Path) -> None:
    """Adds a first line to a file, which newer versions do not have."""
    (template / path).write_text(line + (template / path).read_text())


def replace(path: str, pattern: str, text: str, template: Path) -> None:
    whole, count = re.subn(pattern, text, (template / path).read_text(), flags=re.DOTALL)
    assert count, f"nothing like {pattern!r} in {path}"
    (template / path).write_text(whole)


def do_not_ask(question: str, template: Path) -> None:
    """Removes a question: what depends on it sees its default."""
    block = rf"(\n{question}:.*?)(\n\n)"
    replace("copier.yml", block, r"\1\n  when: false\2", template)


def ask_as(old: str, new: str, template: Path) -> None:
    """Gives the question `new` its old name."""
    for path in (template / "copier.yml", *template.glob("template/**/*.jinja")):
        path.write_text(re.sub(rf"\b{new}\b", old, path.read_text()))


def default(question: str, value: int, template: Path) -> None:
    replace("copier.yml", rf"(\n{question}:.*?\n  default: )\d+", rf"\g<1>{value}", template)


# how both versions differ from the first released one
COMMON: Sequence[Change] = (
    partial(rename, "template", RENAMED_MACRO),
    partial(rename, "template/{{ upstream }}/{{ starter_models }}", RENAMED_STARTER),
    partial(add, f"template/{REMOVED}", "print('all is well')\n"),
    partial(do_not_ask, NEW_QUESTION),
    partial(replace, "template/dbt_project.yml.jinja", r'version: "1.0.0"', 'version: "0.9.0"'),
)
VERSIONS: Mapping[str, Sequence[Change]] = {
    "v0.0.1": (
        *COMMON,
        partial(ask_as, *RENAMED_QUESTION),
        partial(default, *CHANGED_DEFAULT),
        partial(begin_with, "template/README.md.jinja", "> A member of our dbt mesh.\n\n"),
        partial(begin_with, f"{STAGING}/stg_orders.sql", "-- the orders, cleaned\n"),
    ),
    "v0.0.2": (
        *COMMON,
        partial(begin_with, f"{STAGING}/stg_the_customers.sql", "-- the customers, cleaned\n"),
    ),
}


def teach_the_newest(template: Path, tag: str, since: str) -> None:
    """Adds the migrations and the changelog's entry of these changes to the newest version.

    since: the version that made the changes.
    """
    migrations = [
        _migration(since, "before", "renamed-answer", *RENAMED_QUESTION),
        *(
            _migration(
                since, "after", "renamed-file", *(f"{{{{ member }}}}/{name}" for name in pair)
            )
            for pair in (RENAMED_MACRO, RENAMED_STARTER)
        ),
    ]
    _insert(template / "copier.yml", "_migrations:\n", "".join(migrations))
    changelog = template / "CHANGELOG.md"
    first = changelog.read_text().index("\n## ") + 1
    entry = f"## {tag.removeprefix('v')} – 2030-01-01\n\n- What is new in {tag}.\n\n"
    changelog.write_text(changelog.read_text()[:first] + entry + changelog.read_text()[first:])


def _migration(since: str, stage: str, *words: str) -> str:
    hook = "{{ _copier_conf.src_path }}/hooks/migrations.py"
    command = json.dumps(["{{ _copier_python }}", hook, "{{ _copier_conf.answers_file }}", *words])
    when = f"{{{{ _stage == '{stage}' }}}}"
    return f'  - version: {since}\n    when: "{when}"\n    command: {command}\n'


def _insert(path: Path, after: str, text: str) -> None:
    before, found, rest = path.read_text().partition(after)
    assert found, after
    path.write_text(before + found + text + rest)
