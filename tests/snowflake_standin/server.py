"""The stand-in as a server on loopback that speaks the connector's protocol."""

from __future__ import annotations

import gzip
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import snowflake.connector
from fakesnow.transforms import SERVER_VERSION

from .behaviour import Behaviour
from .context import Decision, Session
from .engine import Answer, Engine, answer_of, query_id
from .errors import SnowflakeError
from .faults import ConnectionDropped, Faults
from .grammar import parse
from .model import ADMIN, Model
from .signin import Request, sign_in
from .statements import Statement

PASSWORD = "standin-admin-password"
_HOST = "127.0.0.1"
_TIMEOUT = 15  # seconds a client of `Standin.account` waits before it gives up


@dataclass(frozen=True)
class Record:
    """One sign-in (``sql`` is empty) or statement, as the client sent it, and how it ended."""

    user: str
    role: str
    sql: str
    error: str | None = None
    query_tag: str = ""

    @property
    def ok(self) -> bool:
        return self.error is None


class Standin:
    """A Snowflake account on loopback, for as long as the ``with`` block lasts.

    Args:
        account_name: ``ORGANISATION-ACCOUNT``.
        switches: fields of `Behaviour`.
    """

    def __init__(
        self,
        *,
        account_name: str = "TESTORG-STANDIN",
        **switches: bool,
    ) -> None:
        self.model = Model(account_name=account_name)
        self.model.behaviour = Behaviour(**switches)
        self.model.add_admin(ADMIN, "ACCOUNTADMIN", password=PASSWORD)
        self.faults = Faults()
        self.statements: list[Record] = []
        self.sign_ins: list[Record] = []
        self._engine = Engine()
        self._sessions: dict[str, Session] = {}
        # One statement at a time: the model and DuckDB's catalog change together.
        self._lock = threading.RLock()
        self._server = _Server((_HOST, 0), _Handler)
        self._server.standin = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    # -- life -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._engine.close()

    def stop(self) -> None:
        """Leaves the network: clients get "connection refused". Safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.drop_all()
        self._server.server_close()

    # -- for clients ----------------------------------------------------------------------

    @property
    def host(self) -> str:
        return _HOST

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def account(self) -> dict[str, Any]:
        """Arguments of ``snowflake.connector.connect`` that lead here; add who signs in."""
        return {
            "account": self.model.account_name,
            "host": self.host,
            "port": self.port,
            "protocol": "http",
            "login_timeout": _TIMEOUT,
            "network_timeout": _TIMEOUT,
        }

    @property
    def reach(self) -> dict[str, str]:
        """Environment of a process that signs in here without a connections.toml."""
        return {
            "SNOWFLAKE_HOST": self.host,
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
        }

    def connect(self, **arguments: Any) -> snowflake.connector.SnowflakeConnection:
        """Connects with the real connector, e.g. ``user=…, private_key_file=…``."""
        return snowflake.connector.connect(**{**self.account, **arguments})

    def connections_toml(self, **connections: Mapping[str, object]) -> str:
        """Returns a ``connections.toml`` with these connections, e.g. ``demo={"user": …}``."""
        sections = [
            "\n".join([f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in arguments.items())])
            for name, given in connections.items()
            for arguments in [{**self.account, **given}]
        ]
        return "\n\n".join(sections) + "\n"

    def admin_connection(
        self, role: str = "ACCOUNTADMIN"
    ) -> snowflake.connector.SnowflakeConnection:
        return self.connect(user=ADMIN, password=PASSWORD, role=role)

    # -- requests -------------------------------------------------------------------------

    def sign_in(self, request: Request) -> dict[str, Any]:
        login = str(request.data.get("LOGIN_NAME") or "")
        with self._lock:
            try:
                session = sign_in(self.model, request)
            except SnowflakeError as error:
                self.sign_ins.append(Record(login, request.role or "", "", str(error)))
                return _refusal(error)
            self.sign_ins.append(Record(session.user, session.role, ""))
            token = secrets.token_urlsafe(24)
            self._sessions[token] = session
        return _success(
            {
                "token": token,
                "masterToken": token,
                "validityInSeconds": 3600,
                "masterValidityInSeconds": 14400,
                "serverVersion": SERVER_VERSION,
                "sessionId": session.id,
                "parameters": [
                    {"name": "AUTOCOMMIT", "value": True},
                    {"name": "CLIENT_TELEMETRY_ENABLED", "value": False},
                    {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                    {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
                ],
                "sessionInfo": {
                    "databaseName": session.database,
                    "schemaName": session.schema,
                    "warehouseName": session.warehouse,
                    "roleName": session.role,
                },
            }
        )

    def query(self, token: str, request: dict[str, Any]) -> dict[str, Any]:
        session = self._sessions.get(token)
        if session is None:
            return {"success": False, "code": "390104", "message": "Session gone.", "data": {}}
        sql = str(request["sqlText"])
        tag = str(session.parameters.get("QUERY_TAG", ""))
        record = Record(session.user, session.role, sql, query_tag=tag)
        try:
            self.faults.before(sql)
            answer = self._run_side_by_side(session, sql, request.get("bindings"))
        except SnowflakeError as error:
            self.statements.append(replace(record, error=str(error)))
            return _refusal(error)
        self.statements.append(record)
        self.faults.after(sql)
        return _success(
            {
                "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
                "rowtype": answer.rowtype,
                "total": answer.total,
                "returned": answer.total,
                "queryId": query_id(),
                "statementTypeId": answer.statement_type,
                "finalDatabaseName": session.database,
                "finalSchemaName": session.schema,
                "finalWarehouseName": session.warehouse,
                "finalRoleName": session.role,
                **answer.body,
            }
        )

    def _run_side_by_side(
        self, session: Session, sql: str, bindings: dict[str, Any] | None
    ) -> Answer:
        """Runs one statement at a time, except that others may run inside an INSERT … SELECT."""
        statement = parse(sql)
        with self._lock:
            decision = self.model.decide(session, statement)
            chosen = self._engine.chosen(self.model.context(session), statement, bindings)
            if chosen is None:
                return self._run(session, statement, decision, bindings)
            if not chosen.into or not self.model.behaviour.parallel_inserts:
                return self._engine.answer(chosen)
        self.faults.between(sql)
        with self._lock:
            return self._engine.answer(chosen)

    def _run(
        self,
        session: Session,
        statement: Statement,
        decision: Decision,
        bindings: dict[str, Any] | None,
    ) -> Answer:
        """Changes the data, then the model, as authorised. An error leaves both unchanged."""
        answer = None
        if not decision.settled:
            answer = self._engine.run(self.model.context(session), statement, bindings)
            decision.effect()
        return answer if answer is not None else answer_of(decision.result)

    def sign_out(self, token: str) -> dict[str, Any]:
        with self._lock:
            session = self._sessions.pop(token, None)
            if session is not None:
                self._engine.end(session)
                for ref in session.temporary:
                    self.model.account.remove(ref)
        return _success(None)


def _success(data: Any) -> dict[str, Any]:
    return {"success": True, "code": None, "message": None, "data": data}


def _refusal(error: SnowflakeError) -> dict[str, Any]:
    code = f"{error.errno:06d}"
    return {
        "success": False,
        "code": code,
        "message": error.message,
        "data": {"errorCode": code, "sqlState": error.sqlstate, "queryId": query_id()},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # with fewer, Linux lets clients that come together wait for seconds
    standin: Standin

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_all(self) -> None:
        """Closes connections that clients keep alive."""
        for request in list(self._open):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores that a client has disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        url = urlsplit(self.path)
        try:
            answer = self._answer(url.path, parse_qs(url.query), json.loads(body or b"{}"))
        except ConnectionDropped:
            self.close_connection = True
            return
        except Exception as error:
            # without a response, the client would wait, and nobody would know why
            answer = _refusal(SnowflakeError(603, "XX000", f"stand-in: it failed: {error!r}"))
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _answer(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        standin = self.server.standin
        if path == "/session/v1/login-request":
            data = body["data"]
            given = {key: values[0] for key, values in query.items()}
            request = Request(
                data=data,
                role=given.get("roleName"),
                warehouse=given.get("warehouse"),
                database=given.get("databaseName"),
                schema=given.get("schemaName"),
            )
            return standin.sign_in(request)
        if path == "/queries/v1/query-request":
            return standin.query(self._token(), body)
        if path == "/session" and "delete" in query:
            return standin.sign_out(self._token())
        # Heartbeats, aborted queries and telemetry only need a success.
        return _success(None)

    def _token(self) -> str:
        return self.headers.get("Authorization", "").partition('Token="')[2].rstrip('"')

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: `Standin.statements` is the log."""
