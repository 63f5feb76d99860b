"""Keeps the commit of an update safe from the code that is run to check it.

That code runs as the operator's user, so it may write to whatever it finds, the clone's settings
and hooks among it, which the operator's git would obey. So it runs in a repository in which git is
never used again, and from then on git works in new ones. These take nothing of the clone but its
objects, which are called by what they hold: another commit would have another name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.git import GitError, git


@dataclass(frozen=True)
class Kept:
    """commit, parent: of the update and before it; url: of the clone's remote, None without one;
    is_partial: whether some objects are there only; within: where new ones go."""

    clone: Path
    commit: str
    parent: str
    url: str | None
    is_partial: bool
    within: Path

    @contextmanager
    def repository(self, branch: str) -> Iterator[Path]:
        """A new one, from which the commit can be pushed and fetched, as that branch."""
        with self._made() as made:
            settings = {}
            if self.url:
                settings["remote.origin.url"] = self.url
            if self.url and self.is_partial:
                settings |= {"remote.origin.promisor": "true", "extensions.partialClone": "origin"}
                settings["core.repositoryFormatVersion"] = "1"
            for name, value in settings.items():
                git(made, "config", name, value)
            git(made, "update-ref", f"refs/heads/{branch}", self.commit)
            yield made

    @contextmanager
    def files(self, commit: str) -> Iterator[Path]:
        """A commit checked out where members' code may run. It does not tell of the remote, whose
        address may hold a password."""
        with self._made() as made:
            git(made, "checkout", "--quiet", "--detach", commit)
            yield made

    @contextmanager
    def _made(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(
            prefix="fleet.protected_commit.", dir=self.within, ignore_cleanup_errors=True
        ) as scratch:
            made = Path(scratch) / self.clone.name
            # without a template, which may hold hooks
            git(None, "init", "--quiet", "--template=", str(made))
            alternates = made / ".git" / "objects" / "info" / "alternates"
            alternates.parent.mkdir(exist_ok=True)
            alternates.write_text(f"{self.clone / '.git' / 'objects'}\n")
            # what lies beside the objects and says what is in them
            for name in ("core.commitGraph", "core.multiPackIndex"):
                git(made, "config", name, "false")
            yield made


def keep(clone: Path, within: Path) -> Kept:
    """What is committed in the clone. To be called before members' code runs. Raises GitError."""
    commit, parent = git(clone, "rev-parse", "HEAD", "HEAD~1").split()
    try:
        url = git(clone, "remote", "get-url", "origin")
    except GitError:
        url = None
    is_partial = "remote.origin.promisor" in git(clone, "config", "--list", "--name-only")
    return Kept(clone, commit, parent, url, is_partial, within)
