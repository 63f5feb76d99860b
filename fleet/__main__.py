"""python -m fleet: what acts on many members at once. Each command has --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fleet.errors import FleetError
from mesh import MeshError


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
        "--folder", type=Path, help="where the members go (default ./demo, or ./demo-snowflake)"
    )
    demo.add_argument("--clean", action="store_true", help="remove what the demo made, and no more")
    demo.add_argument(
        "--target",
        choices=["local", "snowflake"],
        default="local",
        help="local: DuckDB on this machine, no account (default); snowflake: on an account, after "
        "saying what that creates and costs",
    )
    demo.add_argument(
        "--connection", metavar="NAME", help="an administrator's, of connections.toml (snowflake)"
    )
    demo.add_argument("--yes", action="store_true", help="do not ask before creating or dropping")
    demo.set_defaults(run=_demo)
    _add_map(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (FleetError, MeshError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _demo(options: argparse.Namespace) -> int:
    if options.target == "snowflake":
        from fleet import demo_snowflake

        if not options.connection:
            raise FleetError(
                "which account? Name a connection of ~/.snowflake/connections.toml: "
                "make demo TARGET=snowflake CONNECTION=NAME"
            )
        act = demo_snowflake.destroy if options.clean else demo_snowflake.run
        return act(options.folder or demo_snowflake.FOLDER, options.connection, sure=options.yes)
    from fleet import demo

    folder = options.folder or Path("demo")
    return demo.clean(folder) if options.clean else demo.run(folder)


def _add_map(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from mesh.cli import add_registry_flags

    parser = commands.add_parser(
        "map",
        help="the whole mesh as one page: projects, public models, contracts, who reads what",
        description="Reads the registry and writes one HTML file that needs no network: search, "
        "filter, click a model for its columns, its owner and everything downstream of it. "
        "Also as Mermaid for a README, and as JSON. Without flags it reads the registry of this "
        "machine: $DBT_MESH_HOME/registry, or else the demo's.",
        epilog="for example: python -m fleet map --bucket acme-mesh --output mesh.html",
    )
    add_registry_flags(parser)
    parser.add_argument(
        "--format", choices=["html", "mermaid", "json"], default="html", help="default html"
    )
    parser.add_argument(
        "--models", action="store_true", help="mermaid: a box for each model, not for each project"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="- for standard output (default mesh.html; else -)"
    )
    parser.set_defaults(run=_map)


def _map(options: argparse.Namespace) -> int:
    from fleet import map as mesh_map

    return mesh_map.run(
        bucket=options.bucket,
        registry=options.registry,
        env=options.env,
        form=options.format,
        models=options.models,
        output=options.output,
    )


if __name__ == "__main__":
    sys.exit(main())
