"""Check that this project has everything that the mesh needs, and print the lines to add.

  scripts/doctor.py          what is wrong, what happens because of it, and the lines to add
  scripts/doctor.py --fix    shows the changes as a diff, and makes them
  scripts/doctor.py --leave-out
                             after a build on DuckDB that failed: what DuckDB cannot do is tagged
                             snowflake_only in dbt_project.yml, by name, after a diff. Then
                             dbt build --exclude tag:snowflake_only+

It looks at hooks, targets, macros, schemas, requirements, the seal of the library, what git keeps,
workflows and answers; and, where `gh` is signed in, at the names of secrets. What cannot be
read here, and advice, are notes. Nothing outside of the project's folder is changed.

Exit status: 0 nothing was found but notes, or all was mended; 1 it failed; 2 there are findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dbtmesh import cli, flags
from dbtmesh.config import load_member
from dbtmesh.doctor import plan
from dbtmesh.doctor.project import Project
from dbtmesh.output.words import counted


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument("--fix", action="store_true", help="mend what can be mended")
    parser.add_argument(
        "--leave-out", action="store_true", help="tag what failed in the last build on DuckDB"
    )
    parser.add_argument("--files", action="store_true", help="only what the project's files tell")
    arguments = parser.parse_args(words)
    checks = plan.FILES if arguments.files else plan.ALL
    project = Project(load_member(root))
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


def leave_out(project: Project) -> int:
    # every lint of CI waits for this command, and leaves nothing out
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
