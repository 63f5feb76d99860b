"""Stores a registry in a bucket of S3."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dbtmesh import MeshError
from dbtmesh.files import MOST
from dbtmesh.output.words import one_line
from dbtmesh.registry.store import (
    MOST_REASON,
    Access,
    Changed,
    NotModified,
    OutOfReach,
    Stored,
    TooLarge,
    content_type,
    is_of_one,
)

if TYPE_CHECKING:
    from botocore.client import BaseClient

BODY_ATTEMPTS = 3
"""How many times an object is requested when the connection breaks in the middle of its body. The
S3 client's own retries do not cover that."""

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 4, 8, 4
"""Timeouts and retries for a server that does not answer. Together they limit how long a command
hangs."""

REDIRECTED = "the bucket is in another region: set AWS_REGION, or the answer aws_region"
SIGN_IN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
ELSEWHERE = ("301", "PermanentRedirect", "AuthorizationHeaderMalformed")
CLOCK, SLOW = "RequestTimeTooSkewed", "RequestTimeout"
"""S3's error codes for credentials that it refuses, a bucket in another region, a wrong clock, and
a connection that is too slow:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
BUCKET = re.compile(r"[A-Za-z0-9._-]{3,63}")
ACCESS_POINT = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]*:[0-9]{12}:accesspoint[/:][a-z0-9-]{3,50}")
"""The ARN of an access point, which stands for a bucket that may belong to another AWS account."""


class S3Store:
    """A store of objects in an S3 bucket, s3://<bucket>/<prefix>, on AWS or on another server that
    speaks S3 (AWS_ENDPOINT_URL_S3)."""

    keeps_own_records = False

    def __init__(self, url: str, place: str, access: Access) -> None:
        if found := ACCESS_POINT.match(place):
            bucket, prefix = found[0], place[found.end() :]
        else:
            bucket, _, prefix = place.partition("/")
        if not (found or BUCKET.fullmatch(bucket)):
            raise MeshError(f"{url}: {bucket!r} is not a valid name of an S3 bucket")
        self._encrypted = encrypted(access.encryption)
        self.url, self.bucket, self.prefix = url, bucket, prefix.strip("/")
        self.region = access.aws_region
        self._client = self._connect()

    def _connect(self) -> BaseClient:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        # A region in the environment (for a laptop's profile or a test server) comes first.
        named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            user_agent_extra="dbt-mesh",
        )
        try:
            return boto3.client(
                "s3", region_name=named or self.region or "us-east-1", config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise MeshError(f"{self.url}: {one_line(error)}") from None

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _where(self, key: str) -> str:
        """Returns the URL of an object, for messages."""
        return f"s3://{self.bucket}/{self._key(key)}"

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        from botocore.exceptions import (
            FlexibleChecksumError,
            IncompleteReadError,
            ResponseStreamingError,
        )

        condition = {"IfNoneMatch": known} if known else {}
        for attempt in range(BODY_ATTEMPTS):
            with self._errors(key):
                try:
                    answer = self._client.get_object(
                        Bucket=self.bucket, Key=self._key(key), **condition
                    )
                except self._client.exceptions.ClientError as error:
                    if _code(error) in ("304", "NotModified"):
                        raise NotModified from None
                    if _code(error) in ("404", "NoSuchKey"):
                        return None
                    raise
                try:
                    return Stored(self._body(key, answer, most), answer["ETag"])
                except (FlexibleChecksumError, IncompleteReadError, ResponseStreamingError):
                    if attempt == BODY_ATTEMPTS - 1:
                        raise
        raise AssertionError("unreachable")

    def _body(self, key: str, answer: Any, most: int) -> bytes:
        """Reads the body of an answer. Raises TooLarge without reading all of it where it has more
        than `most` bytes."""
        body, size = answer["Body"], int(answer.get("ContentLength") or 0)
        if size > most:
            body.close()
            raise TooLarge(self._where(key), size, most)
        # In two parts: the client checks length and digest when a read finds the end.
        parts = (body.read(most), body.read(1))
        if parts[1]:
            body.close()
            raise TooLarge(self._where(key), most + 1, most)
        whole: bytes = parts[0]
        return whole

    def etag(self, key: str) -> str | None:
        with self._errors(key):
            try:
                answer = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except self._client.exceptions.ClientError as error:
                if _code(error) in ("404", "NoSuchKey"):
                    return None
                raise
            return str(answer["ETag"])

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        with self._errors(key):
            try:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=self._key(key),
                    Body=body,
                    ContentType=content_type(key),
                    **self._encrypted,
                    **condition,
                )
            except self._client.exceptions.ClientError as error:
                # 409: two conditional writes collided. 404 or 412: If-Match found no object.
                missing = replaces and _code(error) in ("404", "NoSuchKey")
                conflict = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
                if missing or _code(error) in conflict:
                    raise Changed(key) from None
                raise

    def children(self, prefix: str) -> Iterator[str]:
        whole = self._key(prefix)
        with self._errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=whole, Delimiter="/"
            )
            for page in pages:
                folders = (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))
                objects = (entry["Key"] for entry in page.get("Contents", ()))
                yield from (key[len(whole) :] for key in (*folders, *objects))

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turns what the S3 client raises into one line that says what to do."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = self._where(key)
        try:
            yield
        except ClientError as error:
            kind = OutOfReach if _is_of_all(error) else MeshError
            raise kind(f"{where}: {self._explain(error)}") from None
        except BotoCoreError as error:
            endpoint = self._client.meta.endpoint_url
            raise OutOfReach(f"{where}: {_explain_connection(error, endpoint)}") from None
        except RecursionError:  # the client follows redirects of S3 that do not name a region
            raise OutOfReach(f"{where}: {REDIRECTED}") from None

    def _explain(self, error: Any) -> str:
        """Returns what to do, and what S3 itself said: an explicit deny and a missing permission on
        a KMS key have the same code."""
        advice, reason = self._advice(error), _reason(error)
        return advice if reason in advice else f"{advice}. S3 says: {reason}"

    def _advice(self, error: Any) -> str:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code == "NoSuchBucket":
            return f"there is no bucket {self.bucket}: check the name, or create it"
        if code in ("403", "AccessDenied", "AllAccessDisabled"):
            return (
                "access denied: your AWS role may not do this (S3 answers the same for an object "
                "that does not exist, if the role may not list the bucket)"
            )
        if code in SIGN_IN:
            return f"AWS refuses the credentials ({code}): sign in again"
        if code in ELSEWHERE:
            return REDIRECTED
        if code == CLOCK:
            return "the clock of this machine is wrong: set it"
        if isinstance(status, int) and status >= 500:
            return f"the server answers {status} ({code}) again and again: try again later"
        return one_line(error)


def encrypted(how: str | None) -> dict[str, str]:
    """Returns the encryption parameters of a write, for a bucket whose policy requires them. how:
    see `Access.encryption`."""
    if not how:
        return {}
    if how.startswith("arn:"):
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": how}
    return {"ServerSideEncryption": how}


def _explain_connection(error: Exception, endpoint: str) -> str:
    name = type(error).__name__
    if name == "NoCredentialsError":
        return "no AWS credentials: sign in (`aws sso login`), or set AWS_PROFILE"
    reason = one_line(error, MOST_REASON)
    if name in ("ConnectTimeoutError", "ReadTimeoutError"):
        return f"no answer from {endpoint} in time: check the network, or try again later. {reason}"
    if name == "ProxyConnectionError":
        return f"the proxy of HTTPS_PROXY or HTTP_PROXY does not answer: check both. {reason}"
    if name in ("EndpointConnectionError", "ConnectionClosedError"):
        return f"{endpoint} is out of reach: check the network, or try again later. {reason}"
    if name == "SSLError":
        return (
            f"the certificate of {endpoint} is not trusted here: if a proxy replaces it with its "
            f"own, name that certificate's file in AWS_CA_BUNDLE. {reason}"
        )
    if name in ("IncompleteReadError", "ResponseStreamingError", "FlexibleChecksumError"):
        return f"the answer arrived broken, again and again: try again later. {reason}"
    return reason


def _is_of_all(error: Any) -> bool:
    """Checks whether S3 would give the same error for every object."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    server = isinstance(status, int) and not is_of_one(status)
    return server or _code(error) in ("NoSuchBucket", CLOCK, SLOW, *SIGN_IN, *ELSEWHERE)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _reason(error: Any) -> str:
    """Returns the server's own message in one line; empty where it sent none."""
    return one_line(error.response.get("Error", {}).get("Message", ""), MOST_REASON)
