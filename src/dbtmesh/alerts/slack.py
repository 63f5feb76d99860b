"""Sends alerts to Slack, through an incoming webhook.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

SLACK_WEBHOOK_URL   the webhook's address (secret)
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request

from dbtmesh import MeshError, https
from dbtmesh.alerts.alert import Alert
from dbtmesh.alerts.channel import Channel, Settings, value

URL = "SLACK_WEBHOOK_URL"
TIMEOUT, ATTEMPTS, PAUSE = 20, 3, 1.0


def message(alert: Alert) -> str:
    """Returns the text of an alert in Slack's mrkdwn.

    https://docs.slack.dev/messaging/formatting-message-text
    """
    sign = ":red_circle:" if alert.failed else ":large_green_circle:"
    link = f"<{_plain(alert.url)}|the run>" if alert.url else ""
    facts = ", ".join(filter(None, (link, _plain(alert.code))))
    failing = [f"• {_code(line)}" for line in alert.failing]
    return "\n".join(filter(None, (f"{sign} *{_plain(alert.headline)}*", *failing, facts)))


def _code(text: str) -> str:
    """Returns a text in code style, in which Slack makes no links and no emphasis. The text may
    quote what somebody else has published."""
    return f"`{_plain(text).replace('`', chr(39))}`"


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def send(alert: Alert, settings: Settings) -> str:
    """Sends an alert and returns who was told. Raises MeshError where that fails."""
    url = value(settings, URL)
    https.check_url(URL, url)
    body = json.dumps({"text": message(alert), "unfurl_links": False}).encode()
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            request = urllib.request.Request(  # noqa: S310 checked above
                url, body, {"Content-Type": "application/json"}
            )
            with https.open_here(request, timeout=TIMEOUT):
                return "Slack"
        except urllib.error.HTTPError as error:
            with error:
                problem = f"Slack answers {error.code}"
            if error.code < 500 and error.code != 429:
                raise MeshError(f"{problem}: check that the webhook still exists") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = f"no answer from Slack ({getattr(error, 'reason', None) or error})"
        time.sleep(PAUSE * attempt)
    raise MeshError(problem)


CHANNEL = Channel(setting=URL, secrets=(URL,), send=send)
