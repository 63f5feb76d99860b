"""Provides an account, a laptop and GitHub's `gh` for tests of key pairs and hooks."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import shutil
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

GH_STANDIN = r"""
# A stand-in for GitHub's command line tool: notes what it is asked, and answers as it is told: by
# variables, and by files beside its log, such as `gh pr list`. What goes to the API is sent to
# $GITHUB_API_URL; without one there is a repository whose environments are limited to main.
LC_ALL=C  # lengths are in bytes
asked=("$@") word="$1 $2" given=
[ -t 0 ] || IFS= read -r -d '' given

quote() {  # $quoted is the text as JSON
    local slash='\' quote='"' text=$1
    text=${text//"$slash"/"$slash$slash"}
    text=${text//"$quote"/"$slash$quote"}
    text=${text//$'\n'/"${slash}n"}
    text=${text//$'\r'/"${slash}r"}
    text=${text//$'\t'/"${slash}t"}
    quoted=$quote$text$quote
}

send() {  # METHOD PATH BODY: $status and $text of the answer
    local place=${GITHUB_API_URL#http://} line
    exec 3<> "/dev/tcp/${place%%:*}/${place##*:}"
    printf '%s\r\n' "$1 /$2 HTTP/1.0" "Authorization: Bearer ${GH_TOKEN:-$person}" \
        "Content-Length: ${#3}" "" >&3
    printf '%s' "$3" >&3
    read -r _ status _ <&3
    while IFS= read -r line <&3 && [ "$line" != $'\r' ]; do :; done
    IFS= read -r -d '' text <&3
}

note=
for each in "${asked[@]}"; do
    quote "$each"
    note+=${note:+, }$quoted
done
quote "$given"
printf '%s\n' "{\"asked\": [$note], \"given\": $quoted}" >> "$log"

[ "$GH_STANDIN_KILLS_AT" != "$word" ] || kill -KILL $PPID
for each in "$word" "${asked[@]}"; do
    if [[ -n $each && ",$GH_STANDIN_FAILS_AT," == *",$each,"* ]]; then
        printf '%s\n' "${GH_STANDIN_SAYS:-HTTP 403: Resource not accessible}" "$given" >&2
        exit 1
    fi
done
for ((number = 0; number < $#; number++)); do
    case ${asked[number]} in
        --method) method=${asked[number + 1]} path=${asked[number + 2]} ;;
        --repo) repository=${asked[number + 1]} ;;
        --env) environment=${asked[number + 1]} ;;
    esac
done
if [ "$1" = api ]; then
    path=${path//"{owner}/{repo}"/"${GH_REPO:-acme/dbt-up}"}
    status=200
    if [ -n "$GITHUB_API_URL" ]; then
        send "$method" "$path" "$given"
    elif [[ $path == *deployment-branch-policies* ]]; then
        text='{"branch_policies": [{"name": "main", "type": "branch"}]}'
    elif [[ $path == *environments* ]]; then
        text='{"deployment_branch_policy": {"custom_branch_policies": true}}'
    else
        text='{"private": false, "default_branch": "main"}'
    fi
    printf '%s\n' "HTTP/2.0 $status Said" "Content-Type: application/json" "" "$text"
    [ "$status" -lt 300 ]
    exit
fi
if [ -n "$GITHUB_API_URL" ] && [ "$word" = "secret set" ]; then
    send PUT "repos/$repository/environments/$environment/secrets/$3" "{\"value\": $quoted}"
    if [ "$status" -ge 300 ]; then
        echo "failed to set secret: HTTP $status: $text" >&2
        exit 1
    fi
fi
[ ! -e "${log%/*}/gh $word" ] || printf '%s\n' "$(< "${log%/*}/gh $word")"
"""


def gh_standin(log: Path) -> str:
    """Returns the stand-in for `gh`, which records its calls in `log`.

    It is a shell script, because Python starts more slowly.
    """
    bash = shutil.which("bash")
    return f"#!{bash}\nlog={shlex.quote(str(log))} person={shlex.quote(PERSON)}\n{GH_STANDIN}"


def add_users(standin: Standin, *users: str, prefix: str = "DBT_UP") -> None:
    """Adds the users of a member as its SQL does, as far as they are needed to sign in."""
    for user in users or (f"{prefix}_SVC", f"{prefix}_CI_SVC"):
        role = f"{prefix}_DEV_ROLE" if user.endswith("_CI_SVC") else f"{prefix}_ROLE"
        standin.model.run_script(
            f"USE ROLE USERADMIN; CREATE ROLE IF NOT EXISTS {role};"
            f"CREATE USER {user} TYPE = SERVICE DEFAULT_ROLE = {role} DEFAULT_SECONDARY_ROLES = ();"
            f"GRANT ROLE {role} TO USER {user};"
        )


class TeamLaptop(Laptop):
    """A laptop with a clone of a member, with or without `gh`."""

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
        """A PATH with the machine's programs, but without `gh`, which some machines have."""
        folder = Path(tempfile.mkdtemp(dir=self.home))
        for program in Path("/usr/bin").iterdir():
            if program.name != "gh":
                (folder / program.name).symlink_to(program)
        return str(folder)

    @property
    def gh_calls(self) -> list[dict[str, Any]]:
        log = self.home / "gh.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def github_key(self) -> str | None:
        """The fingerprint of the key that GitHub has as the secret of deploys."""
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
        """Starts ./setup_keypair_auth.sh without waiting for it. KILL ends it like SIGKILL."""
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
        """Runs a command that has to succeed. Returns its output."""
        done = self.keypair(*arguments, connection=connection, **environment)
        assert done.status == 0, done.out + done.err
        return done.out

    def refused(self, *arguments: str, connection: str | None = "admin", **environment: str) -> str:
        """Runs a command that has to fail. Returns its error of one or two lines."""
        return self.keypair(*arguments, connection=connection, **environment).refusal

    def has_a_key(self, github: bool = True) -> None:
        """Brings about the state that `create` leaves behind, but faster."""
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
        """Returns the fingerprints of the keys with which a user can sign in now."""
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
        """The error of a failed command: one or two lines."""
        assert self.status == 1, self.out + self.err
        assert 1 <= len(self.err.strip().splitlines()) <= 2, self.err
        return self.err


@cache
def fingerprint(pem: bytes, passphrase: bytes | None = None) -> str:
    """Computes a fingerprint independently, to check the library's.

    It skips the validation of the key, which takes a tenth of a second and which the library does.
    """
    key = serialization.load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)
    public = key.public_key()
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def on_every_request(standin: Standin, look: Callable[[str], None]) -> None:
    """Calls `look` after each sign-in and statement, before the client gets its response."""
    for kind in ("sign_in", "query"):
        answer = getattr(standin, kind)

        def watched(*request: Any, answer: Any = answer) -> Any:
            answered = answer(*request)
            look(str(request[1]["sqlText"]) if len(request) == 2 else "sign in")
            return answered

        setattr(standin, kind, watched)
