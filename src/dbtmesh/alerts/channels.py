"""Lists all channels, and sends an alert by those that are on."""

from __future__ import annotations

from collections.abc import Iterator

from dbtmesh import MeshError
from dbtmesh.alerts import email, slack
from dbtmesh.alerts.alert import Alert
from dbtmesh.alerts.channel import Channel, Settings, value
from dbtmesh.ci.github import job

CHANNELS: tuple[Channel, ...] = (slack.CHANNEL, email.CHANNEL)


def tell(alert: Alert, settings: Settings) -> Iterator[str]:
    """Tells by every channel that the settings switch on; yields who was told.

    Raises MeshError where none is on; or at the end, when all were tried, where one failed.
    """
    on = [channel for channel in CHANNELS if channel.is_on(settings)]
    if not on:
        raise MeshError(
            f"no channel is configured: set {' or '.join(each.setting for each in CHANNELS)}"
        )
    failures = []
    for channel in on:
        try:
            yield channel.send(alert, settings)
        except MeshError as error:
            failures.append(str(error))
    if failures:
        raise MeshError("; ".join(failures))


def secrets(settings: Settings) -> list[str]:
    """Values that no message may hold: of all channels, and GitHub's token."""
    names = [job.TOKEN_VARIABLE, *(name for channel in CHANNELS for name in channel.secrets)]
    return [secret for name in names if (secret := value(settings, name))]
