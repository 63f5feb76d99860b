"""Checks in run_results.json that the models to be published were built.

run_results.json belongs to one command, and the next command replaces it. It may be older than the
manifest (`dbt parse` writes none), or belong to a selection, to a command that builds nothing, or
to another target. Results about relations that the manifest does not name are therefore ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from dbtmesh import MeshError, checked
from dbtmesh.artifacts.built_manifest import Manifest
from dbtmesh.checked import Unfit

# https://docs.getdbt.com/reference/artifacts/run-results-json, and dbt's artifacts.schemas.results
SUCCEEDED = frozenset(("success", "pass", "warn", "no-op", "noop", "reused"))
FAILED = frozenset(("error", "fail", "runtime error", "partial success", "skipped"))
BUILDING = frozenset(("build", "run", "seed", "snapshot", "clone", "retry"))
"""Commands that create relations."""


class Result(msgspec.Struct):
    """The result of one node.

    relation_name: given for models and snapshots, and for tests that store failures.
    """

    unique_id: str
    status: str
    relation_name: str | None = None
    compiled_code: msgspec.Raw = msgspec.Raw()


class _Metadata(msgspec.Struct):
    invocation_id: str | None = None
    generated_at: str | None = None


class _Arguments(msgspec.Struct):
    """The arguments of a run. empty: true with `--empty`, which builds tables without rows."""

    which: str | None = None
    empty: object = None


class Run(msgspec.Struct):
    metadata: _Metadata
    results: list[Result]
    args: _Arguments = msgspec.field(default_factory=_Arguments)

    def __str__(self) -> str:
        """Returns a text such as `dbt build, 2026-01-02 03:04 UTC`."""
        when = (self.metadata.generated_at or "")[:16].replace("T", " ")
        return f"dbt {self.args.which or 'run'}" + (f", {when} UTC" if when else "")


@dataclass(frozen=True)
class Judgement:
    """What a run's results say about a manifest.

    failed: unique_id → status of the nodes that did not succeed. unknown: the same for those whose
    status is unknown. built: the nodes whose relation the run created. elsewhere: True if the run
    created other relations than those of the manifest, so that its results say nothing about it.
    """

    run: Run
    failed: Mapping[str, str]
    unknown: Mapping[str, str]
    built: frozenset[str]
    elsewhere: bool = False


# Built at import: msgspec crashes if several threads use a type for the first time.
_RUN = msgspec.json.Decoder(Run)


def decode(body: bytes, source: str) -> Run:
    """Decodes a run's results. Raises MeshError where the file `source` is not valid."""
    try:
        return checked.decode(body, _RUN)
    except Unfit as error:
        raise MeshError(
            f"{source} is not readable ({error}), so whether the last run succeeded is not known: "
            "run `dbt build` again, or pass --allow-failed"
        ) from None


def judge(run: Run, manifest: Manifest) -> Judgement:
    """Returns what the run's results say about the relations that the manifest names."""
    known = [
        result
        for result in run.results
        # Nodes that the manifest lacks were removed since; but it does not always contain hooks.
        if result.unique_id in manifest.nodes or result.unique_id.startswith("operation.")
    ]
    if run.metadata.invocation_id != manifest.metadata.invocation_id and _elsewhere(
        known, manifest
    ):
        return Judgement(run, {}, {}, frozenset(), elsewhere=True)
    here = [result for result in known if not _moved(result, manifest)]
    return Judgement(
        run,
        failed={each.unique_id: each.status for each in here if each.status in FAILED},
        unknown={
            each.unique_id: each.status for each in here if each.status not in SUCCEEDED | FAILED
        },
        built=frozenset(
            each.unique_id
            for each in here
            if run.args.which in BUILDING and each.status in SUCCEEDED
        ),
    )


def _moved(result: Result, manifest: Manifest) -> bool:
    """Checks whether a result is for another relation than the manifest has for that node."""
    node = manifest.nodes.get(result.unique_id)
    if node is None or node.resource_type == "test":
        return False
    if not result.relation_name or not node.relation_name:
        return False
    return _bare(result.relation_name) != _bare(node.relation_name)


def _bare(relation: str) -> str:
    """Returns a relation's name without quotes and case, which differ between engines."""
    return relation.replace('"', "").upper()


def _elsewhere(results: Iterable[Result], manifest: Manifest) -> bool:
    """Checks whether a run was for another target.

    It was if its results name relations, and the manifest has none of them. A test names the
    relations that it reads in its SQL.
    """
    named = False
    for result in results:
        node = manifest.nodes.get(result.unique_id)
        if node is None:
            continue
        if node.resource_type != "test":
            if result.relation_name and node.relation_name:
                named = True
                if not _moved(result, manifest):
                    return False
            continue
        tested = (
            manifest.nodes.get(uid) for uid in (node.depends_on and node.depends_on.nodes) or ()
        )
        relations = [each.relation_name for each in tested if each and each.relation_name]
        code = _text(result.compiled_code)
        if code and relations:
            named = True
            if any(relation in code for relation in relations):
                return False
    return named


def _text(raw: msgspec.Raw) -> str:
    text = msgspec.json.decode(raw) if bytes(raw) else None
    return text if isinstance(text, str) else ""
