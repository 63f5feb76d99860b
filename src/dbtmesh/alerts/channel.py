"""Defines a channel: its setting, its secrets and the function that sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dbtmesh.alerts.alert import Alert

Settings = Mapping[str, str]
"""The environment of the job, which contains the variables and secrets of the channels."""


@dataclass(frozen=True)
class Channel:
    """A way to send alerts.

    setting: the variable that switches it on. secrets: the variables whose values no message may
    contain. send: sends an alert and returns who was told; raises MeshError where that fails.
    """

    setting: str
    secrets: tuple[str, ...]
    send: Callable[[Alert, Settings], str]

    def is_on(self, settings: Settings) -> bool:
        return bool(value(settings, self.setting))


def value(settings: Settings, name: str) -> str:
    """Returns a setting without blanks around it; empty where it is not set."""
    return settings.get(name, "").strip()
