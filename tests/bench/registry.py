"""Sync, publish, the contract gate and lineage, on large manifests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from dbtmesh.config import load_member
from dbtmesh.registry.store import open_store
from tests import gcs_standin
from tests.bench.lab import Figure, Lab, Process, bench, peak_memory, python
from tests.conftest import Member
from tests.manifests import GENERATED_AT, manifest, model
from tests.s3_server import BUCKET
from tests.snowflake_registry import Account
from tests.snowflake_standin import Standin
from tests.snowflake_standin.fixtures import rsa_key

SYNC = "scripts/sync_mesh.py"
VALIDATE = "scripts/validate_lineage.py"
PUBLISH = "scripts/publish_manifest.py"
COLUMNS = 8

BARE_REQUEST = """
import sys
import boto3
client = boto3.client("s3", region_name="us-east-1")
try:
    client.get_object(Bucket=sys.argv[1], Key=sys.argv[2], IfNoneMatch=sys.argv[3])
except client.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] in ("304", "NotModified")
"""

BARE_OBSTORE = """
import sys
import obstore
from obstore.exceptions import NotModifiedError
from obstore.store import GCSStore
client = GCSStore(sys.argv[1], client_options={"allow_http": True})
try:
    obstore.get(client, sys.argv[2], options={"if_none_match": sys.argv[3]})
except NotModifiedError:
    sys.exit(0)
sys.exit("it was sent")
"""

BARE_STATEMENT = """
import os, sys
import snowflake.connector
names = ("ACCOUNT", "HOST", "PORT", "PROTOCOL")
connection = snowflake.connector.connect(
    **{name.lower(): os.environ[f"SNOWFLAKE_{name}"] for name in names},
    user="DBT_DOWN_SVC", role="DBT_DOWN_ROLE", warehouse="DBT_DOWN_WH",
    private_key_file=sys.argv[1],
)
connection.cursor().execute("SELECT ENV FROM DBT_UP_PROD.MESH.PUBLISHED LIMIT 1").fetchall()
"""

# The private state is the member's own copy of what it was given; moving it says nothing about
# the publication. So it is left out, in the same process with the same imports.
PUBLISH_WITHOUT_STATE = """
import runpy, sys
from dbtmesh.registry import publication
publication.keep_state = lambda *_: None
sys.argv = sys.argv[1:]
sys.path.insert(0, "scripts")
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# The same sync, with nothing checked of what was downloaded.
SYNC_UNCHECKED = """
import runpy, sys
from datetime import datetime
import msgspec
from dbtmesh.manifest import published
from dbtmesh.manifest.interface import DIGEST, VERSION, Interface

def read(body, project, databases=None):
    manifest = msgspec.json.decode(body)
    metadata = manifest["metadata"]
    notes = metadata["env"]
    when = datetime.fromisoformat(metadata["generated_at"])
    return Interface(
        project=project, version=notes[VERSION], digest=notes[DIGEST], generated_at=when,
        adapter_type=metadata["adapter_type"], nodes=manifest["nodes"], private=frozenset(),
        manifest=manifest, body=body,
    )

published.read = read
sys.argv = sys.argv[1:]
sys.path.insert(0, "scripts")
runpy.run_path(sys.argv[0], run_name="__main__")
"""

PARSE = {
    "orjson": "import sys, orjson; orjson.loads(open(sys.argv[1], 'rb').read())",
    "msgspec": "import sys, msgspec; msgspec.json.decode(open(sys.argv[1], 'rb').read())",
}

LOAD_TWO = """
import sys
from datetime import date
import msgspec
manifests = [msgspec.json.decode(open(path, "rb").read()) for path in sys.argv[1:3]]
"""
COMPARE_TWO = f"""{LOAD_TWO}
from dbtmesh.gate.compare import compare
changes = compare(*manifests, today=date(2026, 1, 1), private=())
assert len(changes) > 1000
"""


