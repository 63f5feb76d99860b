"""Stands in for AWS: the roles of rendered members on a real S3 server, and GitHub's OIDC tokens.

    stacks = [stack(member.path) for member in (dbt_up, dbt_down)]
    with running(folder, stacks) as aws:
        dbt_up.ok(PUBLISH, **aws.environment(aws.role("dbt_up"), subject("acme/dbt-up")))

The policies are those of each member's aws/registry.yml, with CloudFormation's functions resolved.
The STS and IAM of SeaweedFS, the server, decide by them what a role may do and who may assume it.
For what SeaweedFS does not support, a proxy in front of it decides, by `allows` below and the same
documents:

- conditions on BLIND keys. The server gets a policy without them, and the proxy refuses what only
  such a condition forbids.
- a role that may not list an object by its name gets 403 instead of 404 if the object is missing.

The server knows the subject and the audience of a token as `oidc:sub` and `oidc:aud`, so these two
keys of the trust policies are renamed for it. The proxy also applies the bucket's policy, whose
denial of plain HTTP would close the server to all (tests/test_aws_registry.py installs it to see
that).

In a workflow, the stub of aws-actions/configure-aws-credentials does what the action does. It asks
the issuer for a token ($ACTIONS_ID_TOKEN_REQUEST_URL, see `workflow_environment`), and STS for
credentials (`python -m tests.aws_world ROLE_ARN` prints them as lines for $GITHUB_ENV).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import math
import os
import re
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests import s3_server
from tests.s3_server import BUCKET, S3, Answer, Request

ACCOUNT = "123456789012"
AUDIENCE = "sts.amazonaws.com"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
GITHUB = "token.actions.githubusercontent.com:"
BLIND = frozenset({"s3:delimiter", "s3:if-none-match"})
TOKEN = "a job's own"  # the bearer token with which a job requests its OIDC token

Document = dict[str, Any]


# --- Templates ------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as {"Ref": X}, `!Sub …` as {"Fn::Sub": …}, as CloudFormation does."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise NotImplementedError(node)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


@dataclass(frozen=True)
class Stack:
    """A template with values for its parameters, from which CloudFormation would create a stack."""

    template: Document
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, text: str, **given: str) -> Stack:
        """Makes a stack. Raises KeyError for a parameter that is not given and has no default."""
        template = yaml.load(text, _Loader)
        declared = template["Parameters"]
        unknown = given.keys() - declared.keys()
        assert not unknown, f"no such parameters: {unknown}"
        values = {
            name: given[name] if name in given else str(details["Default"])
            for name, details in declared.items()
        }
        for name, value in values.items():
            pattern = declared[name].get("AllowedPattern", ".*")
            assert re.fullmatch(pattern, value), f"{name}: {value} is not {pattern}"
        return cls(template, values)

    @functools.cached_property
    def resources(self) -> dict[str, Document]:
        """The properties of the resources that are created, by logical name."""
        return {
            name: self._resolve(resource["Properties"])
            for name, resource in self.template["Resources"].items()
            if self._holds(resource.get("Condition"))
        }

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        return {
            name: self._resolve(output["Value"])
            for name, output in self.template["Outputs"].items()
        }

    def roles(self) -> Iterator[Role]:
        for name in ("DeployRole", "CiRole"):
            properties = self.resources[name]
            (policy,) = properties["Policies"]
            yield Role(
                self._resolve({"Fn::GetAtt": f"{name}.Arn"}),
                properties["AssumeRolePolicyDocument"],
                policy["PolicyDocument"],
            )

    def _holds(self, condition: str | None) -> bool:
        if condition is None:
            return True
        one, other = self._resolve(self.template["Conditions"][condition]["Fn::Equals"])
        return bool(one == other)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(each) for each in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": name}:
                return self._named(name)
            case {"Fn::GetAtt": name}:
                return self._named(name)
            case {"Fn::Sub": str(text)}:
                named = re.sub(r"\$\{([^!}]+)\}", lambda found: self._named(found[1]), text)
                return named.replace("${!", "${")  # variables that CloudFormation leaves to IAM
            case {"Fn::If": [condition, yes, no]}:
                return self._resolve(yes if self._holds(condition) else no)
        return {key: self._resolve(each) for key, each in value.items()}

    def _named(self, name: str) -> str:
        known = {
            "AWS::Partition": "aws",
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": "us-east-1",
            "GitHubProvider": PROVIDER,
            "Bucket": self.parameters["RegistryBucket"],
            **self.parameters,
        }
        if name in known:
            return known[name]
        logical, _, attribute = name.partition(".")
        assert attribute == "Arn", name
        role = self.resources[logical]
        return f"arn:aws:iam::{ACCOUNT}:role{role['Path']}{role['RoleName']}"


def stack(member: Path, **parameters: str) -> Stack:
    """Returns the stack of the rendered member in a folder."""
    return Stack.of((member / "aws" / "registry.yml").read_text(), **parameters)


# --- Policies -------------------------------------------------------------------------------------


def allows(
    policies: Sequence[Document], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    """Checks whether the policies allow it, as AWS does, for the part of IAM that is used here."""
    found = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if any(_like(each, action) for each in listed(statement["Action"]))
        and any(_like(each, resource) for each in listed(statement["Resource"]))
        and all(
            _meets(operator, wanted, context.get(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    }
    return found == {"Allow"}


def _meets(operator: str, wanted: Any, value: str | None) -> bool:
    match operator:
        case "Null":
            return (value is None) is (wanted == "true")
        case "StringEquals" | "Bool":
            return value in listed(wanted)
        case "StringLike":
            return value is not None and any(_like(each, value) for each in listed(wanted))
    raise NotImplementedError(operator)


def _like(pattern: str, text: str) -> bool:
    translated = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(translated, text, re.DOTALL) is not None


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def known_to_server(policy: Document) -> Document:
    """Returns the policy without BLIND conditions, so that it allows more, but never less."""
    statements = []
    for statement in policy["Statement"]:
        condition = {
            operator: seen
            for operator, keys in statement.get("Condition", {}).items()
            if (seen := {key: wanted for key, wanted in keys.items() if key not in BLIND})
        }
        if condition == statement.get("Condition", {}):
            statements.append(statement)
        elif statement["Effect"] == "Allow":
            rest = {key: each for key, each in statement.items() if key != "Condition"}
            statements.append({**rest, **({"Condition": condition} if condition else {})})
    return {**policy, "Statement": statements}


@dataclass(frozen=True)
class Permission:
    """One action on one pattern of keys, or for s3:ListBucket of prefixes."""

    action: str
    key: str

    def __str__(self) -> str:
        return f"{self.action.removeprefix('s3:')} {self.key}"


@dataclass(frozen=True)
class Role:
    """A role of a stack. trust: who may assume it. policy: what it may do."""

    arn: str
    trust: Document
    policy: Document

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]

    def permissions(self) -> list[Permission]:
        """Returns everything that the policy permits, one pattern of keys each."""
        return [
            Permission(action, key)
            for statement in self.policy["Statement"]
            if statement["Effect"] == "Allow"
            for action in listed(statement["Action"])
            for key in _keys(statement)
        ]

    def without(self, permission: Permission, name: str) -> Role:
        """Returns a role of another name that lacks one permission of this role."""
        statements = []
        for statement in self.policy["Statement"]:
            actions, keys = listed(statement["Action"]), _keys(statement)
            if statement["Effect"] == "Deny":
                statements.append(statement)
            elif permission.action in actions and permission.key in keys:
                others = [each for each in keys if each != permission.key]
                rest = [each for each in actions if each != permission.action]
                statements += [{**statement, "Action": rest}] if rest else []
                statements += [_narrowed(statement, permission.action, others)] if others else []
            else:
                statements.append(statement)
        arn = f"{self.arn.rpartition('/')[0]}/{name}"
        return Role(arn, self.trust, {**self.policy, "Statement": statements})

    def configuration(self) -> tuple[Document, Document]:
        """Returns the role and its policy for the server's configuration."""
        trust = json.loads(json.dumps(self.trust).replace(f'"{GITHUB}', '"oidc:'))
        role = {
            "roleName": self.name,
            "roleArn": self.arn,
            "trustPolicy": trust,
            "attachedPolicies": [self.name],
        }
        return role, {"name": self.name, "document": known_to_server(self.policy)}


