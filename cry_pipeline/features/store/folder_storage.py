"""A feature store in a folder of this machine: what is written is still there after the power fails.

Belongs here: fsync, the one atomic rename, and reading through TensorStore. Does not: what is in the files
(encoding.py).
"""

import logging
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cry_pipeline.artefacts import NotAFileError, make_folder, read_plain, sync
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.storage import INDEX, PARTS, QUARANTINE, READERS_S, TEMPORARY

LOG = logging.getLogger("cry_pipeline")
SYNC_THREADS = 4


class FolderStorage:
    """See :class:`~cry_pipeline.features.store.storage.Storage`.

    A part is written under ``tmp/``, brought to the disk, and renamed into ``parts/``; what is removed goes the other
    way. Nothing is made before something is written.
    """

    reads_at_once = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root)

    def below(self, name: str) -> "FolderStorage":
        """Return the storage of the folder ``name``."""
        return FolderStorage(self.root / name)

    def names(self) -> list[str]:
        """Return the names of all folders and files here, sorted."""
        return _listed(self.root)

    def parts(self) -> list[str]:
        """Return what lies in ``parts/``, sorted."""
        return _listed(self.root / PARTS)

    def has_part(self, name: str) -> bool:
        """Return whether the part's folder is there."""
        return (self.root / PARTS / name).is_dir()

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        return read_plain(self.root / path)

    def replace(self, path: str, content: bytes) -> None:
        """Put ``content`` at ``path`` by way of ``tmp/``, in one rename."""
        make_folder(self.root / TEMPORARY)
        replace_file(self.root / path, content, self.root / TEMPORARY / uuid.uuid4().hex)

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[str], None]) -> None:
        """Write ``files`` under ``tmp/``, check and sync them, and rename their folder into ``parts/``."""
        for folder in (TEMPORARY, PARTS):
            make_folder(self.root / folder)
        for left in self.leftovers(READERS_S):
            LOG.info("feature store %s: removing %s, left by a writer that died", self.uri, left)
            self.remove(left)
        staging = self.root / TEMPORARY / uuid.uuid4().hex
        try:
            _write_files(staging, files)
            check(f"{TEMPORARY}/{staging.name}")
            _check_same(staging / INDEX, files[INDEX])
            _sync_all([staging, *(staging / folder for folder in _folders(files)), *(staging / path for path in files)])
            _move(staging, self.root / PARTS / name)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)  # what stays is harmless, and is removed when stale
            raise

    def set_aside(self, name: str) -> bool:
        """Rename a part into ``quarantine/``; one that was brought back from there keeps its other copy."""
        if not self.has_part(name):
            return False
        make_folder(self.root / QUARANTINE)
        target = self.root / QUARANTINE / name
        if target.exists():
            target = target.with_name(f"{name}-{uuid.uuid4().hex[:8]}")
        try:
            _move(self.root / PARTS / name, target)
        except FileNotFoundError:
            return False
        return True

    def remove(self, path: str) -> None:
        """Rename ``path`` into ``tmp/``, then remove it; killed in between, what is left is stale there."""
        if not (self.root / path).exists():
            return
        make_folder(self.root / TEMPORARY)
        gone = self.root / TEMPORARY / uuid.uuid4().hex
        try:
            _move(self.root / path, gone)
        except FileNotFoundError:  # another process was quicker
            return
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink(missing_ok=True)

    def size(self, path: str) -> int:
        """Return the bytes of a file, or of all files below a folder."""
        return size(self.root / path)

    def sizes(self, path: str) -> dict[str, int]:
        """Return the bytes of each file below the folder ``path``, by its path from there."""
        return dict(_sizes(self.root / path, ""))

    def leftovers(self, age_s: float) -> list[str]:
        """Return what lies in ``tmp/`` and has not been changed for ``age_s`` seconds."""
        folder = self.root / TEMPORARY
        return [f"{TEMPORARY}/{name}" for name in _listed(folder) if _age_s(folder / name) > age_s]

    def written_since(self, age_s: float) -> bool:
        """Return whether the lists of names of the folder, ``parts/`` or ``tmp/`` changed in the last ``age_s``."""
        folders = (self.root, self.root / PARTS, self.root / TEMPORARY)
        return any(folder.exists() and _age_s(folder) < age_s for folder in folders)

    def open_array(self, path: str) -> "_Array":
        """Return the array at ``path``."""
        return _Array(self.root / path)


class _Array:
    """See :class:`~cry_pipeline.features.store.storage.StoredArray`."""

    def __init__(self, folder: Path) -> None:
        import tensorstore

        self._opened: Any = tensorstore.open(
            {
                "driver": "zarr3",
                "kvstore": {"driver": "file", "path": f"{folder.resolve()}/"},
                # By default a missing chunk reads as the fill value.
                "fill_missing_data_reads": False,
            },
            read=True,
        ).result()
        self.shape = tuple(self._opened.shape)
        self.dtype = self._opened.dtype.name

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows of each of ``ranges``; a chunk that several of them lie in is read once."""
        import tensorstore

        with tensorstore.Batch() as batch:
            rows = [self._opened[start:stop].read(batch=batch) for start, stop in ranges]
        return [np.asarray(values.result()) for values in rows]


def replace_file(path: Path, content: bytes, temporary: Path) -> None:
    """Put ``content`` at ``path``, whole or not at all, by way of ``temporary`` on the same disk."""
    if path.is_dir():
        raise NotAFileError(path)
    temporary.write_bytes(content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; what is removed meanwhile counts nothing."""
    if path.is_file():
        return _bytes(path)
    # Not Path.rglob: it fails where a folder is removed under it, as another process may do at any time.
    return sum(_bytes(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _sizes(folder: Path | str, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield the files below ``folder`` with their bytes; text, not paths: a store of 20,000 rows has 1,400 files."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):  # removed meanwhile, or none: what should be in it is missing then
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(entry.path, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", _bytes(entry)


def _bytes(path: "Path | os.DirEntry[str]") -> int:
    try:
        about = path.stat()
    except FileNotFoundError:
        return 0
    return about.st_size if stat.S_ISREG(about.st_mode) else 0


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []


def _folders(files: Iterable[str]) -> list[str]:
    return sorted({path.rpartition("/")[0] for path in files} - {""})


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name in _folders(files):
        (folder / name).mkdir(parents=True)
    for path, content in files.items():
        (folder / path).write_bytes(content)


def _check_same(path: Path, content: bytes) -> None:
    if path.read_bytes() != content:
        raise FeatureStoreError(f"{path} does not read back as it was written; check the disk")


def _sync_all(paths: Sequence[Path]) -> None:
    """Bring files and folders to the disk; in threads, since file systems then do several in one go."""
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        list(pool.map(sync, paths))


def _move(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target`` in one step, and bring the new name to the disk."""
    source.rename(target)
    sync(target.parent)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its writer has just finished
        return 0.0
