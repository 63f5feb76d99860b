"""Lists all channels, and sends an alert through those that are switched on."""

from __future__ import annotations

from collections.abc import Iterator

from dbtmesh import MeshError
from dbtmesh.alerts import email, slack
from dbtmesh.alerts.alert import Alert
from dbtmesh.alerts.channel import Channel, Settings, value
from dbtmesh.ci.github import job

CHANNELS: tuple[Channel, ...] = (slack.CHANNEL, email.CHANNEL)


def tell(alert: Alert, settings: Settings) -> Iterator[str]:
    """Sends an alert through every channel that the settings switch on, and yields who was told.

    Raises MeshError where no channel is on. If a channel fails, the others are still tried, and
    MeshError is raised at the end.
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
    """Returns the values that no message may contain: the secrets of all channels, and GitHub's
    token."""
    names = [job.TOKEN_VARIABLE, *(name for channel in CHANNELS for name in channel.secrets)]
    return [secret for name in names if (secret := value(settings, name))]
