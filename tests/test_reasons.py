"""What a server, git or a client said itself is in the message, beside what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from obstore.exceptions import GenericError

from dbtmesh import MeshError
from dbtmesh.commands import update_template
from dbtmesh.output.error_line import telling_line
from dbtmesh.registry.folder import FolderStore
from dbtmesh.registry.google import GoogleStore
from dbtmesh.registry.latest import NothingPublished, get
from dbtmesh.registry.s3 import S3Store, _explain_connection, _is_of_all
from dbtmesh.registry.snowflake import connection

ENDPOINT = "https://s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        (
            "ProxyConnectionError",
            {"proxy_url": "http://***:***@proxy:3128"},
            ["HTTPS_PROXY", "Failed to connect to proxy URL", "proxy:3128"],
        ),
        (
            "SSLError",
            {"endpoint_url": ENDPOINT, "error": "CERTIFICATE_VERIFY_FAILED self-signed"},
            ["AWS_CA_BUNDLE", "CERTIFICATE_VERIFY_FAILED self-signed"],
        ),
        (
            "EndpointConnectionError",
            {"endpoint_url": ENDPOINT, "error": "Name does not resolve"},
            ["out of reach", "Could not connect"],
        ),
        ("ConnectionClosedError", {"endpoint_url": ENDPOINT}, ["out of reach", "was closed"]),
        (
            "ReadTimeoutError",
            {"endpoint_url": ENDPOINT, "error": "x"},
            ["no answer from", "Read timeout"],
        ),
        ("ConnectTimeoutError", {"endpoint_url": ENDPOINT, "error": "x"}, ["Connect timeout"]),
        (
            "IncompleteReadError",
            {"actual_bytes": 3, "expected_bytes": 9},
            ["broken", "3 read", "expected is 9"],
        ),
        ("ProfileNotFound", {"profile": "nobody"}, ["nobody"]),
        (
            "TokenRetrievalError",
            {"provider": "sso", "error_msg": "Token has expired"},
            ["Token has expired"],
        ),
    ],
)
def test_why_there_was_no_answer(kind: str, facts: dict[str, Any], said: list[str]) -> None:
    text = _explain_connection(getattr(exceptions, kind)(**facts), ENDPOINT)
    for each in said:
        assert each in text
    assert "\n" not in text


# What services write for an answer of 403 and the like; S3's own code tells none of it.
S3_REASONS = [
    "User: arn:aws:sts::1:assumed-role/up is not authorized to perform: kms:GenerateDataKey on "
    "resource: arn:aws:kms:eu-central-1:1:key/k because no identity-based policy allows it",
    "User: arn:aws:sts::1:assumed-role/up is not authorized to perform: s3:PutObject with an "
    "explicit deny in a service control policy",
    "Access Denied because of the VPC endpoint policy",
    "Request has expired",
    "The bucket you tried requires requester pays",
]


@pytest.mark.parametrize("reason", S3_REASONS)
@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("SlowDown", 503)])
def test_what_s3_says_stands_beside_what_to_do(reason: str, code: str, status: int) -> None:
    error = exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": reason},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "PutObject",
    )
    store = S3Store.__new__(S3Store)
    assert store._explain(error).endswith(f". S3 says: {reason}")


@pytest.mark.parametrize(
    ("code", "status", "is_of_all"),
    [
        ("RequestTimeTooSkewed", 403, True),
        ("RequestTimeout", 400, True),
        ("TooManyRequests", 429, True),
        ("SlowDown", 503, True),
        ("ExpiredToken", 400, True),
        ("AccessDenied", 403, False),
        ("InvalidObjectState", 403, False),
    ],
)
def test_what_s3_says_of_one_object_or_of_all(code: str, status: int, is_of_all: bool) -> None:
    error = exceptions.ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )
    assert _is_of_all(error) is is_of_all


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Generic GCS error: Error performing GET https://x in 3s, after 3 retries - HTTP "
            "error: error sending request\n\nDebug source:\nConnect(DnsError)",
            ". Generic GCS error: Error performing GET https://x in 3s",
        ),
        (
            "Generic GCS error: Error performing PUT - Server returned non-2xx status code: 412 "
            "Precondition Failed: <Error><Code>c</Code><Message>no</Message></Error>",
            ". Google says: no (c)",
        ),
        (
            "Error performing GET - Server returned non-2xx status code: 503 Slow Down: ",
            ". Google says: 503 Slow Down",
        ),
    ],
)
def test_a_cloud_says_nothing_where_nobody_answered(text: str, said: str) -> None:
    store = GoogleStore.__new__(GoogleStore)
    store.url = "gs://acme/registry"
    with pytest.raises(MeshError) as refused, store._errors("up/prod/latest"):
        raise GenericError(text)
    assert said in str(refused.value)
    assert ("Google says" in str(refused.value)) is ("says" in said)


@pytest.mark.parametrize(
    ("number", "is_of_server"),
    [(2003, True), (390_100, True), (250_001, False), (253_003, False), (-1, False), (None, False)],
)
def test_snowflake_says_what_the_connector_does_not(number: int | None, is_of_server: bool) -> None:
    assert connection.is_of_server(number) is is_of_server


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Of a bucket that is missing, the store says so: of a folder, reading does not tell."""
    missing = FolderStore(tmp_path / "not mounted")
    with pytest.raises(NothingPublished, match="a folder that does not exist"):
        get(missing, "up", "prod")
    with pytest.raises(NothingPublished) as told:
        get(FolderStore(tmp_path), "up", "prod")
    assert "does not exist" not in str(told.value)


