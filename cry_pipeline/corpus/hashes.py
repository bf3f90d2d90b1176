"""Which bytes a file has, without reading it again: sha256 by place, size, times and inode.

Belongs here: this cache. Does not: which files are hashed (sources.py), and how (reading.py).
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.corpus.paths import unprintable
from cry_pipeline.corpus.reading import hash_regular
from cry_pipeline.identity import identity, settled
from cry_pipeline.tables import FILLED, Schema, sha256, text

LOG = logging.getLogger("cry_pipeline")

HASHES = "hashes.parquet"
SAVED_EVERY_S, SAVING_SHARE = 10.0, 20.0
"""A table is saved after so many seconds, or so many times those that saving it took."""

KEPT = Schema(
    "the cache of hashes",
    {
        "folder": text("root that path is relative to", matches=FILLED),
        "path": text("POSIX path of the file", matches=FILLED),
        "identity": text("what changes when the file's content does", matches=r"^-?\d+(:-?\d+){3}$"),
        "sha256": sha256("sha256 of the file's bytes"),
    },
    unique=["folder", "path", "identity"],
)


class KeptHashes:
    """Hashes of files by folder, path, size, mtime, ctime and inode; a damaged cache is made again.

    Size and mtime do not tell two files apart that an archive gave one time; ctime and inode do, and no tool sets them
    back. A file changed within the last :data:`SETTLED_S` is hashed but not kept: it could change again within the
    resolution of its times.

    To be used with ``with``: what was hashed is kept every :data:`SAVED_EVERY_S` (less often where that takes long) and
    at the end, also at that of an exception, so that work that is cut short is not done again. Of what was kept before,
    a table and a place in it by a short key are in memory: a quarter of what the texts would take as Python's objects.
    """

    def __init__(self, cache: Path, looked_at: Collection[str] = ()) -> None:
        """Open the cache in ``cache``; ``looked_at`` are the folders of which all files are asked for."""
        self.path, self._looked_at = cache / HASHES, looked_at
        self.computed = 0
        self._table = _read(self.path)
        self._places = {_short(*row): place for place, row in enumerate(_keys_of(self._table))}
        self._contents = self._table["sha256"].to_numpy("S64")
        self._seen = np.zeros(len(self._table), dtype=bool)
        self._added: dict[bytes, tuple[str, str, str, str]] = {}
        self._unsaved, self._gone = 0, set[str]()
        self._save_next = time.monotonic() + SAVED_EVERY_S

    def __enter__(self) -> Self:
        """Return the cache, which is kept at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was seen and, if all was, forget the files that are gone."""
        self._save(whole=kind is None)

    def knows(self, folder: str, path: str, status: os.stat_result) -> bool:
        """Return whether :meth:`of` would not read the file."""
        short = _short(folder, path, _identity(status))
        return short in self._places or short in self._added

    def of(
        self, folder: str, path: str, file: Path, status: os.stat_result, read: Callable[[], str] | None = None
    ) -> str:
        """Return the sha256, as 64 hex digits, of ``file``, the one at ``path`` of ``folder``, both printable.

        ``read`` is how it is made of the file, where it is not that of all its bytes.

        Raises:
            ChangedError: it is not what its ``status`` says any more.
            OSError: it cannot be read.
        """
        version = _identity(status)
        short = _short(folder, path, version)
        place = self._places.get(short)
        if place is not None:
            self._seen[place] |= settled(status)
            return self._contents[place].decode()
        content = hash_regular(file, status, unprintable(folder)) if read is None else read()
        self.computed += 1
        if settled(status):
            self._added[short] = folder, path, version, content
            self._unsaved += 1
        if time.monotonic() > self._save_next:
            self._save(whole=False)
        return content

    def forget(self, contents: Collection[str]) -> None:
        """Keep nothing of files with one of these sha256: who was withdrawn is named by no table."""
        self._gone |= set(contents)

    def _save(self, *, whole: bool) -> None:
        """Keep what was seen and, of folders that were not looked at or not to the end, what is known."""
        started = time.monotonic()
        folders = {*self._looked_at, *self._table["folder"][self._seen], *(row[0] for row in self._added.values())}
        keep = self._seen | ~self._table["folder"].isin(folders if whole else ()).to_numpy(bool)
        if self._unsaved or self._gone or not keep.all():
            added = pd.DataFrame(self._added.values(), columns=list(KEPT.columns), dtype="str")
            table = pd.concat([self._table[keep], added], ignore_index=True)
            table = table[~table["sha256"].isin(self._gone)].sort_values(list(KEPT.unique), ignore_index=True)
            KEPT.write(self.path, table, keys.code_version("hashes", None))
            self._unsaved = 0
        # A table of millions takes a while to write, and all of it is written each time.
        self._save_next = time.monotonic() + max(SAVED_EVERY_S, SAVING_SHARE * (time.monotonic() - started))


def _identity(status: os.stat_result) -> str:
    return ":".join(map(str, identity(status)))


def _short(folder: str, path: str, version: str) -> bytes:
    """Return 128 bits that tell a file and its version from all others."""
    return hashlib.blake2b("\0".join((folder, path, version)).encode(), digest_size=16).digest()


def _keys_of(table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return zip(*(table[name] for name in KEPT.unique), strict=True)


def _read(path: Path) -> pd.DataFrame:
    table = KEPT.current(path, keys.code_version("hashes", None))
    if table is None:
        if path.exists():
            LOG.warning("%s is damaged or of another version: all files are hashed again", path)
        return KEPT.table_of([], text="str")
    return table