def _keys(statement: Document) -> list[str]:
    condition = statement.get("Condition", {})
    for keys in condition.values():
        if "s3:prefix" in keys:
            return listed(keys["s3:prefix"])
    return [each.partition("/")[2] for each in listed(statement["Resource"])]


def _narrowed(statement: Document, action: str, keys: list[str]) -> Document:
    """Returns the statement for only one action and these keys."""
    if action == "s3:ListBucket":
        return {**statement, "Condition": {"StringLike": {"s3:prefix": keys}}}
    bucket = listed(statement["Resource"])[0].partition("/")[0]
    return {**statement, "Action": action, "Resource": [f"{bucket}/{key}" for key in keys]}


# --- GitHub's tokens ------------------------------------------------------------------------------


def subject(
    repository: str, environment: str = "prod", *, ids: tuple[int, int] | None = None
) -> str:
    """Returns the subject of a token for a job of the environment.

    ids: those of owner and repository, which GitHub adds for repositories since July 2026.
    """
    owner, name = repository.split("/")
    if ids:
        owner, name = f"{owner}@{ids[0]}", f"{name}@{ids[1]}"
    return f"repo:{owner}/{name}:environment:{environment}"


class Issuer:
    """A stand-in for GitHub's OIDC provider.

    It gives anybody a token for any subject. GitHub derives the subject from the job that asks.

    name: the issuer that its tokens name.
    given: the tokens that were requested over HTTP.
    lifetimes: seconds that the next tokens are valid; after these, 300.
    refuses_after: the number of tokens after which it refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = self.name = url
        self.given: list[str] = []
        self.lifetimes: list[int] = []
        self.refuses_after: float = math.inf
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(
        self, subject: str, *, audience: str = AUDIENCE, signed_by: Issuer | None = None
    ) -> str:
        now = int(time.time())
        lifetime = self.lifetimes.pop(0) if self.lifetimes else 300
        claims = {"iss": self.name, "sub": subject, "aud": audience, "exp": now + lifetime}
        claims["iat"] = min(now, now + lifetime)
        text = ".".join(
            _base64(json.dumps(part).encode())
            for part in ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims)
        )
        key = (signed_by or self)._key
        return f"{text}.{_base64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def answer(self, path: str, authorization: str | None) -> Document | None:
        address = urllib.parse.urlsplit(path)
        asked = dict(urllib.parse.parse_qsl(address.query))
        if address.path == "/keys":
            public = self._key.public_key().public_numbers()
            key = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256"}
            return {"keys": [{**key, "n": _number(public.n), "e": _number(public.e)}]}
        if len(self.given) >= self.refuses_after:
            return None
        if address.path == "/token" and authorization == f"Bearer {TOKEN}":
            self.given.append(self.token(asked["subject"], audience=asked["audience"]))
            return {"value": self.given[-1]}
        return None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(number: int) -> str:
    return _base64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = issuer.answer(self.path, self.headers.get("Authorization"))
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- The world ------------------------------------------------------------------------------------


class Refused(Exception):
    """Raised where STS refuses credentials."""


@dataclass
class Aws:
    """S3 and STS at `url`, the roles by ARN, and the bucket's policy."""

    url: str
    s3: S3
    issuer: Issuer
    roles: dict[str, Role]
    bucket_policy: Document

    def role(self, project: str, *, ci: bool = False) -> str:
        """Returns the ARN of a project's role, under the template's default name."""
        name = f"dbt-mesh-{project.replace('_', '-')}{'-ci' if ci else ''}"
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def assume(self, role: str, token: str) -> dict[str, str]:
        """Returns credentials as environment variables, for a token of GitHub's. Raises Refused."""
        return assume(self.url, role, token) | {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_REGION": "us-east-1",
        }

    def environment(self, role: str, subject: str) -> dict[str, str]:
        """Returns the variables of a job of that subject in that role. Raises Refused."""
        return self.assume(role, self.issuer.token(subject))

    def workflow_environment(self, subject: str) -> dict[str, str]:
        """Returns the variables of a job that may request a token, and the URLs of AWS."""
        asked = urllib.parse.urlencode({"subject": subject})
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.issuer.url}/token?{asked}",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
        }


