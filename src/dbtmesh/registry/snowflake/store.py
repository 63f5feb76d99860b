"""Offers a registry in Snowflake as a store: translates keys to statements."""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dbtmesh import MeshError
from dbtmesh.config import ACCOUNT, NAME
from dbtmesh.files import MOST
from dbtmesh.output.words import shown, some
from dbtmesh.registry.snowflake import connection, rows, sql
from dbtmesh.registry.snowflake.key_map import Folder, Kind, Place, folder_of, place_of
from dbtmesh.registry.snowflake.reader_documents import documents
from dbtmesh.registry.store import (
    Access,
    Changed,
    Damaged,
    NotModified,
    OutOfReach,
    Stored,
    TooLarge,
)
from dbtmesh.snowflake.names import MESH, marked, reader_name

STATE = "/state"
"""Follows the account in the URL of the members' state, which lies beside the registry."""
NO_DIGEST = "0" * 16
"""Stands for the digest in the ETag of a damaged object, so that the object can be replaced. No
reader knows such an ETag."""
DATABASE = re.compile(r"(.+)_PROD")
ADMINISTRATOR = "SYSADMIN"
"""The role that owns the databases of projects. It is not the role of any project."""


class SnowflakeStore:
    """A store in a Snowflake account. Each project's publications lie in its own prod database, and
    a consumer's records in the consumer's."""

    keeps_own_records = True

    def __init__(self, url: str, place: str, access: Access) -> None:
        account = place.removesuffix(STATE)
        if not ACCOUNT.fullmatch(account):
            raise MeshError(
                f"{url!r} is not a valid registry in Snowflake: write snowflake://ORG-ACCOUNT"
            )
        self.url, self._is_state, self._member = url, place != account, access.member
        self._connection = connection.shared(account, access)
        self._records: dict[str, list[rows.Part] | MeshError] = {}
        self._claimed: dict[str, str] = {}
        """Key of a record → its database, where that may be another project's."""

    # ── One object ────────────────────────────────────────────────────────────────────

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        found = self._rows(key, known, most)
        if not found:
            return None
        first = found[0]
        if known and rows.etag(first.tag, first.digest) == known:
            raise NotModified
        if first.size > most:
            raise TooLarge(f"{self.url}/{key}", first.size, most)
        try:
            return rows.unpacked(found)._replace(claimed_in=self._claimed.get(key))
        except rows.Damaged as error:
            raise self._damaged(key, error) from None

    def etag(self, key: str) -> str | None:
        place = place_of(key)
        answered = self._answered(place, key, None, MOST, body=False) if place else []
        try:
            found = rows.one_object(answered)
        except rows.Damaged as error:
            if place and place.kind is Kind.VERSION:
                raise self._damaged(key, error) from None
            return rows.etag(str(answered[0][0]), NO_DIGEST)
        return rows.etag(found[0].tag, found[0].digest) if found else None

    def _rows(self, key: str, known: str | None, most: int) -> list[rows.Part]:
        place = place_of(key)
        if place is None:
            return []
        if place.kind is Kind.RECORD and (listed := self._records.pop(key, None)):
            if isinstance(listed, MeshError):
                raise listed
            return listed
        try:
            return rows.one_object(self._answered(place, key, known, most, body=True))
        except rows.Damaged as error:
            raise self._damaged(key, error) from None

    def _answered(
        self, place: Place, key: str, known: str | None, most: int, *, body: bool
    ) -> list[Sequence[Any]]:
        statement = self._reading(place, known, most, body)
        try:
            return self._connection.ask(statement, f"{self.url}/{key}")
        except connection.TookTooLong as error:
            if self._is_own(place.project):
                raise
            raise MeshError(str(error)) from None

    def _reading(self, place: Place, known: str | None, most: int, body: bool) -> sql.Statement:
        if place.kind in (Kind.LATEST, Kind.VERSION):
            table, reader = self._publications(place.project), self._reader(place.project)
            if place.kind is Kind.LATEST:
                return sql.read_latest(table, place.env, reader, known, most, body)
            return sql.read_version(table, place.env, place.name, reader, known, most, body)
        return sql.read_counted(self._counted(place), known, most, body)

    def _damaged(self, key: str, error: rows.Damaged) -> MeshError:
        return Damaged(f"{self.url}/{key} is damaged ({error}): have it written again")

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        place = place_of(key)
        where = f"{self.url}/{key}"
        if place is None:
            raise MeshError(f"{where}: a registry in Snowflake cannot store an object of that name")
        if place.kind is Kind.LATEST:
            self._put_in_place(place, rows.version_in(body), replaces, where)
        elif place.kind is Kind.VERSION:
            self._keep(place, body, replaces, where)
        else:
            self._count(place, body, replaces, where)

    def _keep(self, place: Place, body: bytes, replaces: str | None, where: str) -> None:
        if replaces is not None:
            raise Changed(where)
        found = documents(body, place.project)
        statement = sql.keep_version(
            self._publications(place.project),
            place.env,
            place.name,
            {reader: rows.packed(document) for reader, document in found.items()},
        )
        if not self._connection.insert(statement, where):
            raise Changed(where)

    def _put_in_place(self, place: Place, version: str, replaces: str | None, where: str) -> None:
        follows = rows.mark_of(replaces) if replaces else None
        if replaces and not follows:
            raise Changed(where)
        table = self._publications(place.project)
        self._connection.insert(sql.put_in_place(table, place.env, version, follows), where)
        # Looks even if nothing was inserted: a request whose answer got lost may have inserted it.
        seen = self._connection.ask(sql.standing(table, place.env, 2), where)
        try:
            became, own = rows.judged(version, follows, rows.marks(seen))
        except rows.Damaged as error:
            raise self._damaged(where.removeprefix(f"{self.url}/"), error) from None
        if became is rows.Standing.WITHDRAW:
            assert own
            self._connection.insert(sql.withdraw(table, place.env, own), where)
        if became is not rows.Standing.LATEST:
            raise Changed(where)

    def _count(self, place: Place, body: bytes, replaces: str | None, where: str) -> None:
        follows = rows.count_of(replaces) if replaces else None
        if replaces and not follows:
            raise Changed(where)
        own = place.name if place.kind is Kind.RECORD else place.project
        if self._member and own != self._member.project:
            raise MeshError(
                f"{where}: in Snowflake, only {own} can write this, to its own database: its "
                "deploy does so"
            )
        counted, write_id = self._counted(place), secrets.token_hex(16)
        statement = sql.write_counted(counted, rows.packed(body), follows, write_id)
        if not self._connection.insert(statement, where):
            raise Changed(where)

    # ── Where it lies ─────────────────────────────────────────────────────────────────

    def _database(self, project: str) -> str:
        """Returns a project's prod database as stored: by mesh.yml, else <PROJECT>_PROD."""
        member = self._member
        if member and project == member.project:
            return member.prod_database
        for upstream in member.upstreams if member else ():
            if upstream.name == project:
                return upstream.prod_database
        return f"{project.upper()}_PROD"

    def _project(self, database: str) -> str | None:
        """Returns the project of a database, by mesh.yml, else by its name; None for neither."""
        known = {self._database(name): name for name in self._names()}
        if database in known:
            return known[database]
        found = DATABASE.fullmatch(database)
        name = found[1].lower() if found else ""
        return name if NAME.fullmatch(name) else None

    def _names(self) -> list[str]:
        member = self._member
        return [member.project, *(each.name for each in member.upstreams)] if member else []

    def _is_own(self, project: str) -> bool:
        return bool(self._member and project == self._member.project)

    def _publications(self, project: str) -> sql.Table:
        return sql.publications(self._database(project), self._is_own(project))

    def _reader(self, project: str) -> str:
        if self._is_own(project):
            return sql.OWNER
        return reader_name(self._member.project) if self._member else ""

    def _counted(self, place: Place) -> sql.Counted:
        if place.kind is Kind.STATE:
            return sql.state(self._database(place.project), place.env, place.name)
        database = self._database(place.name)
        return sql.record(database, place.project, place.env, place.name)

    # ── Listings ──────────────────────────────────────────────────────────────────────

    def children(self, prefix: str) -> Iterator[str]:
        if (found := folder_of(prefix)) is None:
            return
        folder, project, env = found
        where = f"{self.url}/{prefix}"
        if folder is Folder.PROJECTS:
            yield from self._projects(where)
        elif folder is Folder.RECORDS:
            yield from self._consumers(project, env, where)
        elif folder is Folder.ENVIRONMENTS:
            table = self._publications(project)
            if self._is_state:
                table = sql.Table(table.database, sql.STATE)
            yield from (
                f"{row[0]}/" for row in self._connection.ask(sql.environments(table), where)
            )
        elif folder is Folder.HISTORY:
            statement = sql.versions(self._publications(project), env)
            yield from (f"{row[0]}/" for row in self._connection.ask(statement, where))
        elif self._is_state:
            statement = sql.names(sql.Table(self._database(project), sql.STATE), env)
            yield from (str(row[0]) for row in self._connection.ask(statement, where))
        else:
            yield from ("latest/", "history/", "consumers/")

    def _projects(self, where: str) -> Iterator[str]:
        """Yields the projects whose publications the role may see, and those of which the member
        has a record."""
        seen = (sql.STATE,) if self._is_state else (sql.PUBLISHED, sql.PUBLICATIONS)
        found = {self._project(each) for each in self._databases(seen, where)}
        own = self._member.prod_database if self._member else ""
        if not self._is_state and own in self._databases((sql.READS,), where):
            upstreams = self._connection.ask(sql.upstreams(sql.Table(own, sql.READS)), where)
            found |= {str(name) for (name,) in upstreams}
        yield from sorted(f"{name}/" for name in found if name)

    def _consumers(self, project: str, env: str, where: str) -> Iterator[str]:
        """Yields the names of the records that the role may see. All records are read in one query,
        and kept until `read` is called for each."""
        databases = self._databases((sql.READS,), where)
        if not databases:
            return
        found: dict[str, dict[str, list[Sequence[Any]]]] = defaultdict(lambda: defaultdict(list))
        answered, failed = self._ask_all(databases, project, env, where)
        for database, consumer, *row in answered:
            found[str(consumer)][str(database)].append(row)
        for database, error in failed.items():
            # The record is named after the database's project, and reading it raises the error.
            name = self._project(database) or database
            if name not in found:
                self._records[f"{project}/{env}/consumers/{name}.json"] = error
                yield f"{name}.json"
        marks = self._marks(found, where)
        for consumer, places in found.items():
            key = f"{project}/{env}/consumers/{consumer}.json"
            try:
                database = self._own(consumer, found, marks)
                self._records[key] = rows.one_object(places[database])
                if consumer not in (self._project(database), marks.get(database)):
                    self._claimed[key] = database
            except rows.Damaged as error:
                self._records[key] = self._damaged(key, error)
            except MeshError as error:
                self._records[key] = error
            yield f"{consumer}.json"

    def _marks(self, found: Mapping[str, Collection[str]], where: str) -> dict[str, str]:
        """Returns the project of each database, by mesh.yml or by the comment that an administrator
        gave it. Returns nothing where each consumer has a record in its own database.

        The roles that deploy do not own the databases, and so cannot change the comments.
        found: consumer → the databases with a record of it.
        """
        if all(self._database(consumer) in places for consumer, places in found.items()):
            return {}
        listed = {
            str(row["name"]): whose
            for row in self._connection.list(sql.show_databases(), where)
            if row["owner"] == ADMINISTRATOR and (whose := marked(str(row["comment"])))
        }
        return listed | {self._database(name): name for name in self._names()}

    def _own(
        self,
        consumer: str,
        found: Mapping[str, Collection[str]],
        marks: Mapping[str, str],
    ) -> str:
        """Returns the database whose record of a consumer counts.

        It is the consumer's own database. If that has no record, it is the only database marked as
        the consumer's. If none is marked so, it is the only unmarked database that has no record of
        the project it is named after.
        found: consumer → the databases with a record of it. marks: see `_marks`.
        Raises MeshError where more or less than one database remains: a project can write any
        consumer's name into its own database.
        """
        places = found[consumer]
        if (own := self._database(consumer)) in places:
            return own
        claims = [each for each in places if marks.get(each) == consumer] or [
            each
            for each in places
            if each not in marks and each not in found.get(self._project(each) or "", ())
        ]
        if len(claims) == 1:
            return claims[0]
        where = some([shown(each) for each in sorted(found[consumer])])
        raise MeshError(
            f"a record in the name of {consumer} lies in {where} and none in {own}: it is not "
            "used, because nothing shows that it is that project's"
        )

    def _ask_all(
        self, databases: Sequence[str], project: str, env: str, where: str
    ) -> tuple[list[Sequence[Any]], dict[str, MeshError]]:
        """Returns the rows of the records in these databases, and the error of each that fails.

        It reads all databases in one query. If that fails, it reads each of them alone.
        """
        statement = sql.read_records(databases, project, env, MOST)
        try:
            return self._connection.ask(statement, where), {}
        except MeshError as error:
            if isinstance(error, OutOfReach) and not isinstance(error, connection.TookTooLong):
                raise
            if len(databases) == 1:
                return [], {databases[0]: MeshError(str(error))}
        answered, failed = list[Sequence[Any]](), dict[str, MeshError]()
        for database in databases:
            rows_of, failed_of = self._ask_all([database], project, env, where)
            answered += rows_of
            failed |= failed_of
        return answered, failed

    def _databases(self, seen: Collection[str], where: str) -> list[str]:
        """Returns the databases in which the role sees one of these relations of a registry."""
        from dbtmesh.snowflake import account  # slow to import

        found: set[str] = set()
        for relation in seen:
            listed = self._connection.ask(sql.show(relation), where)
            if len(listed) >= account.MAX_ROWS:
                raise MeshError(
                    f"{where}: your role sees {len(listed):,} relations named {relation}, and "
                    "Snowflake lists no more: use one that sees fewer databases (SNOWFLAKE_ROLE)"
                )
            # The columns are created_on, name, kind, database_name and schema_name.
            kind = "VIEW" if relation == sql.PUBLISHED else "TABLE"  # as snowflake/01 creates it
            wanted = (relation, kind, MESH)
            found |= {str(row[3]) for row in listed if (row[1], row[2], row[4]) == wanted}
        return sorted(found)
