"""Protects the commit of an update from the code that is run to check it.

That code runs as the operator's user, so it may change files such as the clone's settings and
hooks, which the operator's git would obey. Therefore it runs in a repository in which git is never
used again. Afterwards git works in new repositories. These take only objects from the clone, whose
ids are hashes of their contents: a changed commit would have another id.
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
    """A commit of an update, and where to get it.

    commit, parent: the update's commit and the one before it.
    url: the URL of the clone's remote; None if it has none.
    is_partial: whether some objects are only on the remote.
    within: the folder for new repositories.
    """

    clone: Path
    commit: str
    parent: str
    url: str | None
    is_partial: bool
    within: Path

    @contextmanager
    def repository(self, branch: str) -> Iterator[Path]:
        """Yields a new repository, from which the commit can be pushed or fetched as `branch`."""
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
        """Yields a new repository with a commit checked out, in which members' code may run.

        It does not know the remote, whose URL may hold a password.
        """
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
            # git shall not trust the indexes that lie beside the objects
            for name in ("core.commitGraph", "core.multiPackIndex"):
                git(made, "config", name, "false")
            yield made


def keep(clone: Path, within: Path) -> Kept:
    """Returns the clone's commit. It must be called before members' code runs. Raises GitError."""
    commit, parent = git(clone, "rev-parse", "HEAD", "HEAD~1").split()
    try:
        url = git(clone, "remote", "get-url", "origin")
    except GitError:
        url = None
    is_partial = "remote.origin.promisor" in git(clone, "config", "--list", "--name-only")
    return Kept(clone, commit, parent, url, is_partial, within)
