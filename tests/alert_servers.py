"""A mail server and a Slack webhook on loopback that receive alerts.

They cannot show that Slack renders a message as intended, or that a mail is not treated as spam.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- Slack --------------------------------------------------------------------------------------


@dataclass
class Slack:
    """A webhook. messages: what was posted. statuses: those of the next responses, then 200."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    location: str = ""


@contextlib.contextmanager
def slack() -> Iterator[Slack]:
    known = Slack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = known.statuses.pop(0) if known.statuses else 200
            if status == 200:
                known.messages.append(json.loads(body))
            self.send_response(status)
            if known.location:
                self.send_header("Location", known.location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0/B0/swordfish"
    with _serving(server):
        yield known


# --- Mail ---------------------------------------------------------------------------------------


@dataclass
class Mails:
    """A mail server.

    certificate: the file to trust.
    received: messages, their recipients, whether TLS was used, and whether the client signed in.
    """

    port: int = 0
    certificate: Path = Path()
    password: str = ""
    received: list[tuple[EmailMessage, list[str], bool, bool]] = field(default_factory=list)


class _Session(socketserver.StreamRequestHandler):
    """The part of SMTP that smtplib uses."""

    mails: Mails
    context: ssl.SSLContext
    starttls: bool
    implicit: bool

    def handle(self) -> None:
        self.secure, self.known, self.to = False, False, list[str]()
        if self.implicit:
            self._wrap()
        self._say("220 ready")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if not getattr(self, f"_{verb.lower()}", self._unknown)(rest):
                return

    def _say(self, line: str) -> bool:
        self.wfile.write(f"{line}\r\n".encode())
        return True

    def _wrap(self) -> None:
        self.request = self.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        self.secure = True

    def _unknown(self, _: str) -> bool:
        return self._say("502 no such command")

    def _ehlo(self, _: str) -> bool:
        offered = ["here", *(["STARTTLS"] if self.starttls and not self.secure else [])]
        offered.append("AUTH PLAIN")
        marks = ["-"] * (len(offered) - 1) + [" "]
        return all(self._say(f"250{m}{o}") for m, o in zip(marks, offered, strict=True))

    def _starttls(self, _: str) -> bool:
        self._say("220 go on")
        try:
            self._wrap()
        except ssl.SSLError:  # the client does not trust it
            return False
        return True

    def _auth(self, given: str) -> bool:
        secret = base64.b64decode(given.partition(" ")[2]).decode().split("\0")
        self.known = secret[1:] == ["alerts", self.mails.password]
        return self._say("235 welcome" if self.known else "535 no")

    def _mail(self, _: str) -> bool:
        self.to = []
        return self._say("250 ok")

    def _rcpt(self, rest: str) -> bool:
        self.to.append(rest.partition("<")[2].partition(">")[0])
        return self._say("250 ok")

    def _data(self, _: str) -> bool:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.received.append((message, self.to, self.secure, self.known))
        return self._say("250 taken")

    def _quit(self, _: str) -> bool:
        self._say("221 bye")
        return False


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Ignores that a client has disconnected, for example because of the certificate."""


@contextlib.contextmanager
def mail_server(
    folder: Path, *, starttls: bool = True, implicit: bool = False, password: str = ""
) -> Iterator[Mails]:
    """Runs a mail server. implicit: TLS from the first byte, as on port 465."""
    mails = Mails(certificate=folder / "certificate.pem", password=password)
    key = _certificate(mails.certificate, folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mails.certificate, key)
    facts = {"mails": mails, "context": context, "starttls": starttls, "implicit": implicit}
    server = _Server(("127.0.0.1", 0), type("Session", (_Session,), facts))
    mails.port = server.server_address[1]
    with _serving(server):
        yield mails


def _certificate(path: Path, folder: Path) -> Path:
    """Writes a self-signed certificate for 127.0.0.1. Returns the file of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    file = folder / "certificate.key"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file
