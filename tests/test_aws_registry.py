"""aws/registry.yml: what CloudFormation gets, and what the roles may do on a real S3 server.

How the server gets its policies, and what it is blind for, stands in tests/aws_world.py. What no
server here can show: CloudFormation itself (cfn-lint knows its schemas), and that real S3 reads
`s3:prefix` of a missing object as its key, which is what makes 404 of 403 (as Ceph has found, and
copies).
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import copier
import pytest
from botocore.exceptions import ClientError

from dbtmesh.config import load_member
from tests import aws_world, s3_server, warm
from tests.aws_world import Aws, Refused, Role, stack, subject
from tests.conftest import BIN, ROOT, Member, Render
from tests.manifests import manifest
from tests.registry_world import build
from tests.s3_server import BUCKET

PUBLISH = "scripts/publish_manifest.py"
SYNC = "scripts/sync_mesh.py"
VALIDATE = "scripts/validate_lineage.py"
STATE = "deploy-state"
ENV = ("--env", "prod")

REPOSITORIES = {"dbt_up": "acme/dbt-up", "dbt_down": "acme/dbt-down", "hub": "acme/hub"}
IDS = (12, 34)  # of acme/dbt-down
ANSWERS: dict[str, dict[str, Any]] = {
    "dbt_up": {"kind": "upstream"},
    "dbt_down": {"kind": "native", "upstreams": "dbt_up"},
    "hub": {"kind": "loom", "upstreams": "dbt_up", "publishes": True},
}
LATEST = "registry/dbt_up/prod/latest/manifest.json"
HISTORY = "registry/dbt_up/prod/history"
RECORD = "registry/dbt_up/prod/consumers/dbt_down.json"

# --- The template ---------------------------------------------------------------------------------

CASES: dict[str, dict[str, Any]] = {
    "upstream": {"kind": "upstream", "project_name": "dbt_up"},
    "native": {"kind": "native", "project_name": "dbt_down"},
    "loom": {"kind": "loom", "project_name": "dbt_down_loom"},
    "native hub": {"kind": "native", "project_name": "hub", "publishes": True},
    "loom hub of several": {
        "kind": "loom",
        "project_name": "hub",
        "publishes": True,
        "upstreams": "dbt_up,finance=FIN,no",
    },
    "everything answered": {
        "kind": "native",
        "project_name": "yes",
        "upstreams": "dbt_up,finance=FIN",
        "registry_bucket": "1234",
        "github_repository": "acme/1e3",
        "aws_role_arn": f"arn:aws:iam::{aws_world.ACCOUNT}:role/dbt/mesh/deploys",
        "aws_region": "eu-west-1",
    },
    "a bucket with a key, for other accounts": {
        "kind": "upstream",
        "project_name": "dbt_up",
        "registry_encryption": f"arn:aws:kms:eu-west-1:{aws_world.ACCOUNT}:key/1234-abcd",
        "registry_readers": "111122223333,444455556666",
        "github_server": "acme.ghe.com",
    },
    "an access point": {
        "kind": "native",
        "project_name": "dbt_down",
        "registry_bucket": f"arn:aws:s3:eu-west-1:{aws_world.ACCOUNT}:accesspoint/mesh-ap",
        "registry_encryption": "aws:kms",
        "github_repository": "acme/dbt-down",
        "github_server": "git.acme.example",
    },
    "a key by its alias, a managed user": {
        "kind": "upstream",
        "project_name": "dbt_up",
        "registry_bucket": BUCKET,
        "registry_encryption": f"arn:aws:kms:eu-west-1:{aws_world.ACCOUNT}:alias/mesh",
        "github_repository": "jane_acme/dbt-up",
    },
    "a long name": {"kind": "upstream", "project_name": "d" * 63},
}
SPECIAL = (
    "a bucket with a key, for other accounts",
    "an access point",
    "a key by its alias, a managed user",
)
"""Their roles may use a key, or an access point: each has a test of its own."""


@pytest.fixture(scope="module")
def rendered(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("cases")
    return {
        name: render_into(home / str(number), starter=False, **answers).path
        for number, (name, answers) in enumerate(CASES.items())
    }


def test_cloudformation_takes_every_rendering(rendered: dict[str, Path]) -> None:
    files = [path / "aws" / "registry.yml" for path in rendered.values()]
    done = subprocess.run(
        [BIN / "cfn-lint", "--include-checks", "I", "--", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_no_answer_says_has_to_be_given(rendered: dict[str, Path]) -> None:
    template = stack(rendered["upstream"], **GIVEN).template
    without = {name for name, each in template["Parameters"].items() if "Default" not in each}
    assert without == {"RegistryBucket", "GitHubOwner", "GitHubRepository"}
    answered = stack(rendered["everything answered"])
    assert answered.parameters == {
        "RegistryBucket": "1234",
        "CreateBucket": "false",
        "CreateProvider": "false",
        "RoleName": "deploys",
        "RolePath": "/dbt/mesh/",
        "GitHubOwner": "acme",
        "GitHubRepository": "1e3",
        "GitHubOwnerId": "*",
        "GitHubRepositoryId": "*",
    }


GIVEN = {"RegistryBucket": BUCKET, "GitHubOwner": "acme", "GitHubRepository": "dbt-up"}


def test_roles_are_called_as_the_answer_says(rendered: dict[str, Path]) -> None:
    answered = stack(rendered["everything answered"])
    arn = CASES["everything answered"]["aws_role_arn"]
    assert [role.arn for role in answered.roles()] == [arn, f"{arn}-ci"]
    assert answered.outputs["DeployRoleArn"] == arn
    assert answered.outputs["CiRoleArn"] == f"{arn}-ci"
    unanswered = stack(rendered["native"], **GIVEN)
    assert [role.name for role in unanswered.roles()] == [
        "dbt-mesh-dbt-down",
        "dbt-mesh-dbt-down-ci",
    ]


def test_a_role_whose_name_would_be_too_long_has_to_be_named(rendered: dict[str, Path]) -> None:
    with pytest.raises(KeyError, match="Default"):  # what CloudFormation says of a missing value
        stack(rendered["a long name"], **GIVEN)
    named = stack(rendered["a long name"], **GIVEN, RoleName="deploys-long")
    assert [role.name for role in named.roles()] == ["deploys-long", "deploys-long-ci"]


def test_the_answers_it_prints_are_those_that_the_template_asks(rendered: dict[str, Path]) -> None:
    made = stack(rendered["upstream"], **GIVEN)
    assert made.outputs["Answers"] == (
        f"copier update --trust --skip-answered --data registry_bucket={BUCKET} "
        f"--data aws_role_arn=arn:aws:iam::{aws_world.ACCOUNT}:role/dbt-mesh-dbt-up"
    )


def test_the_readme_names_the_parameters_that_there_are(rendered: dict[str, Path]) -> None:
    for case in ("upstream", "everything answered"):
        readme = (rendered[case] / "README.md").read_text()
        section = readme.partition("\n## AWS\n")[2].partition("\n## ")[0]
        given = {} if case == "everything answered" else GIVEN
        known = stack(rendered[case], **given).parameters.keys()
        assert set(re.findall(r"([A-Z]\w+)=(?!=)", section)) <= known
        command = section.partition("aws cloudformation deploy")[2].partition("\naws ")[0]
        assert set(re.findall(r"([A-Z]\w+)=(?!=)", command)) == given.keys()


def test_the_bucket_and_the_provider_are_created_where_asked_for(rendered: dict[str, Path]) -> None:
    shared = {"Bucket", "BucketPolicy", "GitHubProvider"}
    assert stack(rendered["upstream"], **GIVEN).resources.keys() == {"DeployRole", "CiRole"}
    first = stack(rendered["upstream"], **GIVEN, CreateBucket="true", CreateProvider="true")
    assert first.resources.keys() == {"DeployRole", "CiRole", *shared}
    for name in shared:  # a stack that goes takes nothing with it that others need
        resource = first.template["Resources"][name]
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    bucket = first.resources["Bucket"]
    assert bucket["BucketName"] == BUCKET
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    # only what was replaced ever expires, and the history is never replaced
    assert not [
        rule
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if rule.keys() & {"ExpirationInDays", "ExpirationDate", "Transitions"}
    ]


def test_no_role_may_more_than_it_is_for(rendered: dict[str, Path]) -> None:
    for case, path in rendered.items():
        if case in SPECIAL:
            continue
        given = {} if case == "everything answered" else GIVEN
        if case == "a long name":
            given = {**given, "RoleName": "long"}
        deploy, ci = stack(path, **given).roles()
        assert {each.action for each in deploy.permissions()} == {
            *("s3:GetObject", "s3:PutObject", "s3:ListBucket")
        }
        assert {each.action for each in ci.permissions()} == {"s3:GetObject", "s3:ListBucket"}
        project = CASES[case]["project_name"]
        own = (f"registry/{project}/*", f"state/{project}/*")
        for role in (deploy, ci):
            for key in {each.key for each in role.permissions()} - {"registry/", *own}:
                assert key.endswith((f"/consumers/{project}.json", "/manifest.json")), key
                assert not key.startswith("state/"), key
        publishes = CASES[case]["kind"] == "upstream" or CASES[case].get("publishes")
        published = {each.key for each in deploy.permissions() if each.action == "s3:PutObject"}
        assert (f"registry/{project}/*/latest/manifest.json" in published) == bool(publishes)


def statements(role: Role) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in role.policy["Statement"]}


def test_a_key_of_the_companys_own_and_members_of_other_accounts(
    rendered: dict[str, Path],
) -> None:
    path = rendered["a bucket with a key, for other accounts"]
    key = CASES["a bucket with a key, for other accounts"]["registry_encryption"]
    made = stack(path, **GIVEN, CreateBucket="true", CreateProvider="true")
    (rule,) = made.resources["Bucket"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key,
    }
    deploy, ci = (statements(role)["UseTheKey"] for role in made.roles())
    assert deploy["Action"] == ["kms:GenerateDataKey", "kms:Decrypt"]
    assert ci["Action"] == "kms:Decrypt"  # pull requests write nothing
    assert deploy["Resource"] == ci["Resource"] == key

    policy = made.resources["BucketPolicy"]["PolicyDocument"]["Statement"]
    allowed = {each["Sid"]: each for each in policy if each["Effect"] == "Allow"}
    assert allowed["OtherAccountsRead"]["Principal"] == {"AWS": ["111122223333", "444455556666"]}
    assert allowed["OtherAccountsRead"]["Action"] == "s3:GetObject"
    written = [each for each in allowed.values() if "s3:PutObject" in each["Action"]]
    assert [each["Sid"] for each in written] == ["OtherAccountsKeepTheirOwn"]
    # each of them what its role's tag names, nothing of another project's
    assert all("${aws:PrincipalTag/dbt-mesh-project}" in key for key in written[0]["Resource"])
    assert made.resources["DeployRole"]["Tags"] == [{"Key": "dbt-mesh-project", "Value": "dbt_up"}]

    alone = stack(rendered["upstream"], **GIVEN, CreateBucket="true")
    sids = [each["Sid"] for each in alone.resources["BucketPolicy"]["PolicyDocument"]["Statement"]]
    assert not [sid for sid in sids if sid.startswith("OtherAccounts")]
    assert "UseTheKey" not in statements(next(alone.roles()))


def test_a_key_that_is_named_by_an_alias(rendered: dict[str, Path]) -> None:
    """As a resource an alias is itself, and no key that it names:
    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html"""
    case = "a key by its alias, a managed user"
    made = stack(rendered[case])
    asked = CASES[case]["registry_encryption"]  # with each write: tests/test_registry.py
    assert load_member(rendered[case]).access.encryption == asked
    assert made.parameters["GitHubOwner"] == "jane_acme"
    for role in made.roles():
        may = statements(role)["UseTheKey"]
        assert may["Resource"] == f"arn:aws:kms:eu-west-1:{aws_world.ACCOUNT}:key/*"
        assert may["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/mesh"}


def test_an_access_point_stands_for_the_bucket(rendered: dict[str, Path]) -> None:
    arn = CASES["an access point"]["registry_bucket"]
    made = stack(rendered["an access point"])
    assert made.resources.keys() == {"DeployRole", "CiRole"}
    assert "CreateBucket" not in made.parameters
    for role in made.roles():
        named = [each["Resource"] for each in role.policy["Statement"]]
        resources = {each for one in named for each in aws_world.listed(one)}
        assert all(each == arn or each.startswith(f"{arn}/object/") for each in resources)
    mesh = (rendered["an access point"] / "mesh.yml").read_text()
    assert f'bucket: "{arn}"' in mesh


@pytest.mark.parametrize(
    ("case", "issuer"),
    [
        ("upstream", "token.actions.githubusercontent.com"),
        ("a bucket with a key, for other accounts", "token.actions.acme.ghe.com"),
        ("an access point", "git.acme.example/_services/token"),
    ],
)
def test_tokens_of_the_github_that_the_company_has_are_trusted(
    rendered: dict[str, Path], case: str, issuer: str
) -> None:
    given = {} if case == "an access point" else GIVEN
    made = stack(rendered[case], **given, CreateProvider="true")
    assert made.resources["GitHubProvider"]["Url"] == f"https://{issuer}"
    text = (rendered[case] / "aws/registry.yml").read_text()
    assert f"oidc-provider/{issuer}\n" in text
    assert f"{issuer}:sub:" in text


@pytest.mark.filterwarnings("ignore::copier.errors.DirtyLocalWarning")
def test_members_of_a_shared_repository_do_not_get_each_others_roles(tmp_path: Path) -> None:
    stacks = {}
    for name in ("dbt_a", "dbt_b"):
        copier.run_copy(
            str(ROOT),
            tmp_path,
            {"project_name": name, "github_repository": "acme/mono", "registry_bucket": BUCKET},
            answers_file=f"{name}/.copier-answers.yml",
            defaults=True,
            unsafe=True,
            quiet=True,
            skip_tasks=True,
            vcs_ref="HEAD",
        )
        stacks[name] = stack(tmp_path / name)
    assert "--answers-file dbt_a/.copier-answers.yml --data" in stacks["dbt_a"].outputs["Answers"]
    with aws_world.running(tmp_path / "aws", list(stacks.values())) as aws:
        assert aws.environment(aws.role("dbt_a"), subject("acme/mono", "prod-dbt_a"))
        assert aws.environment(aws.role("dbt_b", ci=True), subject("acme/mono", "ci-dbt_b"))
        for other in ("prod-dbt_b", "prod", "ci-dbt_a"):
            with pytest.raises(Refused):
                aws.environment(aws.role("dbt_a"), subject("acme/mono", other))


# --- The mesh on a server -------------------------------------------------------------------------


@dataclass(frozen=True)
class Mesh:
    aws: Aws
    members: dict[str, Member]
    lacking: dict[str, dict[str, Role]]  # ARN of a role: the role without each permission
    objects: dict[str, bytes]
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    proved: set[tuple[str, ...]] = field(default_factory=set)

    def role(self, project: str, *, ci: bool = False) -> Role:
        return self.aws.roles[self.aws.role(project, ci=ci)]

    def signed_in(self, project: str, role: Role) -> Member:
        """The member where a job has assumed the role, as somebody whom it trusts."""
        if role.arn not in self.credentials:
            (statement,) = role.trust["Statement"]
            owner = statement["Condition"]["StringLike"][f"{aws_world.GITHUB}sub"][0]
            self.credentials[role.arn] = self.aws.environment(role.arn, owner)
        member = self.members[project]
        environment = {**member.environment, **self.credentials[role.arn]}
        return dataclasses.replace(member, environment=environment)

    def clear(self) -> None:
        """Empties the bucket."""
        admin = self.aws.s3.client()
        for key in self.stored():
            admin.delete_object(Bucket=BUCKET, Key=key)

    def stored(self) -> dict[str, str]:
        return self.aws.s3.stored("registry/") | self.aws.s3.stored("state/")

    def fill(self) -> None:
        """Makes the bucket what it was once all had deployed."""
        stored = self.stored()
        for key in stored.keys() - self.objects.keys():
            self.aws.s3.client().delete_object(Bucket=BUCKET, Key=key)
        for key, body in self.objects.items():
            if stored.get(key) != hashlib.md5(body).hexdigest():
                self.aws.s3.put(key, body)


@pytest.fixture(scope="module")
def mesh(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    home = tmp_path_factory.mktemp("mesh")
    members = {
        name: render_into(
            home / name,
            project_name=name,
            registry_bucket=BUCKET,
            github_repository=REPOSITORIES[name],
            starter=False,
            **answers,
        )
        for name, answers in ANSWERS.items()
    }
    stacks = {
        "dbt_up": stack(members["dbt_up"].path),
        "dbt_down": stack(
            members["dbt_down"].path, GitHubOwnerId=str(IDS[0]), GitHubRepositoryId=str(IDS[1])
        ),
        "hub": stack(members["hub"].path),
    }
    lacking = {
        role.arn: {
            str(permission): role.without(permission, f"{role.name}-{number}")
            for number, permission in enumerate(role.permissions())
        }
        for made in (stacks["dbt_up"], stacks["dbt_down"])
        for role in made.roles()
    }
    further = [role for each in lacking.values() for role in each.values()]
    with aws_world.running(home / "aws", list(stacks.values()), roles=further) as aws:
        mesh = Mesh(aws, members, lacking, {})
        for name in ("dbt_up", "hub"):
            build(members[name], manifest(name))
        _first_deploys(mesh)
        mesh.objects.update({key: aws.s3.get(key) for key in mesh.stored()})
        yield mesh


def _first_deploys(mesh: Mesh) -> None:
    """Each member deploys as its own role, into an empty registry."""
    up = mesh.signed_in("dbt_up", mesh.role("dbt_up"))
    up.ok(PUBLISH, *ENV)
    up.ok(STATE, "push", *ENV)
    down = mesh.signed_in("dbt_down", mesh.role("dbt_down"))
    down.ok(SYNC, *ENV)
    models = down.path / "models"
    models.mkdir(exist_ok=True)
    (models / "reader.sql").write_text("select column_0 from {{ source('dbt_up', 'public_0') }}\n")
    down.dbt("parse")
    ran = {"metadata": {}, "results": [], "args": {"which": "build"}}
    (down.path / "target" / "run_results.json").write_text(json.dumps(ran))
    down.ok(VALIDATE, "--record", *ENV)
    down.ok(STATE, "push", *ENV)
    hub = mesh.signed_in("hub", mesh.role("hub"))
    hub.ok(PUBLISH, *ENV)
    hub.ok(VALIDATE, "--record", *ENV)
    hub.ok(STATE, "push", *ENV)


def test_every_member_can_deploy_with_its_role(mesh: Mesh) -> None:
    assert set(mesh.objects) >= {LATEST, RECORD, "state/dbt_up/prod/manifest.json"}
    assert "state/dbt_down/prod/manifest.json" in mesh.objects
    assert "registry/hub/prod/latest/manifest.json" in mesh.objects


def test_pull_requests_see_what_they_need(mesh: Mesh) -> None:
    mesh.fill()
    up = mesh.signed_in("dbt_up", mesh.role("dbt_up", ci=True))
    assert "nobody" not in up.ok(PUBLISH, "--check", *ENV)
    assert "last deploy" in up.ok(STATE, "pull", *ENV)
    down = mesh.signed_in("dbt_down", mesh.role("dbt_down", ci=True))
    assert "dbt_up: " in down.ok(SYNC, *ENV)
    down.ok(VALIDATE, *ENV)
    assert "last deploy" in down.ok(STATE, "pull", *ENV)


@pytest.mark.parametrize(
    ("project", "as_project", "ci", "command"),
    [
        ("dbt_up", "dbt_down", False, (PUBLISH, *ENV)),
        ("dbt_up", "hub", False, (PUBLISH, *ENV)),
        ("dbt_up", "dbt_down", False, (STATE, "pull", *ENV)),
        ("dbt_up", "dbt_down", False, (STATE, "push", *ENV)),
        ("dbt_down", "dbt_up", False, (STATE, "pull", *ENV)),
        ("dbt_down", "hub", False, (VALIDATE, "--record", *ENV)),
        ("dbt_up", "dbt_up", True, (PUBLISH, *ENV)),
        ("dbt_up", "dbt_up", True, (STATE, "push", *ENV)),
        ("dbt_down", "dbt_down", True, (STATE, "push", *ENV)),
        ("dbt_down", "dbt_down", True, (VALIDATE, "--record", *ENV)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_somebody_elses_is_refused(
    mesh: Mesh, project: str, as_project: str, ci: bool, command: tuple[str, ...]
) -> None:
    mesh.clear()  # nothing to be content with
    if command[0] == VALIDATE:
        mesh.fill()
        mesh.aws.s3.client().delete_object(Bucket=BUCKET, Key=RECORD)
    before = _contents(mesh)
    done = mesh.signed_in(project, mesh.role(as_project, ci=ci)).run(*command)
    assert done.returncode == 1
    assert "access denied" in done.stderr.splitlines()[-1]
    assert _contents(mesh) == before


def _contents(mesh: Mesh) -> dict[str, int]:
    """Keys, and how often each has been written."""
    return {key: mesh.aws.s3.versions(key) for key in mesh.stored()}


OPERATIONS: dict[str, Callable[[Any, str], Any]] = {
    "s3:GetObject": lambda client, key: client.get_object(Bucket=BUCKET, Key=key),
    # on a condition that does not hold: allowed, it changes nothing
    "s3:PutObject": lambda client, key: client.put_object(
        Bucket=BUCKET, Key=key, Body=b"", IfNoneMatch="*"
    ),
    "s3:DeleteObject": lambda client, key: client.delete_object(Bucket=BUCKET, Key=key),
    "s3:ListBucket": lambda client, key: client.list_objects_v2(Bucket=BUCKET, Prefix=key),
}


def _allowed(client: Any, operation: str, key: str) -> bool:
    try:
        OPERATIONS[operation](client, key)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status not in (403, 412):
            raise
        return bool(status == 412)
    return True


# What lies in the bucket, and who may do what with it: D a deploy role, C the one of pull requests.
MATRIX = """
                                               read        write      list
