"""Errors that a person can fix."""


class FleetError(Exception):
    """What is wrong, where, and what to do, in one or two lines."""
