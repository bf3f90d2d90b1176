"""The head of a Ray cluster, as one of its nodes sees it.

Belongs here: whether it can be reached. Does not: what is done where it cannot (ray.py, and the executor of runs), nor
Ray.
"""

import socket


def answers(address: str, within_s: float) -> bool:
    """Return whether somebody listens at ``address``, the head's, such as ``10.0.0.2:6379``."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=within_s).close()
    except OSError:
        return False
    return True
