"""Sets how old keys may become. The numbers depend on each other and on a schedule.

The job `keys` of template/.github/workflows/…maintenance.yml.jinja rotates CI's keys every quarter.
"""

from __future__ import annotations

ROTATE_AFTER_DAYS = 90
"""The age of a key from which `status` asks for a rotation."""
EXPIRY_DAYS = 120
"""The age at which Snowflake stops accepting a named key pair: a month after `status` begins to
ask, and longer than a quarter."""
GRACE_HOURS = 168
"""How long the replaced key of a named key pair still works if nobody finishes the rotation."""
