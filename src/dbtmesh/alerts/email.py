"""Sends alerts by mail, through an SMTP server.

SMTP_HOST            the server
SMTP_PORT            587 for STARTTLS (the default), 465 for TLS
SMTP_USER            the user, if the server requires one; with SMTP_PASSWORD (secret)
ALERT_EMAIL_FROM     the sender's address
ALERT_EMAIL_TO       the recipients' addresses, separated by commas
"""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import getaddresses

from dbtmesh import MeshError, https
from dbtmesh.alerts.alert import Alert
from dbtmesh.alerts.channel import Channel, Settings, value

HOST, PORT, USER, PASSWORD = "SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD"
FROM, TO = "ALERT_EMAIL_FROM", "ALERT_EMAIL_TO"
TIMEOUT = 20


def message(alert: Alert, sender: str, recipients: str) -> EmailMessage:
    """Returns the mail for an alert. Raises MeshError where an address is not valid."""
    made = EmailMessage()
    for name, given in ((FROM, sender), (TO, recipients)):
        found = [address for _, address in getaddresses([given])]
        if not given.isprintable() or not found or not all("@" in each for each in found):
            raise MeshError(f"{name} is not a valid address")
    made["From"], made["To"], made["Subject"] = sender, recipients, alert.headline
    failing = [f"  {line}" for line in alert.failing]
    lines = [f"{alert.headline}.", *failing, alert.code, alert.url or ""]
    made.set_content("\n".join(filter(None, lines)) + "\n")
    return made


def send(alert: Alert, settings: Settings) -> str:
    """Sends an alert and returns who was told. Raises MeshError where that fails."""
    import smtplib
    import ssl

    host, recipients = value(settings, HOST), value(settings, TO)
    mail = message(alert, value(settings, FROM), recipients)
    user, password = value(settings, USER), settings.get(PASSWORD, "")
    try:
        port = int(value(settings, PORT) or 587)
        secure = ssl.create_default_context()
        whole = port == smtplib.SMTP_SSL_PORT
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=secure)
            if whole
            else smtplib.SMTP(host, port, timeout=TIMEOUT)
        ) as server:
            server.ehlo()
            if not whole and (host not in https.LOOPBACK or server.has_extn("starttls")):
                server.starttls(context=secure)
            if user:
                server.login(user, password)
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        raise MeshError(f"the mail server {host} answers {error.smtp_code}") from None
    except (OSError, ValueError) as error:  # smtplib's other exceptions are OSErrors
        raise MeshError(f"the mail server {host}: {error}") from None
    return f"{len(getaddresses([recipients]))} by mail"


CHANNEL = Channel(setting=HOST, secrets=(PASSWORD,), send=send)
