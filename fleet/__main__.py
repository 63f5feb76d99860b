"""python -m fleet: what acts on many members at once. Each command has --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fleet.errors import FleetError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fleet", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="three members of a mesh, rendered, built and published on this machine",
        description="Renders dbt_up, dbt_down and dbt_down_loom, builds them on DuckDB, publishes "
        "and syncs between them, and shows the result. Run again, it keeps the members as you "
        "edited them and builds anew. The database files and the registry lie in $DBT_MESH_HOME, "
        "or else beside the members.",
    )
    demo.add_argument(
        "--folder", type=Path, default=Path("demo"), help="where the members go (default ./demo)"
    )
    demo.add_argument("--clean", action="store_true", help="remove what the demo made, and no more")
    demo.set_defaults(run=_demo)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except FleetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _demo(options: argparse.Namespace) -> int:
    from fleet import demo

    if options.clean:
        return demo.clean(options.folder)
    return demo.run(options.folder)


if __name__ == "__main__":
    sys.exit(main())
