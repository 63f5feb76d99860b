"""What tests of key pairs and hooks run against: an account, a laptop, and GitHub's `gh`."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests import warm
from tests.conftest import Member
from tests.github_api import PERSON
from tests.snowflake_standin import Laptop, Standin
from tests.snowflake_standin.fixtures import rsa_key
from tests.snowflake_standin.names import Ref
from tests.warm import run, server
from tests.warm.serve import KEY_BITS

ACCOUNT = "TESTORG-STANDIN"

GH_STANDIN = """#!{python} -IS
# A stand-in for GitHub's command line tool: notes what it is asked, and answers as it is told: by
# variables, and by gh.json beside its log, which has answers by how a command begins. What goes to
# the API is sent to $GITHUB_API_URL; without one there is a repository whose environments are
# limited to main.
import json, os, signal, sys
asked = sys.argv[1:]
given = "" if sys.stdin.isatty() else sys.stdin.read()
with open({log!r}, "a") as log:
    print(json.dumps({{"asked": asked, "given": given}}), file=log)
word = " ".join(asked[:2])
if os.environ.get("GH_STANDIN_KILLS_AT") == word:
    os.kill(os.getppid(), signal.SIGKILL)
if {{word, *asked}} & set(os.environ.get("GH_STANDIN_FAILS_AT", "").split(",")):
    print(os.environ.get("GH_STANDIN_SAYS", "HTTP 403: Resource not accessible"), file=sys.stderr)
    print(given, file=sys.stderr)
    sys.exit(1)
api, token = os.environ.get("GITHUB_API_URL"), os.environ.get("GH_TOKEN", {person!r})
def send(method, path, body):
    import urllib.error, urllib.request
    request = urllib.request.Request(f"{{api}}/{{path}}", body or None, method=method)
    request.add_header("Authorization", f"Bearer {{token}}")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
if asked[:1] == ["api"]:
    method, path = asked[asked.index("--method") + 1 :][:2]
    path = path.replace("{{owner}}/{{repo}}", os.environ.get("GH_REPO", "acme/dbt-up"))
    if api:
        status, text = send(method, path, given.encode())
    elif "deployment-branch-policies" in path:
        status, text = 200, '{{"branch_policies": [{{"name": "main", "type": "branch"}}]}}'
    elif "environments" in path:
        status, text = 200, '{{"deployment_branch_policy": {{"custom_branch_policies": true}}}}'
    else:
        status, text = 200, '{{"private": false, "default_branch": "main"}}'
    print(f"HTTP/2.0 {{status}} Said", "Content-Type: application/json", "", text, sep=chr(10))
    sys.exit(status >= 300)
if api and asked[:2] == ["secret", "set"]:
    where = asked[asked.index("--repo") + 1] + "/environments/" + asked[asked.index("--env") + 1]
    body = json.dumps({{"value": given}}).encode()
    status, text = send("PUT", f"repos/{{where}}/secrets/{{asked[2]}}", body)
    if status >= 300:
        sys.exit(f"failed to set secret: HTTP {{status}}: {{text}}")
answers = os.path.splitext({log!r})[0] + ".json"
known = json.load(open(answers)) if os.path.exists(answers) else {{}}
for begins in sorted(known, key=len, reverse=True):
    if " ".join(asked).startswith(begins):
        print(known[begins])
        break
