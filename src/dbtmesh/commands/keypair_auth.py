"""Create and rotate Snowflake key pairs of CI or a person; `./setup_keypair_auth.sh` runs it.

  create   makes a key for a user, registers it with Snowflake and GitHub, and signs in with it
  rotate   replaces the key; at every moment there is one that works, here and in CI
  status   says how things stand; exit status 2 when something needs attention

Each can be interrupted and run again: it finds out where it stopped. The private key is stored in
~/.snowflake/keys/<USER>.p8, which only its owner can read, in GitHub's secrets, and nowhere else.
Before GitHub gets the key, its environment is closed, so that only the branch that deploys can use
it. With the answer auth: workload_identity there is no key, and `create` only closes the
environment. Run it before `scripts/snowflake_access.py apply`, which lets the environment's jobs
sign in.

Exit status: 0 done, 1 it failed, 2 status found something that needs attention.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli, flags
from dbtmesh.ci.github.gh import Gh
from dbtmesh.ci.github.secret import Place
from dbtmesh.config import Member, load_member
from dbtmesh.snowflake.keypair import status
from dbtmesh.snowflake.keypair.ages import ROTATE_AFTER_DAYS
from dbtmesh.snowflake.keypair.environment import place_of
from dbtmesh.snowflake.keypair.files import File, KeyFiles, default_file
from dbtmesh.snowflake.keypair.key_ring import PASSPHRASE, KeyRing, Passphrase
from dbtmesh.snowflake.keypair.rotation import Rotation
from dbtmesh.snowflake.keypair.user import User
from dbtmesh.snowflake.names import Names, names_of
from dbtmesh.warehouse.names import sql_name

if TYPE_CHECKING:
    from dbtmesh.snowflake.session import Session

WORKLOAD_IDENTITY = "workload_identity"


def main(words: Sequence[str], root: Path) -> int:
    arguments = _arguments(words)
    member = load_member(root)
    names = names_of(member)
    name = names.service_user.name if arguments.user is None else _user_name(arguments.user)
    place = place_of(names, member, name)
    github = Gh(member.root, member.github_server)
    if place and member.snowflake.get("auth") == WORKLOAD_IDENTITY:
        return workload_identity(arguments, member, names, name, place, github)
    files = KeyFiles.at((arguments.key_file or default_file(name)).expanduser().absolute())
    ring = KeyRing(files, Passphrase(arguments.passphrase))
    user = User(open_session(arguments, member, names, name, ring), name, role_of(names, name))
    if arguments.command == "status":
        found = status.of_key(user, ring, arguments.max_age)
        return with_github(found, arguments, place, github).show()
    work = Rotation(
        user,
        ring,
        github,
        None if arguments.no_github else place,
        renew=arguments.command == "rotate",
        unset_others=arguments.unset_others,
    )
    if arguments.dry_run:
        return work.show()
    with one_at_a_time(files):
        return work.run()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    arguments = flags.parser(__doc__ or "")
    arguments.add_argument(
        "command", nargs="?", default="create", choices=("create", "rotate", "status")
    )
    arguments.add_argument(
        "--user", help="whose key: the user that deploys (default), <PREFIX>_CI_SVC, or a person's"
    )
    arguments.add_argument(
        "--connection",
        metavar="NAME",
        help="connection of connections.toml that may change the user (default: the environment's, "
        "then the user's own key)",
    )
    arguments.add_argument(
        "--role", default="USERADMIN", help="role that may change the user (default USERADMIN)"
    )
    arguments.add_argument(
        "--key-file", type=Path, metavar="FILE", help="default ~/.snowflake/keys/<USER>.p8"
    )
    arguments.add_argument(
        "--passphrase",
        action="store_true",
        help=f"encrypt a new key, with a passphrase that is asked for or in ${PASSPHRASE}",
    )
    arguments.add_argument(
        "--no-github",
        action="store_true",
        help="leave GitHub's secret alone: it is set already, or there is no CI",
    )
    arguments.add_argument(
        "--unset-others",
        action="store_true",
        help="unset the user's registered keys that are not on this machine: they are lost",
    )
    arguments.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and change nothing"
    )
    arguments.add_argument(
        "--max-age",
        type=int,
        default=ROTATE_AFTER_DAYS,
        metavar="DAYS",
        help=f"age from which `status` asks for a rotation (default {ROTATE_AFTER_DAYS})",
    )
    return arguments.parse_args(words)


def _user_name(name: str) -> str:
    """Returns a user's name as Snowflake stores it: in upper case, unless SQL has to quote it."""
    if not name.isprintable() or not 0 < len(name) <= 255:
        raise MeshError(
            f"{name!r} is not a valid name of a user: it has 1 to 255 printable characters"
        )
    plain = name.isascii() and name.replace("_", "").isalnum() and not name[0].isdigit()
    return name.upper() if plain else name


