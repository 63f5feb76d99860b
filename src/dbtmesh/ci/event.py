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
    """What started the workflow that this runs in. Outside of one, nothing that is known.

    News comes as inputs of workflow_dispatch, which are empty where a person starts the workflow;
    from an upstream of before 0.3.0 as the payload of repository_dispatch.
    """
    match os.environ.get("GITHUB_EVENT_NAME"):
        case "workflow_dispatch":
            told = _mapping("inputs")
            if not told.get("project"):
                return Cause(by_hand=True)
            return Cause(chain=str(told.get("chain") or told["project"]).split(",")[:LONGEST_CHAIN])
        case "repository_dispatch":
            told = _mapping("client_payload")
            if not told:
                return Cause()
            # Members of before this was told name only the project whose news it is.
            named = told.get("chain")
            chain = named if isinstance(named, list) else [told.get("project")]
            return Cause(chain=[each for each in chain[:LONGEST_CHAIN] if isinstance(each, str)])
    return Cause()


def _mapping(key: str) -> Mapping[str, Any]:
    found = _event().get(key)
    return found if isinstance(found, dict) else {}


def _event() -> Mapping[str, Any]:
    """The event of the run, as GitHub keeps it in a file; empty where it cannot be read."""
    try:
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_bytes())
    except (KeyError, OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}