@functools.cache
def _sts(endpoint: str) -> Any:
    unsigned = Config(signature_version=UNSIGNED)
    return s3_server.session().client(
        "sts", endpoint_url=endpoint, region_name="us-east-1", config=unsigned
    )


def assume(endpoint: str, role: str, token: str) -> dict[str, str]:
    """Assumes a role. Returns its credentials as environment variables. Raises Refused."""
    try:
        answer = _sts(endpoint).assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="GitHubActions", WebIdentityToken=token
        )
    except ClientError as error:
        raise Refused(str(error)) from None
    given = answer["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def client(environment: Mapping[str, str]) -> Any:
    """Returns a client of S3 with the credentials of an environment."""
    return s3_server.session().client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment["AWS_SESSION_TOKEN"],
    )


@contextlib.contextmanager
def running(folder: Path, stacks: Sequence[Stack], *, roles: Sequence[Role] = ()) -> Iterator[Aws]:
    """Runs S3 and STS with one bucket, s3_server's BUCKET, for the roles of the stacks and `roles`.

    The server's data are in `folder`.
    """
    buckets = {stack.parameters["RegistryBucket"] for stack in stacks}
    assert buckets == {BUCKET}, f"members of another registry: {buckets}"
    every = [*(role for stack in stacks for role in stack.roles()), *roles]
    by_arn = {role.arn: role for role in every}
    assert len(by_arn) == len(every), "two roles of one name"
    creating = Stack(stacks[0].template, {**stacks[0].parameters, "CreateBucket": "true"})
    bucket_policy = creating.resources["BucketPolicy"]["PolicyDocument"]
    folder.mkdir(parents=True, exist_ok=True)
    with issuing() as issuer:
        configuration = folder / "iam.json"
        configuration.write_text(json.dumps(_configuration(issuer, every)))
        with (
            s3_server.running(folder, f"-s3.iam.config={configuration}") as s3,
            s3_server.proxied(s3) as proxy,
        ):
            aws = Aws(proxy.url, s3, issuer, by_arn, bucket_policy)
            proxy.rule = functools.partial(_as_aws, aws)
            yield aws