def role_of(names: Names, user: str) -> str | None:
    """Returns the only role of a user of CI; None for people, who have several."""
    roles = {names.service_user: names.role, names.ci_user: names.dev_role}
    return next((role.name for who, role in roles.items() if who.name == user), None)


def with_github(
    found: status.Status, arguments: argparse.Namespace, place: Place | None, github: Gh
) -> status.Status:
    """Adds the status of the environment that keeps the key to the status of the key."""
    if place is None or arguments.no_github:
        return found
    there = status.of_github(place, github)
    return status.Status(
        found.lines + there.lines, found.attention + there.attention, found.notes + there.notes
    )


def workload_identity(
    arguments: argparse.Namespace,
    member: Member,
    names: Names,
    name: str,
    place: Place,
    github: Gh,
) -> int:
    """Closes the environment of a user without a key, or shows its status.

    Nothing but the limit of the environment keeps others out. So it is closed before `apply` lets
    its jobs sign in. Raises MeshError.
    """
    cli.say(
        f"{name} signs in with GitHub's own token (answer auth: workload_identity): "
        "there is no key to make or keep"
    )
    if arguments.command == "create" and not (arguments.no_github or arguments.dry_run):
        try:
            place.close_by(github, cli.say)
        except MeshError as error:
            raise MeshError(
                f"{error}\nRun this again before `scripts/snowflake_access.py apply`, which lets "
                f"jobs of {place.environment} sign in"
            ) from None
    found = status.Status()
    if arguments.command != "create":  # at `create`, the account does not have the user yet
        session = open_session(arguments, member, names, name, None)
        found = status.of_workload_identity(User(session, name))
    shown = with_github(found, arguments, place, github).show()
    return shown if arguments.command == "status" else cli.OK


@contextlib.contextmanager
def one_at_a_time(files: KeyFiles) -> Iterator[None]:
    """Locks the key files: two runs would each make a key, and one of the keys would be lost.

    Raises MeshError where another run has the lock.
    """
    from filelock import FileLock, Timeout

    folder = files.make_folder()
    try:
        with FileLock(folder / f".{files.current.name}.lock", timeout=0):
            yield
    except Timeout:
        raise MeshError(f"another ./setup_keypair_auth.sh is at work on {files.current}") from None


def open_session(
    arguments: argparse.Namespace,
    member: Member,
    names: Names,
    user: str,
    ring: KeyRing | None,
) -> Session | None:
    """Opens a session with the connection that a flag or the environment names, or else as the user
    with its own key.

    None where there is neither a connection nor a key that works. Raises MeshError where the
    connection fails.
    """
    from dbtmesh.snowflake import session as snowflake

    if snowflake.is_configured(arguments.connection):
        session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
        if session.user.upper() != user:
            session.use(sql_name(arguments.role))
        return session
    reach = snowflake.reach_of(member.snowflake.get("account"))
    if ring and reach:
        for which in (File.NEXT, File.CURRENT):
            if ring.files.exists(which):
                with contextlib.suppress(snowflake.Refused):
                    key = ring.key(which)
                    return snowflake.sign_in_with_key(user, key, reach, role_of(names, user))
    return None
