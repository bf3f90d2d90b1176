"""What nobody needs any more, and its removal.

Belongs here: which parts, leftovers and feature sets may go. Does not: who uses them (users.py).

A superseded part may go when no recorded snapshot names it, when it was superseded so long ago that no reader still
looks at it, and when all its rows lie in visible parts whose every byte has just been checked.
"""

import logging
import shutil
import stat
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cry_pipeline.features.files import make_folder, move
from cry_pipeline.features.rows import FeatureStoreError

if TYPE_CHECKING:
    from cry_pipeline.features.parts import Part
    from cry_pipeline.features.store import FeatureStore

LOG = logging.getLogger("cry_pipeline")
READERS_S = 24 * 3600.0
"""How long a reader may go on with the parts it saw; what has lain in ``tmp/`` for longer is of a dead writer."""
DIGEST_DIGITS = 64


@dataclass(frozen=True)
class Garbage:
    """What may go, by its path relative to the store's root, with its bytes; and whether it is ``removed``."""

    bytes_by_path: dict[str, int]
    removed: bool

    @property
    def bytes(self) -> int:
        """Bytes of all."""
        return sum(self.bytes_by_path.values())


def collect(store: "FeatureStore", keep: Collection[str], readers_s: float, *, dry_run: bool) -> Garbage:
    """Return, and unless ``dry_run`` remove, superseded parts of ``store`` not in ``keep``, and stale leftovers."""
    store.recording_ids()
    paths = [part.folder for part in _unneeded(store, keep, readers_s)]
    paths += stale(store.root / "tmp", READERS_S)
    found = {path.relative_to(store.root).as_posix(): size(path) for path in paths}
    if not dry_run:
        for path in paths:
            LOG.info("feature store %s: removing %s", store.root, path.name)
            remove(path, store.root / "tmp")
    return Garbage(found, not dry_run)


def collect_unlisted(
    uri: Path, keep: Collection[str], readers_s: float = READERS_S, *, dry_run: bool = True
) -> Garbage:
    """Return, and unless ``dry_run`` remove, the feature sets under ``uri`` whose digests are not in ``keep``.

    A set that something was written to in the last ``readers_s`` seconds stays.

    Raises:
        FeatureStoreError: ``keep`` is empty, so that nothing at all would be left.
    """
    if not keep:
        raise FeatureStoreError(f"{uri}: no feature set is to be kept; to remove all of them, delete the folder")
    sets = [path for path in feature_sets(uri) if path.name not in keep]
    latest = time.time() - readers_s
    paths = [
        path
        for path in sets
        if all(f.stat().st_mtime <= latest for f in (path, *path.glob("parts"), *path.glob("tmp")))
    ]
    found = {path.name: size(path) for path in paths}
    if not dry_run:
        for path in paths:
            remove(path, uri / "tmp")
        for path in stale(uri / "tmp", READERS_S):
            shutil.rmtree(path, ignore_errors=True)
    return Garbage(found, not dry_run)


def feature_sets(uri: Path) -> list[Path]:
    """Return the folders of all feature sets under ``uri``, those of no catalog among them."""
    if not uri.is_dir():
        return []
    hexadecimal = set("0123456789abcdef")
    return sorted(p for p in uri.iterdir() if len(p.name) == DIGEST_DIGITS and set(p.name) <= hexadecimal)


def stale(folder: Path, age_s: float) -> list[Path]:
    """Return what lies in ``folder`` and has not been changed for ``age_s`` seconds: its writer died."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _age_s(path) > age_s)


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; what is removed meanwhile counts nothing."""
    total = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        try:
            about = file.stat()
        except FileNotFoundError:
            continue
        total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def remove(path: Path, trash: Path) -> None:
    """Remove ``path`` from sight in one step, then from the disk; killed in between, what is left is stale trash."""
    make_folder(trash)
    gone = trash / uuid.uuid4().hex
    try:
        move(path, gone)
    except FileNotFoundError:  # another collection was quicker
        return
    if gone.is_dir():
        shutil.rmtree(gone, ignore_errors=True)  # what stays is removed when stale
    else:
        gone.unlink(missing_ok=True)


def _unneeded(store: "FeatureStore", keep: Collection[str], readers_s: float) -> "Iterator[Part]":
    present, places = store.index.present, store.index.refresh()
    superseded_at: dict[str, datetime] = {}
    for part in present.values():
        for name in part.supersedes:
            superseded_at[name] = min(part.written_at, superseded_at.get(name, part.written_at))
    now = datetime.now(UTC)
    faulty: dict[str, bool] = {}
    for name, part in present.items():
        old = name in superseded_at and (now - superseded_at[name]).total_seconds() >= readers_s
        if not old or name in keep:
            continue
        holders = {places.get(recording) for recording in part.recording_ids}
        for holder in holders - {None}:
            if holder is not None and holder.name not in faulty:
                faulty[holder.name] = bool(holder.faults())
        if any(holder is None or faulty[holder.name] for holder in holders):
            LOG.warning("feature store %s: %s stays: what supersedes it is damaged; run verify", store.root, name)
        else:
            yield part


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its writer has just finished
        return 0.0