GIT = {
    "workflows": (
        "remote: Resolving deltas: 100% (3/3), done.\nTo https://github.com/acme/up\n"
        " ! [remote rejected] mesh/update -> mesh/update (refusing to allow a GitHub App to create "
        "or update workflow `.github/workflows/ci.yml` without `workflows` permission)\n"
        "error: failed to push some refs to 'https://github.com/acme/up'\n",
        "without `workflows` permission",
    ),
    "protected": (
        "remote: error: GH006: Protected branch update failed for refs/heads/main.\n"
        "remote: error: At least 1 approving review is required.\n"
        "To https://github.com/acme/up\n ! [remote rejected] main -> main (protected branch hook "
        "declined)\nerror: failed to push some refs to 'https://github.com/acme/up'\n",
        "GH006: Protected branch",
    ),
    "not fast-forward": (
        "To /srv/up\n ! [rejected] main -> main (non-fast-forward)\n"
        "error: failed to push some refs to '/srv/up'\nhint: Updates were rejected because\n",
        "(non-fast-forward)",
    ),
    "auth": (
        "remote: Invalid username or token. Password authentication is not supported\n"
        "fatal: Authentication failed for 'https://github.com/acme/up/'\n",
        "Authentication failed",
    ),
    "proxy": (
        "fatal: unable to access 'https://github.com/acme/up/': Received HTTP code 407 from proxy "
        "after CONNECT\n",
        "407 from proxy",
    ),
    "certificate": (
        "fatal: unable to access 'https://git.acme.com/up/': SSL certificate problem: unable to "
        "get local issuer certificate\n",
        "local issuer certificate",
    ),
    "owner": (
        "fatal: detected dubious ownership in repository at '/srv/up'\n"
        "To add an exception for this directory, call:\n\n\tgit config --global --add "
        "safe.directory /srv/up\n",
        "dubious ownership",
    ),
    "ssh": (
        "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote "
        "repository.\n\nPlease make sure you have the correct access rights\n"
        "and the repository exists.\n",
        "Permission denied (publickey)",
    ),
    "Copier": ("Validation error for question 'kind': not a valid choice\n", "question 'kind'"),
}


@pytest.mark.parametrize("what", GIT)
def test_of_all_that_git_printed_the_line_that_says_why(what: str, tmp_path: Path) -> None:
    printed, expected = GIT[what]
    assert expected in telling_line(printed)
    script = f"import sys; sys.stderr.write({printed!r}); sys.exit(1)"
    with pytest.raises(MeshError) as told:
        update_template.run([sys.executable, "-c", script], tmp_path)
    assert expected in str(told.value)
    assert "\n" not in str(told.value)


def test_git_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        ["git", "-C", tmp_path, "push", "https://127.0.0.1:1/acme/up"],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert telling_line(done.stderr).startswith("fatal: ")
