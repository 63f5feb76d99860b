"""Defines what a channel has: settings, secrets and a way to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dbtmesh.alerts.alert import Alert

Settings = Mapping[str, str]
"""The environment of the job, which has a channel's variables and secrets."""


@dataclass(frozen=True)
class Channel:
    """A way to tell people.

    setting: the variable that switches it on. secrets: variables whose values no message may hold.
    send: delivers an alert and returns who was told; raises MeshError where it cannot.
    """

    setting: str
    secrets: tuple[str, ...]
    send: Callable[[Alert, Settings], str]

    def is_on(self, settings: Settings) -> bool:
        return bool(value(settings, self.setting))


def value(settings: Settings, name: str) -> str:
    """A setting without blanks around it; empty where it is not set."""
    return settings.get(name, "").strip()
