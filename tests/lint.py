"""Checks format, lint and types of all Python, shell scripts and workflows: `make lint`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def commands() -> Iterator[list[str | Path]]:
    """Yields the commands that have to succeed."""
    yield ["ruff", "format", "--check", "."]
    yield ["ruff", "check", "."]
    yield ["mypy", "src", "fleet", "tests", "extensions", *sorted((ROOT / "hooks").glob("*.py"))]
    yield ["mypy", "--scripts-are-modules", *sorted(ROOT.glob("template/*/scripts/*.py"))]
    shell = sorted(path for path in ROOT.glob("template/**/*.sh"))
    if shell:
        yield ["shellcheck", *shell]
        yield ["shfmt", "--diff", "--indent", "2", *shell]
    if workflows := sorted((ROOT / ".github/workflows").glob("*.yml")):
        yield ["actionlint", *workflows]
        yield ["zizmor", "--offline", "--persona", "pedantic", *workflows]


def main() -> int:
    failed = []
    for program, *arguments in commands():
        print(f"$ {program} {' '.join(map(str, arguments))}"[:100], flush=True)
        if subprocess.run([BIN / str(program), *arguments], cwd=ROOT, check=False).returncode:
            failed.append(program)
    print(f"failed: {', '.join(map(str, failed))}" if failed else "lint: all clean")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