registry/dbt_up/prod/latest/manifest.json      DC DC DC    D  -  -    DC DC DC
registry/dbt_up/prod/history/1/manifest.json   DC DC DC    D  -  -    DC DC DC
registry/dbt_up/prod/consumers/dbt_down.json   DC DC -     -  D  -    DC DC -
registry/dbt_up/prod/consumers/hub.json        DC -  DC    -  -  D    DC -  DC
registry/hub/prod/latest/manifest.json         -  -  DC    -  -  D    -  -  DC
registry/hub/prod/consumers/dbt_down.json      -  DC DC    -  D  -    -  DC DC
registry/dbt_up/consumers/dbt_down.json        DC -  -     -  -  -    DC -  -
registry/consumers/dbt_down.json               -  -  -     -  -  -    -  -  -
registry//prod/consumers/dbt_down.json         -  -  -     -  -  -    -  -  -
registry/stranger/prod/latest/manifest.json    -  -  -     -  -  -    -  -  -
registry/stranger/prod/history/1/manifest.json -  -  -     -  -  -    -  -  -
registry/dbt_upper/prod/latest/manifest.json   -  -  -     -  -  -    -  -  -
state/dbt_up/prod/manifest.json                DC -  -     D  -  -    DC -  -
state/dbt_up/prod/run_results.json             DC -  -     D  -  -    DC -  -
state/dbt_down/prod/deploy.json                -  DC -     -  D  -    -  DC -
state/hub/prod/index.html                      -  -  DC    -  -  D    -  -  DC
state/dbt_upper/prod/manifest.json             -  -  -     -  -  -    -  -  -
state/stranger/prod/manifest.json              -  -  -     -  -  -    -  -  -
elsewhere                                      -  -  -     -  -  -    -  -  -
"""


@pytest.mark.parametrize(
    "place",
    ["history/zzz", "history", "history/zzz/consumers", "latest", "latest/x", "consumers"],
)
def test_a_consumer_writes_its_record_and_nothing_beside_it(mesh: Mesh, place: str) -> None:
    """A `*` in a policy crosses `/`: what lies in a history would be a version, and stay there."""
    client = aws_world.client(mesh.signed_in("dbt_down", mesh.role("dbt_down")).environment)
    for env in ("prod", "ci"):
        for project in ("dbt_up", "formerly_read"):
            start = f"registry/{project}/{env}"
            assert _allowed(client, "s3:PutObject", f"{start}/consumers/dbt_down.json")
            assert not _allowed(client, "s3:PutObject", f"{start}/{place}/consumers/dbt_down.json")


def test_the_matrix_of_rights(mesh: Mesh) -> None:
    """The server and `allows` agree, so that the proxy's part of it is to be trusted, too."""
    mesh.fill()
    rows = [line.split() for line in MATRIX.strip().splitlines()[1:]]
    for key in (row[0] for row in rows):
        mesh.aws.s3.put(key, b"{}")
    found = {row[0]: [""] * 9 for row in rows}
    deletions = []
    for (column, project), ci in itertools.product(enumerate(ANSWERS), (False, True)):
        role = mesh.role(project, ci=ci)
        client = aws_world.client(mesh.signed_in(project, role).environment)
        for (key, cells), (number, operation) in itertools.product(
            found.items(), enumerate(("s3:GetObject", "s3:PutObject", "s3:ListBucket"))
        ):
            allowed = _allowed(client, operation, key)
            cells[3 * number + column] += ("C" if ci else "D") if allowed else ""
            bucket = f"arn:aws:s3:::{BUCKET}"
            listing = operation == "s3:ListBucket"
            context = {"s3:prefix": key} if listing else {"s3:if-none-match": "*"}
            resource = bucket if listing else f"{bucket}/{key}"
            assert allowed == aws_world.allows([role.policy], operation, resource, context)
        deletions += [key for key in found if _allowed(client, "s3:DeleteObject", key)]
    assert {key: [cell or "-" for cell in cells] for key, cells in found.items()} == {
        row[0]: row[1:] for row in rows
    }
    assert deletions == []


