"""Builds the library that a member's commands run on as one sealed file, `vendor/dbtmesh-….whl`.

    library.py FOLDER VERSION    builds it into FOLDER/vendor, and removes other versions
    library.py FOLDER            removes all versions: the member takes the library from an index

It does not use `pip wheel`, because a hook can rely on Python alone, without a build backend or a
network. The same sources and version give the same bytes on every machine, so `fleet status` can
compare a member's file with the released one. Entries are stored uncompressed, which lets git keep
the next version as a small difference.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import re
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

SOURCE = Path(__file__).resolve().parents[1] / "src"
FOLDER = "vendor"
DISTRIBUTION = "dbtmesh"
MISSING = (
    "the library of its commands is missing in vendor/. To build it: copier recopy --trust "
    "--defaults --quiet --vcs-ref=:current: --exclude '*' --answers-file {}"
)
"""The error. Its command works in any state of a member: it renders nothing and runs the task."""
CARRIED = (
    "dbt_project.yml.jinja",
    "profiles.yml.jinja",
    "requirements.txt.jinja",
    "constraints.txt.jinja",
    ".gitattributes",
    ".gitignore",
    "macros/*.sql",
)
"""Template files that the wheel contains, because a member's doctor compares the member with them;
see src/dbtmesh/doctor/template_files.py."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the earliest that a ZIP file can hold."""


def wheel_name(version: str) -> str:
    return f"{DISTRIBUTION}-{version}-py3-none-any.whl"


def is_wheel(path: str) -> bool:
    """Checks whether a file of a repository is a wheel that `put` writes and removes."""
    where = PurePosixPath(path)
    return where.parent.name == FOLDER and where.match(f"{DISTRIBUTION}-*.whl")


def put(member: Path, version: str, source: Path = SOURCE) -> None:
    """Writes the wheel of `version` into the member's folder, whole or not at all.

    It removes the wheels of other versions. An empty `version` removes all of them, because the
    member takes the library from an index. Raises OSError where the folder cannot be written.
    """
    folder = member / FOLDER
    if folder.is_symlink():  # whoever committed it would choose whose files are replaced
        raise OSError(errno.ELOOP, "it is a link, and has to be a folder", str(folder))
    target = folder / wheel_name(version) if version else None
    if target:
        folder.mkdir(exist_ok=True)
        body = contents(source, version)
        if not target.is_file() or target.read_bytes() != body:
            scratch = folder / f".{target.name}.tmp"
            scratch.unlink(missing_ok=True)  # it may be a link
            scratch.write_bytes(body)
            scratch.replace(target)
    for other in folder.glob(f"{DISTRIBUTION}-*.whl"):
        if other != target:
            other.unlink()


def put_or_say(member: Path, version: str, answers_file: str) -> None:
    """Calls `put` for a hook, and prints errors: if a hook fails, Copier deletes a new project."""
    try:
        put(member, version)
    except (OSError, KeyboardInterrupt) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "stopped"
        print(f"error: {why}: {MISSING.format(answers_file)}", file=sys.stderr)


def contents(source: Path, version: str) -> bytes:
    """Returns the wheel of the sources in `source`, which holds pyproject.toml and the package."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    template = source.parent / "template"
    paths = {
        **{
            path.relative_to(source).as_posix(): path for path in (source / DISTRIBUTION).rglob("*")
        },
        **{
            f"{DISTRIBUTION}/template/{path.relative_to(template).as_posix()}": path
            for pattern in CARRIED
            for path in template.glob(f"{{{{*}}}}/{pattern}")
        },
    }
    files = {
        name: path.read_bytes().replace(b"\r\n", b"\n")
        for name, path in sorted(paths.items())
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"{DISTRIBUTION}-{version}.dist-info"
    files[f"{info}/METADATA"] = metadata(project, version).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: copier-dbt-mesh\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = [f"{name},sha256={_digest(body)},{len(body)}" for name, body in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, body in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix on every system, so that the bytes are the same
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, body)
    return packed.getvalue()


def metadata(project: Mapping[str, Any], version: str) -> str:
    """Returns METADATA of the wheel, from [project] of pyproject.toml."""
    extras: Mapping[str, list[str]] = project["optional-dependencies"]
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {version}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {each}" for each in project["dependencies"]),
    ]
    for extra, requirements in extras.items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {each}; extra == "{extra}"' for each in requirements]
    return "\n".join(lines) + "\n"


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def main(folder: str, version: str = "") -> None:
    if version and not re.fullmatch(r"[0-9A-Za-z.+]+", version):
        sys.exit(f"error: {version!r} is not a version")
    put(Path(folder), version)


if __name__ == "__main__":
    main(*sys.argv[1:])
