"""Reads mesh.yml, and resolves which registry and environment a command means."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from dbtmesh import MeshError, yaml_files
from dbtmesh.files import read_bounded
from dbtmesh.output.words import shown
from dbtmesh.registry.store import SHAPES, Access

KINDS = ("upstream", "native", "loom")


class Engine(StrEnum):
    """Which dbt runs a member: dbt Core 1.x, or dbt v2."""

    CORE = "core"
    V2 = "v2"


NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DATABASE = re.compile(r'[^"\\{}\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]{1,255}')
"""A database, as Snowflake stores its name. The question `upstreams` accepts the same in quotes
(extensions/answers.py)."""
ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]*")
DEPLOYMENTS = ("sequential", "independent", "on_demand")
GITHUB, REGISTRY_ANSWER, ANSWERS_FILE = "github.com", "registry_bucket", ".copier-answers.yml"
"""The defaults for what mesh.yml does not say."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
REGION = re.compile(r"[a-z0-9-]+")
ACCOUNT = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
"""An account of Snowflake. It becomes the beginning of a host name."""
FILE = re.compile(r"(?!\.\.?$)[\w. -]+")
LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")
ADDRESS = re.compile(r"[a-z0-9]{2,}://[!-~]{1,1000}")
SCHEME = re.compile(r"[A-Za-z0-9]{2,}:")


def _dev_database(prefix: str) -> str:
    """Returns the default name, where mesh.yml names no other."""
    return f"{prefix}_DEV"


def _local_database(prefix: str) -> str:
    return f"{prefix}_LOCAL"


class Upstream(NamedTuple):
    """A project that this member reads, and the databases that may hold its models.

    prod_database: its name, which need not begin with the prefix. more_databases: further ones of
    the project, which mesh.yml names as `databases`. registry: the URL of its registry, if that is
    not this member's.
    """

    name: str
    database_prefix: str
    prod_database: str
    more_databases: tuple[str, ...] = ()
    registry: str | None = None

    @property
    def local_database(self) -> str:
        """The database of its DuckDB file, on a laptop and in pull requests."""
        return _local_database(self.database_prefix)

    @property
    def databases(self) -> tuple[str, ...]:
        """All of its databases, as stored. A publication that names another one is refused."""
        dev = _dev_database(self.database_prefix)
        named = (self.prod_database, dev, self.local_database)
        return (*named, *self.more_databases)


class Member(NamedTuple):
    """This project, as mesh.yml tells it; `root` is the folder that holds mesh.yml."""

    root: Path
    project: str
    kind: str
    publishes: bool
    database_prefix: str
    bucket: str | None
    aws_region: str | None
    upstreams: tuple[Upstream, ...]
    snowflake: Mapping[str, Any] = {}
    github_repository: str | None = None
    github_server: str = GITHUB
    encryption: str | None = None
    deploy_branch: str = "main"
    deploy_environment: str = "prod"
    ci_environment: str = "ci"
    deploy_workflow: str | None = None  # its file; None in a mesh.yml from before 0.3.0
    deployment: str = "sequential"
    engine: Engine = Engine.CORE
    registry: str | None = None  # its URL, if it is not the S3 bucket
    registry_answer: str = REGISTRY_ANSWER  # the question that asks where the registry is
    azure: Mapping[str, str] = {}
    google: Mapping[str, str] = {}
    answers_file: str = ANSWERS_FILE  # its name in `root`, which differs if there are two templates

    @property
    def is_native(self) -> bool:
        return self.kind == "native"

    @property
    def access(self) -> Access:
        """What signing in to a registry needs besides its URL."""
        return Access(
            aws_region=self.aws_region,
            encryption=self.encryption,
            member=self,
            azure_tenant=self.azure.get("tenant_id"),
            azure_client=os.environ.get("AZURE_CLIENT_ID") or self.azure.get("client_id"),
            google_provider=self.google.get("workload_identity_provider"),
        )

    @property
    def prod_database(self) -> str:
        """The database of the deployed models, as stored. It need not begin with the prefix."""
        named = self.snowflake.get("prod_database")
        return named if isinstance(named, str) and named else f"{self.database_prefix}_PROD"

    @property
    def dev_database(self) -> str:
        """The database of people and pull requests, as stored."""
        named = self.snowflake.get("dev_database")
        return named if isinstance(named, str) and named else _dev_database(self.database_prefix)

    @property
    def local_database(self) -> str:
        """The database of its DuckDB file, on a laptop and in pull requests."""
        return _local_database(self.database_prefix)

    def upstream(self, name: str) -> Upstream:
        for upstream in self.upstreams:
            if upstream.name == name:
                return upstream
        known = ", ".join(upstream.name for upstream in self.upstreams) or "none"
        raise MeshError(
            f"{name!r} is not an upstream of {self.project} (mesh.yml names {known}): add it with "
            "`copier update --trust --skip-answered --ask upstreams`"
        )

    def chosen(self, names: Sequence[str] | None) -> list[Upstream]:
        """Returns the upstreams of these names, each once, or all upstreams if there are no names.

        Raises MeshError where a name is not an upstream's.
        """
        if not names:
            return list(self.upstreams)
        return [self.upstream(name) for name in dict.fromkeys(names)]


