"""Key pairs that CI, or a person, signs in to Snowflake with; `./setup_keypair_auth.sh` runs it.

  create   makes a key for a user, tells Snowflake and GitHub, and signs in with it
  rotate   replaces the key; at every moment there is one that works, here and in CI
  status   says how things stand; exit status 2 when something needs attention

Each can be interrupted and run again: it finds out where it stopped. The private key lies in
~/.snowflake/keys/<USER>.p8, for its owner alone, and in GitHub's secrets; nowhere else.

Exit status: 0 done, 1 it failed, 2 status found something that needs attention.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli
from dbtmesh.config import Member, load_member
from dbtmesh.snowflake import keypair
from dbtmesh.snowflake.keypair import KeyFiles, Situation, Step
from dbtmesh.snowflake.names import Names, names_of
from dbtmesh.snowflake.session import Refused
from dbtmesh.warehouse.names import sql_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from dbtmesh.snowflake.session import Row, Session

PASSPHRASE = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
MAX_AGE = 90
"""Days after which `status` asks for a rotation."""
GITHUB_TIMEOUT = 60  # seconds


def main(words: Sequence[str], root: Path) -> int:
    arguments = _arguments(words)
    member = load_member(root)
    names = names_of(member)
    user = names.service_user.name if arguments.user is None else _user_name(arguments.user)
    secret = github_secret(names, member, user)
    if secret and member.snowflake.get("auth") == "workload_identity":
        return workload_identity(arguments, member, user)
    files = KeyFiles((arguments.key_file or keypair.default_file(user)).expanduser().absolute())
    keypair.refuse_work_tree(files.current)
    keys = KeyRing(files, Passphrase(arguments.passphrase))
    session = open_session(arguments, member, user, keys)
    account = Account(session, user, role_of(names, user))
    if arguments.command == "status":
        return status(account, keys, arguments.max_age)
    with one_at_a_time(files):
        return Work(arguments, member.root, account, keys, secret).run()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    arguments = cli.parser(__doc__ or "")
    arguments.prog = "setup_keypair_auth.sh"
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
        help="the user's registered keys that are not on this machine are lost: unset them",
    )
    arguments.add_argument(
        "--max-age",
        type=int,
        default=MAX_AGE,
        metavar="DAYS",
        help=f"age from which `status` asks for a rotation (default {MAX_AGE})",
    )
    return arguments.parse_args(words)


def _user_name(name: str) -> str:
    """As Snowflake stores it: upper case, unless it is a name that SQL has to quote."""
    if not name.isprintable() or not 0 < len(name) <= 255:
        raise MeshError(f"{name!r} is no name of a user: printable text, at most 255 characters")
    plain = name.isascii() and name.replace("_", "").isalnum() and not name[0].isdigit()
    return name.upper() if plain else name


def _shown(path: Path) -> str:
    """As people write it."""
    inside = path.is_relative_to(Path.home())
    return f"~/{path.relative_to(Path.home())}" if inside else str(path)


def role_of(names: Names, user: str) -> str | None:
    """The one role that a user of CI has; people have several."""
    roles = {names.service_user: names.role, names.ci_user: names.dev_role}
    return next((role.name for who, role in roles.items() if who.name == user), None)


@contextlib.contextmanager
def one_at_a_time(files: KeyFiles) -> Iterator[None]:
    """Two at once would each make a key, and one of them would be lost."""
    from filelock import FileLock, Timeout

    folder = files.current.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder == keypair.keys_folder():
        folder.chmod(0o700)
    try:
        with FileLock(folder / f".{files.current.name}.lock", timeout=0):
            yield
    except Timeout:
        raise MeshError(f"another setup_keypair_auth.sh is at work on {files.current}") from None


# ── The steps ─────────────────────────────────────────────────────────────────────────


class Work:
    """Making or rotating one user's key: looks, does the next step, looks again."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        root: Path,
        account: Account,
        keys: KeyRing,
        secret: Secret | None,
    ) -> None:
        self.root, self.account, self.keys, self.files = root, account, keys, keys.files
        self.secret = None if arguments.no_github else secret
        self.unset_others: bool = arguments.unset_others
        begun = self.files.next.exists() or self.files.old.exists()
        if arguments.command == "rotate" and begun:
            cli.say("going on with the rotation that was begun")
        self.renew = arguments.command == "rotate" and not begun
        self.signed_in = False
        self.handed_over = self.secret is None
        self.left: list[str] = []

    def run(self) -> int:
        """Raises MeshError where a step fails; what was done before it stays done."""
        perform = {
            Step.GENERATE: self.generate,
            Step.REGISTER: self.register,
            Step.PROMOTE: self.promote,
            Step.SIGN_IN: self.sign_in,
            Step.HAND_OVER: self.hand_over,
            Step.RETIRE: self.retire,
            Step.FORGET: self.forget,
            Step.UNSET_OTHER: self.unset_other,
        }
        while (step := keypair.next_step(now := self.situation())) is not Step.DONE:
            perform[step](now)
        self.left += [
            f"Snowflake accepts another key, which is not here ({name}: {key}): when nobody uses "
            "it, add --unset-others"
            for name, key in now.others.items()
        ]
        for left in self.left:
            cli.say(f"left to do  {left}")
        return cli.OK

    def situation(self) -> Situation:
        registered = self.account.registered()
        return Situation(
            registered=registered,
            room=self.account.has_room(registered),
            current=self.keys.fingerprint(self.files.current),
            next=self.keys.fingerprint(self.files.next),
            old=self.keys.fingerprint(self.files.old),
            renew=self.renew,
            unset_others=self.unset_others,
            signed_in=self.signed_in,
            handed_over=self.handed_over,
        )

    def generate(self, now: Situation) -> None:
        key = self.keys.generate()
        self.renew = False
        cli.say(f"made        {_shown(self.files.next)} (RSA, {key.key_size} bits)")

    def register(self, now: Situation) -> None:
        key = self.keys.key(self.files.next if now.next else self.files.current)
        name = self.account.register(key, now.registered)
        cli.say(f"registered  {keypair.fingerprint(key)} ({name} of {self.account.user})")

    def promote(self, now: Situation) -> None:
        self.account.sign_in(self.keys.key(self.files.next))
        self.signed_in, self.handed_over = True, self.secret is None
        self.keys.promote()
        cli.say(
            f"signed in   as {self.account.user} with the new key; it is {self.files.current} now"
        )

    def sign_in(self, now: Situation) -> None:
        self.account.sign_in(self.keys.key(self.files.current))
        self.signed_in = True
        cli.say(f"signed in   as {self.account.user} with {_shown(self.files.current)}")

    def hand_over(self, now: Situation) -> None:
        """Without its passphrase: one that lay beside the key would protect nothing."""
        assert self.secret is not None
        try:
            self.secret.set(keypair.private_pem(self.keys.key(self.files.current)), self.root)
            cli.say(f"handed over to GitHub, as {self.secret}")
        except MeshError as error:
            by_hand = f"{error}; by hand: {self.secret.by_hand(self.files.current)}"
            if now.old in now.accepted:
                raise MeshError(
                    f"GitHub does not have the new key, so the old one stays valid: {by_hand}\n"
                    "Then (or if there is no CI yet) run this again with --no-github"
                ) from None
            if now.others and self.unset_others:  # one of which is what CI has, for all we know
                raise MeshError(
                    f"GitHub does not have the new key, so no other key is unset: {by_hand}\n"
                    "Then run this again with --no-github; the file dies with a runner of CI, so "
                    "there run it again once GitHub takes secrets"
                ) from None
            self.left.append(f"GitHub does not have the key: {by_hand}")
        self.handed_over = True

    def retire(self, now: Situation) -> None:
        name = next(name for name, key in now.registered.items() if key == now.old)
        self.account.remove(name)
        cli.say(f"unset       {now.old} ({name}): it no longer signs in")

    def forget(self, now: Situation) -> None:
        self.files.old.unlink()
        cli.say(f"deleted     {_shown(self.files.old)}")

    def unset_other(self, now: Situation) -> None:
        name, key = next(iter(now.others.items()))
        self.account.remove(name)
        cli.say(f"unset       {key} ({name}): it no longer signs in")


