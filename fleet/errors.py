"""Errors that a person can put right."""


class FleetError(Exception):
    """What is wrong, where, and what to do, in one or two lines."""