@pytest.mark.parametrize("project", ["dbt_up", "dbt_down", "hub"])
@pytest.mark.parametrize("ci", [False, True], ids=["deploy", "ci"])
def test_a_deploy_that_reads_others_may_list_the_projects(
    mesh: Mesh, project: str, ci: bool
) -> None:
    mesh.fill()
    client = aws_world.client(mesh.signed_in(project, mesh.role(project, ci=ci)).environment)

    def listed(**how: str) -> list[str]:
        answer = client.list_objects_v2(Bucket=BUCKET, **how)
        return [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())]

    refused = [{}, {"Prefix": "registry/"}, {"Delimiter": "/"}, {"Prefix": "state/"}]
    if project != "dbt_up" and not ci:
        assert listed(Prefix="registry/", Delimiter="/") == ["registry/dbt_up/", "registry/hub/"]
    else:
        refused.append({"Prefix": "registry/", "Delimiter": "/"})
    for how in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            listed(**how)


# --- Every permission is needed -------------------------------------------------------------------

CHECK = (PUBLISH, "--check")
VERSION = (SYNC, "--version", "20260102T030405.678901Z-0123456789ab")
RECORDS = (VALIDATE, "--record")
FRESHNESS = ("check-freshness", "--max-age", "26", "--data")
PULL, PUSH = (STATE, "pull"), (STATE, "push")

