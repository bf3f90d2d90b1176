"""What nobody needs any more, and its removal.

Belongs here: which parts, leftovers and feature sets may go. Does not: who uses them (users.py).

A superseded part may go when no recorded snapshot names it, when it was superseded so long ago that no reader still
looks at it, and when all its rows lie in visible parts whose every byte has just been checked.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cry_pipeline.features.store.parts import Part
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.storage import READERS_S, Storage
from cry_pipeline.features.store.store import FeatureStore

LOG = logging.getLogger("cry_pipeline")
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


def collect_garbage(
    store: FeatureStore, keep: Collection[str] = (), *, readers_s: float = READERS_S, dry_run: bool = True
) -> Garbage:
    """Return, and unless ``dry_run`` remove, superseded parts of ``store`` not in ``keep``, and stale leftovers.

    Args:
        store: of one feature set.
        keep: names of parts that recorded snapshots need.
        readers_s: seconds for which a reader may go on with what it saw when it began.
        dry_run: only tell.

    Raises:
        FeatureStoreError: a part is not as it was written.
    """
    store.require_writable()
    store.index.refresh()
    paths = [part.path for part in _unneeded(store, keep, readers_s)]
    paths += store.storage.leftovers(READERS_S)
    return _collected(store.storage, paths, dry_run=dry_run)


def collect_unlisted(
    storage: Storage, keep: Collection[str], readers_s: float = READERS_S, *, dry_run: bool = True
) -> Garbage:
    """Return, and unless ``dry_run`` remove, the feature sets in ``storage`` whose digests are not in ``keep``.

    A set that something was written to in the last ``readers_s`` seconds stays.

    Raises:
        FeatureStoreError: ``keep`` is empty, so that nothing at all would be left.
    """
    if not keep:
        raise FeatureStoreError(f"{storage.uri}: no feature set is to be kept; to remove all of them, delete it")
    paths = [
        name for name in feature_sets(storage) if name not in keep and not storage.below(name).written_since(readers_s)
    ]
    return _collected(storage, paths + storage.leftovers(READERS_S), dry_run=dry_run)


def feature_sets(storage: Storage) -> list[str]:
    """Return the digests of all feature sets in ``storage``, those of no catalog among them."""
    hexadecimal = set("0123456789abcdef")
    return [name for name in storage.names() if len(name) == DIGEST_DIGITS and set(name) <= hexadecimal]


def _collected(storage: Storage, paths: list[str], *, dry_run: bool) -> Garbage:
    bytes_by_path = {path: storage.size(path) for path in paths}
    for path in () if dry_run else paths:
        LOG.info("feature store %s: removing %s", storage.uri, path)
        storage.remove(path)
    return Garbage(bytes_by_path, not dry_run)


def _unneeded(store: FeatureStore, keep: Collection[str], readers_s: float) -> Iterator[Part]:
    places = store.index.refresh()
    present = store.index.present
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
        holders = {places.get(key) for key in part.rows}
        for holder in holders - {None}:
            if holder is not None and holder.name not in faulty:
                faulty[holder.name] = bool(holder.faults())
        if any(holder is None or faulty[holder.name] for holder in holders):
            LOG.warning("feature store %s: %s stays: what supersedes it is damaged; run verify", store.uri, name)
        else:
            yield part