def load_member(root: Path) -> Member:
    """Reads mesh.yml of the member in `root`.

    Raises MeshError where it is missing, is not YAML, or lacks what the commands need.
    """
    path = root / "mesh.yml"
    try:
        facts = yaml_files.load(read_bounded(path))
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: `git checkout mesh.yml` brings it back") from None
    except yaml_files.NotYaml as error:
        raise MeshError(
            f"mesh.yml is not valid YAML{error.where}: {error}: fix it, or `git checkout mesh.yml`"
        ) from None
    return _member(root, facts)


def _member(root: Path, facts: object) -> Member:
    def wrong(what: str) -> MeshError:
        return MeshError(f"mesh.yml: {what}: fix it, or `git checkout mesh.yml`")

    if not isinstance(facts, dict):
        raise wrong("is not a mapping of keys to values")

    def text(holder: Mapping[str, Any], key: str, pattern: re.Pattern[str] = NAME) -> str:
        value = holder.get(key)
        if value is None or value == "":
            raise wrong(f"`{key}` is missing")
        if not isinstance(value, str):
            raise wrong(f"`{key}` is {shown(value)}, which is not a text: put it in quotes")
        if not pattern.fullmatch(value):
            raise wrong(f"`{key}` is {shown(value)}, which is not a valid name")
        return value

    def option(key: str, pattern: re.Pattern[str]) -> str | None:
        return None if facts.get(key) in (None, "") else text(facts, key, pattern)

    def choice(key: str, default: str, names: Sequence[str]) -> str:
        value = facts.get(key, default)
        if value not in list(names):
            raise wrong(f"`{key}` is {shown(value)}, not one of {', '.join(names)}")
        return str(value)

    text(facts, "kind")
    kind = choice("kind", "", KINDS)
    publishes = facts.get("publishes", kind == "upstream")
    if not isinstance(publishes, bool):
        raise wrong("`publishes` is neither true nor false")
    upstreams = facts.get("upstreams") or []
    if not isinstance(upstreams, list) or not all(isinstance(entry, dict) for entry in upstreams):
        raise wrong("`upstreams` is not a list of {name, database_prefix}")
    snowflake = facts.get("snowflake") or {}
    if not isinstance(snowflake, dict):
        raise wrong("`snowflake` is not a mapping of keys to values")
    if snowflake.get("account"):
        text(snowflake, "account", ACCOUNT)

    def databases(entry: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
        """Returns the prefix, the prod database and the further databases of an upstream."""
        prefix = text(entry, "database_prefix")
        prod = text(entry, "database", DATABASE) if entry.get("database") else f"{prefix}_PROD"
        more = entry.get("databases") or []
        if not isinstance(more, list):
            raise wrong(f"`databases` of {entry['name']} is not a list of names")
        return (
            prefix,
            prod,
            tuple(text({"databases": each}, "databases", DATABASE) for each in more),
        )

    def elsewhere(entry: Mapping[str, Any]) -> str | None:
        return text(entry, "registry", ADDRESS).rstrip("/") if entry.get("registry") else None

    names = [text(entry, "name") for entry in upstreams]
    for name in names:
        if names.count(name) > 1:
            raise wrong(f"upstream {name!r} is named twice")
    sign_ins = {cloud: facts.get(cloud) or {} for cloud in ("azure", "google")}
    for cloud, sign_in in sign_ins.items():
        if not isinstance(sign_in, dict) or not all(
            isinstance(each, str) and LINE.fullmatch(each) for each in sign_in.values()
        ):
            raise wrong(f"`{cloud}` is not a mapping of keys to texts")
    return Member(
        root=root,
        project=text(facts, "project"),
        kind=kind,
        publishes=publishes,
        database_prefix=text(facts, "database_prefix"),
        bucket=option("bucket", LINE),
        aws_region=option("aws_region", REGION),
        registry=option("registry", LINE),
        registry_answer=option("registry_answer", NAME) or REGISTRY_ANSWER,
        **sign_ins,
        upstreams=tuple(
            Upstream(name, *databases(entry), elsewhere(entry))
            for name, entry in zip(names, upstreams, strict=True)
        ),
        snowflake=snowflake,
        github_repository=option("github_repository", REPOSITORY),
        github_server=option("github_server", LINE) or GITHUB,
        encryption=option("encryption", LINE),
        deploy_branch=option("deploy_branch", LINE) or "main",
        deploy_environment=option("deploy_environment", LINE) or "prod",
        ci_environment=option("ci_environment", LINE) or "ci",
        deploy_workflow=option("deploy_workflow", FILE),
        deployment=choice("deployment", "sequential", DEPLOYMENTS),
        answers_file=option("answers_file", FILE) or ANSWERS_FILE,
        engine=Engine(choice("engine", Engine.CORE, list(Engine))),
    )


def named_home(root: Path) -> Path:
    """Returns the path of `mesh_home` as configured, before links are resolved."""
    return root / os.environ.get("DBT_MESH_HOME", "../.mesh")


def mesh_home(root: Path) -> Path:
    """Returns the folder that the members on this machine share: DuckDB files, local registry."""
    return named_home(root).resolve()


def laptop_registry(root: Path) -> str:
    """Returns the URL of the registry that the members on this machine share."""
    return (mesh_home(root) / "registry").as_uri()


class Location(NamedTuple):
    """Where a command reads and writes: the registry's root URL, and the environment in it.

    is_own: whether the registry is that of mesh.yml, because neither flags nor variables name one.
    """

    url: str
    env: str
    is_own: bool = False

    @property
    def state_url(self) -> str:
        """Where members keep their full manifests: beside the registry, so that a bucket policy
        can keep it private."""
        beside = self.url if self.is_snowflake else self.url.rsplit("/", 1)[0]
        return f"{beside}/state"

    @property
    def is_snowflake(self) -> bool:
        """Whether it is in Snowflake. Its URL then has an account after the scheme, and no
        folders."""
        return self.url.startswith("snowflake:")


def locate(
    member: Member, *, bucket: str | None, registry: str | None, env: str | None
) -> Location:
    """Finds the registry and the environment that a command means.

    Flags come first, then variables of the environment. If neither names a registry, the
    environment `local` is in the registry on this machine, and any other in that of mesh.yml.
    Raises MeshError where the environment's name is not valid, or the environment has no registry.
    """
    named = (
        registry
        or (bucket and f"s3://{bucket}/registry")
        or os.environ.get("DBT_MESH_REGISTRY")
        or (os.environ.get("DBT_MESH_BUCKET") and f"s3://{os.environ['DBT_MESH_BUCKET']}/registry")
    )
    named = _address(named) if named else None
    shared = named and not named.startswith("file:")
    env = env or os.environ.get("DBT_MESH_ENV") or ("prod" if shared else "local")
    if not ENVIRONMENT.fullmatch(env):
        raise MeshError(
            f"{env!r} is not a valid environment: lower-case letters, digits, _ and - (prod)"
        )
    if not named and env == "local":
        named = laptop_registry(member.root)
    is_own = not named
    if not named and member.registry:
        named = _address(member.registry)
    if not named and member.bucket:
        named = f"s3://{member.bucket}/registry"
    if not named:
        answer = member.registry_answer
        raise MeshError(
            f"no registry for environment {env}: name one with --registry, $DBT_MESH_REGISTRY, or "
            f"the answer {answer} (`copier update --trust --skip-answered --ask {answer}`)"
        )
    place = Location(named.rstrip("/"), env, is_own)
    parts = {"az": 4, "snowflake": 2}.get(place.url.partition(":")[0], 3)
    if place.url.count("/") < parts:
        raise MeshError(f"{named}: write the whole URL, as {SHAPES}")
    if place.url.startswith("file:"):
        state, committed = Path(unquote(place.state_url[7:])), member.root / "state"
        if committed.resolve() in (state.resolve(), *state.resolve().parents):
            raise MeshError(
                f"{named}: the full manifest would lie in {state}, and state/ of a project is "
                "committed: name a folder outside of the project"
            )
    return place


def _address(named: str) -> str:
    """Returns the URL of a registry. Without a scheme it is a folder, and has to look like one.

    Raises MeshError where it does not, such as for a bucket's name, or a variable that holds
    something else.
    """
    if scheme := SCHEME.match(named):
        return scheme[0].lower() + named[scheme.end() :]
    if not Path(named).is_absolute() and not named.startswith(("./", "../")):
        raise MeshError(
            f"{shown(named)} is not a registry: write {SHAPES}, or a folder with its whole path, or"
            " as ./folder"
        )
    return Path(named).absolute().as_uri()
