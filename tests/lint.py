"""Format, lint and types over everything that is Python, shell or a workflow: `make lint`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fleet import render

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def commands(scratch: Path) -> Iterator[list[str | Path]]:
    """What has to succeed. Types of the members' scripts are checked in rendered members, where
    their package is whole; all other checks read the files where they lie."""
    yield ["ruff", "format", "--check", "."]
    yield ["ruff", "check", "."]
    yield ["mypy", "fleet", "tests", "extensions", *sorted((ROOT / "hooks").glob("*.py"))]
    for kind in ("native", "loom"):
        # hubs: between them they hold every script
        yield ["mypy", "--explicit-package-bases", scratch / kind / "scripts"]
    shell = sorted(path for path in ROOT.glob("template/**/*.sh"))
    if shell:
        yield ["shellcheck", *shell]
        yield ["shfmt", "--diff", "--indent", "2", *shell]
    if workflows := sorted((ROOT / ".github/workflows").glob("*.yml")):
        yield ["actionlint", *workflows]
        yield ["zizmor", "--offline", "--persona", "pedantic", *workflows]


def main() -> int:
    failed = []
    with tempfile.TemporaryDirectory() as folder, render.opened() as template:
        scratch = Path(folder)
        for kind in ("native", "loom"):
            answers = {"kind": kind, "project_name": kind, "publishes": True, "alerts": "slack"}
            answers["auth"] = "workload_identity"
            render.render(template, scratch / kind, answers)
        for program, *arguments in commands(scratch):
            print(f"$ {program} {' '.join(map(str, arguments))}"[:100], flush=True)
            cwd = arguments[-1] if "--explicit-package-bases" in arguments else ROOT
            line = [BIN / str(program), *arguments, "--config-file", ROOT / "pyproject.toml"]
            done = subprocess.run(line if program == "mypy" else line[:-2], cwd=cwd, check=False)
            if done.returncode:
                failed.append(program)
    print(f"failed: {', '.join(map(str, failed))}" if failed else "lint: all clean")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
