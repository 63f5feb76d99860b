"""`fleet demo --target snowflake`: runs the three members on an account, and removes them again.

It does what an attendee of the workshop would do by hand, with the members' own commands. An
administrator's connection runs the SQL. Then each member runs as its own service user, which signs
in by its own key. The registry is in Snowflake, too, so that no bucket is needed.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from dbtmesh import MeshError
from dbtmesh.snowflake import session as snowflake
from fleet import demo as local
from fleet.demo import execute
from fleet.demo_cleanup import Made, absent, clean, why_kept
from fleet.demo_mesh import MEMBERS, MODELS, Step, locate
from fleet.errors import FleetError

FOLDER = Path("demo-snowflake")
CREATED = """\
This creates in account {account}, by {connection}:

  databases    {databases}
  registry     contracts in the schema MESH of each _PROD; no bucket
  warehouses   DBT_UP_WH, DBT_DOWN_WH: XSMALL, asleep after 60 s, stopped at 2 credits a month
  users        {users} (they sign in by key)
  roles        <PREFIX>_ROLE and <PREFIX>_DEV_ROLE of each; grants between them
  keys         ~/.snowflake/keys/<USER>.p8, on this machine

A run takes about ten minutes of an XSMALL warehouse: well under one credit ($2 to $4). The monitors
stop both warehouses at 4 credits a month together. `make demo-destroy` removes all of it.
"""


def run(folder: Path, connection: str, *, sure: bool) -> int:
    """Creates, builds, publishes, verifies, and shows the result. Raises FleetError."""
    demo = locate(folder)
    reach, name = _look(connection)
    demo.console.print(
        CREATED.format(
            account=reach["account"],
            connection=name,
            databases=", ".join(f"{member.upper()}_PROD and _DEV" for member in MEMBERS),
            users=", ".join(f"{member.upper()}_SVC and _CI_SVC" for member in MEMBERS),
        ),
        markup=False,
    )
    _ask("Create it?", sure)
    started = time.monotonic()
    account = str(reach["account"])
    # An old account locator has no organization, so it is not given as an answer. dbt gets it from
    # the environment.
    named = {"snowflake_account": account} if "-" in account else {}
    local.render(demo, {"registry": "snowflake", **named})
    demo.home.mkdir(parents=True, exist_ok=True)
    made = Made(demo.folder)
    made.add(demo.home, absent(key(member) for member in MEMBERS if made.has_rendered(member)))
    for member in MEMBERS:
        execute(demo, set_up(member, connection))
    execute(demo, build(reach))
    local.show(demo, _counts(connection))
    demo.console.print(
        f"\nDone in {time.monotonic() - started:.0f} s. The members are in {demo.folder}; "
        f"in Snowsight look at DBT_UP_PROD.MARTS.\n"
        f"To remove all of it: make demo-destroy CONNECTION={connection}",
        markup=False,
    )
    return 0


def set_up(member: str, connection: str) -> list[Step]:
    """Returns what an administrator runs for a member. It is safe to run it again."""
    return [
        Step(member, f"scripts/snowflake_access.py apply --yes --connection {connection}"),
        Step(member, f"./setup_keypair_auth.sh create --no-github --connection {connection}"),
    ]


def build(reach: dict[str, Any]) -> list[Step]:
    """Returns what each member runs in prod, as its own service user.

    reach: account, host, port and protocol, which dbt reads from the environment.
    """
    account = {f"SNOWFLAKE_{key.upper()}": str(value) for key, value in reach.items() if value}
    mesh = {
        **account,
        "DBT_MESH_REGISTRY": f"snowflake://{reach['account']}",
        "DBT_MESH_ENV": "prod",
        "DBT_MESH_TARGET": "prod",
    }
    return [
        Step("dbt_up", "dbt build --target prod", account),
        Step("dbt_up", "scripts/publish_manifest.py", mesh),
        Step("dbt_down", "scripts/sync_mesh.py", mesh),
        Step("dbt_down", "dbt build --defer --state state/dbt_up --target prod", account),
        Step("dbt_down", "scripts/validate_lineage.py --record", mesh),
        Step("dbt_down_loom", "scripts/sync_mesh.py", mesh),
        Step("dbt_down_loom", "dbt build --target prod", account),
        Step("dbt_down_loom", "scripts/validate_lineage.py --record", mesh),
    ]


def key(member: str) -> Path:
    """Returns the private key of a member's service user, where setup_keypair_auth.sh keeps it."""
    return Path(f"~/.snowflake/keys/{member.upper()}_SVC.p8").expanduser()


def destroy(folder: Path, connection: str, *, sure: bool) -> int:
    """Drops what the demo created, and removes its members and keys. Raises FleetError."""
    demo = locate(folder)
    made = Made(demo.folder)
    there = [member for member in reversed(MEMBERS) if (demo.folder / member).exists()]
    if not there:
        raise FleetError(f"there is no demo in {demo.folder}: nothing to destroy")
    kept = {member: reason for member in there if (reason := why_kept(demo, made, member))}
    members = [member for member in there if member not in kept]
    if not members:
        raise FleetError("; ".join(kept.values()))
    for member in kept:
        demo.console.print(
            f"{member} stays, here and on the account: see below. Its own "
            "scripts/snowflake_access.py teardown drops what it has there.",
            markup=False,
        )
    demo.console.print(
        "This drops "
        + ", ".join(f"{member.upper()}_PROD, {member.upper()}_DEV" for member in members)
        + " and their users, roles and warehouses, with everything in them.\n",
        markup=False,
    )
    _ask("Drop it?", sure)
    for member in members:
        teardown = f"scripts/snowflake_access.py teardown --yes --connection {connection}"
        execute(demo, [Step(member, teardown)])
        if key(member) in made:
            for each in key(member).parent.glob(f"{member.upper()}_SVC.*p8"):
                each.unlink()
        shutil.rmtree(demo.folder / member)
    return clean(folder)


def _look(connection: str) -> tuple[dict[str, Any], str]:
    """Signs in once, before anything is rendered or created.

    Returns how to reach the account, and the user with its connection's name.
    """
    try:
        session = snowflake.connect(connection, None)
    except MeshError as error:
        raise FleetError(str(error)) from None
    reach, name = session.reach, f"{session.user} ({session.name})"
    session.close()
    return reach, name


def _counts(connection: str) -> dict[str, tuple[int, float]]:
    """Returns rows and net amount of each member's model, read as SYSADMIN, which has all roles."""
    session = snowflake.connect(connection, None)
    session.run("USE WAREHOUSE DBT_UP_WH", "SYSADMIN")
    counts = {}
    for member in MEMBERS:
        model = MODELS[member]
        table = f"{member.upper()}_PROD.MARTS.{model.upper()}"
        sql = f"SELECT COUNT(*) AS N, SUM(NET_AMOUNT) AS AMOUNT FROM {table}"  # noqa: S608
        (row,) = session.rows(sql, "SYSADMIN")
        counts[member] = int(row["n"]), float(row["amount"] or 0)
    session.close()
    return counts


def _ask(question: str, sure: bool) -> None:
    if sure:
        return
    if not sys.stdin.isatty():
        raise FleetError(
            "nothing was changed: there is no terminal to ask in; --yes goes on without asking"
        )
    if input(f"{question} [y/N] ").strip().lower() != "y":
        raise FleetError("nothing was changed")