"""


def gh_standin(log: Path) -> str:
    """The text of the stand-in for `gh`, which notes what it is asked in `log`."""
    return GH_STANDIN.format(python=sys.executable, log=str(log), person=PERSON)


def add_users(standin: Standin, *users: str, prefix: str = "DBT_UP") -> None:
    """The users of a member as its SQL makes them, as far as signing in goes."""
    for user in users or (f"{prefix}_SVC", f"{prefix}_CI_SVC"):
        role = f"{prefix}_DEV_ROLE" if user.endswith("_CI_SVC") else f"{prefix}_ROLE"
        standin.model.run_script(
            f"USE ROLE USERADMIN; CREATE ROLE IF NOT EXISTS {role};"
            f"CREATE USER {user} TYPE = SERVICE DEFAULT_ROLE = {role} DEFAULT_SECONDARY_ROLES = ();"
            f"GRANT ROLE {role} TO USER {user};"
        )


class TeamLaptop(Laptop):
    """A laptop with a clone of a member, and perhaps `gh`."""

    def __init__(self, home: Path, member: Member, standin: Standin) -> None:
        super().__init__(home, standin)
        self.member = member
        self.variables: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.member.environment,
            **super().environment,
            **self.variables,
            "DBT_MESH_PYTHON": sys.executable,
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def install_gh(self) -> None:
        gh = self.home / "bin/gh"
        gh.parent.mkdir(exist_ok=True)
        gh.write_text(gh_standin(self.home / "gh.log"))
        gh.chmod(0o755)

    def path_without_gh(self) -> str:
        """What a PATH leads to on every machine; some have `gh` there."""
        folder = Path(tempfile.mkdtemp(dir=self.home))
        for program in Path("/usr/bin").iterdir():
            if program.name != "gh":
                (folder / program.name).symlink_to(program)
        return str(folder)

    def github_says(self, answers: dict[str, str]) -> None:
        """What `gh` prints, by how a command begins."""
        (self.home / "gh.json").write_text(json.dumps(answers))

    @property
    def gh_calls(self) -> list[dict[str, Any]]:
        log = self.home / "gh.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def github_key(self) -> str | None:
        """Fingerprint of the key that GitHub has as the secret of the user that deploys."""
        given = [
            c["given"]
            for c in self.gh_calls
            if c["asked"][:3] == ["secret", "set", "SNOWFLAKE_PRIVATE_KEY"]
        ]
        return fingerprint(given[-1].encode()) if given else None

    def command(self, *arguments: str) -> list[str]:
        return [str(self.member.path / "setup_keypair_auth.sh"), *arguments]

    @property
    def _warm(self) -> dict[str, str]:
        python = server(warm.COMMANDS).program("python")
        return {"DBT_MESH_PYTHON": str(python), KEY_BITS: "2048"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts ./setup_keypair_auth.sh, and does not wait for it. KILL ends it like SIGKILL."""
        return subprocess.Popen(
            self.command(*arguments, "--connection", "admin"),
            cwd=self.member.path,
            env=self.environment | self._warm,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def keypair(
        self, *arguments: str, connection: str | None = "admin", **environment: str
    ) -> Result:
        """Runs ./setup_keypair_auth.sh without a terminal."""
        on = ["--connection", connection] if connection else []
        done = run(
            self.command(*arguments, *on),
            self.member.path,
            self.environment | self._warm | environment,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "PRIVATE KEY-----\n" not in done.stdout + done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, connection: str | None = "admin", **environment: str) -> str:
        """What a command prints that has to succeed."""
        done = self.keypair(*arguments, connection=connection, **environment)
        assert done.status == 0, done.out + done.err
        return done.out

    def refused(self, *arguments: str, connection: str | None = "admin", **environment: str) -> str:
        """The one or two lines of a command that has to fail."""
        return self.keypair(*arguments, connection=connection, **environment).refusal

    def has_a_key(self, github: bool = True) -> None:
        """As `create` leaves things behind, without the time that it takes."""
        key = rsa_key("laptop")
        self.file().parent.mkdir(parents=True, mode=0o700)
        self.file().write_text(key.private_pem)
        self.file().chmod(0o600)
        named = self.standin.model.behaviour.named_key_pairs
        what = "ADD KEY PAIR MESH PUBLIC_KEY" if named else "SET RSA_PUBLIC_KEY"
        self.standin.model.execute(f"ALTER USER DBT_UP_SVC {what} = '{key.public}'")
        if github:
            self.install_gh()
            call = {"asked": ["secret", "set", "SNOWFLAKE_PRIVATE_KEY"], "given": key.private_pem}
            (self.home / "gh.log").write_text(json.dumps(call) + "\n")

    def file(self, word: str = "", user: str = "DBT_UP_SVC") -> Path:
        return self.keys / f"{user}{word and '.'}{word}.p8"

    def accepted(self, user: str = "DBT_UP_SVC") -> set[str]:
        """Fingerprints of the keys that the account lets a user sign in with, as of now."""
        thing = self.standin.model.account.things[Ref("USER", (user,))]
        now = self.standin.model.clock()
        texts = [thing.properties.get(slot) for slot in ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2")]
        texts += [
            pair.public_key
            for pair in thing.key_pairs.values()
            if not pair.disabled and (pair.expires_at is None or pair.expires_at > now)
        ]
        return {
            "SHA256:"
            + base64.b64encode(hashlib.sha256(base64.b64decode(str(text))).digest()).decode()
            for text in texts
            if text
        }


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one or two lines on which a command ends that failed."""
        assert self.status == 1, self.out + self.err
        assert 1 <= len(self.err.strip().splitlines()) <= 2, self.err
        return self.err


@cache
def fingerprint(pem: bytes, passphrase: bytes | None = None) -> str:
    """Worked out here again, to check the one of the library. That a key is sound the library
    checks itself, which takes a tenth of a second."""
    key = serialization.load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)
    public = key.public_key()
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def on_every_request(standin: Standin, look: Callable[[str], None]) -> None:
    """Calls `look` after each sign-in and statement, before the client has its answer."""
    for kind in ("sign_in", "query"):
        answer = getattr(standin, kind)

        def watched(*request: Any, answer: Any = answer) -> Any:
            answered = answer(*request)
            look(str(request[1]["sqlText"]) if len(request) == 2 else "sign in")
            return answered

        setattr(standin, kind, watched)
