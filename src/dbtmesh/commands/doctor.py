"""Check that this project has everything that the mesh needs, and print the lines to add.

  scripts/doctor.py          what is wrong, what happens because of it, and the lines to add
  scripts/doctor.py --fix    shows the changes as a diff, and makes them
  scripts/doctor.py --fix --take yours | template
                             and keeps these lines where an update has left a conflict
  scripts/doctor.py --leave-out
                             after a build on DuckDB that failed: tags what DuckDB cannot do with
                             snowflake_only in dbt_project.yml, by name, and shows the diff. Then
                             run dbt build --exclude tag:snowflake_only+

It checks hooks, targets, macros, schemas, requirements, the seal of the library, what git ignores,
workflows and answers. If `gh` is signed in, it also checks the names of secrets. Advice is a note,
and so is what cannot be read here. Nothing outside of the project's folder is changed.

Exit status: 0 there is nothing but notes, or all is fixed; 1 it failed; 2 there are findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dbtmesh import cli, flags
from dbtmesh.config import load_member
from dbtmesh.doctor import plan
from dbtmesh.doctor.finding import Side
from dbtmesh.doctor.project import Project
from dbtmesh.files import rewrite
from dbtmesh.output.words import counted

MESH = "mesh.yml"


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument("--fix", action="store_true", help="fix what can be fixed")
    parser.add_argument(
        "--take",
        choices=[each.value for each in Side],
        help="with --fix, in conflicts of an update: whose lines stay",
    )
    parser.add_argument(
        "--leave-out", action="store_true", help="tag what failed in the last build on DuckDB"
    )
    parser.add_argument("--files", action="store_true", help="check the project's files only")
    arguments = parser.parse_args(words)
    checks = plan.FILES if arguments.files else plan.ALL
    if arguments.take and not arguments.fix:
        parser.error("--take tells --fix whose lines to keep in conflicts: add --fix")
    side = Side(arguments.take) if arguments.take else None
    if side:
        settle(root, side)
    project = Project(load_member(root), side=side)
    if arguments.leave_out:
        return leave_out(project)
    if arguments.fix:
        mended = plan.mended(project, checks)
        cli.say(*plan.difference(mended))
        for path in plan.write(mended):
            cli.say(f"changed {path}")
        project = Project(load_member(root))
    findings = plan.examine(project, checks)
    for finding in findings:
        cli.say(*plan.described(finding))
    wrong = plan.weighty(findings)
    if not wrong:
        cli.say(
            "nothing is missing" if not findings else "nothing is missing but what the notes say"
        )
        return cli.OK
    count = "1 finding" if len(wrong) == 1 else f"{len(wrong)} findings"
    cli.say(f"{count} ({plan.what_next(wrong)})")
    return cli.FOUND


def settle(root: Path, side: Side) -> None:
    """Resolves the conflicts in mesh.yml first, because nothing else can be read with them."""
    import difflib

    from dbtmesh.doctor import conflicts, file_bytes

    file = root / MESH
    old = file.read_bytes() if file.is_file() else b""
    text = file_bytes.as_utf_8(old) or ""
    chosen = conflicts.resolved(text, side)
    if chosen is not None and chosen != text:
        lines = difflib.unified_diff(text.split("\n"), chosen.split("\n"), MESH, MESH, lineterm="")
        cli.say(*lines, f"changed {MESH}")
        rewrite(file, file_bytes.written(old, chosen))


def leave_out(project: Project) -> int:
    # imported here: each lint in CI waits for this command, and does not leave anything out
    from dbtmesh.doctor import left_out

    found = left_out.leave_out(project)
    cli.say(*plan.difference(found.project))
    for path in plan.write(found.project):
        cli.say(f"changed {path}")
    for line in found.by_hand:
        cli.say(f"by hand: {line}")
    if not found.names:
        cli.say("nothing failed on DuckDB that is not left out")
        return cli.FOUND if found.by_hand else cli.OK
    behind = f", with {counted(found.behind, 'model')} that read them" if found.behind else ""
    cli.say(
        f"left out on DuckDB: {', '.join(found.names)}{behind}",
        "next: dbt build --target local --exclude tag:snowflake_only+",
    )
    return cli.FOUND if found.by_hand else cli.OK
