"""A registry in Snowflake: what only it says. What every store promises is in test_stores.py.

The real connector asks the stand-in, in which other statements run between what an INSERT reads
and what it writes, as READ COMMITTED allows.
"""

from __future__ import annotations

import base64
import json
import random
import zlib
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbtmesh import MeshError, sha256
from dbtmesh.commands import publish_manifest, sync_mesh
from dbtmesh.config import Location, Member, Upstream, load_member, locate
from dbtmesh.downstream.consumer_record import former
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import Interface
from dbtmesh.manifest.published import read
from dbtmesh.manifest.seal import UNSEALED, with_digest
from dbtmesh.registry import history, keys, publication
from dbtmesh.registry.move import move
from dbtmesh.registry.publication import publish
from dbtmesh.registry.records import Read, Record, encode, recorded
from dbtmesh.registry.snowflake import connection, rows, sql
from dbtmesh.registry.snowflake.connection import TookTooLong, target_of
from dbtmesh.registry.snowflake.key_map import Folder, Kind, Place, folder_of, place_of
from dbtmesh.registry.snowflake.reader_documents import documents
from dbtmesh.registry.snowflake.rows import Mark, Standing, judged
from dbtmesh.registry.snowflake.sql import OWNER
from dbtmesh.registry.store import (
    Access,
    Changed,
    NotModified,
    OutOfReach,
    Store,
    TooLarge,
    open_store,
)
from dbtmesh.snowflake import account as snowflake_account
from fleet import map as mesh_map
from tests.manifests import manifest, model
from tests.snowflake_registry import Account, project_of, signed_out
from tests.snowflake_standin import ADMIN, PASSWORD
from tests.snowflake_standin.fixtures import rsa_key

pytest_plugins = ("tests.snowflake_registry",)

LATEST = keys.latest("dbt_up", "prod")
MARK = "'latest' AS KIND"


@pytest.fixture
def up(account: Account) -> Member:
    return account.project("dbt_up")


@pytest.fixture
def store(account: Account, up: Member) -> Store:
    return account.store(up)


def built(number: int, **options: Any) -> Interface:
    """The higher the number, the later it was built."""
    return extract(
        manifest(generated_at=f"2026-02-03T00:00:{number:02}.000000Z", **options), "dbt_up"
    )


def agree(_: Interface | None) -> None:
    return None


def latest(store: Store) -> Interface:
    stored = store.read(LATEST)
    assert stored
    return read(stored.body, "dbt_up")


def versions(store: Store) -> list[str]:
    return history.versions(store, "dbt_up", "prod")


def one_line(refused: pytest.ExceptionInfo[MeshError]) -> str:
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ── Statements ────────────────────────────────────────────────────────────────────────


def test_unchanged_is_one_statement(account: Account, store: Store) -> None:
    publish(store, "prod", built(1), agree)
    stored = store.read(LATEST)
    assert stored
    before = len(account.standin.statements)
    with pytest.raises(NotModified):
        store.read(LATEST, known=stored.etag)
    (asked,) = account.sent(before)
    assert "IFF(" in asked


@pytest.mark.parametrize(("models", "named"), [(1, 0), (100, 3), (1000, 0)])
def test_a_publication_is_six_statements(
    account: Account, up: Member, models: int, named: int
) -> None:
    """With the state, whatever the number of models and of readers that they name, from the
    sign-in on; and what is unchanged is one, for whoever reads it."""
    state, store = account.store(up, "/state"), account.store(up)
    nodes = {
        uid: node
        for each in range(named)
        for uid, node in shared(f"for_{each}", ["dbt_down", f"reader_{each}"]).items()
    }
    for number in (1, 2):  # the second replaces
        interface = built(number, models=models, public=models, nodes=nodes)
        signed_out()
        before = len(account.standin.statements)
        kept = publication.Before.of(state, "dbt_up", "prod")
        publish(store, "prod", interface, agree)
        publication.keep_state(state, store, "prod", interface, interface.body, kept)
        assert len(account.sent(before)) == 6
    assert len(latest(store).nodes) == models + named
    reader = account.store(account.project("dbt_down", up))
    stored = reader.read(LATEST)
    assert stored
    before = len(account.standin.statements)
    with pytest.raises(NotModified):
        reader.read(LATEST, known=stored.etag)
    assert len(account.sent(before)) == 1


def test_every_key_has_its_place_and_nothing_else_has() -> None:
    version = built(1).version
    where = ("dbt_up", "prod")
    assert {
        key: place_of(key)
        for key in (
            keys.latest(*where),
            keys.publication(*where, version),
            keys.record(*where, "dbt_down"),
            keys.state(*where),
            keys.state(*where, "index.html"),
        )
    } == {
        keys.latest(*where): Place(Kind.LATEST, *where),
        keys.publication(*where, version): Place(Kind.VERSION, *where, version),
        keys.record(*where, "dbt_down"): Place(Kind.RECORD, *where, "dbt_down"),
        keys.state(*where): Place(Kind.STATE, *where, "manifest.json"),
        keys.state(*where, "index.html"): Place(Kind.STATE, *where, "index.html"),
    }
    assert folder_of(keys.history(*where)) == (Folder.HISTORY, *where)
    assert folder_of(keys.records(*where)) == (Folder.RECORDS, *where)
    for key in ("", "dbt_up", f"{keys.history(*where)}x/manifest.json", "a-b/prod/x", "a/b/c/d/e"):
        assert place_of(key) is None


# ── Two at once ───────────────────────────────────────────────────────────────────────