# Permission, and the command that fails without it where the bucket is empty, full, or as after
# all have deployed but for the record of dbt_down.
NEEDED: dict[tuple[str, bool], dict[str, tuple[tuple[str, ...], str]]] = {
    ("dbt_up", False): {
        "GetObject registry/dbt_up/*": ((PUBLISH,), "full"),
        "GetObject state/dbt_up/*": ((PUBLISH,), "full"),
        "PutObject registry/dbt_up/*/latest/manifest.json": ((PUBLISH,), "empty"),
        "PutObject registry/dbt_up/*/history/*/manifest.json": ((PUBLISH,), "empty"),
        "PutObject state/dbt_up/*": ((PUBLISH,), "empty"),
        "ListBucket registry/dbt_up/*": ((PUBLISH,), "empty"),
        "ListBucket state/dbt_up/*": ((PUBLISH,), "empty"),
    },
    ("dbt_up", True): {
        "GetObject registry/dbt_up/*": (CHECK, "full"),
        "GetObject state/dbt_up/*": (PULL, "full"),
        "ListBucket registry/dbt_up/*": (CHECK, "empty"),
        "ListBucket state/dbt_up/*": (PULL, "empty"),
    },
    ("dbt_down", False): {
        "GetObject state/dbt_down/*": (PULL, "full"),
        "PutObject state/dbt_down/*": (PUSH, "full"),
        "GetObject registry/dbt_up/*/latest/manifest.json": ((SYNC,), "full"),
        "GetObject registry/dbt_up/*/history/*/manifest.json": (VERSION, "full"),
        "GetObject registry/?*/?*/consumers/dbt_down.json": (RECORDS, "full"),
        "PutObject registry/?*/?*/consumers/dbt_down.json": (RECORDS, "without"),
        "ListBucket registry/": (RECORDS, "full"),
        "ListBucket state/dbt_down/*": (PULL, "empty"),
        "ListBucket registry/dbt_up/*/latest/manifest.json": ((SYNC,), "empty"),
        "ListBucket registry/dbt_up/*/history/*/manifest.json": (VERSION, "empty"),
        "ListBucket registry/?*/?*/consumers/dbt_down.json": (RECORDS, "without"),
    },
    ("dbt_down", True): {
        "GetObject state/dbt_down/*": (PULL, "full"),
        "GetObject registry/dbt_up/*/latest/manifest.json": ((SYNC,), "full"),
        "GetObject registry/dbt_up/*/history/*/manifest.json": (VERSION, "full"),
        "GetObject registry/?*/?*/consumers/dbt_down.json": (FRESHNESS, "full"),
        "ListBucket state/dbt_down/*": (PULL, "empty"),
        "ListBucket registry/dbt_up/*/latest/manifest.json": ((SYNC,), "empty"),
        "ListBucket registry/dbt_up/*/history/*/manifest.json": (VERSION, "empty"),
        "ListBucket registry/?*/?*/consumers/dbt_down.json": (FRESHNESS, "without"),
    },
}


