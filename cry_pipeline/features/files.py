"""Files that are still there after the power fails.

Belongs here: fsync, hashes, and the one atomic rename. Does not: what is in the files.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SYNC_THREADS = 16


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Return all files below ``folder``, relative to it, sorted."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring ``folder`` and all below it to the disk; in threads, since file systems then do several in one go."""
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        list(pool.map(sync, [folder, *folder.rglob("*")]))


def make_folder(folder: Path) -> None:
    """Make ``folder``, with the folders above it, so that it outlives a power failure."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def move(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target`` in one step, and bring the new name to the disk."""
    source.rename(target)
    sync(target.parent)


def write_file(path: Path, content: bytes, temporary: Path) -> None:
    """Put ``content`` at ``path``, whole or not at all, by way of ``temporary`` on the same disk."""
    temporary.write_bytes(content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
