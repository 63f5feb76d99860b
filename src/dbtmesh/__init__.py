"""The library behind the commands of a mesh's members, and behind this repository's tools."""


class MeshError(Exception):
    """What a person can put right: what is wrong, where, and what to do, in one or two lines."""


def sha256(*pieces: bytes | memoryview) -> str:
    """As hex: how publications, objects in a folder and generated files are told apart."""
    import hashlib  # loads OpenSSL

    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()
