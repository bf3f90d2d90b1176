"""Many small parts → few large ones, beside writers, readers and other compactions.

Belongs here: which parts are put together, and that no row gets lost. Does not: how a part becomes visible (store.py)
and when those that were put together are removed (garbage.py).

A compaction writes a part that holds every row of its sources and names them in ``supersedes``, so new readers do not
look at the sources. Two compactions of the same parts at worst make two parts of equal rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cry_pipeline.features.rows import FeatureStoreError
from cry_pipeline.features.snapshots import Snapshot

if TYPE_CHECKING:
    from cry_pipeline.features.parts import Part
    from cry_pipeline.features.store import FeatureStore

TARGET_BYTES = 128 * 2**20
"""Bytes of a compacted part at most; a compaction holds about three times as much in memory."""


@dataclass(frozen=True)
class CompactionReport:
    """What :meth:`FeatureStore.compact` did: how many parts became which, and the bytes that were written anew."""

    superseded: int
    written: tuple[str, ...]
    bytes: int


def compact(store: "FeatureStore", target_bytes: int = TARGET_BYTES) -> CompactionReport:
    """Put parts smaller than half of ``target_bytes`` together, up to ``target_bytes`` each."""
    groups, done, written = _plan(store, target_bytes), [], []
    while groups:
        group = groups.pop()
        try:
            written.append(_merge(store, group))
        except FeatureStoreError:
            if all(part.here for part in group):
                raise
            groups = _plan(store, target_bytes)  # another compaction was quicker, and its sources are collected
        else:
            done += group
    return CompactionReport(len(done), tuple(written), sum(part.nbytes for part in done))


def _plan(store: "FeatureStore", target_bytes: int) -> "list[list[Part]]":
    """Return which visible parts are to be put together."""
    store.index.refresh()
    small = [part for part in store.index.visible.values() if part.nbytes < target_bytes // 2]
    return [group for group in _groups(small, target_bytes) if len(group) > 1]


def _groups(parts: "list[Part]", target_bytes: int) -> "list[list[Part]]":
    groups: list[list[Part]] = []
    size = target_bytes
    for part in parts:
        if size + part.nbytes > target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part.nbytes
    return groups


def _merge(store: "FeatureStore", parts: "list[Part]") -> str:
    """Write one part of all rows of ``parts``.

    A row that another part holds too is kept nevertheless: that part may turn out to be bad. What the sources
    supersede is superseded by the new part too: it must not come back when the sources are removed.
    """
    names = sorted(part.name for part in parts)
    sources = store.at(Snapshot(store.digest, tuple(names)))
    rows = sources.read(sorted(sources.recording_ids()), sources.kinds)
    before = {name for part in parts for name in part.supersedes if name in store.index.present}
    return store.commit(rows, supersedes=sorted(before.union(names)))
