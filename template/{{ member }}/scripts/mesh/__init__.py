"""What this member's commands share: configuration, the registry, the public interface.

Comes with the template and changes with `copier update`; edit the commands' inputs
(mesh.yml, models, SQL) rather than this package.
"""

import hashlib


class MeshError(Exception):
    """What a person can put right: what is wrong, where, and what to do, in one or two lines."""


def sha256(body: bytes) -> str:
    """As hex: how publications, objects in a folder and generated files are told apart."""
    return hashlib.sha256(body).hexdigest()