def test_no_permission_is_left_out_here(mesh: Mesh) -> None:
    for (project, ci), needed in NEEDED.items():
        permissions = [str(each) for each in mesh.role(project, ci=ci).permissions()]
        assert sorted(permissions) == sorted(needed)
    for ci in (False, True):  # a hub has what the two others have
        renamed = {
            text.replace("state/dbt_up/", "state/hub/").replace("registry/dbt_up/*", own)
            for text in NEEDED["dbt_up", ci]
            for own in ["registry/hub/*"]
        } | {text.replace("dbt_down", "hub") for text in NEEDED["dbt_down", ci]}
        assert {str(each) for each in mesh.role("hub", ci=ci).permissions()} == renamed


@pytest.mark.parametrize(
    ("project", "ci", "permission"),
    [(*role, permission) for role, needed in NEEDED.items() for permission in needed],
    ids=lambda value: {True: "ci", False: "deploy"}.get(value, value),
)
def test_without_a_permission_a_command_fails(
    mesh: Mesh, project: str, ci: bool, permission: str
) -> None:
    (command, *flags), state = NEEDED[project, ci][permission]
    whole = mesh.role(project, ci=ci)

    def denied(role: Role) -> bool:
        mesh.clear() if state == "empty" else mesh.fill()
        if state == "without":
            mesh.aws.s3.client().delete_object(Bucket=BUCKET, Key=RECORD)
        done = mesh.signed_in(project, role).run(command, *flags, *ENV)
        return "access denied" in done.stderr

    assert denied(mesh.lacking[whole.arn][permission])
    known = (whole.arn, command, *flags, state)
    if known not in mesh.proved:
        assert not denied(whole)
        mesh.proved.add(known)


