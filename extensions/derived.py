"""Derives from the answers what the template's files and folders need: layers, names, settings.

These values are not computed answers (`when: false`), because Copier computes each of those several
times, which took a tenth of a copy. They are known once all questions are answered. `dev_role`,
`ci_user` and `clouds`, to which questions refer, are in copier.yml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from copier_template_extensions import ContextHook
from jinja2 import Environment

Answers = Mapping[str, Any]

LAST = "setup"
"""The last question. Once it is answered, all questions are."""


class Cloud(NamedTuple):
    """A cloud that can hold a registry.

    scheme: the scheme of the registry's URL.
    layer: the cloud's folder of template/.
    place: the answer that says where the registry is.
    identity: the answer that says as whom deploys sign in.
    """

    scheme: str
    layer: str
    place: str
    identity: str


CLOUDS = {
    "s3": Cloud("s3", "on_aws", "registry_bucket", "aws_role_arn"),
    "azure": Cloud("az", "on_azure", "azure_storage_account", "azure_identities"),
    "gcs": Cloud("gs", "on_google", "gcs_bucket", "google_provider"),
}
"""The clouds by the answer `registry`. A registry in Snowflake needs none: it is in the account.
The library's own list is `CLOUDS` in src/dbtmesh/registry/store.py."""


def layers(answers: Answers) -> dict[str, str]:
    """Returns the layers, which are folders of template/ with these names, and their values.

    A member receives a layer in its project's folder, which is the value. If the value is empty, it
    does not receive the layer.
    """
    kind, registry = answers["kind"], answers["registry"]
    starter, reads = answers["starter"], answers["starter_reads"]
    received = {
        "member": True,
        "downstream": kind != "upstream",
        "loom": kind == "loom",
        "upstream_starter": starter and kind == "upstream",
        "by_source_starter": starter and kind == "native" and reads == "source",
        "by_ref_starter": starter and kind != "upstream" and reads == "ref",
        "publisher": is_publisher(answers),
        **{cloud.layer: registry == answer for answer, cloud in CLOUDS.items()},
    }
    folder = answers["working_directory"]
    return {layer: folder if receives else "" for layer, receives in received.items()}


def is_publisher(answers: Answers) -> bool:
    return bool(answers["kind"] == "upstream" or answers["publishes"])


def delivery(answers: Answers, answers_file: PurePath) -> dict[str, Any]:
    """Returns what workflows need: names of GitHub environments, and of workflow and answers files.

    The GitHub environments of deploys and of pull requests hold the secrets, and Snowflake and the
    cloud trust their names. Each member of a shared repository has its own environments.
    """
    alone, project = answers["working_directory"] == ".", answers["project_name"]
    beside = "mesh-" if ".github/workflows/" in answers["own_files"] else ""
    server = answers["github_server"]
    return {
        # without --hostname, gh asks github.com, even in a clone of another server
        "gh_api": "gh api" if server == "github.com" else f"gh api --hostname {server}",
        "deploy_environment": "prod" if alone else f"prod-{project}",
        "ci_environment": "ci" if alone else f"ci-{project}",
        # workflows go to the top of the repository, also if members share it
        "workflow_prefix": beside if alone else f"{project}-",
        # if not, commands that change an answer must name the file, or Copier does not find it
        "plain_answers_file": answers_file.as_posix() == ".copier-answers.yml",
    }


def registry_url(answers: Answers) -> str:
    """Returns the registry's URL; empty until the answers tell it."""
    match answers["registry"]:
        case "s3":
            bucket = answers["registry_bucket"]
            return f"s3://{bucket}/registry" if bucket else ""
        case "azure":
            account, container = answers["azure_storage_account"], answers["azure_container"]
            return f"az://{account}/{container}/registry" if account else ""
        case "gcs":
            bucket = answers["gcs_bucket"]
            return f"gs://{bucket}/registry" if bucket else ""
        case "snowflake":
            account = answers["snowflake_account"]
            return f"snowflake://{account}" if account else ""
    return ""


def registry(answers: Answers) -> dict[str, Any]:
    """Returns the registry's URL, the answers that deploys need, and whether all are given."""
    url, own = registry_url(answers), CLOUDS.get(answers["registry"])
    identities = [cloud.identity for name, cloud in CLOUDS.items() if name in answers["clouds"]]
    return {
        "registry_url": url,
        "registry_answers": [*([own.place] if own else []), *identities],
        "is_deployable": bool(
            answers["snowflake_account"] and url and all(answers[each] for each in identities)
        ),
    }


class Derived(ContextHook):
    """Adds the derived values to Copier's context. The other extensions' filters parse answers."""

    answers: Answers | None = None
    values: Mapping[str, Any] = {}

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["clouds"] = self.clouds

    def clouds(self, upstreams: str, own: str) -> list[str]:
        """Returns the clouds of the registries that a project reads or writes, its own first.

        A cloud is named by its answer to `registry`. A registry in Snowflake is in no cloud.
        """
        parsed = self.environment.filters["parse_upstreams"](upstreams)
        read = {each["registry"].partition("://")[0]: None for each in parsed}
        answer_of = {cloud.scheme: answer for answer, cloud in CLOUDS.items()}
        found = [own, *(answer_of.get(scheme, "") for scheme in read)]
        return list(dict.fromkeys(each for each in found if each in CLOUDS))

    def hook(self, context: dict[str, Any]) -> None:
        if context.get("_copier_phase") == "prompt" or LAST not in context:
            return
        if context["_copier_answers"] != self.answers:
            conf = context["_copier_conf"]
            if not conf["answers_file"]:  # Copier has not rendered its name yet
                return
            self.values = self.derive(context, conf)
            self.answers = context["_copier_answers"]
        context.update(self.values)

    def derive(self, answers: Answers, conf: Answers) -> dict[str, Any]:
        filters: Mapping[str, Callable[..., Any]] = self.environment.filters
        schemas, prod = answers["schemas"], answers["prod_database"]
        # as Snowflake names them: [{database, schema, name}]; the last one is the default
        prod_schemas = filters["parse_schemas"](schemas, prod)
        version = filters["library_version"](
            conf["src_path"], answers["_copier_answers"].get("_commit", "")
        )
        upstreams = (
            filters["parse_upstreams"](
                answers["upstreams"], answers["registry"], answers["upstream_roles"]
            )
            if answers["kind"] != "upstream"
            else []
        )
        in_snowflake = answers["registry"] == "snowflake" or any(
            each["in_snowflake"] for each in upstreams
        )
        return {
            **layers(answers),
            **delivery(answers, conf["answers_file"]),
            "on_enterprise_server": filters["is_enterprise_server"](answers["github_server"]),
            **registry(answers),
            "is_publisher": is_publisher(answers),
            "prod_schemas": prod_schemas,
            "default_schema": prod_schemas[-1]["schema"],
            "prod_databases": filters["databases_of"](schemas, prod),
            "read_places": filters["parse_reads"](answers["reads"]),
            "upstream_projects": upstreams,
            # holds the mesh's data in Snowflake, if this project or an upstream publishes there
            "mesh_schema": f"{prod}.MESH" if in_snowflake else "",
            # versions of the library: see hooks/library.py
            "library_version": version,
            "vendored_version": version if answers["library"] == "vendor" else "",
        }
