"""What `extensions/copier_speed.py` changes of Copier: how long it takes, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import copier
import copier._main
import pytest
from copier import _template

from tests import versions
from tests.conftest import ROOT, Member
from tests.versions import git

SCRIPT = "setup_keypair_auth.sh"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of this template, the first without an executable bit."""
    repository = tmp_path_factory.mktemp("versions") / "template"
    repository.mkdir()
    versions.copy_working_tree(repository)
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    script = next(repository.glob(f"template/*/{SCRIPT}"))
    script.chmod(0o644)
    (script.parent / "README.md.jinja").write_text("# {{ project_name }}\n")
    git(repository, "commit", "--quiet", "--all", "--message", "one")
    git(repository, "tag", "v5.0.0")
    script.chmod(0o755)
    (script.parent / "README.md.jinja").write_text("# The project {{ project_name }}\n")
    git(repository, "commit", "--quiet", "--all", "--message", "two")
    git(repository, "tag", "v5.1.0")
    return repository


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The clones of the template that are made meanwhile."""
    made: list[Any] = []
    clone = _template.__dict__["clone"]

    def counting(*arguments: Any, **named: Any) -> str:
        made.append(arguments)
        return str(clone(*arguments, **named))

    with monkeypatch.context() as patched:
        patched.setattr(_template, "clone", counting)
        yield made


def copy(template: Path, member: Path, tag: str, **answers: Any) -> None:
    data = {"project_name": "dbt_new", **answers}
    copier.run_copy(
        str(template), member, data, vcs_ref=tag, defaults=True, unsafe=True, quiet=True
    )


def updated(
    template: Path, member: Path, quiet: bool = True, **answers: Any
) -> dict[str, tuple[bytes, bool]]:
    """A member with an edit, from the one version to the other: contents and modes."""
    copy(template, member, "v5.0.0", **answers)
    git(member, "init", "--quiet")
    git(member, "config", "core.fileMode", "true")
    (member / ".gitignore").write_text("mine\n")
    commit(member)
    copier.run_update(member, defaults=True, overwrite=True, unsafe=True, quiet=quiet)
    return {
        path: (body, os.access(member / path, os.X_OK))
        for path, body in Member(member, {}).files().items()
    }


def commit(member: Path) -> None:
    git(member, "add", "--all")
    git(member, "commit", "--quiet", "--message", "by hand")


@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_an_update_is_the_same_with_fewer_clones(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    answers: dict[str, Any] = {"kind": kind, "publishes": kind != "upstream"}
    with counted(monkeypatch) as clones:
        ours = updated(template, tmp_path / "ours", **answers)
    assert len(clones) == 1 + 3, "of another Copier it has to be looked at first: see KNOWN"
    assert ours[SCRIPT][1], "the new version's mode"
    assert b"# The project" in ours["README.md"][0]
    assert ours[".gitignore"][0] == b"mine\n"

    with monkeypatch.context() as patched, counted(monkeypatch) as clones:
        patched.setattr(copier._main, "__file__", str(template / "copier.yml"))
        theirs = updated(template, tmp_path / "theirs", **answers)
    assert len(clones) == 1 + 5, "a Copier that nobody has looked at is left alone"
    assert ours == theirs


def test_an_update_that_speaks_clones_each_version_once(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as clones:
        ours = updated(template, tmp_path / "ours", quiet=False)
    assert len(clones) == 1 + 2
    assert ours == updated(template, tmp_path / "theirs")


def test_nothing_is_left_behind(template: Path, tmp_path: Path) -> None:
    """Clones are Copier's to remove, also those that are shared; what is compiled is kept."""
    here = tmp_path / "temporary"
    here.mkdir()
    program = "from tests.test_copier_speed import *; updated(*map(Path, sys.argv[1:]))"
    run_python(program, template, tmp_path / "member", TMPDIR=str(here))
    assert [path.name for path in here.iterdir()] == [f"_jinja2-cache-{os.getuid()}"]


def test_what_was_compiled_with_other_filters_is_not_used(template: Path, tmp_path: Path) -> None:
    """Jinja applies a filter to a constant when it compiles."""
    repository = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(template), str(repository))
    layer = next(repository.glob("template/*/dbt_project.yml.jinja")).parent
    (layer / "constant.txt.jinja").write_text("{{ 'a b' | as_project_name }}\n")
    commit(repository)
    copy(repository, tmp_path / "before", "HEAD")
    filters = repository / "extensions" / "answers.py"
    text = filters.read_text()
    assert 'or "project"' in text
    filters.write_text(text.replace('or "project"', '+ "_new"'))
    commit(repository)
    copy(repository, tmp_path / "after", "HEAD")
    constants = [(tmp_path / name / "constant.txt").read_text() for name in ("before", "after")]
    assert constants == ["a_b\n", "a_b_new\n"]


def run_python(program: str, *arguments: Path, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
    )


def test_modes_reach_the_index_where_git_does_not_see_them_on_disk(
    template: Path, tmp_path: Path
) -> None:
    """As on Windows, and in its folders under WSL."""
    member = tmp_path / "member"
    copy(template, member, "v5.0.0")
    git(member, "init", "--quiet")
    git(member, "config", "core.fileMode", "false")
    commit(member)
    assert git(member, "ls-files", "--stage", SCRIPT).startswith("100644")
    copier.run_update(member, defaults=True, overwrite=True, unsafe=True, quiet=True)
    assert git(member, "ls-files", "--stage", SCRIPT).startswith("100755")