# --- Who may assume a role ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("project", "ci", "who"),
    [
        ("dbt_up", False, "repo:acme/dbt-up:environment:prod"),
        ("dbt_up", False, "repo:acme@1/dbt-up@2:environment:prod"),
        ("dbt_up", True, "repo:acme/dbt-up:environment:ci"),
        ("dbt_up", True, "repo:acme@1/dbt-up@2:environment:ci"),
        ("dbt_down", False, "repo:acme/dbt-down:environment:prod"),
        ("dbt_down", False, "repo:acme@12/dbt-down@34:environment:prod"),
        ("dbt_down", True, "repo:acme@12/dbt-down@34:environment:ci"),
    ],
)
def test_both_forms_of_the_subject_get_the_role(
    mesh: Mesh, project: str, ci: bool, who: str
) -> None:
    assert mesh.aws.environment(mesh.aws.role(project, ci=ci), who)["AWS_SESSION_TOKEN"]


@pytest.mark.parametrize(
    ("project", "ci", "who"),
    [
        ("dbt_up", False, "repo:acme/dbt-up:pull_request"),
        ("dbt_up", False, "repo:acme@1/dbt-up@2:pull_request"),
        ("dbt_up", False, "repo:acme/dbt-up:environment:ci"),
        ("dbt_up", False, "repo:acme/dbt-up:environment:production"),
        ("dbt_up", False, "repo:acme/dbt-up:ref:refs/heads/main"),
        ("dbt_up", False, "repo:acme/dbt-up-fork:environment:prod"),
        ("dbt_up", False, "repo:evil/dbt-up:environment:prod"),
        ("dbt_up", False, "repo:acmes@1/dbt-up@2:environment:prod"),
        # what a repository of the same owner could call its environments and branches
        ("dbt_up", False, "repo:acme@1/evil@2:environment:/dbt-up@3%3Aenvironment%3Aprod"),
        ("dbt_up", False, "repo:acme@1/evil@2:ref:refs/heads/x/dbt-up@3"),
        ("dbt_up", True, "repo:acme/dbt-up:environment:prod"),
        ("dbt_up", True, "repo:acme/dbt-down:environment:ci"),
        ("dbt_up", True, "repo:acme/dbt-up:pull_request"),
        # where ids are given, names that have changed hands are not enough
        ("dbt_down", False, "repo:acme@13/dbt-down@34:environment:prod"),
        ("dbt_down", False, "repo:acme@12/dbt-down@35:environment:prod"),
        ("dbt_down", False, "repo:acme@12/dbt-down@345:environment:prod"),
    ],
)
def test_nobody_else_gets_it(mesh: Mesh, project: str, ci: bool, who: str) -> None:
    with pytest.raises(Refused, match="AccessDenied"):
        mesh.aws.environment(mesh.aws.role(project, ci=ci), who)


