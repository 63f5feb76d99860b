"""Extensions of Copier's Jinja that no single question shows: compiled files, what is derived."""

from __future__ import annotations

import errno
import gc
import tempfile
import weakref
from pathlib import Path
from typing import Any

import answers
import delivery
import pytest
from compiled import Compiled
from derived import CLOUDS, Derived, layers, registry
from jinja2 import DictLoader, Environment, nodes, pass_context
from jinja2.compiler import CodeGenerator

from dbtmesh.registry import store

ROOT = Path(__file__).parents[1]

ANSWERS = {
    "kind": "native",
    "registry": "azure",
    "starter": True,
    "starter_reads": "ref",
    "publishes": False,
    "working_directory": "shop",
    "project_name": "shop",
    "own_files": "",
    "clouds": ["azure", "s3"],
    "snowflake_account": "A-B",
    "azure_storage_account": "acme",
    "azure_container": "mesh",
    "azure_identities": "",
    "aws_role_arn": "arn",
    "schemas": "RAW,ML.FEATURES,MARTS",
    "prod_database": "SHOP_PROD",
    "reads": "",
    "upstreams": "dbt_up",
    "upstream_roles": "",
    "github_server": "github.com",
    "library": "index",
    "setup": "later",
}


class Counting(Environment):
    """Names what it compiles."""

    def compile(self, source: Any, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        compiled.append(name)
        return super().compile(source, name, *args, **kwargs)


compiled: list[str | None] = []


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compiled.clear()
    return tmp_path


def rendered(text: str) -> str:
    loader = DictLoader({"a.jinja": text})
    return Counting(extensions=[Compiled], loader=loader).get_template("a.jinja").render(x=1)


def test_a_file_is_compiled_once_for_all_renderings_and_anew_when_it_changes(scratch: Path) -> None:
    assert [rendered("{{ x }}"), rendered("{{ x }}")] == ["1", "1"]
    assert compiled == ["a.jinja"]
    assert [rendered("{{ x + 1 }}"), rendered("{{ x }}")] == ["2", "1"]
    assert compiled == ["a.jinja"] * 2


def test_a_damaged_entry_is_compiled_again(scratch: Path) -> None:
    rendered("{{ x }}")
    (entry,) = scratch.rglob("copier_dbt_mesh_*.cache")
    entry.write_bytes(entry.read_bytes()[:40])
    assert rendered("{{ x }}") == "1"
    assert compiled == ["a.jinja"] * 2


class Written(CodeGenerator):
    """Names the texts that it writes Python for."""

    def visit_Template(self, node: nodes.Template, frame: Any = None) -> None:
        compiled.append(repr(node))
        super().visit_Template(node, frame)


class Texts(Environment):
    code_generator_class = Written


def test_a_text_is_compiled_once_for_each_way_to_compile_it(scratch: Path) -> None:
    for escaped, shown in ((False, "<"), (True, "&lt;")):
        environment = Texts(extensions=[Compiled], autoescape=escaped)
        for times in (1, 2, 3):
            template = environment.from_string("{{ x }}{% if y %} y{% endif %}")
            assert template.render(x="<") == shown
            assert template.render(x="<", y=times) == f"{shown} y"
        assert environment.from_string("{{ x }} y").render(x=1) == "1 y"
        assert environment.from_string("{{ y }}").render(y=1) == "1"
        assert environment.from_string("{{ x }} y").render(x=2) == "2 y"
    assert len(compiled) == 6


def test_texts_stay_compiled_for_the_next_process(scratch: Path) -> None:
    def process(*texts: str) -> list[str]:
        """What it renders of the texts; at its end it keeps what it compiled."""
        environment = Texts(extensions=[Compiled])
        shown = [environment.from_string(text).render(x=1) for text in texts]
        del environment
        gc.collect()
        return shown

    assert process("{{ x }}", "a") == ["1", "a"]
    assert process("{{ x }}", "{% block b %}{{ x }}{% endblock %}", "a") == ["1", "1", "a"]
    assert len(compiled) == 3
    (file,) = scratch.rglob("copier_dbt_mesh_texts_*.cache")
    (*_, others) = file.parent.iterdir()
    whole = file.read_bytes()
    middle = len(whole) // 2
    zeros = whole[:middle] + bytes(99) + whole[middle + 99 :]
    for damaged in (b"", whole[:5], whole[:100], b"x" + whole, whole[:-1] + b"x" * 9, zeros):
        compiled.clear()
        file.write_bytes(damaged)
        assert process("a", "{{ x }}") == ["a", "1"]
        assert len(compiled) == 2
    assert process("a", "{{ x }}") == ["a", "1"]
    assert len(compiled) == 2
    assert others == file, "nothing else stays there"


def test_an_environment_that_nothing_renders_with_stays_in_no_memory(scratch: Path) -> None:
    environment = Texts(extensions=[Compiled])
    environment.from_string("{{ x }}").render(x=1)
    kept = weakref.ref(environment.code_generator_class)
    del environment
    gc.collect()
    assert kept() is None, "a process renders many members"


def test_where_the_folder_is_full_no_part_of_a_file_stays(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)
    environment = Texts(extensions=[Compiled])
    assert environment.from_string("{{ x }}").render(x=1) == "1"
    del environment
    gc.collect()
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("is_file", [True, False])
def test_code_is_compiled_anew_for_another_filter_and_other_settings(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_file: bool
) -> None:
    """An update renders with the filters of two versions, which have most texts in common."""
    text = "{{ 'x' | shown }}{{ x | shown }}{{ '<' }}"

    def render(version: str, shown: Any, **settings: Any) -> str:
        module = scratch / version / "extensions/compiled.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(version)
        monkeypatch.setattr("compiled.__file__", str(module))
        loader = DictLoader({"a.jinja": text})
        environment = Texts(extensions=[Compiled], optimized=False, loader=loader, **settings)
        environment.filters["shown"] = shown
        template = environment.get_template("a.jinja") if is_file else environment.from_string(text)
        done = str(template.render(x=1, y=2))
        del environment, template
        gc.collect()
        return done

    def with_context(context: Any, value: object) -> str:
        return f"{value}{context['y']}"

    assert render("v1", str) == "x1<"
    assert render("v2", lambda value: f"-{value}") == "-x-1<"
    assert render("v3", pass_context(with_context)) == "x212<"
    assert render("v1", str, autoescape=True) == "x1&lt;"
    assert render("v1", str, variable_start_string="[[", variable_end_string="]]") == text
    compiled.clear()
    assert render("v1", str) == "x1<"
    assert compiled == []


def test_without_a_temporary_folder_nothing_is_written_to_the_repository(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes the current folder then. Code that somebody has committed must not run."""
    monkeypatch.chdir(scratch)
    assert rendered("{{ x }}") == "1"
    assert list(scratch.iterdir()) == []


def test_texts_stay_compiled_for_the_next_rendering_of_a_process(scratch: Path) -> None:
    environment = Texts(extensions=[Compiled])
    for number in range(20):
        environment.from_string(f"{{{{ x }}}} {number}")
    assert len(compiled) == 20
    environment = Texts(extensions=[Compiled])
    for number in range(11):
        assert environment.from_string(f"{{{{ x }}}} {number}").render(x=1) == f"1 {number}"
    assert len(compiled) == 20


def test_without_a_folder_of_ones_own_nothing_is_kept(scratch: Path) -> None:
    rendered("{{ x }}")
    (folder,) = scratch.iterdir()
    somewhere = scratch / "somewhere"
    folder.rename(somewhere)
    folder.symlink_to(somewhere)  # another user could have made it
    assert [rendered("{{ x }}"), rendered("{{ x }}")] == ["1", "1"]
    assert len(compiled) == 3


@pytest.mark.parametrize(
    ("kind", "more", "received"),
    [
        ("upstream", {}, "member upstream_starter publisher on_azure"),
        ("native", {}, "member downstream by_ref_starter on_azure"),
        (
            "native",
            {"starter_reads": "source"},
            "member downstream by_source_starter on_azure",
        ),
        ("upstream", {"starter": False}, "member publisher on_azure"),
        (
            "loom",
            {"publishes": True, "registry": "gcs"},
            "member downstream loom by_ref_starter publisher on_google",
        ),
    ],
)
def test_a_member_receives_the_layers_of_its_kind(
    kind: str, more: dict[str, Any], received: str
) -> None:
    found = layers({**ANSWERS, "kind": kind, **more})
    assert {name for name, folder in found.items() if folder == "shop"} == set(received.split())
    assert set(found.values()) <= {"shop", ""}


def test_deploys_need_an_identity_in_each_cloud() -> None:
    found = registry(ANSWERS)
    assert found["registry_url"] == "az://acme/mesh/registry"
    needed = ["azure_storage_account", "aws_role_arn", "azure_identities"]
    assert found["registry_answers"] == needed
    assert not found["is_deployable"]
    assert registry({**ANSWERS, "azure_identities": "a/b/c"})["is_deployable"]
    in_snowflake = registry({**ANSWERS, "registry": "snowflake", "clouds": []})
    assert in_snowflake["registry_url"] == "snowflake://A-B"
    assert in_snowflake["is_deployable"]
    assert not in_snowflake["registry_answers"]


def test_values_are_derived_once_all_questions_are_answered_and_follow_the_answers() -> None:
    environment = Environment(extensions=[answers.Answers, delivery.Delivery, Derived])
    shown = environment.from_string("{{ default_schema | default('unknown') }}")
    conf = {"answers_file": Path("shop/.copier-answers.yml"), "src_path": Path()}

    def render(phase: str = "render", **given: Any) -> str:
        recorded = {**ANSWERS, **given, "_commit": "v1.2.3"}
        return shown.render(
            **{**ANSWERS, **given},
            _copier_answers=recorded,
            _copier_conf=conf,
            _copier_phase=phase,
        )

    assert render("prompt") == "unknown"
    assert render() == "MARTS"
    assert render(schemas="RAW,GOLD") == "GOLD"


def test_the_template_and_the_library_know_the_same_clouds() -> None:
    assert {cloud.scheme: answer for answer, cloud in CLOUDS.items()} == {
        scheme: cloud.extra for scheme, cloud in store.CLOUDS.items()
    }
    for cloud in CLOUDS.values():
        folder = store.CLOUDS[cloud.scheme].folder
        assert (ROOT / "template" / f"{{{{ {cloud.layer} }}}}" / folder).is_dir()
