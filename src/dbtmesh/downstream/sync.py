"""Plans the changes that a sync of an upstream makes to this project, and applies them.

A plan is made of what the registry holds and what lies in the project; only `apply` writes.
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

# What reads a manifest is imported where there is one to read: most syncs find nothing new.


class Content(NamedTuple):
    """What an interface holds for this project, and how that differs from the last copy.

    models: how many public models it has. withheld: names of models that are shared with other
    projects only. added, removed: names that come and go; none without a copy to compare with.
    """

    models: int
    withheld: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


class Plan(NamedTuple):
    """What a sync of one upstream changes.

    note: what was seen, to be kept last. files: path below the root → content, for each file that
    differs from what is there. content: None where the registry holds nothing new. remarks: what
    the project should know.
    """

    upstream: str
    note: Note
    files: Mapping[str, bytes]
    content: Content | None
    remarks: tuple[str, ...] = ()


class Failure(NamedTuple):
    """An upstream that could not be synced. kept: version of the copy that stays, if any.
    is_upstreams_fault: see `keep_going`. is_unpublished: whether there is no publication yet."""

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
    """The plan of each upstream, made side by side. One that fails does not stop the others."""

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
    """A plan to bring in the latest publication, or `version`.

    Raises MeshError where the registry does not have it, is out of reach or holds something else.
    """
    # in a job of CI a note can only be from the repository: somebody has put it there, and with it
    # the sync would take their files for those that it wrote
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
    """A plan that makes do with the last good copy: files made of it that were edited or lost are
    made again. Raises MeshError where there is no copy, or it was edited."""
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
    """What a sync writes: dbt-loom reads the interface itself, others need sources."""
    copy = [committed.manifest_path(upstream)]
    return copy if member.kind == "loom" else [*copy, committed.sources_path(upstream)]


def _plan(
    member: Member,
    found: latest.Found,
    url: str,
    env: str,
    version: str | None,
) -> Plan:
    """Works out the files that a publication becomes."""
    from dbtmesh.downstream import sources
    from dbtmesh.manifest.interface import reader_names

    upstream = found.interface.project
    published, withheld = sources.shared(found.interface, member.project)
    remarks: list[str] = []
    if member.kind == "loom":
        published, unreadable = sources.for_loom(published)
        remarks = [
            f"{name} is left out: its place needs quotes, and dbt-loom writes none"
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
    """Writes the files, and last what was seen: interrupted before that, the next sync asks for
    the whole interface again. Raises OSError where a file cannot be written."""
    for path, content in plan.files.items():
        write_whole(inside(root, path), content)
    committed.keep_note(root, plan.upstream, plan.note)


def paths(plan: Plan) -> list[str]:
    """What `apply` writes, below the root."""
    return [*plan.files, committed.note_path(plan.upstream)]


def _made_by(member: Member, upstream: str) -> str:
    """Digest of what the files are made with, beside the publication."""
    return sha256(generator().encode() + source_additions.read(member.root, upstream))


def generator() -> str:
    """Digest of the code that makes the files: what an update of the template has mended is made
    again."""
    library = Path(__file__).parents[1]
    folders = (library / name for name in ("manifest", "downstream", "warehouse", "output"))
    code = (path for each in folders for path in sorted(each.glob("*.py")))
    return sha256(b"".join(path.read_bytes() for path in code))
