"""Sets how old keys may become. The numbers depend on each other and on a schedule.

template/.github/workflows/…maintenance.yml.jinja rotates the keys of CI every quarter (job `keys`).
"""

from __future__ import annotations

ROTATE_AFTER_DAYS = 90
"""Age of a key from which `status` asks for a rotation."""
EXPIRY_DAYS = 120
"""Age at which Snowflake stops accepting a named key pair: a month after `status` began to ask, and
later than any quarter's end."""
GRACE_HOURS = 168
"""How long a named key pair works after its rotation began, should nobody finish that."""
