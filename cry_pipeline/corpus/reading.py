"""Bytes of files that anybody may have put there: of plain files only, and never more than a limit.

Belongs here: opening, reading and hashing. Does not: which files (sources.py), and what is in them (decoding.py).

To open a pipe waits for a writer, and to open some devices does something to them. So a file is looked at before it is
opened, opened without waiting, and looked at again, because it may have been put in another's place in between.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from cry_pipeline.identity import identity

MAX_BYTES = 200_000_000
"""The longest recording that decoding takes, ten minutes, has 173 MB in stereo at 48 kHz with 24 bits."""
CHUNK_BYTES = 1 << 20
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


class NotAFileError(OSError):
    """What is to be read is a pipe, a socket, a device or a folder."""


class TooLargeError(OSError):
    """A file has more bytes than may be read."""


class ChangedError(OSError):
    """A file is not what it was when it was looked at."""


def kind_of(status: os.stat_result) -> str | None:
    """Return what a file is that is no plain file, in words; None of a plain one."""
    form = stat.S_IFMT(status.st_mode)
    return None if form == stat.S_IFREG else KINDS.get(form, "a device")


def read_regular(path: Path, most_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a plain file.

    Raises:
        NotAFileError: it is none.
        TooLargeError: it has more than ``most_bytes``; no more than one byte above that is read.
        OSError: it cannot be read.
    """
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size > most_bytes:
            raise TooLargeError(f"{path} has more than {most_bytes} bytes")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TooLargeError(f"{path} has more than {most_bytes} bytes")
    return content


def hash_regular(path: Path, seen: os.stat_result, home: str) -> str:
    """Return the sha256, as 64 hex digits, of a plain file that was ``seen`` to be of this size and time.

    Raises:
        ChangedError: before or after it is read it is another than was seen, or it does not lie in ``home``, a path
            without links: a folder that was listed may have become a link.
        NotAFileError: it is no plain file any more.
        OSError: it cannot be read.
    """
    sha256 = hashlib.sha256()
    with _opened(path) as file:
        if identity(os.fstat(file.fileno())) != identity(seen) or not _lies_in(home, file.fileno(), path):
            raise ChangedError(f"{path} has changed since it was listed")
        left = seen.st_size
        while left and (chunk := file.read(min(CHUNK_BYTES, left))):
            sha256.update(chunk)
            left -= len(chunk)
        if left or identity(os.fstat(file.fileno())) != identity(seen):
            raise ChangedError(f"{path} has changed while it was read")
    return sha256.hexdigest()


def is_within(path: str, home: str) -> bool:
    """Return whether a path is ``home`` or below it; both without links."""
    return path == home or path.startswith(home.rstrip(os.sep) + os.sep)


def _lies_in(home: str, descriptor: int, path: Path) -> bool:
    try:
        place = str(
            Path(f"/proc/self/fd/{descriptor}").readlink()
        )  # of what is open, whatever its path leads to by now
    except OSError:  # another system than Linux
        place = os.path.realpath(path)
    return is_within(place, home)


def _opened(path: Path) -> BinaryIO:
    kind = kind_of(path.stat())
    if kind is None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        kind = kind_of(os.fstat(descriptor))
        if kind is None:
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise NotAFileError(f"{path} is {kind}")