def status(account: Account, keys: KeyRing, max_age: int) -> int:
    """Prints what there is, then what needs attention; exit status 2 where something does."""
    files = keys.files
    here: dict[str, str] = {}
    attention = []
    command = f"./setup_keypair_auth.sh {{}} --user {shlex.quote(account.user)}"
    cli.say(f"user       {account.user}")
    for path in (files.current, files.next, files.old):
        if path.exists():
            key = keys.key(path)
            here[keypair.fingerprint(key)] = _shown(path)
            days = int((time.time() - path.stat().st_mtime) // 86400)
            cli.say(f"file       {_shown(path)}: RSA, {key.key_size} bits, {days} days old")
            if path == files.current and days > max_age:
                attention.append(
                    f"the key is older than {max_age} days: {command.format('rotate')}"
                )
    if files.next.exists() or files.old.exists():
        attention.append(f"a rotation was begun and not finished: {command.format('rotate')}")
    if not files.current.exists():
        attention.append(f"{_shown(files.current)} is missing: {command.format('create')}")
    if account.session is None:
        attention.append("what Snowflake accepts is unknown: no connection (--connection NAME)")
    else:
        registered = account.registered()
        for name, accepted in registered.items():
            cli.say(f"accepted   {accepted} ({name}): {here.get(accepted, 'not on this machine')}")
            if accepted not in here:
                attention.append(f"Snowflake accepts a key that is not here ({name})")
        current = keys.fingerprint(files.current)
        if current and current not in registered.values():
            attention.append(
                f"{_shown(files.current)} is not registered: {command.format('create')}"
            )
        elif current:
            try:
                account.sign_in(keys.key(files.current))
                cli.say("sign-in    works")
            except MeshError as error:
                attention.append(str(error))
    for line in attention:
        cli.say(f"attention  {line}")
    return cli.FOUND if attention else cli.OK


def workload_identity(arguments: argparse.Namespace, member: Member, user: str) -> int:
    """There is no key; shows how the user is set up, where there is a connection."""
    cli.say(
        f"{user} signs in with GitHub's own token (answer auth: workload_identity): "
        "there is no key to make or keep"
    )
    session = open_session(arguments, member, user, None)
    if session is None:
        return cli.OK
    account = Account(session, user)
    properties = account.properties()
    trusts = properties.get("HAS_WORKLOAD_IDENTITY") == "true"
    attention = [] if trusts else ["no token is trusted: `scripts/snowflake_access.py apply`"]
    attention += [f"Snowflake accepts a key, too ({name})" for name in account.registered()]
    cli.say(f"type       {properties.get('TYPE', 'PERSON')}")
    cli.say(f"token      {'trusted' if trusts else 'not trusted'}")
    for line in attention:
        cli.say(f"attention  {line}")
    return cli.FOUND if attention else cli.OK


# ── Keys on this machine ──────────────────────────────────────────────────────────────


class Passphrase:
    """Asked for once, and only where a key needs it; from the environment or the terminal."""

    def __init__(self, for_new_keys: bool) -> None:
        self.for_new_keys = for_new_keys
        self._known = os.environ.get(PASSPHRASE) or None

    def of(self, path: Path) -> str | None:
        if not self._known and sys.stdin.isatty():
            self._known = getpass.getpass(f"Passphrase of {path}: ")
        return self._known

    def of_new_key(self) -> str | None:
        """Raises MeshError where there is nobody to ask, or the two answers differ."""
        if not self.for_new_keys or self._known:
            return self._known if self.for_new_keys else None
        if not sys.stdin.isatty():
            raise MeshError(f"--passphrase needs ${PASSPHRASE}, or a terminal to ask in")
        first = getpass.getpass("Passphrase for the new key: ")
        if not first or first != getpass.getpass("Once more: "):
            raise MeshError("the two passphrases differ, or are empty: nothing was made")
        self._known = first
        return first


class KeyRing:
    """The key files of a user, opened."""

    def __init__(self, files: KeyFiles, passphrase: Passphrase) -> None:
        self.files = files
        self._passphrase = passphrase
        # A key is checked when it is parsed, which takes longer than everything else here.
        self._parsed: dict[bytes, RSAPrivateKey] = {}

    def key(self, path: Path) -> RSAPrivateKey:
        """Raises MeshError where there is none, or it cannot be read."""
        pem = keypair.read_private(path)
        if pem not in self._parsed:
            passphrase = self._passphrase.of(path) if keypair.is_encrypted(pem) else None
            self._parsed[pem] = keypair.parse_private(pem, path, passphrase)
        return self._parsed[pem]

    def fingerprint(self, path: Path) -> str | None:
        return keypair.fingerprint(self.key(path)) if path.exists() else None

    def generate(self) -> RSAPrivateKey:
        """Writes <USER>.next.p8; encrypted where that is asked for, or the key in use is."""
        current = self.files.current
        if current.exists() and keypair.is_encrypted(keypair.read_private(current)):
            self._passphrase.for_new_keys = True
        passphrase = self._passphrase.of_new_key()
        key = keypair.generate()
        keypair.write_private(self.files.next, keypair.private_pem(key, passphrase))
        return key

    def promote(self) -> None:
        """Puts <USER>.next.p8 in the place of the key in use, which is kept as <USER>.old.p8."""
        if self.files.current.exists():
            keypair.write_private(self.files.old, keypair.read_private(self.files.current))
        self.files.next.replace(self.files.current)


# ── GitHub ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Secret:
    """Where GitHub keeps the key of a user that CI signs in as, and how it gets there.

    The key that deploys is a secret of the environment `prod`, which GitHub keeps from the
    workflows of pull requests; theirs is one of the environment `ci`. branch: the one that may use
    the environment; with it the default branch, where that is another.
    """

    environment: str
    repository: str | None
    branch: str | None = None
    name: str = "SNOWFLAKE_PRIVATE_KEY"

    def __str__(self) -> str:
        return f"{self.name} of the environment {self.environment}"

    @property
    def command(self) -> list[str]:
        """Takes the secret on standard input: a command line is there for everybody to read."""
        repository = ["--repo", self.repository] if self.repository else []
        return ["gh", "secret", "set", self.name, "--env", self.environment, *repository]

    def by_hand(self, file: Path) -> str:
        """The same in a shell; openssl takes a passphrase off, and asks for it."""
        return f"openssl pkcs8 -in {shlex.quote(str(file))} | {shlex.join(self.command)}"

    def set(self, value: bytes, root: Path) -> None:
        """Raises MeshError where GitHub does not have it then. root: of the member."""
        if not shutil.which("gh"):
            raise MeshError("GitHub's command line tool `gh` is not here")
        gh = functools.partial(_gh, root=root)
        if gh(["gh", "auth", "status"]):
            raise MeshError("`gh` is not signed in to GitHub (`gh auth login`)")
        # Made only where it is missing: a second PUT would take its protection rules away.
        of = f"{self._repo}/environments/{self.environment}"
        complaint = gh(["gh", "api", of, "--silent"])
        if "404" in complaint:  # which GitHub says to those who may not see it, too
            self._make_environment(gh, of, complaint, root)
        elif complaint:
            self._unread(complaint)
        if complaint := gh(self.command, value):
            raise MeshError(f"gh says: {complaint}")

    @property
    def _repo(self) -> str:
        return f"repos/{self.repository or '{owner}/{repo}'}"

    def _make_environment(
        self, gh: Callable[[list[str]], str], of: str, missing: str, root: Path
    ) -> None:
        """https://docs.github.com/en/rest/deployments/environments"""
        put = ["gh", "api", "--method", "PUT", of, "--silent"]
        if self.branch is None:
            if gh(put):
                self._unread(missing)
            return
        rule = "deployment_branch_policy"
        limit = [f"{rule}[protected_branches]=false", f"{rule}[custom_branch_policies]=true"]
        post = ["gh", "api", "--method", "POST", f"{of}/deployment-branch-policies", "--silent"]
        complaint = gh([*put, "-F", limit[0], "-F", limit[1]])
        complaint = complaint or gh([*post, "-f", f"name={self.branch}"])
        if not complaint:
            allowed = [self.branch, *self._let_default_branch(gh, post, root)]
            cli.say(f"environment {self.environment}: only {' and '.join(allowed)} may deploy")
        elif gh(put):
            self._unread(missing)
        else:  # a private repository of a plan that has no such rules
            cli.say(
                f"note        any branch may deploy to {self.environment}, for GitHub did not "
                f"limit it to {self.branch} ({complaint}): see Settings, Environments"
            )

    def _let_default_branch(
        self, gh: Callable[[list[str]], str], post: list[str], root: Path
    ) -> list[str]:
        """The default branch, where it is another and may deploy now: what a schedule or an event
        starts is a run of that, whichever its job checks out, and GitHub goes by the run."""
        default, complaint = _ask_gh(["gh", "api", self._repo, "--jq", ".default_branch"], root)
        if default == self.branch:
            return []
        if not default:
            what = f"the repository's default branch could not be read ({complaint or 'no name'})"
        elif complaint := gh([*post, "-f", f"name={default}"]):
            what = f"GitHub did not let {default} deploy, the default branch ({complaint})"
        else:
            cli.say(f"note        {default} is the default branch: schedules and events run on it")
            return [default]
        cli.say(
            f"note        {what}: unless it is {self.branch}, no schedule and no event will deploy "
            f"before it may use {self.environment} (Settings, Environments)"
        )
        return []

    def _unread(self, complaint: str) -> None:
        cli.say(
            f"note        the environment {self.environment} could not be read ({complaint}) and "
            "stays as it is: see Settings, Environments for the branches that may use it"
        )


def _ask_gh(command: list[str], root: Path, stdin: bytes = b"") -> tuple[str, str]:
    """What gh says, and what it complains about in one line; nothing where it is content."""
    try:
        done = subprocess.run(
            command, cwd=root, input=stdin, capture_output=True, timeout=GITHUB_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return "", "no answer in time"
    if not done.returncode:
        return done.stdout.decode(errors="replace").strip(), ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return "", lines[0] if lines else f"exit status {done.returncode}"


def _gh(command: list[str], stdin: bytes = b"", *, root: Path) -> str:
    """Runs gh, and gives what it complains about."""
    return _ask_gh(command, root, stdin)[1]


def github_secret(names: Names, member: Member, user: str) -> Secret | None:
    """The secret of one of CI's two users; a person's key is nobody else's."""
    if user == names.service_user.name:
        return Secret(member.deploy_environment, member.github_repository, member.deploy_branch)
    if user == names.ci_user.name:
        return Secret(member.ci_environment, member.github_repository)
    return None


# ── The user in the account ───────────────────────────────────────────────────────────


class Account:
    """One user as the account knows it, through a session that may change it.

    session: None where there is no connection; then nothing is known of the user.
    restriction: the role that a named key pair is bound to.
    """

    def __init__(self, session: Session | None, user: str, restriction: str | None = None) -> None:
        self.session, self.user, self.restriction = session, user, restriction
        self._login = user
        self._knows_named_pairs = session is not None
        self._pair_names: frozenset[str] = frozenset()

    def properties(self) -> dict[str, str]:
        """DESC USER, without what is not set. Raises MeshError where there is no such user."""
        assert self.session is not None
        role = self.session.role
        try:
            rows = self.session.rows(f"DESC USER {sql_name(self.user)}", role)
        except Refused:
            raise MeshError(
                f"user {self.user} does not exist, or {role} may not see it: "
                "`scripts/snowflake_access.py apply` creates this project's users"
            ) from None
        return {row["property"]: row["value"] for row in rows if row["value"] not in ("", "null")}

    def registered(self) -> dict[str, str]:
        """Fingerprints of the user's keys by slot or name. Raises MeshError."""
        if self.session is None:
            return {}
        properties = self.properties()
        self._login = properties.get("LOGIN_NAME", self.user)
        pairs = self._named_pairs(self.session)
        self._pair_names = frozenset(str(pair["name"]) for pair in pairs)
        return keypair.registered_keys(properties, pairs)

    def _named_pairs(self, session: Session) -> list[Row]:
        """SHOW USER KEY PAIRS; accounts that do not know it are asked once."""
        if self._knows_named_pairs:
            try:
                user = sql_name(self.user)
                return session.rows(f"SHOW USER KEY PAIRS FOR USER {user}", session.role)
            except Refused:
                self._knows_named_pairs = False
        return []

    def has_room(self, registered: Mapping[str, str]) -> bool:
        return self._knows_named_pairs or keypair.free_slot(registered) is not None

    def register(self, key: RSAPrivateKey, registered: Mapping[str, str]) -> str:
        """Tells Snowflake a public key, and gives its slot or name. Raises MeshError."""
        if self._knows_named_pairs:
            replaces = keypair.PAIR in self._pair_names
            self._change(keypair.add_pair_sql(self.user, key, self.restriction, replaces=replaces))
            return keypair.PAIR
        slot = keypair.free_slot(registered)
        assert slot is not None
        self._change(keypair.set_slot_sql(self.user, slot, key))
        return slot

    def remove(self, name: str) -> None:
        """Raises MeshError."""
        self._change(keypair.remove_sql(self.user, name))

    def _change(self, sql: str) -> None:
        """Runs a statement, or shows it to be run by somebody who may. Raises MeshError then."""
        why = "there is no connection to Snowflake (--connection NAME)"
        if self.session is not None:
            try:
                self.session.run(sql, self.session.role)
                return
            except Refused as error:
                why = f"Snowflake did not do it for {self.session.role} ({error})"
        cli.say("", "USE ROLE USERADMIN;", f"{sql};", "")
        raise MeshError(f"{why}: have an administrator run the above, then run this again")

    def sign_in(self, key: RSAPrivateKey) -> None:
        """Signs in as the user with a key. Raises MeshError where Snowflake refuses."""
        from dbtmesh.snowflake import session as snowflake

        assert self.session is not None
        try:
            snowflake.sign_in_with_key(self._login, key, self.session.reach).close()
        except Refused as error:
            raise MeshError(
                f"Snowflake does not let {self.user} in with this key; a network policy or a wrong "
                f"clock has that effect, too: {error}"
            ) from None


# ── Sessions ──────────────────────────────────────────────────────────────────────────


def open_session(
    arguments: argparse.Namespace, member: Member, user: str, keys: KeyRing | None
) -> Session | None:
    """By the connection that is named, else the environment's, else as the user with its own key.

    None where there is none of these. Raises MeshError where the one that was named fails.
    """
    from dbtmesh.snowflake import session as snowflake

    if snowflake.is_configured(arguments.connection):
        session = snowflake.connect(arguments.connection, member.snowflake.get("account"))
        if session.user.upper() != user:
            session.use(sql_name(arguments.role))
        return session
    reach = snowflake.reach_of(member.snowflake.get("account"))
    if keys and reach:
        for path in (keys.files.next, keys.files.current):
            if path.exists():
                with contextlib.suppress(snowflake.Refused):
                    return snowflake.sign_in_with_key(user, keys.key(path), reach)
    return None
