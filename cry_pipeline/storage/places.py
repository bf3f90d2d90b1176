"""A place for files: a folder, or ``s3://bucket/prefix`` on any service that speaks S3.

Belongs here: what is asked of either, and the folder. Does not: the bucket (bucket.py), nor what the files are.
"""

import errno
import os
from pathlib import Path
from typing import Protocol

from cry_pipeline.artefacts import read_plain, sync, write_atomically
from cry_pipeline.digests import sha256_of, sha256_of_file
from cry_pipeline.storage.bucket import SCHEME, Bucket, Entry, PlaceError

MOST_BYTES = 200_000_000
"""Of a file that is read whole: no recording that is taken has more."""


class Place(Protocol):
    """Files by path; a file is there whole or not at all. All raise OSError where the place cannot be reached."""

    uri: str

    def entries(self) -> list[Entry]:
        """Return all files, by path; of a place that is not there, none."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Put ``data`` at ``path``, over what is there; it outlives a power failure."""

    def remove(self, *paths: str) -> None:
        """Remove files, those that are there."""


def open_place(uri: str | Path) -> "Folder | Bucket":
    """Return the place that ``uri`` names; nothing is asked of a service yet.

    Raises:
        PlaceError: it is of a scheme that is not known, names no bucket, or obstore is missing.
    """
    scheme, separator, _ = str(uri).partition("://")
    if not separator:
        return Folder(Path(uri))
    if f"{scheme}://" != SCHEME:
        raise PlaceError(f"{uri}: files lie in a folder or under {SCHEME}bucket/prefix, not under {scheme}://")
    return Bucket(str(uri))


class Folder:
    """A folder; see :class:`Place`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.uri = folder, str(folder)

    def entries(self) -> list[Entry]:
        """Return all plain files but hidden ones, which are those of killed writers."""
        found, waiting = [], [self.folder]
        while waiting:
            parent = waiting.pop()
            try:
                with os.scandir(parent) as opened:
                    entries = [entry for entry in opened if not entry.name.startswith(".")]
            except FileNotFoundError:
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    status = entry.stat(follow_symlinks=False)
                    path = Path(entry.path).relative_to(self.folder).as_posix()
                    found.append(
                        Entry(path, status.st_size, f"{status.st_mtime_ns}:{status.st_ctime_ns}", status.st_mtime)
                    )
        return sorted(found, key=lambda entry: entry.path)

    def read(self, path: str) -> bytes:
        """Return the bytes of a plain file."""
        file = self.folder / path
        if file.stat().st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"has more than {MOST_BYTES} bytes", str(file))
        return read_plain(file)

    def write(self, path: str, data: bytes) -> None:
        """Write a temporary file, read it back, and rename it."""

        def written(temporary: Path) -> None:
            temporary.write_bytes(data)
            if sha256_of_file(temporary) != sha256_of(data):
                raise OSError(errno.EIO, "what was written reads back as something else", str(self.folder / path))

        write_atomically(self.folder / path, written)

    def remove(self, *paths: str) -> None:
        """Remove the files."""
        for file in (self.folder / path for path in paths):
            file.unlink(missing_ok=True)
            if file.parent.is_dir():
                sync(file.parent)
