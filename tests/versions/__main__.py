"""python -m tests.versions keep v1.2.3 [REF] | check v1.2.3

keep: keeps what Copier reads of the commit REF (default HEAD) as a released version, for the tests.
check: checks that the kept version is that of the commit HEAD, and that pyproject.toml and
CHANGELOG.md agree. Prints the changelog's entry.
"""

from __future__ import annotations

import lzma
import re
import sys
import tomllib
from collections.abc import Iterator

from tests.versions import FOLDER, ROOT, archive, files, keep


def main() -> int:
    match sys.argv[1:]:
        case ["keep", tag, *ref]:
            try:
                path = keep(tag, *(ref or ["HEAD"]))
            except ValueError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
            return 0
        case ["check", tag]:
            wrong = list(problems(tag))
            for line in wrong:
                print(f"error: {line}", file=sys.stderr)
            if not wrong:
                print(entry(tag))
            return bool(wrong)
    print(__doc__, file=sys.stderr)
    return 1


def problems(tag: str) -> Iterator[str]:
    """Yields the reasons why the commit HEAD cannot be released as `tag`."""
    version = tag.removeprefix("v")
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if named != version:
        yield f"pyproject.toml has version {named}, the tag is {tag}"
    if not re.match(rf"## {re.escape(version)} – \d{{4}}-\d\d-\d\d\n", entry(tag)):
        yield f"CHANGELOG.md has no entry `## {version} – YYYY-MM-DD`"
    path = FOLDER / f"{tag}.tar.xz"
    if not path.exists():
        yield f"{path.relative_to(ROOT)} is missing: make keep-version, and commit it"
    elif files(lzma.decompress(path.read_bytes())) != files(archive("HEAD")):
        yield f"{path.relative_to(ROOT)} is not what HEAD holds: make keep-version, and commit it"


def entry(tag: str) -> str:
    """Returns the changelog's entry for the version."""
    version = re.escape(tag.removeprefix("v"))
    pattern = rf"^## {version} .*?(?=^## |\Z)"
    found = re.search(pattern, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    return found.group().strip() + "\n" if found else ""


if __name__ == "__main__":
    sys.exit(main())
