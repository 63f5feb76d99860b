"""Jinja filters for copier.yml that validate where a project is kept and delivered.

They are about the registry, its cloud, GitHub, the project's folder, and the library it runs on.

A filter called `…_error` returns one line for the person who typed the answer, or the empty
string; copier.yml uses them as validators. The line starts with the remedy, as in `answers.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

ACCESS_POINT = r"arn:aws[a-z-]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint/[a-z0-9][a-z0-9-]{1,48}[a-z0-9]"
KMS_KEY = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+"


def is_access_point(bucket: str) -> bool:
    """Checks whether the answer for the bucket is the ARN of an access point."""
    return re.fullmatch(ACCESS_POINT, bucket) is not None


def encryption_error(encryption: str) -> str:
    if encryption and not re.fullmatch(f"AES256|aws:kms|{KMS_KEY}", encryption):
        return f"AES256, aws:kms or a key's ARN: {encryption!r} is none of them"
    return ""


def aws_accounts_error(text: str) -> str:
    for account in filter(None, map(str.strip, text.split(","))):
        if not re.fullmatch("[0-9]{12}", account):
            return f"12 digits each: {account!r} is not the number of an AWS account"
    return ""


def bucket_error(bucket: str) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    if not bucket or re.fullmatch(ACCESS_POINT, bucket):
        return ""
    legal = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket)
    if not legal or ".." in bucket or re.fullmatch(r"([0-9]+\.){3}[0-9]+", bucket):
        return (
            f"3 to 63 of a-z, 0-9, . and -: {bucket!r} is not a valid bucket name (a letter or "
            "digit at both ends; without s3://)"
        )
    if bucket.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or bucket.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
    ):
        return f"choose another: {bucket!r} has a prefix or suffix that S3 keeps for itself"
    return ""


def aws_region_error(region: str) -> str:
    if not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-[0-9]", region):
        return f"such as eu-west-1: {region!r} is not an AWS region"
    return ""


def aws_role_error(arn: str) -> str:
    name = "[A-Za-z0-9_+=,.@-]"
    if arn and not re.fullmatch(rf"arn:aws[a-z-]*:iam::[0-9]{{12}}:role/({name}+/)*{name}+", arn):
        return (
            f"paste the ARN of a role: {arn!r} is not a role (for example "
            "arn:aws:iam::123456789012:role/dbt-mesh-dbt-up)"
        )
    if len(arn.rpartition("/")[2]) > 61:
        return "at most 61 characters of name: the role of pull requests adds -ci to it"
    return ""


def azure_account_error(account: str) -> str:
    if account and not re.fullmatch(r"[a-z0-9]{3,24}", account):
        return (
            f"3 to 24 of a-z and 0-9: {account!r} is not a valid name of a storage account "
            "(without .blob.core.windows.net)"
        )
    return ""


def azure_container_error(container: str) -> str:
    if not re.fullmatch(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*", container):
        return (
            f"3 to 63 of a-z, 0-9 and -: {container!r} is not a valid name of a container (single "
            "hyphens, none at an end)"
        )
    return ""


def azure_identities_error(identities: str) -> str:
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    if identities and not re.fullmatch(rf"{uuid}/{uuid}/{uuid}", identities):
        return f"three ids, TENANT/CLIENT/CLIENT: {identities!r} does not have that form"
    return ""


def gcs_bucket_error(bucket: str) -> str:
    # https://cloud.google.com/storage/docs/buckets#naming
    if bucket and not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]", bucket):
        return (
            f"3 to 63 of a-z, 0-9, . _ and -: {bucket!r} is not a valid bucket name (a letter or "
            "digit at both ends; without gs://)"
        )
    if bucket.startswith("goog") or "google" in bucket:
        return f"choose another: {bucket!r} contains a word that Google keeps for itself"
    return ""


def google_provider_error(provider: str) -> str:
    name = "[a-z0-9-]{4,32}"
    pool = f"projects/[0-9]+/locations/global/workloadIdentityPools/{name}"
    if provider and not re.fullmatch(rf"{pool}/providers/{name}", provider):
        return (
            f"paste its whole name: {provider!r} is not a workload identity provider (projects/"
            "NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME)"
        )
    return ""


def github_repository_error(repository: str) -> str:
    """Names of managed users contain an underscore. See
    https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication
    """
    owner = r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}(_[A-Za-z0-9]+)?"
    if repository and not re.fullmatch(rf"{owner}/[A-Za-z0-9._-]{{1,100}}", repository):
        return f"write org/repo: {repository!r} is not a GitHub repository"
    if repository.endswith(("/.", "/..")):
        return f"write org/repo: {repository!r} is not a GitHub repository"
    if repository.lower().endswith(".git"):
        return f"write it as {repository[:-4]}: {repository!r} is not how GitHub names it"
    return ""


def github_server_error(server: str) -> str:
    label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})+", server) or len(server) > 253:
        return f"such as acme.ghe.com: {server!r} is not a host name (lower case, without https://)"
    return ""


def is_enterprise_server(server: str) -> bool:
    """Checks whether a server is an Enterprise Server, for which workflows have to differ.

    It does not run actions/upload-artifact since v4, and it gets new settings of workflows later
    than GitHub's own hosts: https://github.com/actions/upload-artifact#v4---whats-new
    """
    return server != "github.com" and not server.endswith(".ghe.com")


def oidc_issuer(server: str) -> str:
    """Returns the issuer of the OIDC tokens of workflows: a host, on Enterprise Server with a path.

    https://docs.github.com/en/actions/reference/security/oidc, its page for ghe.com, and
    https://docs.github.com/en/enterprise-server@latest/actions/reference/security/oidc
    """
    if server == "github.com":
        return "token.actions.githubusercontent.com"
    if server.endswith(".ghe.com"):
        return f"token.actions.{server}"
    return f"{server}/_services/token"


def github_ids_error(ids: str) -> str:
    if ids and not re.fullmatch(r"[0-9]{1,20}/[0-9]{1,20}", ids):
        return f"two numbers, as in 1234/5678: {ids!r} is not the owner's id / the repository's"
    return ""


def github_subject(repository: str, ids: str) -> str:
    """Returns how the subject of GitHub's OIDC tokens names a repository: with ids since July 2026.

    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens
    """
    parts = repository.split("/")
    if ids:
        parts = [f"{name}@{number}" for name, number in zip(parts, ids.split("/"), strict=True)]
    return f"repo:{'/'.join(parts)}"


def branch_error(branch: str) -> str:
    # What `git check-ref-format` allows, less what a workflow file would read as a pattern.
    legal = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", branch)
    if not legal or ".." in branch or "//" in branch or branch.endswith(("/", ".", ".lock")):
        return f"such as main: {branch!r} is not a branch name"
    return ""


FOLDER = re.compile(r"\.|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


def folder_of(answers_file: PurePath) -> str:
    """Returns the project's folder in its repository, which is the folder of its answers file."""
    return answers_file.parent.as_posix()