@dataclass(frozen=True)
class Large:
    """A publisher of large interfaces, its reader, and where they meet on S3."""

    up: Member
    down: Member
    environment: dict[str, str]

    def publish(self, body: bytes, env: str, registry: str = f"s3://{BUCKET}/registry") -> Path:
        path = self.up.path / f"{env}.json"
        path.write_bytes(body)
        self.up.ok(
            PUBLISH,
            *("--registry", registry, "--env", env, "--manifest", path, "--allow-breaking"),
            **self.environment,
        )
        return path

    def sync(self, env: str) -> Process:
        command = [sys.executable, SYNC, "--bucket", BUCKET, "--env", env]
        return Process(command, self.down.path, self.environment)


def members(lab: Lab) -> Large:
    def make(folder: Path) -> Large:
        up = lab.member(folder / "dbt_up", kind="upstream", starter=False)
        down = lab.member(folder / "dbt_down", kind="native", upstreams="dbt_up", starter=False)
        environment = lab.s3.environment()
        return Large(up, down, {**up.environment, **environment})

    made = lab.once("members", make)
    assert isinstance(made, Large)
    return made


def megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.0f} MB"


def fastest_parser(lab: Lab, path: Path) -> tuple[str, Process]:
    """The JSON library that parses the file fastest, and a process that does only that."""
    parsers = [Process(python(code, path), lab.folder) for code in PARSE.values()]
    runs = lab.compare("parse", *parsers)
    each = zip(PARSE, parsers, runs, strict=True)
    name, parser, _ = min(each, key=lambda each: each[2])
    return name, parser


@bench
def stores(lab: Lab) -> Iterator[Figure]:
    """A sync with nothing changed, of each store."""
    mesh = members(lab)
    lab.say("publishing")
    mesh.publish(manifest(models=100, public=10, columns=COLUMNS), "small")
    mesh.down.ok(SYNC, "--bucket", BUCKET, "--env", "small", **mesh.environment)
    key = "registry/dbt_up/small/latest/manifest.json"
    etag = lab.s3.client().head_object(Bucket=BUCKET, Key=key)["ETag"]
    bare = Process(python(BARE_REQUEST, BUCKET, key, etag), lab.folder, mesh.environment)
    measured, baseline = lab.compare("unchanged", mesh.sync("small"), bare)
    what = "sync, nothing changed / Python that makes one S3 client and one request"
    yield Figure(what, measured, baseline, 1.3)
    yield from sync_on_google(lab, mesh, baseline)
    yield sync_in_snowflake(lab, mesh)


@bench
def sync(lab: Lab) -> Iterator[Figure]:
    """Of a large upstream that has changed."""
    mesh = members(lab)
    for models in (1_000, 10_000):
        lab.say(f"publishing {models} models")
        public = models // 10
        full = mesh.publish(manifest(models=models, public=public, columns=COLUMNS), f"m{models}")
        older = manifest(
            models=models,
            public=public,
            columns=COLUMNS - 1,
            generated_at="2025-01-01T00:00:00Z",
        )
        mesh.publish(older, f"old{models}")
        kept = lab.folder / f"kept{models}"
        state, models_folder = mesh.down.path / "state", mesh.down.path / "models"
        mesh.down.ok(SYNC, "--bucket", BUCKET, "--env", f"old{models}", **mesh.environment)
        shutil.copytree(state, kept / "state")
        shutil.copytree(models_folder, kept / "models")

        def restore(kept: Path = kept) -> None:
            shutil.copytree(kept, mesh.down.path, dirs_exist_ok=True)

        unchanged = mesh.sync(f"m{models}")
        changed = Process(unchanged.command, unchanged.folder, unchanged.environment, restore)
        measured, baseline = lab.compare(f"{models} models", changed, unchanged)
        published = megabytes(mesh.down.path / "state" / "dbt_up" / "manifest.json")
        size = (
            f"{models:,} models, {public:,} of them public ({megabytes(full)}, {published} of it)"
        )
        yield Figure(f"sync of {size} / nothing changed", measured, baseline, 2)
        yield Figure(
            f"memory of a sync of {models:,} models", peak_memory(changed), None, 150, "MB"
        )


