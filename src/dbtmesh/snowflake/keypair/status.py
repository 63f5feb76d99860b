"""Reports the state of a user's keys on this machine, in the account and on GitHub."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field

from dbtmesh import MeshError, cli
from dbtmesh.ci.github import protection
from dbtmesh.ci.github.gh import HERE, Gh
from dbtmesh.ci.github.secret import Place
from dbtmesh.snowflake.keypair import rsa_keys
from dbtmesh.snowflake.keypair.files import File
from dbtmesh.snowflake.keypair.key_ring import KeyRing
from dbtmesh.snowflake.keypair.rotation import shown
from dbtmesh.snowflake.keypair.user import User

DAY = 86400  # seconds


@dataclass
class Status:
    """What was found. lines: the facts. attention: what somebody has to fix. notes: what is not
    known."""

    lines: list[str] = field(default_factory=list)
    attention: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self) -> int:
        """Prints it and returns the exit status, which is 2 if something needs attention."""
        cli.say(*self.lines, *(f"attention  {line}" for line in self.attention))
        for line in self.notes:
            cli.note(line)
        return cli.FOUND if self.attention else cli.OK


def of_key(user: User, ring: KeyRing, max_age: int) -> Status:
    """Reports on a user that signs in with a key. max_age: the age in days from which a rotation is
    asked for. Raises MeshError."""
    files = ring.files
    here: dict[str, str] = {}
    found = Status([f"user       {user.name}"])
    command = f"./setup_keypair_auth.sh {{}} --user {shlex.quote(user.name)}"
    current = files.path(File.CURRENT)
    for which in File:
        if files.exists(which):
            key, path = ring.key(which), files.path(which)
            here[rsa_keys.fingerprint(key)] = shown(path)
            days = int((time.time() - path.stat().st_mtime) // DAY)
            size = f"RSA, {key.key_size} bits, {days} days old"
            found.lines.append(f"file       {shown(path)}: {size}")
            if which is File.CURRENT and days > max_age:
                found.attention.append(
                    f"the key is older than {max_age} days: {command.format('rotate')}"
                )
    if files.exists(File.NEXT) or files.exists(File.OLD):
        found.attention.append(f"a rotation was begun and not finished: {command.format('rotate')}")
    if not files.exists(File.CURRENT):
        found.attention.append(f"{shown(current)} is missing: {command.format('create')}")
    if user.session is None:
        found.attention.append(
            "what Snowflake accepts is unknown: no connection (--connection NAME)"
        )
        return found
    registered = user.registered()
    for name, accepted in registered.items():
        where = here.get(accepted, "not on this machine")
        found.lines.append(f"accepted   {accepted} ({name}): {where}")
        if accepted not in here:
            found.attention.append(f"Snowflake accepts a key that is not here ({name})")
    in_use = ring.fingerprint(File.CURRENT)
    if in_use and in_use not in registered.values():
        found.attention.append(f"{shown(current)} is not registered: {command.format('create')}")
    elif in_use:
        try:
            user.sign_in(ring.key(File.CURRENT))
            found.lines.append("sign-in    works")
        except MeshError as error:
            found.attention.append(str(error))
    return found


def of_workload_identity(user: User) -> Status:
    """Reports on a user that signs in without a key: how the account has set it up, if there is a
    connection. Raises MeshError."""
    if user.session is None:
        return Status()
    properties = user.properties()
    found = Status(
        attention=[f"Snowflake accepts a key, too ({name})" for name in user.registered()]
    )
    if properties is None:
        found.notes.append(f"{user.session.role} may not see whom {user.name} trusts")
        return found
    trusts = properties.get("HAS_WORKLOAD_IDENTITY") == "true"
    found.lines.append(f"type       {properties.get('TYPE', 'PERSON')}")
    found.lines.append(f"token      {'trusted' if trusts else 'not trusted'}")
    if not trusts:
        found.attention.insert(0, "no token is trusted: `scripts/snowflake_access.py apply`")
    return found


def of_github(place: Place, github: Gh) -> Status:
    """Reports who can use the GitHub environment from which the user signs in."""
    try:
        github.check()
        looked = protection.look(
            github, place.repository or HERE, place.environment, place.branch or ""
        )
    except MeshError as error:
        return Status(
            notes=[f"who can use the environment {place.environment} is unknown: {error}"]
        )
    closed = place.branch is not None
    return Status(list(looked.lines), list(looked.problems) if closed else [])
