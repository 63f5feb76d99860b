"""Measures sync, publish, the contract gate and lineage on large manifests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from dbtmesh.config import load_member
from dbtmesh.registry.store import open_store
from tests import azurite, gcs_standin
from tests.bench.lab import (
    Figure,
    Lab,
    Process,
    bench,
    on_processors,
    peak_memory,
    python,
    run,
)
from tests.conftest import ROOT, Member
from tests.interpreters import interpreter
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
from obstore.store import {client}
client = {client}(sys.argv[1], {options}client_options={{"allow_http": True}})
try:
    obstore.get(client, sys.argv[2], options={{"if_none_match": sys.argv[3]}})
except NotModifiedError:
    sys.exit(0)
sys.exit("it was sent")
"""

BARE_FOLDER = """
import sys
from dbtmesh.registry.store import NotModified, open_store
try:
    open_store(sys.argv[1]).read(sys.argv[2], known=sys.argv[3])
except NotModified:
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

# The private state is a copy of the manifest for the member itself, and uploading it says nothing
# about the publication. So it is left out, in the same process with the same imports.
PUBLISH_WITHOUT_STATE = """
import runpy, sys
from dbtmesh.registry import publication
publication.keep_state = lambda *_: None
sys.argv = sys.argv[1:]
sys.path.insert(0, "scripts")
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# The same sync, without any check of what was downloaded.
SYNC_UNCHECKED = """
import runpy, sys
from datetime import datetime
import msgspec
from dbtmesh.manifest import published
from dbtmesh.manifest.interface import DIGEST, VERSION, Interface
from dbtmesh.warehouse.adapter import Warehouse

def read(body, project, databases=None):
    manifest = msgspec.json.decode(body)
    metadata = manifest["metadata"]
    notes = metadata["env"]
    when = datetime.fromisoformat(metadata["generated_at"])
    return Interface(
        project=project, version=notes[VERSION], digest=notes[DIGEST], generated_at=when,
        warehouse=Warehouse(metadata["adapter_type"]), private=frozenset(),
        plain=manifest, body=body,
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
    """A publisher of large interfaces and its reader, with the environment of their S3 registry."""

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
    """Returns the JSON library that parses the file fastest, and a process that does only that."""
    parsers = [Process(python(code, path), lab.folder) for code in PARSE.values()]
    runs = lab.compare("parse", *parsers)
    each = zip(PARSE, parsers, runs, strict=True)
    name, parser, _ = min(each, key=lambda each: each[2])
    return name, parser


@bench
def stores(lab: Lab) -> Iterator[Figure]:
    """Compares a sync without changes, for each store, with one bare request of the same client.

    It compares processor time; tests count the requests. Both use a Python in which the library is
    installed as members have it. This repository's Python takes longer to start than obstore, and
    has then loaded half of what the command needs.

    The client of a folder is the library's own, because no other reads a file on the condition of
    its digest, which is the ETag there.
    """
    mesh, members_python = members(lab), python_of_members(lab)
    lab.say("publishing")
    mesh.publish(manifest(models=100, public=10, columns=COLUMNS), "small")
    for store, open_place in (
        ("S3 by boto3", on_s3),
        ("Snowflake", in_snowflake),
        ("Google by obstore", on_google),
        ("Azure by obstore", on_azure),
        ("a folder", in_a_folder),
    ):
        place = open_place(lab, mesh)
        if place is None:
            continue
        flags = ("--registry", place.registry, "--env", "small")
        environment = {**mesh.environment, **place.environment}
        if store != "S3 by boto3":
            mesh.up.ok(PUBLISH, *flags, "--manifest", mesh.up.path / "small.json", **environment)
        command = Process([members_python, SYNC, *flags], mesh.down.path, environment)
        bare = Process([members_python, "-c", *place.bare(environment)], lab.folder, environment)
        run(command)
        measured, baseline = lab.compare(f"unchanged, {store}", command, bare, clock=on_processors)
        what = f"sync, nothing changed, {store} / one bare request"
        yield Figure(what, measured * 1000, baseline * 1000, 1.3, "ms")


def python_of_members(lab: Lab) -> Path:
    """Makes a Python with what members install, and nothing else."""

    def make(folder: Path) -> Path:
        made = interpreter(folder / "venv", *CLIENTS, *NEEDED)
        (site,) = folder.glob("venv/lib/python*/site-packages")
        shutil.copytree(ROOT / "src/dbtmesh", site / "dbtmesh", ignore=COMPILED)
        return made

    made = lab.once("the Python of members", make)
    assert isinstance(made, Path)
    return made


CLIENTS = ("boto3", "obstore", "snowflake-connector-python", "cryptography")
NEEDED = ("filelock", "msgspec", "PyYAML", "rapidyaml")
COMPILED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Store:
    """A registry for the bench. bare: returns code and arguments of one request."""

    registry: str
    environment: dict[str, str]
    bare: Callable[[dict[str, str]], list[str]]


KEY = "dbt_up/small/latest/manifest.json"


def etag_in(registry: str, environment: dict[str, str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return open_store(registry).etag(KEY) or ""


def on_s3(_: Lab, mesh: Large) -> Store:
    url = f"s3://{BUCKET}/registry"
    return Store(url, {}, lambda env: [BARE_REQUEST, BUCKET, f"registry/{KEY}", etag_in(url, env)])


def on_google(lab: Lab, _: Large) -> Store:
    server = lab.stack.enter_context(gcs_standin.running())
    url = f"gs://{gcs_standin.BUCKET}/registry"
    code = BARE_OBSTORE.format(client="GCSStore", options="")

    def bare(environment: dict[str, str]) -> list[str]:
        etag = etag_in(url, environment).partition(":")[2]
        return [code, gcs_standin.BUCKET, f"registry/{KEY}", etag]

    return Store(url, server.environment(), bare)


def on_azure(lab: Lab, _: Large) -> Store | None:
    if not azurite.PROGRAM.is_file() or not shutil.which("node"):
        lab.say("no Azurite here")
        return None
    folder = lab.folder / "azurite"
    folder.mkdir()
    server = lab.stack.enter_context(azurite.running(folder))
    url = f"az://{azurite.ACCOUNT}/{azurite.CONTAINER}/registry"
    code = BARE_OBSTORE.format(client="AzureStore", options=f"account_name={azurite.ACCOUNT!r}, ")

    def bare(environment: dict[str, str]) -> list[str]:
        return [code, azurite.CONTAINER, f"registry/{KEY}", etag_in(url, environment)]

    return Store(url, server.environment(), bare)


def in_snowflake(lab: Lab, mesh: Large) -> Store:
    account = Account(lab.stack.enter_context(Standin()))
    for member in (mesh.up, mesh.down):
        loaded = load_member(member.path)
        account.join(loaded.database_prefix)
        account.set_up(loaded)
    key = lab.folder / "key.p8"
    key.write_text(rsa_key().private_pem)
    return Store(account.url, account.environment(), lambda _: [BARE_STATEMENT, str(key)])


def in_a_folder(lab: Lab, _: Large) -> Store:
    url = (lab.folder / "beside").as_uri()
    return Store(url, {}, lambda env: [BARE_FOLDER, url, KEY, etag_in(url, env)])


@bench
def sync(lab: Lab) -> Iterator[Figure]:
    """Syncs a large upstream that has changed."""
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


@bench
def checks(lab: Lab) -> Iterator[Figure]:
    """Measures what checking a large publication adds to a sync, for each kind of reader and store.

    It is a few hundredths of a second, so it is measured as processor time, in pairs of runs.
    """
    mesh = members(lab)
    loom = lab.member(lab.folder / "loom_reader", kind="loom", upstreams="dbt_up", starter=False)
    for public in (1_000, 10_000):
        lab.say(f"publishing 10,000 models, {public:,} of them public")
        body = manifest(models=10_000, public=public, columns=COLUMNS)
        stores = (f"s3://{BUCKET}/registry", (lab.folder / "checked").as_uri())
        for registry in stores:
            mesh.publish(body, f"checked{public}", registry)
        for reader, registry in ((mesh.down, stores[0]), (mesh.down, stores[1]), (loom, stores[1])):
            where = ("--registry", registry, "--env", f"checked{public}")
            forget = partial(forgotten, reader)
            checked = Process([sys.executable, SYNC, *where], reader.path, mesh.environment, forget)
            command = python(SYNC_UNCHECKED, SYNC, *where)
            unchecked = Process(command, reader.path, mesh.environment, forget)
            measured, baseline = lab.pairs("checks", checked, unchecked)
            kind = "loom" if reader is loom else "native"
            what = f"sync of 10,000 models, {public:,} of them public, of {registry.split(':')[0]}"
            yield Figure(f"{what} by {kind} / the same unchecked", measured, baseline, 1.1)


def forgotten(reader: Member) -> None:
    """Brings a reader back to the state before its first sync."""
    for name in ("state", "models"):
        shutil.rmtree(reader.path / name / "dbt_up", ignore_errors=True)
    (reader.path / "models" / "_mesh_dbt_up.yml").unlink(missing_ok=True)


@bench
def publish(lab: Lab) -> Iterator[Figure]:
    """Publishes a manifest of 60 MB where there is an earlier publication."""
    mesh = members(lab)
    body = manifest(models=7_700, public=770, columns=COLUMNS)
    path = mesh.publish(body, "large")
    local = (lab.folder / "registry").as_uri()
    mesh.publish(body, "large", local)
    minutes = iter(range(1, 10_000))
    first = datetime.fromisoformat(GENERATED_AT)

    def build_again() -> None:
        # the manifest of the next build of the same models
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
    """Validates the edges of a 60 MB manifest to an upstream's 100 public models."""
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
    """Compares two interfaces of 10,000 public models, of which one in ten has changed."""
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