def sync_on_google(lab: Lab, mesh: Large, s3: float) -> Iterator[Figure]:
    """obstore starts in a tenth of the time that boto3 takes, so that the command itself shows: it
    reads mesh.yml and the committed copy, whatever the store. That much is held to the budget of
    S3; what is held to a bare request of obstore is what the store adds to a sync of a folder.

    s3: seconds of the bare request there.
    """
    server = lab.stack.enter_context(gcs_standin.running())
    environment = {**mesh.environment, **server.environment()}
    where = ("--registry", f"gs://{gcs_standin.BUCKET}/registry", "--env", "small")
    folder = ("--registry", (lab.folder / "beside").as_uri(), "--env", "folder")
    for flags in (where, folder):
        mesh.up.ok(PUBLISH, *flags, "--manifest", mesh.up.path / "small.json", **environment)
        mesh.down.ok(SYNC, *flags, **environment)
    beside = copy_of(mesh.down.path, lab.folder / "reads a folder")
    mesh.down.ok(SYNC, *where, **environment)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        etag = open_store(where[1]).etag("dbt_up/small/latest/manifest.json") or ""
    key = "registry/dbt_up/small/latest/manifest.json"
    bare = python(BARE_OBSTORE, gcs_standin.BUCKET, key, etag.partition(":")[2])
    measured, on_disk, baseline = lab.compare(
        "unchanged on Google",
        Process([sys.executable, SYNC, *where], mesh.down.path, environment),
        Process([sys.executable, SYNC, *folder], beside, environment),
        Process(bare, lab.folder, environment),
    )
    what = "sync, nothing changed, by obstore / Python that makes one S3 client and one request"
    yield Figure(what, measured, s3, 1.3)
    what = "… and one obstore client and one request"
    yield Figure(f"{what}: what it adds to a sync of a folder", measured - on_disk, baseline, 1.3)
    yield Figure(f"{what}: all of it", measured, baseline, None)


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, symlinks=True)
    return to


def sync_in_snowflake(lab: Lab, mesh: Large) -> Figure:
    account = Account(lab.stack.enter_context(Standin()))
    for member in (mesh.up, mesh.down):
        loaded = load_member(member.path)
        account.join(loaded.database_prefix)
        account.set_up(loaded)
    environment = {**mesh.environment, **account.environment()}
    where = ("--registry", account.url, "--env", "small")
    mesh.up.ok(PUBLISH, *where, "--manifest", mesh.up.path / "small.json", **environment)
    mesh.down.ok(SYNC, *where, **environment)
    key = lab.folder / "key.p8"
    key.write_text(rsa_key().private_pem)
    measured, baseline = lab.compare(
        "unchanged in Snowflake",
        Process([sys.executable, SYNC, *where], mesh.down.path, environment),
        Process(python(BARE_STATEMENT, key), lab.folder, environment),
    )
    what = "sync, nothing changed / Python that makes one Snowflake connection and one statement"
    return Figure(what, measured, baseline, 1.3)


@bench
def checks(lab: Lab) -> Iterator[Figure]:
    """What checking a large publication adds to a sync of it."""
    mesh = members(lab)
    lab.say("publishing 10,000 models")
    mesh.publish(manifest(models=10_000, public=1_000, columns=COLUMNS), "checked")

    def forget() -> None:
        for name in ("state", "models"):
            shutil.rmtree(mesh.down.path / name / "dbt_up", ignore_errors=True)
        (mesh.down.path / "models" / "_mesh_dbt_up.yml").unlink(missing_ok=True)

    where = ("--bucket", BUCKET, "--env", "checked")
    without = python(SYNC_UNCHECKED, SYNC, *where)
    measured, baseline = lab.compare(
        "checks",
        Process([sys.executable, SYNC, *where], mesh.down.path, mesh.environment, forget),
        Process(without, mesh.down.path, mesh.environment, forget),
    )
    what = "sync of 10,000 models, 1,000 of them public / the same without a check"
    yield Figure(what, measured, baseline, 1.1)


