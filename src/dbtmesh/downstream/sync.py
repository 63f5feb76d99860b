"""Plans the changes that a sync of an upstream makes to this project, and applies them.

A plan is made from the registry's content and the project's files; only `apply` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from dbtmesh import MeshError, parallel, sha256
from dbtmesh.ci.github import job
from dbtmesh.config import Location, Member
from dbtmesh.downstream import committed, keep_going, source_additions
from dbtmesh.downstream.committed import Note
from dbtmesh.files import inside, write_whole
from dbtmesh.registry import latest
from dbtmesh.registry import store as registry

# Modules that read manifests are imported only where they are needed: most syncs find nothing new.


class Content(NamedTuple):
    """What an interface contains for this project, and how that differs from the last copy.

    models: the number of public models. withheld: the names of models that are shared only with
    other projects. added, removed: names of models that are new or gone; empty without a last copy.
    """

    models: int
    withheld: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


class Plan(NamedTuple):
    """What a sync of one upstream changes.

    note: what the sync saw; it is written last. files: maps paths, relative to the root, to the
    content of each file that differs. content: None if the registry has nothing new. remarks: lines
    to print.
    """

    upstream: str
    note: Note
    files: Mapping[str, bytes]
    content: Content | None
    remarks: tuple[str, ...] = ()


class Failure(NamedTuple):
    """An upstream that could not be synced.

    kept: the version of the copy that stays, if there is one. is_upstreams_fault: see `keep_going`.
    is_unpublished: whether there is no publication yet.
    """

    upstream: str
    reason: str
    kept: str | None
    is_upstreams_fault: bool
    is_unpublished: bool

    def __str__(self) -> str:
        kept = f"; the last good copy stays ({self.kept})" if self.kept else ""
        return f"{self.upstream}: {self.reason}{kept}"


def plans(
    member: Member, upstreams: Iterable[str], plan: Callable[[str], Plan]
) -> list[Plan | Failure]:
    """Plans the sync of each upstream, in parallel. One that fails does not stop the others."""

    def attempt(upstream: str) -> Plan | Failure:
        try:
            return plan(upstream)
        except (MeshError, OSError) as error:
            copy = committed.known(member.root, member.upstream(upstream))
            kept = copy.version if copy else None
            return Failure(
                upstream,
                str(error),
                kept,
                is_upstreams_fault=keep_going.is_upstreams_fault(error),
                is_unpublished=isinstance(error, latest.NothingPublished),
            )

    return parallel.each(attempt, upstreams)


def from_registry(
    member: Member, store: registry.Reader, place: Location, version: str | None, upstream: str
) -> Plan:
    """Plans to bring in the latest publication, or `version`.

    Raises MeshError where the registry does not have it, is out of reach, or has something else.
    """
    # In CI, a note can only come from the repository, where somebody has put it. It would make the
    # sync take that person's files for those that it wrote.
    last = None if job.is_here() else committed.note(member.root, upstream)
    asked = (store.url, place.env, version, _made_by(member, upstream))
    same = last is not None and (last.url, last.env, last.pinned, last.generator) == asked
    same = same and last is not None and last.written.keys() == set(_paths(member, upstream))
    whole = last is not None and same and committed.intact(member.root, last)
    known = last.etag if last and whole else None
    try:
        found = latest.get(
            store, member.upstream(upstream), place.env, version=version, known=known
        )
    except registry.NotModified:
        assert last is not None
        return Plan(upstream, last, {}, None)
    return _plan(member, found, store.url, place.env, version)


def from_copy(member: Member, upstream: str) -> Plan:
    """Plans to use the last good copy: generated files that were edited or lost are written again.

    Raises MeshError where there is no copy, or it was edited.
    """
    copy = committed.read(member.root, member.upstream(upstream))
    last = committed.note(member.root, upstream)
    return _plan(
        member,
        latest.Found(copy, last.etag if last else ""),
        last.url if last else "",
        last.env if last else "",
        last.pinned if last else None,
    )


def _paths(member: Member, upstream: str) -> list[str]:
    """Returns the files that a sync writes. dbt-loom reads the interface; others need sources."""
    copy = [committed.manifest_path(upstream)]
    return copy if member.kind == "loom" else [*copy, committed.sources_path(upstream)]


def _plan(
    member: Member,
    found: latest.Found,
    url: str,
    env: str,
    version: str | None,
) -> Plan:
    """Generates the files for a publication, and compares them with those of the project."""
    from dbtmesh.downstream import sources
    from dbtmesh.manifest.interface import reader_names

    upstream = found.interface.project
    published, withheld = sources.shared(found.interface, member.project)
    remarks: list[str] = []
    if member.kind == "loom":
        published, unreadable = sources.for_loom(published)
        remarks = [
            f"{name} is left out: its relation needs quotes, which dbt-loom does not write"
            for name in sorted(unreadable)
        ]
    files = {committed.manifest_path(upstream): published.body}
    if committed.sources_path(upstream) in _paths(member, upstream):
        document, remarks = source_additions.merged(
            sources.sources(published), source_additions.read(member.root, upstream), upstream
        )
        remarks += [
            f"column {name} is left out: dbt's docs would show its name as HTML"
            for name in sources.unlisted(published)
        ]
        files[committed.sources_path(upstream)] = sources.to_yaml(document, upstream)
    note = Note(
        url=url,
        env=env,
        pinned=version,
        etag=found.etag,
        version=published.version,
        generated_at=published.generated_at.isoformat(),
        generator=_made_by(member, upstream),
        written={path: sha256(body) for path, body in files.items()},
    )
    changed = {
        path: body
        for path, body in files.items()
        if not committed.same_file(member.root / path, body)
    }
    content = Content(len(published.models), withheld)
    before = committed.names(member.root, upstream) if changed else None
    if before is not None:
        old = before - withheld
        new = frozenset(name for name, _ in reader_names(published.models))
        content = content._replace(added=new - old, removed=old - new)
    return Plan(upstream, note, changed, content, tuple(remarks))


def apply(root: Path, plan: Plan) -> None:
    """Writes the files, and the note last. Raises OSError where a file cannot be written.

    If this is interrupted before the note is written, the next sync downloads the interface again.
    """
    for path, content in plan.files.items():
        write_whole(inside(root, path), content)
    committed.keep_note(root, plan.upstream, plan.note)


def paths(plan: Plan) -> list[str]:
    """Returns the paths that `apply` writes, relative to the root."""
    return [*plan.files, committed.note_path(plan.upstream)]


def _made_by(member: Member, upstream: str) -> str:
    """Returns a digest of everything from which files are made, except the publication."""
    return sha256(generator().encode() + source_additions.read(member.root, upstream))


def generator() -> str:
    """Returns a digest of the code that makes the files, so that new code makes them again."""
    library = Path(__file__).parents[1]
    folders = (library / name for name in ("manifest", "downstream", "warehouse", "output"))
    code = (path for each in folders for path in sorted(each.glob("*.py")))
    return sha256(b"".join(path.read_bytes() for path in code))
