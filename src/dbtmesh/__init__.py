"""The library behind the commands of a mesh's members, and behind this repository's tools."""


class MeshError(Exception):
    """An error that a person can fix. The message says what is wrong, where, and what to do, in one
    or two lines."""


def sha256(*pieces: bytes | memoryview) -> str:
    """Returns the SHA-256 in hexadecimal. It identifies publications, objects in a folder, and
    generated files."""
    import hashlib  # loads OpenSSL

    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()