@bench
def publish(lab: Lab) -> Iterator[Figure]:
    """A manifest of 60 MB, over the publication before it."""
    mesh = members(lab)
    body = manifest(models=7_700, public=770, columns=COLUMNS)
    path = mesh.publish(body, "large")
    local = (lab.folder / "registry").as_uri()
    mesh.publish(body, "large", local)
    minutes = iter(range(1, 10_000))
    first = datetime.fromisoformat(GENERATED_AT)

    def build_again() -> None:
        # what the next build of the same models leaves behind
        again = f"{first + timedelta(minutes=next(minutes)):%Y-%m-%dT%H:%M:%S.%fZ}"
        path.write_bytes(body.replace(GENERATED_AT.encode(), again.encode(), 1))

    name, fastest = fastest_parser(lab, path)
    arguments = ("--env", "large", "--manifest", str(path))
    for registry in (local, f"s3://{BUCKET}/registry"):
        where = registry.split(":")[0]
        flags = (PUBLISH, "--registry", registry, *arguments)
        without = python(PUBLISH_WITHOUT_STATE, *flags)
        complete = [sys.executable, *flags]
        measured, state, baseline = lab.compare(
            f"to {where}",
            Process(without, mesh.up.path, mesh.environment, build_again),
            Process(complete, mesh.up.path, mesh.environment, build_again),
            fastest,
        )
        what = f"publish the interface of {megabytes(path)} to {where} / parse it with {name}"
        yield Figure(what, measured, baseline, 2)
        what = f"… and the private state, {megabytes(path)}, to {where}"
        yield Figure(what, state, baseline, None)


@bench
def lineage(lab: Lab) -> Iterator[Figure]:
    """The edges of a reader of 60 MB to an upstream's 100 public models."""
    mesh = members(lab)
    up = manifest(models=1_000, public=100, columns=COLUMNS)
    mesh.publish(up, "lineage")
    nodes, sources = {}, {}
    for number in range(100):
        source = model("dbt_up", f"public_{number}") | {
            "unique_id": f"source.dbt_down.dbt_up.public_{number}",
            "source_name": "dbt_up",
            "package_name": "dbt_down",
        }
        sources[source["unique_id"]] = source
        node = model("dbt_down", f"reads_{number}")
        node["depends_on"]["nodes"] = [source["unique_id"]]
        nodes[node["unique_id"]] = node
    body = manifest("dbt_down", models=7_700, public=0, columns=COLUMNS, nodes=nodes)
    path = lab.folder / "dbt_down.json"
    path.write_bytes(body.replace(b'"sources":{}', b'"sources":' + msgspec.json.encode(sources), 1))
    validate = [sys.executable, VALIDATE, "--bucket", BUCKET, "--env", "lineage"]
    name, fastest = fastest_parser(lab, path)
    measured, baseline = lab.compare(
        "lineage",
        Process([*validate, "--manifest", str(path)], mesh.down.path, mesh.environment),
        fastest,
    )
    what = f"lineage of a reader's manifest of {megabytes(path)} / parse it with {name}"
    yield Figure(what, measured, baseline, None)


@bench
def contract(lab: Lab) -> Iterator[Figure]:
    """The gate on two interfaces of 10,000 public models, of which one in ten has changed."""
    mesh = members(lab)
    local = lab.folder / "gate"
    before = manifest(models=10_000, public=10_000, columns=COLUMNS)
    mesh.publish(before, "before", local.as_uri())
    mesh.publish(before.replace(b"varchar(200)", b"varchar(100)", 3_000), "after", local.as_uri())
    paths = [local / "dbt_up" / env / "latest" / "manifest.json" for env in ("before", "after")]
    measured, baseline = lab.compare(
        "contract",
        Process(python(COMPARE_TWO, *paths), mesh.up.path),
        Process(python(LOAD_TWO, *paths), mesh.up.path),
    )
    what = f"load and compare two interfaces of 10,000 models, {megabytes(paths[0])} each / load"
    yield Figure(what, measured, baseline, None)