def meanwhile(account: Account, up: Member, interface: Interface) -> None:
    """Another process publishes it between what the next INSERT of a mark reads and writes."""
    other = open_store(account.url, Access(member=up._replace(root=Path("/other"))))

    def do() -> None:
        publish(other, "prod", interface, agree)

    account.standin.faults.clear()
    account.standin.faults.meanwhile(MARK, do)


def test_the_newer_of_two_is_judged_again(account: Account, up: Member, store: Store) -> None:
    publish(store, "prod", built(1), agree)
    meanwhile(account, up, built(2))
    seen = []
    outcome = publish(store, "prod", built(3), lambda current: seen.append(current))
    assert [each and each.version for each in seen] == [built(1).version, built(2).version]
    assert outcome.newer is None
    assert latest(store).version == built(3).version
    assert versions(store) == [built(number).version for number in (1, 2, 3)]
    assert account.withdrawn(up) == {built(3).version}


def test_the_newer_of_two_that_breaks_the_other_is_withdrawn(
    account: Account, up: Member, store: Store
) -> None:
    class Breaks(Exception):
        pass

    def check(current: Interface | None) -> None:
        if current and current.version == built(2).version:
            raise Breaks

    publish(store, "prod", built(1), agree)
    meanwhile(account, up, built(2))
    with pytest.raises(Breaks):
        publish(store, "prod", built(3), check)
    assert latest(store).version == built(2).version
    assert versions(store)[-1] == built(3).version  # in the history, as a refusal after a race is
    publish(store, "prod", built(4), agree)
    assert latest(store).version == built(4).version


def test_the_older_of_two_gives_way(account: Account, up: Member, store: Store) -> None:
    publish(store, "prod", built(1), agree)
    meanwhile(account, up, built(3))
    outcome = publish(store, "prod", built(2), agree)
    assert outcome.newer == built(3).version
    assert latest(store).version == built(3).version
    assert versions(store) == [built(number).version for number in (1, 2, 3)]


def test_the_first_two_at_once(account: Account, up: Member, store: Store) -> None:
    for first, second in ((1, 2), (2, 1)):
        ours = account.project("dbt_up")
        store = account.store(ours)
        meanwhile(account, ours, built(second))
        publish(store, "prod", built(first), agree)
        assert latest(store).version == built(2).version


def test_a_build_that_came_late_never_stands(account: Account, up: Member, store: Store) -> None:
    """It was judged against nothing. So it is not what readers fall back to, either."""
    publish(store, "prod", built(1), agree)
    publish(store, "prod", built(3), agree)
    publish(store, "prod", built(2), lambda current: pytest.fail("nothing to judge"))
    mark = rows.mark_of(store.etag(LATEST) or "")
    assert mark == Mark(built(3).version, 1)
    table = sql.publications(up.prod_database, own=True)
    connection.shared("TESTORG-STANDIN", Access(member=up)).insert(
        sql.withdraw(table, "prod", mark), ""
    )
    assert latest(store).version == built(1).version


@pytest.mark.parametrize(
    ("follows", "standing", "becomes"),
    [
        (None, [], Standing.BEHIND),
        (None, [Mark("v2", 1)], Standing.LATEST),
        (None, [Mark("v2", 1), Mark("v1", 1)], Standing.WITHDRAW),
        (Mark("v1", 1), [Mark("v2", 1), Mark("v1", 1)], Standing.LATEST),
        (Mark("v1", 1), [Mark("v2", 1), Mark("v1", 2)], Standing.WITHDRAW),
        (Mark("v0", 1), [Mark("v2", 1), Mark("v1", 1)], Standing.WITHDRAW),
        (Mark("v1", 1), [Mark("v2", 1), Mark("v0", 1)], Standing.WITHDRAW),
        (Mark("v1", 1), [Mark("v2", 1)], Standing.WITHDRAW),
        (Mark("v1", 1), [Mark("v3", 1), Mark("v2", 1)], Standing.BEHIND),
        (Mark("v3", 1), [Mark("v2", 1), Mark("v1", 1)], Standing.LATEST),
        (Mark("v3", 1), [Mark("v4", 1), Mark("v2", 1)], Standing.BEHIND),
        (Mark("v2", 1), [Mark("v2", 2), Mark("v1", 1)], Standing.LATEST),
    ],
)
def test_what_becomes_of_a_mark(
    follows: Mark | None, standing: list[Mark], becomes: Standing
) -> None:
    assert judged("v2", follows, standing)[0] is becomes


def test_a_rollback_gets_past_what_is_dated_ahead(store: Store) -> None:
    now = datetime.now(UTC)
    publish(store, "prod", built(1), agree)
    for days in (30, 60):  # by a machine with a wrong clock, on which nothing looked ahead
        ahead = extract(
            manifest(generated_at=f"{now + timedelta(days):%Y-%m-%dT00:00:00.0Z}"), "dbt_up"
        )
        store.write(keys.publication("dbt_up", "prod", ahead.version), ahead.body, replaces=None)
        store.write(LATEST, ahead.body, replaces=store.etag(LATEST))
    publish(store, "prod", built(2), agree)
    for _ in range(2):
        current = latest(store)
        assert current.generated_at > now
        old = history.fetch(store, "dbt_up", "prod", built(1).version)
        publish(store, "prod", history.restored(old, current, datetime.now(UTC)), agree)
    assert latest(store).generated_at < datetime.now(UTC)
    assert latest(store).nodes == built(1).nodes


@pytest.mark.parametrize("statement", ["WITH S", "'version' AS KIND", MARK, "LIMIT 2"])
def test_a_lost_answer_loses_nothing(account: Account, store: Store, statement: str) -> None:
    """The connector sends the statement again, and it runs twice."""
    publish(store, "prod", built(1), agree)
    account.standin.faults.clear()
    account.standin.faults.lose_answer(statement.replace("(", r"\("))
    done = publish(store, "prod", built(2), agree)
    assert done.version == latest(store).version == built(2).version
    assert versions(store) == [built(1).version, built(2).version]


