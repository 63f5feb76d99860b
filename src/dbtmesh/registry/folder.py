"""Stores a registry in a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from dbtmesh import MeshError, sha256
from dbtmesh.files import MOST, inside, opened, read_bounded, write_whole
from dbtmesh.registry.store import Changed, NotModified, Stored, TooLarge

LOCK_SECONDS = 30
"""How long to wait while another process writes to the folder. A write takes milliseconds."""


class FolderStore:
    """A store of objects as files in a folder, on one machine or on a disk that several share."""

    keeps_own_records = False

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = self.root.as_uri()

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        path = self.root / key
        try:
            body = read_bounded(path, most)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise TooLarge(path, path.stat().st_size, most) from None
            raise MeshError(f"cannot read {path}: {error.strerror}") from None
        etag = sha256(body)
        if etag == known:
            raise NotModified
        return Stored(body, etag)

    def etag(self, key: str) -> str | None:
        path = self.root / key
        try:
            with opened(path) as file:
                import hashlib

                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MeshError(f"cannot read {path}: {error.strerror}") from None

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        from filelock import FileLock, Timeout

        path, lock = self.root / key, self.root / ".lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(lock, timeout=LOCK_SECONDS):
                if self.etag(key) != replaces:
                    raise Changed(key)
                write_whole(inside(self.root, key), body)
        except Timeout:
            raise MeshError(
                f"{lock} has been held by another process for {LOCK_SECONDS} s: find the one that "
                "is stuck, and end it"
            ) from None
        except OSError as error:
            raise MeshError(f"cannot write {path}: {error.strerror}") from None

    def children(self, prefix: str) -> Iterator[str]:
        folder = self.root / prefix
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):  # the lock, and files being written
                        yield f"{entry.name}/" if entry.is_dir() else entry.name
        except FileNotFoundError:
            return
        except OSError as error:
            raise MeshError(f"cannot read {folder}: {error.strerror}") from None
