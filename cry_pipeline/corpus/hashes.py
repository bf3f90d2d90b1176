"""Which bytes a file has, without reading it again: sha256 by place, size, times and inode.

Belongs here: this cache. Does not: which files are hashed (sources.py), and how (reading.py).
"""

import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from cry_pipeline import keys
from cry_pipeline.corpus.paths import unprintable
from cry_pipeline.corpus.reading import hash_regular, identity
from cry_pipeline.tables import FILLED, Schema, sha256, text

LOG = logging.getLogger("cry_pipeline")

HASHES = "hashes.parquet"
SETTLED_S = 2.0
SAVED_EVERY_S = 10.0

Key = tuple[str, str, str]

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

    To be used with ``with``: what was hashed is kept every :data:`SAVED_EVERY_S` and at the end, also at that of an
    exception, so that work that is cut short is not done again.
    """

    def __init__(self, cache: Path) -> None:
        self.path = cache / HASHES
        self.computed = 0
        self._known, self._seen = _read(self.path), dict[Key, str]()
        self._saved = time.monotonic()

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
        key = _key(folder, path, status)
        return key in self._known or key in self._seen

    def of(self, folder: str, path: str, file: Path, status: os.stat_result) -> str:
        """Return the sha256, as 64 hex digits, of ``file``, the one at ``path`` of ``folder``, both printable.

        Raises:
            ChangedError: it is not what its ``status`` says any more.
            OSError: it cannot be read.
        """
        key = _key(folder, path, status)
        content = self._known.get(key)
        if content is None:
            content = hash_regular(file, status, unprintable(folder))
            self.computed += 1
        if settled(status):
            self._seen[key] = content
        if time.monotonic() - self._saved > SAVED_EVERY_S:
            self._save(whole=False)
        return content

    def _save(self, *, whole: bool) -> None:
        """Keep what was seen and, of folders that were not looked at or not to the end, what is known."""
        self._saved = time.monotonic()
        folders = {folder for folder, *_ in self._seen} if whole else set()
        keep = {key: content for key, content in self._known.items() if key[0] not in folders} | self._seen
        if keep != self._known:
            rows = [dict(zip(KEPT.columns, (*key, content), strict=True)) for key, content in sorted(keep.items())]
            KEPT.write(self.path, KEPT.table_of(rows, text="str"), keys.code_version("hashes", None))
            self._known = keep


def settled(status: os.stat_result) -> bool:
    """Return whether a file was not changed just now; one whose time lies ahead, by a wrong clock, was not either."""
    return abs(time.time() - status.st_mtime) > SETTLED_S


def _key(folder: str, path: str, status: os.stat_result) -> Key:
    return folder, path, ":".join(map(str, identity(status)))


def _read(path: Path) -> dict[Key, str]:
    table = KEPT.current(path, keys.code_version("hashes", None))
    if table is None:
        if path.exists():
            LOG.warning("%s is damaged or of another version: all files are hashed again", path)
        return {}
    places = zip(table["folder"], table["path"], table["identity"], strict=True)
    return dict(zip(places, table["sha256"], strict=True))
