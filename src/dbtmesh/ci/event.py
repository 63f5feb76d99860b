"""What started the workflow that this runs in.

https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbtmesh.gate.news import Cause

LONGEST_CHAIN = 100
"""How many projects of a chain of news are kept; each is a deploy."""


def cause() -> Cause:
    """What started the workflow that this runs in. Outside of one, nothing that is known."""
    event = os.environ.get("GITHUB_EVENT_NAME")
    payload = _event().get("client_payload") if event == "repository_dispatch" else None
    if not isinstance(payload, dict):
        return Cause(by_hand=event == "workflow_dispatch")
    # Members of before this was told name only the project whose news it is.
    named = payload.get("chain")
    chain = named if isinstance(named, list) else [payload.get("project")]
    return Cause(chain=[each for each in chain[:LONGEST_CHAIN] if isinstance(each, str)])


def _event() -> Mapping[str, Any]:
    """The event of the run, as GitHub keeps it in a file; empty where it cannot be read."""
    try:
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_bytes())
    except (KeyError, OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}