def test_a_token_has_to_be_for_aws_and_signed_by_github(mesh: Mesh) -> None:
    role, who = mesh.aws.role("dbt_up"), subject("acme/dbt-up")
    issuer = mesh.aws.issuer
    assert mesh.aws.assume(role, issuer.token(who))
    with aws_world.issuing() as other:
        for token in (
            issuer.token(who, audience="https://github.com/acme"),
            issuer.token(who, signed_by=other),
            other.token(who),
        ):
            with pytest.raises(Refused):
                mesh.aws.assume(role, token)


def test_a_job_gets_its_credentials_as_the_action_does(mesh: Mesh) -> None:
    def job(who: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            **mesh.aws.workflow_environment(who),
            **{"GITHUB_JOB": "job", "ACTIONS_ENVIRONMENTS": '{"job": "prod"}'},
        }
        command = [sys.executable, "-m", "tests.aws_world", mesh.aws.role("dbt_up")]
        return warm.run(command, ROOT, environment)

    mesh.fill()
    done = job(subject("acme/dbt-up"))
    assert done.returncode == 0, done.stderr
    given = dict(line.split("=", 1) for line in done.stdout.splitlines())
    place = mesh.aws.workflow_environment("")
    assert "published already" in mesh.members["dbt_up"].ok(PUBLISH, *ENV, **given, **place)
    refused = job("repo:acme/dbt-up:pull_request")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Could not assume role with OIDC" in refused.stderr


