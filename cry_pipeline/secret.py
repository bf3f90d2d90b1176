"""This installation's secret, and hashes that nobody can make, or undo by trying, who does not know it.

Belongs here: the secret and the keyed hash. Does not: what is hashed (triage's audit share, tombstones, the page's
tokens).
"""

import hashlib
import hmac
import json
import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

BYTES = 32


class SecretError(RuntimeError):
    """The secret cannot be read; the message says what hangs on it."""


def read_secret(path: Path, *, make: bool = True) -> bytes:
    """Return the secret at ``path``, 32 bytes; the first call makes it, readable by its owner only.

    Args:
        path: of the file.
        make: whether it may be made. Not where something was hashed with it before: another would not find it again.

    Raises:
        SecretError: it is damaged, or there is none and it may not be made.
    """
    try:
        secret = bytes.fromhex(json.loads(path.read_text())["secret"])
        if len(secret) != BYTES:
            raise ValueError(f"{len(secret)} bytes")  # noqa: TRY301
    except FileNotFoundError:
        if not make:
            raise SecretError(
                f"{path} is missing, and what was withdrawn is known by it: put a copy of it back"
            ) from None
        return _made(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SecretError(
            f"{path} cannot be read ({error}): put a copy of it back. Without it nobody knows what was withdrawn, and "
            "the recordings drawn for audit are drawn anew"
        ) from error
    return secret


def keyed_hash(secret: bytes, purpose: str, text: str) -> str:
    """Return HMAC-SHA256 of ``purpose`` and ``text``, as 64 hex digits: of two purposes, two hashes."""
    return hmac.new(secret, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _made(path: Path) -> bytes:
    """Make the secret; of several who do so at once, one makes it and all return that one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps({"secret": secrets.token_hex(BYTES)}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # unlike a rename, a link fails where another was first
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return read_secret(path)