def _configuration(issuer: Issuer, roles: Sequence[Role]) -> Document:
    made = [role.configuration() for role in roles]
    return {
        "sts": {
            "issuer": "sts",
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "signingKey": base64.b64encode(b"of tests only, 32 characters long").decode(),
        },
        "providers": [
            {
                "name": PROVIDER,  # the name in the trust policies
                "type": "oidc",
                "enabled": True,
                "config": {
                    "issuer": issuer.url,
                    "clientId": AUDIENCE,
                    "jwksUri": f"{issuer.url}/keys",
                },
            }
        ],
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [role for role, _ in made],
        "policies": [policy for _, policy in made],
    }


def _as_aws(aws: Aws, request: Request, forward: Callable[[], Answer]) -> Answer | None:
    """Answers as AWS would where the server does not: see the module's docstring."""
    role = aws.roles.get(_role_of(request))
    asked = request_of(request)
    if role is None or asked is None:
        return forward()
    policies = [role.policy, aws.bucket_policy]
    unseen = [known_to_server(role.policy)]
    action, resource, context = asked
    if allows(unseen, action, resource, context) and not allows(
        policies, action, resource, context
    ):
        return s3_server.error(403, "AccessDenied")
    answer = forward()
    bucket, _, key = resource.partition("/")
    if (
        answer.status == 404
        and key
        and not allows(policies, "s3:ListBucket", bucket, {**context, "s3:prefix": key})
    ):
        return s3_server.error(403, "AccessDenied")
    return answer


def _role_of(request: Request) -> str:
    """Returns the role of a session. The server has issued the session's token, and checks it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    parts = headers.get("x-amz-security-token", "").split(".")
    if len(parts) != 3:
        return ""
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    return str(claims.get("role", ""))


def request_of(request: Request) -> tuple[str, str, dict[str, str]] | None:
    """Returns action, resource and condition keys of a request to S3."""
    address = urllib.parse.urlsplit(request.path)
    bucket, _, key = urllib.parse.unquote(address.path).lstrip("/").partition("/")
    context = {"aws:SecureTransport": "true"}  # the proxy does not apply that condition
    resource = f"arn:aws:s3:::{bucket}"
    if not bucket:
        return None
    if not key:
        query = dict(urllib.parse.parse_qsl(address.query))
        names = {"prefix": "s3:prefix", "delimiter": "s3:delimiter"}
        context |= {names[name]: value for name, value in query.items() if name in names}
        return "s3:ListBucket", resource, context
    for name, value in request.headers.items():
        if name.lower() == "if-none-match":
            context["s3:if-none-match"] = value
    actions = {
        "GET": "s3:GetObject",
        "HEAD": "s3:GetObject",
        "PUT": "s3:PutObject",
        "DELETE": "s3:DeleteObject",
    }
    return actions[request.method], f"{resource}/{key}", context


def main() -> None:
    """Assumes a role with the job's own token, as aws-actions/configure-aws-credentials does.

    All jobs of a run share one subject here, so its environment is replaced by the job's.
    """
    (role,) = sys.argv[1:]
    environment = json.loads(os.environ["ACTIONS_ENVIRONMENTS"])[os.environ["GITHUB_JOB"]]
    address = re.sub(
        r"(environment%3A)[^&]*",
        lambda found: found[1] + urllib.parse.quote(environment),
        os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"],
    )
    request = urllib.request.Request(
        f"{address}&audience={AUDIENCE}",
        headers={"Authorization": f"Bearer {os.environ['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
    )
    with urllib.request.urlopen(request) as answer:
        token = json.load(answer)["value"]
    try:
        given = assume(os.environ["AWS_ENDPOINT_URL_STS"], role, token)
    except Refused as error:
        sys.exit(f"Could not assume role with OIDC: {error}")
    for name, value in given.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    main()