# ── Commands ──────────────────────────────────────────────────────────────────────────


def facts_of(member: Member, root: Path, kind: str) -> Path:
    """The folder of a project with a mesh.yml that says the same."""
    root.mkdir()
    upstreams = [
        {
            "name": each.name,
            "database_prefix": each.database_prefix,
            "database": each.prod_database,
            "databases": ["DBT_UP_PROD"],
        }
        for each in member.upstreams
    ]
    facts = {
        "project": member.project,
        "kind": kind,
        "database_prefix": member.database_prefix,
        "registry": "snowflake://TESTORG-STANDIN",
        "upstreams": upstreams,
        "snowflake": dict(member.snowflake),
    }
    (root / "mesh.yml").write_text(json.dumps(facts))
    return root


def test_commands_publish_refuse_and_sync(
    account: Account, up: Member, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    down = account.project("dbt_down", up)
    producer = facts_of(up, tmp_path / "dbt_up", "upstream")
    consumer = facts_of(down, tmp_path / "dbt_down", "native")

    def publish_file(number: int, *nodes: dict[str, Any]) -> int:
        path = tmp_path / f"{number}.json"
        every = {uid: node for each in nodes for uid, node in each.items()}
        when = f"2026-02-03T00:00:{number:02}.000000Z"
        path.write_bytes(manifest(generated_at=when, models=0, nodes=every))
        return publish_manifest.main(["--env", "prod", "--manifest", str(path)], producer)

    one, other = shared("one"), shared("other")
    before = len(account.standin.statements)
    assert publish_file(1, one) == 0
    assert len(account.sent(before)) == 6
    meanwhile(account, up, built(2, models=0, nodes={**one, **other}))
    assert publish_file(3, one) == 2  # of the one that came in between it takes `other` away
    said = capsys.readouterr().out
    assert "other" in said
    assert "nothing was published" in said
    assert latest(account.store(up)).version == built(2, models=0, nodes={**one, **other}).version
    for expected in (1, 1):
        before = len(account.standin.statements)
        assert sync_mesh.main(["--env", "prod"], consumer) == 0
        assert len(account.sent(before)) == expected
    assert "unchanged" in capsys.readouterr().out
    assert "other" in (consumer / "models" / "_mesh_dbt_up.yml").read_text()
    assert not (consumer / "state/.sync.json").exists()  # to sign in, mesh.yml has to be read


def test_the_command_moves_all_of_it_there(
    account: Account, up: Member, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = facts_of(up, tmp_path / "dbt_up", "upstream")
    path = tmp_path / "manifest.json"
    path.write_bytes(manifest(generated_at="2026-02-03T00:00:01.000000Z"))
    old = ["--registry", (tmp_path / "registry").as_uri(), "--env", "prod"]
    assert publish_manifest.main([*old, "--manifest", str(path)], producer) == 0
    assert publish_manifest.main([*old, "--move-to", account.url], producer) == 0
    said = capsys.readouterr().out
    assert "prod: copied 1 publication and 0 records of readers" in said
    assert "--data registry=snowflake" in said
    assert latest(account.store(up)).version == built(1).version
    assert account.store(up, "/state").read(keys.state("dbt_up", "prod"))


# ── Models for named consumers ────────────────────────────────────────────────────────


def shared(name: str, consumers: str | list[str] | None = None, reads: str = "") -> dict[str, Any]:
    """A public model, by its unique_id."""
    node = model("dbt_up", name) | {"access": "public"}
    meta = {"consumers": consumers} if consumers else {}
    node["config"] |= {"access": "public", "meta": meta}
    node["depends_on"]["nodes"] = [f"model.dbt_up.{reads}"] if reads else []
    return {f"model.dbt_up.{name}": node}


OPEN = shared("public_open", reads="for_down")
FOR_DOWN = shared("for_down", ["dbt_down"])
FOR_BOTH = shared("for_both", "dbt_down, dbt_other")


def of(*nodes: dict[str, Any]) -> Interface:
    return built(1, models=0, nodes={uid: node for each in nodes for uid, node in each.items()})


def test_models_for_named_consumers_are_read_by_those_alone(account: Account, up: Member) -> None:
    whole = of(OPEN, FOR_DOWN, FOR_BOTH)
    assert len(whole.nodes) == 3
    store = account.store(up)
    publish(store, "prod", whole, agree)
    seen = {}
    for name in ("dbt_down", "dbt_other"):
        found = latest(account.store(account.project(name, up)))
        assert (found.version, found.digest) == (whole.version, whole.digest)
        seen[name] = {uid.rpartition(".")[2] for uid in found.nodes}
        signed_out()
    assert seen == {
        "dbt_down": {"public_open", "for_down", "for_both"},
        "dbt_other": {"public_open", "for_both"},
    }
    assert latest(store).body == whole.body
    publish(store, "prod", whole, agree)  # a rerun


def test_nobody_else_sees_even_their_names(account: Account, up: Member) -> None:
    publish(account.store(up), "prod", of(OPEN, FOR_DOWN), agree)
    other = account.project("dbt_other", up)
    stored = account.store(other).read(LATEST)
    assert stored
    assert b"for_down" not in stored.body
    # Whatever it asks the database.
    with account.standin.connect(
        user="OTHER_SVC", private_key=rsa_key().private_der, role="OTHER_ROLE", warehouse="OTHER_WH"
    ) as session:
        found = session.cursor().execute(f"SELECT READER FROM {up.prod_database}.MESH.PUBLISHED")
        assert {reader for (reader,) in found or ()} == {None}


def test_a_name_that_is_written_in_another_way_hides_as_well() -> None:
    whole = of(OPEN, FOR_DOWN)
    escaped = whole.body.replace(b'"consumers"', b'"c\\u006fnsumers"')
    assert escaped != whole.body
    digest = sha256(with_digest(escaped, whole.digest, UNSEALED))
    found = documents(with_digest(escaped, whole.digest, digest), "dbt_up")
    assert set(found) == {OWNER, None, "READ_DBT_DOWN"}
    everybodys = found[None]
    assert b"public_open" in everybodys
    assert b"for_down" not in everybodys


def test_without_the_role_of_a_reader_its_models_are_not_seen(account: Account, up: Member) -> None:
    publish(account.store(up), "prod", of(OPEN, FOR_DOWN), agree)
    down = account.project("dbt_down", up)
    assert len(latest(account.store(down)).nodes) == 2
    role = f"DATABASE ROLE {up.prod_database}.READ_DBT_DOWN"
    account.run(f"USE ROLE SYSADMIN; REVOKE {role} FROM ROLE DOWN_ROLE;")
    assert [*latest(account.store(down)).nodes] == ["model.dbt_up.public_open"]


def test_a_publication_for_named_consumers_alone(account: Account, up: Member) -> None:
    publish(account.store(up), "prod", of(FOR_DOWN), agree)
    assert not latest(account.store(account.project("dbt_other", up))).nodes


# ── Records ───────────────────────────────────────────────────────────────────────────


def test_records_lie_with_the_consumer_and_the_upstream_reads_them(
    account: Account, up: Member
) -> None:
    readers = {name: account.project(name, up) for name in ("dbt_down", "dbt_other")}
    for name, member in readers.items():
        store = account.store(member)
        record = Record(name, [Read("model.dbt_up.public_open", "public_open")])
        key = keys.record("dbt_up", "recorded", name)
        store.write(key, encode(record), replaces=None)
        with pytest.raises(Changed):
            store.write(key, encode(record), replaces=None)
        store.write(key, encode(record), replaces=store.etag(key))
    before = len(account.standin.statements)
    found, problems = recorded(account.store(up), "dbt_up", "recorded")
    assert sorted(record.consumer for record in found) == ["dbt_down", "dbt_other"]
    assert problems == []
    # databases, records, and as the names of these databases do not tell it: whose they are
    assert len(account.sent(before)) == 3
    store = account.store(readers["dbt_down"])
    with pytest.raises(MeshError, match="its own") as refused:
        store.write(keys.record("dbt_up", "recorded", "dbt_other"), b"{}", replaces=None)
    one_line(refused)


def forge(account: Account, owner: Member, consumer: str, model: str, env: str) -> None:
    """What a project may write into its own database by hand: a record in another one's name."""
    body = rows.packed(encode(Record(consumer, [Read(f"model.dbt_up.{model}", model)])))
    account.run(
        "USE ROLE SYSADMIN; USE WAREHOUSE UP_WH; "
        f"INSERT INTO {owner.prod_database}.MESH.READS "
        "(UPSTREAM, ENV, CONSUMER, SEQ, WRITE_ID, PART, PARTS, SIZE, DIGEST, BODY) SELECT "
        f"'dbt_up', '{env}', '{consumer}', 1, '{'a' * 32}', 0, 1, {body.size}, "
        f"'{body.digest}', '{body.parts[0]}'"
    )


def claims(account: Account, reader: Member, env: str) -> tuple[dict[str, Record], list[str]]:
    signed_out()
    found, problems = recorded(account.store(reader), "dbt_up", env)
    return {record.consumer: record for record in found}, problems


def test_the_comment_of_a_database_tells_whose_records_it_holds(
    account: Account, up: Member
) -> None:
    """snowflake/01 gives it as SYSADMIN: nothing has to be said of such a record, and nobody has to
    be asked twice."""
    down, other = (account.project(name, up) for name in ("dbt_down", "dbt_other"))
    forge(account, other, "dbt_down", "forged", "marked")
    found, problems = claims(account, up, "marked")
    assert found == {}
    assert f"in the name of dbt_down lies in '{other.prod_database}'" in problems[0]
    forge(account, down, "dbt_down", "true", "marked")
    before = len(account.standin.statements)
    found, problems = claims(account, up, "marked")
    assert [read.name for read in found["dbt_down"].reads] == ["true"]
    assert found["dbt_down"].claimed_in is None
    assert problems == []
    assert len(account.sent(before)) == 3
    # a comment of somebody's who is not SYSADMIN tells nothing
    account.run(
        f"USE ROLE ACCOUNTADMIN; GRANT OWNERSHIP ON DATABASE {down.prod_database} "
        "TO ROLE DOWN_ROLE COPY CURRENT GRANTS;"
    )
    found, problems = claims(account, up, "marked")
    assert found["dbt_down"].claimed_in == down.prod_database


def test_nobody_speaks_for_another_project(account: Account, up: Member) -> None:
    down, other = (account.project(name, up) for name in ("dbt_down", "dbt_other"))
    for member in (down, other):
        account.run(
            f"USE ROLE SYSADMIN; ALTER DATABASE {member.prod_database} SET COMMENT = 'ours';"
        )
    # by its database alone nobody could tell whose it is
    forge(account, other, "dbt_down", "forged", "alone")
    found, problems = claims(account, up, "alone")
    assert found["dbt_down"].claimed_in == other.prod_database
    assert problems == []
    # two say so: neither is believed, and both are named
    forge(account, down, "dbt_down", "true", "alone")
    forge(account, down, "dbt_late", "true", "alone")
    found, problems = claims(account, up, "alone")
    assert [*found] == ["dbt_late"]
    (problem,) = problems
    assert "in the name of dbt_down" in problem
    assert down.prod_database in problem
    assert other.prod_database in problem
    # mesh.yml tells whose database it is: what others say of that project does not count
    hub = up._replace(upstreams=(Upstream("dbt_down", "DOWN", down.prod_database),))
    found, problems = claims(account, hub, "alone")
    assert [read.name for read in found["dbt_down"].reads] == ["true"]
    assert found["dbt_down"].claimed_in is None
    # … and a database that is known to be dbt_down's speaks for nobody else
    assert "dbt_late" not in found
    assert "in the name of dbt_late" in problems[0]


def test_what_a_record_says_of_its_place_does_not_count(account: Account, up: Member) -> None:
    record = Record("dbt_down", [Read("model.dbt_up.a", "a")], claimed_in="DBT_DOWN_PROD")
    down = account.project("dbt_down", up)
    key = keys.record("dbt_up", "says", "dbt_down")
    account.store(down).write(key, encode(record), replaces=None)
    found, _ = claims(account, up, "says")
    assert found["dbt_down"].claimed_in is None


def test_a_record_that_is_damaged_is_nobody_elses_fault(account: Account, up: Member) -> None:
    for name, body in (("dbt_down", b"{}"), ("dbt_other", None)):
        member = account.project(name, up)
        if body is None:
            record = Record(name, [Read("model.dbt_up.public_open", "public_open")])
            body = encode(record)
        account.store(member).write(keys.record("dbt_up", "damaged", name), body, replaces=None)
        if name == "dbt_down":
            account.run(
                "USE ROLE SYSADMIN; USE WAREHOUSE UP_WH; "
                f"INSERT INTO {member.prod_database}.MESH.READS "
                "(UPSTREAM, ENV, CONSUMER, SEQ, WRITE_ID, PART, PARTS, SIZE, DIGEST, BODY) "
                "SELECT 'dbt_up', 'damaged', 'dbt_down', 9, 'x', 0, 2, 5, 'd', 'b'"
            )
    found, problems = recorded(account.store(up), "dbt_up", "damaged")
    assert [record.consumer for record in found] == ["dbt_other"]
    assert len(problems) == 1
    assert "dbt_down.json is damaged" in problems[0]


# ── What may be wrong ─────────────────────────────────────────────────────────────────


def insert_version(account: Account, up: Member, *, size: int, digest: str, body: str) -> str:
    """What a producer might write there by hand: a publication that is no such thing."""
    version = built(9).version
    account.run(
        "USE ROLE SYSADMIN; USE WAREHOUSE UP_WH;"
        f"INSERT INTO {up.prod_database}.MESH.PUBLICATIONS "
        "(ENV, VERSION, KIND, ATTEMPT, PART, PARTS, SIZE, DIGEST, BODY) "
        f"SELECT 'prod', '{version}', 'version', 0, 0, 1, {size}, '{digest}', '{body}'"
    )
    return keys.publication("dbt_up", "prod", version)


def packed(body: bytes) -> str:
    return base64.b64encode(zlib.compress(body)).decode()


BODIES: dict[str, tuple[int, str, str, str]] = {
    "another digest": (1, "0" * 64, packed(b"1"), "digest does not match"),
    "more bytes than it says": (1, sha256(b"1"), packed(b"1" * 10_000_000), "digest does not"),
    "no base64": (1, sha256(b"1"), "%%%", "damaged"),
    "no zlib": (1, sha256(b"1"), base64.b64encode(b"hello").decode(), "damaged"),
    "cut off": (9, sha256(b"1" * 9), packed(b"1" * 9)[:4], "damaged"),
    "too large": (10**11, sha256(b"1"), packed(b"1"), "100,000,000,000 bytes"),
}


@pytest.mark.parametrize("wrong", BODIES)
def test_what_is_damaged_is_told(account: Account, up: Member, store: Store, wrong: str) -> None:
    size, digest, body, expected = BODIES[wrong]
    key = insert_version(account, up, size=size, digest=digest, body=body)
    with pytest.raises(MeshError, match=expected) as refused:
        store.read(key)
    one_line(refused)


LATEST_DAMAGED = {
    "a mark without its version": "(ENV, VERSION, KIND, ATTEMPT) "
    "VALUES ('prod', '{next}', 'latest', 1)",
    "one from a year that has not come": "(ENV, VERSION, KIND, ATTEMPT) "
    "VALUES ('prod', '21000101T000000.000000Z-0123456789ab', 'latest', 1)",
    "two of one part": "(ENV, VERSION, KIND, ATTEMPT, PART, PARTS, SIZE, DIGEST, BODY) "
    "VALUES ('prod', '{now}', 'version', 0, 0, 1, 9, 'x', 'AAAA')",
    "a part too many": "(ENV, VERSION, KIND, ATTEMPT, PART, PARTS, SIZE, DIGEST, BODY) "
    "VALUES ('prod', '{now}', 'version', 0, 1, 2, 9, 'x', 'AAAA')",
}


@pytest.mark.parametrize("wrong", LATEST_DAMAGED)
def test_a_publication_gets_past_a_latest_that_is_damaged(
    account: Account, up: Member, store: Store, wrong: str
) -> None:
    publish(store, "prod", built(1), agree)
    row = LATEST_DAMAGED[wrong].format(now=built(1).version, next=built(2).version)
    table = f"{up.prod_database}.MESH.PUBLICATIONS"
    account.run(f"USE ROLE SYSADMIN; USE WAREHOUSE UP_WH; INSERT INTO {table} {row}")
    for do in (
        lambda: store.read(LATEST),
        lambda: publish(store, "prod", built(3), agree),  # nor is the gate told that there is none
    ):
        with pytest.raises(MeshError, match="is damaged") as refused:
            do()
        one_line(refused)
    assert "--allow-breaking" in str(refused.value)
    publish(store, "prod", built(3), agree, repair=True)
    publish(store, "prod", built(4), agree)
    assert versions(store) == [built(each).version for each in (1, 3, 4)]
    stored = store.read(LATEST)
    assert stored
    assert stored.body == built(4).body


def test_a_mark_of_what_is_no_version_is_none(account: Account, up: Member, store: Store) -> None:
    """As text it may be greater than every version."""
    publish(store, "prod", built(1), agree)
    for name in ("zzz", built(1).version.replace("2026", "९०२६"), f"{built(2).version}x"):
        account.run(
            "USE ROLE SYSADMIN; USE WAREHOUSE UP_WH; "
            f"INSERT INTO {up.prod_database}.MESH.PUBLICATIONS (ENV, VERSION, KIND, ATTEMPT) "
            f"VALUES ('prod', '{name}', 'latest', 1)"
        )
    publish(store, "prod", built(2), agree)
    stored = store.read(LATEST)
    assert stored
    assert stored.body == built(2).body


def test_a_missing_part_is_told(
    account: Account, up: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK", 1000)
    state, key = account.store(up, "/state"), keys.state("dbt_up", "prod")
    body = random.Random(1).randbytes(5000)
    state.write(key, body, replaces=None)
    stored = state.read(key)
    assert stored
    assert stored.body == body
    with pytest.raises(TooLarge):
        state.read(key, most=10)
    account.run(
        "USE ROLE SYSADMIN; USE WAREHOUSE UP_WH; "
        f"DELETE FROM {up.prod_database}.MESH.STATE WHERE PART = 1"
    )
    with pytest.raises(MeshError, match="parts are there") as refused:
        state.read(key)
    one_line(refused)


def test_a_table_of_another_shape_is_nobody_elses_fault(account: Account, up: Member) -> None:
    readers = {name: account.project(name, up) for name in ("dbt_down", "dbt_other")}
    for name, member in readers.items():
        record = Record(name, [Read("model.dbt_up.public_open", "public_open")])
        account.store(member).write(
            keys.record("dbt_up", "shape", name), encode(record), replaces=None
        )
        signed_out()
    odd = readers["dbt_down"].prod_database
    account.run(
        f"USE ROLE SYSADMIN; CREATE OR REPLACE TABLE {odd}.MESH.READS (X VARCHAR); "
        f"GRANT SELECT ON TABLE {odd}.MESH.READS TO DATABASE ROLE {odd}.MESH_READS;"
    )
    try:
        found, problems = recorded(account.store(up), "dbt_up", "shape")
    finally:
        account.run(f"USE ROLE SYSADMIN; DROP TABLE {odd}.MESH.READS;")
    assert [record.consumer for record in found] == ["dbt_other"]
    assert len(problems) == 1
    assert odd.lower() in problems[0].lower()
    account.standin.faults.clear()
    account.standin.faults.fail("UPSTREAM = ", errno=606, message="No active warehouse")
    with pytest.raises(OutOfReach):
        list(account.store(up).children(keys.records("dbt_up", "shape")))


def refused_read(account: Account, member: Member, key: str = LATEST) -> str:
    signed_out()
    with pytest.raises(MeshError) as refused:
        account.store(member).read(key)
    return one_line(refused)


def test_no_access_and_nothing_there_are_told(account: Account, up: Member) -> None:
    stranger = account.project("dbt_other")._replace(
        upstreams=account.project("dbt_down", up).upstreams
    )
    assert "does not exist or not authorized" in refused_read(account, stranger)
    assert "snowflake/01" in refused_read(account, stranger)
    missing = up._replace(snowflake={**up.snowflake, "prod_database": "NOBODYS_PROD"})
    assert "NOBODYS_PROD" in refused_read(account, missing)
    account.run(f"USE ROLE SYSADMIN; CREATE DATABASE BARE_{up.prod_database};")
    bare = up._replace(snowflake={**up.snowflake, "prod_database": f"BARE_{up.prod_database}"})
    assert "snowflake/01" in refused_read(account, bare)


def test_a_consumer_may_not_write_there(account: Account, up: Member) -> None:
    down = account.project("dbt_down", up)
    account.store(up)
    store = account.store(down)
    interface = built(1)
    key = keys.publication("dbt_up", "prod", interface.version)
    with pytest.raises(MeshError, match="Snowflake says") as refused:
        store.write(key, interface.body, replaces=None)
    one_line(refused)


FAULTS: dict[str, tuple[int, str, str, type[MeshError]]] = {
    "no warehouse": (
        606,
        "No active warehouse selected in the current session",
        "no warehouse",
        OutOfReach,
    ),
    "the monitor": (
        90073,
        "Warehouse UP_WH cannot be resumed: monitor exceeded",
        "resource monitor",
        OutOfReach,
    ),
    "not allowed": (3001, "Insufficient privileges", "DBT_MESH_TARGET=prod", MeshError),
    "a timeout": (
        630,
        "Statement reached its statement or warehouse timeout of 10 second(s) and was canceled",
        "stopped before it ended",
        TookTooLong,  # by itself out of reach
    ),
    "cancelled": (604, "SQL execution canceled", "stopped before it ended", OutOfReach),
    "something else": (100051, "Division by zero", "Division by zero", MeshError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_snowflake_refuses_is_told(account: Account, store: Store, fault: str) -> None:
    number, message, expected, kind = FAULTS[fault]
    account.standin.faults.clear()
    account.standin.faults.fail("WITH S", errno=number, sqlstate="57014", message=message)
    with pytest.raises(MeshError, match=expected) as refused:
        store.read(LATEST)
    assert message in one_line(refused)
    assert refused.type is kind  # whether `--keep-going` goes on


def test_a_relation_that_never_answers_is_its_owners_fault(account: Account, up: Member) -> None:
    """A view is as slow as its owner makes it."""
    down = account.project("dbt_down", up)
    message = "Statement reached its statement or warehouse timeout of 900 second(s)"
    account.standin.faults.fail("WITH S", errno=630, sqlstate="57014", message=message)
    with pytest.raises(MeshError, match="stopped before it ended") as refused:
        account.store(down).read(LATEST)
    assert not isinstance(refused.value, OutOfReach)  # so that `--keep-going` goes on
    account.standin.faults.clear()
    forge(account, down, "dbt_down", "true", "slow")
    stop = partial(
        account.standin.faults.fail,
        r"SELECT \? AS PLACE",
        errno=630,
        sqlstate="57014",
        message=message,
    )
    stop()  # of all together: so each is asked alone
    assert [*claims(account, up, "slow")[0]] == ["dbt_down"]
    account.standin.faults.clear()
    stop(nth=None)
    found, problems = claims(account, up, "slow")
    assert found == {}
    assert "stopped before it ended" in problems[0]
    account.standin.faults.clear()
    # what 01 makes is a table: nothing is asked of a view in its place
    account.run(
        f"USE ROLE SYSADMIN; DROP TABLE {down.prod_database}.MESH.READS; "
        f"CREATE VIEW {down.prod_database}.MESH.READS AS SELECT 1 AS A;"
        f"GRANT SELECT ON VIEW {down.prod_database}.MESH.READS TO ROLE UP_ROLE;"
    )
    before = len(account.standin.statements)
    assert claims(account, up, "slow") == ({}, [])
    assert not [each for each in account.sent(before) if f"{down.prod_database}." in each]


def test_a_person_reads_what_the_role_may_and_no_more(
    account: Account, up: Member, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what another role of theirs may."""
    publish(store, "prod", built(1), agree)
    account.run(
        "USE ROLE USERADMIN; CREATE USER GRACE PASSWORD = 'grace' DEFAULT_SECONDARY_ROLES = "
        "('ALL'); USE ROLE SECURITYADMIN; GRANT ROLE UP_ROLE TO USER GRACE; "
        "GRANT ROLE OTHER_ROLE TO USER GRACE;"
    )
    for name in ("SNOWFLAKE_PRIVATE_KEY", "DBT_MESH_TARGET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SNOWFLAKE_USER", "GRACE")
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "grace")
    monkeypatch.setenv("SNOWFLAKE_WAREHOUSE", "UP_WH")
    monkeypatch.setenv("SNOWFLAKE_ROLE", "OTHER_ROLE")
    assert "does not exist or not authorized" in refused_read(account, up)
    monkeypatch.setenv("SNOWFLAKE_ROLE", "UP_ROLE")
    signed_out()
    assert latest(account.store(up)).version == built(1).version


def test_a_sign_in_that_fails_is_told(
    account: Account, up: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY", rsa_key("nobody").private_pem)
    assert "could not sign in (UP_SVC, target prod)" in refused_read(account, up)
    for name in ("SNOWFLAKE_PRIVATE_KEY", "DBT_MESH_TARGET"):
        monkeypatch.delenv(name)
    assert "no connection to Snowflake" in refused_read(account, up)
    monkeypatch.setenv("SNOWFLAKE_USER", "ADA")
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "wrong")
    assert "could not sign in" in refused_read(account, up)
    monkeypatch.setattr(connection, "LOGIN_TIMEOUT", 1)
    monkeypatch.setenv("SNOWFLAKE_PORT", "1")
    assert "could not sign in" in refused_read(account, up)


def test_a_registry_of_another_account_is_refused(account: Account, up: Member) -> None:
    with pytest.raises(MeshError, match="not the account of this project") as refused:
        open_store("snowflake://ORG-OTHER", Access(member=up)).read(LATEST)
    one_line(refused)


@pytest.mark.parametrize(
    "url", ["snowflake://", "snowflake:///x", "snowflake://a/b", "snowflake://a b"]
)
def test_what_is_no_registry_in_snowflake_is_refused(url: str) -> None:
    with pytest.raises(MeshError, match="ORG-ACCOUNT") as refused:
        open_store(url)
    one_line(refused)


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        ({}, None),
        ({"SNOWFLAKE_PRIVATE_KEY": "k"}, "prod"),
        ({"SNOWFLAKE_PRIVATE_KEY": "k", "GITHUB_EVENT_NAME": "pull_request"}, "ci"),
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": "u", "GITHUB_EVENT_NAME": "push"}, "prod"),
        ({"SNOWFLAKE_TOKEN": "t", "DBT_MESH_TARGET": "ci"}, "ci"),
        ({"SNOWFLAKE_USER": "ADA", "SNOWFLAKE_PRIVATE_KEY": "k"}, None),
    ],
)
def test_as_whom_a_job_signs_in(
    environment: dict[str, str], target: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ("PRIVATE_KEY", "TOKEN", "USER")
    names = (*(f"SNOWFLAKE_{name}" for name in named), "GITHUB_EVENT_NAME", "DBT_MESH_TARGET")
    for name in (*names, "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert target_of() == target


# ── Listings, URLs and moves ──────────────────────────────────────────────────────────


def test_what_is_listed(account: Account, up: Member) -> None:
    store, state = account.store(up), account.store(up, "/state")
    assert list(store.children("dbt_up/")) == []
    publish(store, "prod", built(1), agree)
    state.write(keys.state("dbt_up", "qa", "deploy.json"), b"{}", replaces=None)
    assert list(store.children("dbt_up/")) == ["prod/"]
    assert list(state.children("dbt_up/")) == ["qa/"]
    assert list(state.children("dbt_up/qa/")) == ["deploy.json"]
    assert "dbt_up/" in list(store.children(""))
    assert list(store.children("no/such/folder/at/all/")) == []
    down = account.store(account.project("dbt_down", up))
    assert sorted(down.children("")) == ["dbt_down/", "dbt_up/"]
    down.write(keys.record("gone", "prod", "dbt_down"), b"{}", replaces=None)
    assert sorted(down.children("")) == ["dbt_down/", "dbt_up/", "gone/"]
    assert former(down, "prod", "dbt_down", ["dbt_up"]) == ["gone"]


def test_a_listing_is_of_exact_names_and_never_cut_off(
    account: Account, up: Member, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, "prod", built(1), agree)
    before = len(account.standin.statements)
    assert "dbt_up/" in list(store.children(""))
    asked = [each for each in account.sent(before) if each.startswith("SHOW")]
    assert {each.split("'")[1] for each in asked} == {"PUBLISHED", "PUBLICATIONS", "READS"}
    monkeypatch.setattr(snowflake_account, "MAX_ROWS", 1)
    with pytest.raises(MeshError, match="lists no more") as refused:
        list(store.children(""))
    one_line(refused)


def test_the_map_draws_what_somebody_may_see(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = project_of("dbt_up", "DBT_UP_PROD")
    down = project_of("dbt_down", "DBT_DOWN_PROD", up)
    for member in (up, down):
        account.set_up(member)
        publish(account.store(member), "map", of(OPEN) if member is up else empty(), agree)
    record = Record("dbt_down", [Read("model.dbt_up.public_open", "public_open")])
    account.store(down).write(
        keys.record("dbt_up", "map", "dbt_down"), encode(record), replaces=None
    )
    for name, value in {
        "SNOWFLAKE_USER": ADMIN,
        "SNOWFLAKE_PASSWORD": PASSWORD,
        "SNOWFLAKE_ROLE": "SYSADMIN",
        "SNOWFLAKE_WAREHOUSE": "UP_WH",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DBT_MESH_TARGET")
    drawn = mesh_map.render(mesh_map.gather(Location(account.url, "map")), "mermaid").decode()
    assert "dbt_up" in drawn
    assert "dbt_down" in drawn
    assert "-->" in drawn
    monkeypatch.delenv("SNOWFLAKE_WAREHOUSE")
    signed_out()
    with pytest.raises(OutOfReach, match="SNOWFLAKE_WAREHOUSE") as refused:
        mesh_map.gather(Location(account.url, "map"))
    one_line(refused)


def empty() -> Interface:
    """Of dbt_down, which nobody may read anything of."""
    return extract(manifest("dbt_down", models=0), "dbt_down")


def test_every_place_takes_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = "project: up\nkind: native\ndatabase_prefix: UP\n"
    facts += "upstreams: [{name: b, database_prefix: B, registry: 'snowflake://ORG-B'}]\n"
    (tmp_path / "mesh.yml").write_text(f"{facts}registry: snowflake://ORG-ACC\n")
    member = load_member(tmp_path)
    assert member.upstreams[0].registry == "snowflake://ORG-B"
    for flag, exported in (
        ("snowflake://ORG-ACC/", None),
        (None, "snowflake://ORG-ACC"),
        (None, None),
    ):
        monkeypatch.setenv("DBT_MESH_REGISTRY", exported or "")
        place = locate(member, bucket=None, registry=flag, env="prod" if not flag else None)
        assert place.url == "snowflake://ORG-ACC"
        assert place.state_url == "snowflake://ORG-ACC/state"
        assert place.env == "prod"
        for url in (place.url, place.state_url):
            assert open_store(url, member.access).url == url


def test_a_move_there_and_back(account: Account, up: Member, tmp_path: Path) -> None:
    """With one that is dated ahead in the history, past which a rollback has got."""
    here = open_store((tmp_path / "registry").as_uri()), open_store((tmp_path / "state").as_uri())
    ahead = extract(manifest(generated_at="2099-01-01T00:00:00.000000Z"), "dbt_up")
    for each in (built(1), ahead):
        here[0].write(keys.publication("dbt_up", "prod", each.version), each.body, replaces=None)
    here[0].write(LATEST, built(1).body, replaces=None)
    here[1].write(keys.state("dbt_up", "prod"), b"state", replaces=None)
    record = Record("dbt_down", [Read("model.dbt_up.public_open", "public_open")])
    here[0].write(keys.record("dbt_up", "prod", "dbt_down"), encode(record), replaces=None)
    there = account.store(up), account.store(up, "/state")
    for new, old in ((2, 0), (0, 2)):  # it can be run again
        moved = move(here, there, "dbt_up", "prod", dry=False)
        assert (moved.versions, moved.there) == (new, old)
        assert (moved.readers, moved.records) == (("dbt_down",), 0)
    assert latest(there[0]).version == built(1).version
    publish(there[0], "prod", built(2), agree)
    back = open_store((tmp_path / "b/registry").as_uri()), open_store((tmp_path / "b/s").as_uri())
    moved = move(there, back, "dbt_up", "prod", dry=False)
    assert moved.versions == 3
    assert latest(back[0]).body == built(2).body
    stored = back[1].read(keys.state("dbt_up", "prod"))
    assert stored
    assert stored.body == b"state"
