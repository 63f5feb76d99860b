"""Makes versions of a template of a few files.

It is for tests that do not depend on what members contain: updates take less than half the time. It
has what the fleet knows of a member: its answers, its folder in its repository, files that every
version changes, and the changelog.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests import versions

QUESTIONS = """\
_subdirectory: template
_templates_suffix: .jinja
kind: {type: str, default: native}
project_name: {type: str, default: shop}
description: {type: str, default: Sells things}
upstreams: {type: str, default: dbt_up}
publishes: {type: bool, default: false}
github_repository: {type: str, default: ""}
deploy_branch: {type: str, default: main}
working_directory: {type: str, default: "{{ _copier_conf.answers_file.parent }}"}
alone: {type: bool, when: false, default: "{{ working_directory == '.' }}"}
"""
SAYS = """\
_migrations:
  - command: "echo 'What is new in {tag}'"
    when: "{{ _stage == 'after' }}"
"""
FILES = {
    "{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml -}}\n",
    ".github/workflows/{{ '' if alone else project_name ~ '-' }}ci.yml": "on: push # {tag}\n",
    "{{ working_directory }}/.gitignore": "target/\n",
    "{{ working_directory }}/README.md.jinja": "# {{ project_name }}\n\n## On your laptop\n",
    "{{ working_directory }}/dbt_project.yml.jinja": (
        'name: {{ project_name }}\nversion: "{version}"\nprofile: {{ project_name }}\n'
    ),
    "{{ working_directory }}/mesh.yml.jinja": (
        "project: {{ project_name }}\nkind: {{ kind }}\n"
        "database_prefix: {{ project_name | upper }}\n"
        "upstreams: [{name: {{ upstreams }}, database_prefix: {{ upstreams | upper }}}]\n"
    ),
    "{{ working_directory }}/models/orders.sql": "select 1 as id\n",
    "{{ working_directory }}/snowflake/01_create.sql": "-- {tag}\n",
}


def build(repository: Path, before: Sequence[str], after: Sequence[str]) -> None:
    """Makes the repository, with a commit and a tag for each version. Between `before` and
    `after`, a line changes that teams change, too."""
    repository.mkdir(parents=True)
    versions.git(repository, "init", "--quiet", "--initial-branch=main")
    for tag in (*before, *after):
        version = "0.9.0" if tag in before else "1.0.0"
        for name, text in FILES.items():
            path = repository / "template" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{tag}", tag).replace("{version}", version))
        (repository / "copier.yml").write_text(QUESTIONS + SAYS.replace("{tag}", tag))
        (repository / "CHANGELOG.md").write_text(
            f"# Changelog\n\n## {tag.removeprefix('v')} – 2030-01-01\n\n- What is new in {tag}.\n"
        )
        versions.release(repository, tag)