# --- The policy of the bucket ---------------------------------------------------------------------


def test_a_version_of_the_history_is_written_once(mesh: Mesh) -> None:
    """Decided by the proxy: the server does not know s3:if-none-match."""
    mesh.fill()
    client = aws_world.client(mesh.signed_in("dbt_up", mesh.role("dbt_up")).environment)
    new = {"Bucket": BUCKET, "Key": f"{HISTORY}/2/manifest.json", "Body": b"{}"}
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(**new)
    etag = client.put_object(**new, IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(**new, IfNoneMatch="*")
    for condition in ({}, {"IfMatch": etag}):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.put_object(**new, **condition)
    client.put_object(**{**new, "Key": LATEST})  # which is there to be replaced


def test_administrators_too_come_by_tls_and_leave_the_history_alone(mesh: Mesh) -> None:
    """In a bucket of its own, which nobody opens again."""
    bucket = "closed"
    made = stack(mesh.members["dbt_up"].path, CreateBucket="true", RegistryBucket=bucket)
    policy = aws_world.known_to_server(made.resources["BucketPolicy"]["PolicyDocument"])
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert by_sid.keys() == {"OnlyByTLS", "HistoryIsNotDeleted"}
    admin = mesh.aws.s3.client()
    s3_server.make_bucket(admin, bucket)

    def install(*sids: str) -> None:
        statements = [by_sid[sid] for sid in sids]
        document = json.dumps({**policy, "Statement": statements})
        admin.put_bucket_policy(Bucket=bucket, Policy=document)

    old = f"{HISTORY}/1/manifest.json"
    for key in (old, LATEST):
        admin.put_object(Bucket=bucket, Key=key, Body=b"{}")
    install("HistoryIsNotDeleted")
    version = admin.head_object(Bucket=bucket, Key=old)["VersionId"]
    for which in ({}, {"VersionId": version}):
        with pytest.raises(ClientError, match="AccessDenied"):
            admin.delete_object(Bucket=bucket, Key=old, **which)
    admin.delete_object(Bucket=bucket, Key=LATEST)
    install("OnlyByTLS", "HistoryIsNotDeleted")
    with pytest.raises(ClientError, match="AccessDenied"):
        admin.get_object(Bucket=bucket, Key=old)