def moved_error(folder: str, answers_file: PurePath) -> str:
    """Says what to do if the answers file, and so the project, is not in the folder it records."""
    now = folder_of(answers_file)
    if folder == now:
        return ""
    if not FOLDER.fullmatch(folder):
        return (
            f"letters, digits, _, - and / between them: {folder!r} is not a folder of a repository"
        )
    name = answers_file.as_posix()
    old = ", then delete the workflows of the old name" if "." in (folder, now) else ""
    return (
        f"{name} is of a project in {folder}: was it moved to {now}? Then, at the top of the "
        "repository, with everything committed: copier recopy --trust --defaults --overwrite "
        f"--vcs-ref=:current: --answers-file {name} --data working_directory={now}{old}; read "
        "`git diff`, keep the new folder and take your own edits back"
    )


def working_directory_error(folder: str, answers_file: PurePath) -> str:
    # an answers file at the top can also mean that Copier was run inside the project's folder
    moved = moved_error(folder, answers_file)
    if moved and (folder_of(answers_file) != "." or not FOLDER.fullmatch(folder)):
        return moved
    if moved:
        expected = PurePosixPath(folder, answers_file.name)
        return (
            f"the project's folder is that of its answers file: run Copier at the top of the "
            f"repository, with --answers-file {expected}"
        )
    return ""


@cache
def library_version(template: PurePath, commit: str) -> str:
    """Returns the version of the library for a member of this version of the template.

    commit: what `git describe` prints for the template. A tag gives its own version. Any other
    commit gives a version with a digest of the library's files, because pip does not install the
    same version again.
    """
    tag, *beyond = re.split(r"-\d+-g", commit)
    # strict, because a commit's hash can look like a version: 08387b6
    is_tag = re.fullmatch(r"(v\d+|\d+\.\d+)(\.\d+)*((a|b|rc)\d+)?", tag)
    base = tag.removeprefix("v") if is_tag else "0"
    if base != "0" and not beyond:
        return base
    # these include all files that hooks/library.py packs
    parts = [path for part in ("src", "template") for path in Path(template, part).rglob("*")]
    files = sorted(path for path in parts if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(template).as_posix().encode() + path.read_bytes())
    return f"{base}+untagged.{digest.hexdigest()[:12]}"


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        aws_accounts_error,
        aws_region_error,
        aws_role_error,
        azure_account_error,
        azure_container_error,
        azure_identities_error,
        branch_error,
        bucket_error,
        encryption_error,
        folder_of,
        gcs_bucket_error,
        github_ids_error,
        github_repository_error,
        github_server_error,
        github_subject,
        google_provider_error,
        is_access_point,
        is_enterprise_server,
        library_version,
        oidc_issuer,
        working_directory_error,
    )
}


class Delivery(Extension):
    """Adds the filters above to Copier's Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(FILTERS)
