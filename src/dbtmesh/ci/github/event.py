"""Reads what started the workflow that this runs in.

https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from dbtmesh.config import NAME
from dbtmesh.gate.triggers import Cause

LONGEST_CHAIN = 100
"""How many projects of a chain of news are kept; each is a deploy."""


def cause() -> Cause:
    """Returns what started the workflow that this runs in. Outside of a workflow it is unknown.

    News comes as inputs of workflow_dispatch. They are empty if a person starts the workflow. From
    an upstream with a template before 0.3.0, news comes as the payload of repository_dispatch.
    """
    match os.environ.get("GITHUB_EVENT_NAME"):
        case "workflow_dispatch":
            told = _mapping("inputs")
            if not told.get("project"):
                return Cause(by_hand=True)
            return _cause(str(told.get("chain") or told["project"]).split(","))
        case "repository_dispatch":
            told = _mapping("client_payload")
            if not told:
                return Cause()
            # Older upstreams send no chain, but only the project whose news it is.
            named = told.get("chain")
            chain = named if isinstance(named, list) else [told.get("project")]
            return _cause(chain)
    return Cause()


def _cause(chain: Iterable[object]) -> Cause:
    """Returns the cause with the valid names of a chain, which is passed on to other projects.

    Anybody who can start the workflow can write the chain.
    """
    names = islice((each for each in chain if isinstance(each, str)), LONGEST_CHAIN)
    return Cause(chain=[name for name in names if NAME.fullmatch(name)])


def _mapping(key: str) -> Mapping[str, Any]:
    found = _event().get(key)
    return found if isinstance(found, dict) else {}


def _event() -> Mapping[str, Any]:
    """Reads the event of the run from GitHub's file; empty where it cannot be read."""
    try:
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_bytes())
    except (KeyError, OSError, ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
