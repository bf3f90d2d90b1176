"""Many small parts → few large ones, and rows that several parts hold → once, beside writers, readers and others.

Belongs here: which parts are put together, and that no row gets lost. Does not: how a part becomes visible (store.py)
and when those that were put together are removed (garbage.py).

A compaction writes every row of its sources anew, each once, into as many parts as that takes. The last of these names
the sources in ``supersedes``, so nobody leaves a source aside before all its rows are visible elsewhere; new readers
then do not look at the sources. Two compactions of the same parts at worst make two parts of equal rows, which the next
one puts together: parts that hold rows in common are put together however large they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cry_pipeline.features.kinds import kept_kinds
from cry_pipeline.features.store.parts import Part
from cry_pipeline.features.store.rows import FeatureStoreError, RowKey
from cry_pipeline.features.store.snapshots import Snapshot
from cry_pipeline.features.store.store import FeatureStore

TARGET_BYTES = 128 * 2**20
"""Bytes of a compacted part at most; a compaction holds about three times as much in memory."""


@dataclass(frozen=True)
class CompactionReport:
    """What :func:`compact` did: how many parts became which, and the bytes that were written anew."""

    superseded: int
    written: tuple[str, ...]
    bytes: int


def compact(store: FeatureStore, target_bytes: int = TARGET_BYTES) -> CompactionReport:
    """Put together parts that hold rows in common, and parts smaller than half of ``target_bytes``, up to that each.

    Those that they were made of stay until garbage is collected.

    Raises:
        FeatureStoreError: a part is not as it was written, or what was written reads back otherwise.
    """
    store.require_writable()
    groups, done, written = _plan(store, target_bytes), [], []
    while groups:
        group = groups.pop()
        try:
            written += _merge(store, group, target_bytes)
        except FeatureStoreError:
            if all(part.here for part in group):
                raise
            groups = _plan(store, target_bytes)  # another compaction was quicker, and its sources are collected
        else:
            done += group
    return CompactionReport(len(done), tuple(written), sum(part.nbytes for part in done))


def _plan(store: FeatureStore, target_bytes: int) -> list[list[Part]]:
    """Return which visible parts are to be put together."""
    store.index.refresh()
    overlapping, single = _overlapping(list(store.index.visible.values()))
    small = [part for part in single if part.nbytes < target_bytes // 2]
    return overlapping + [group for group in _groups(small, target_bytes) if len(group) > 1]


def _overlapping(parts: Sequence[Part]) -> tuple[list[list[Part]], list[Part]]:
    """Return the groups of parts that hold rows in common, directly or through others, and the parts that hold none."""
    groups: list[tuple[list[Part], set[RowKey]]] = []
    for part in parts:
        joined, rows, apart = [part], set(part.rows), []
        for group, keys in groups:
            if rows.isdisjoint(keys):
                apart.append((group, keys))
            else:
                joined, rows = group + joined, rows | keys
        groups = [*apart, (joined, rows)]
    together = [sorted(group, key=lambda part: part.name) for group, _ in groups]
    return [group for group in together if len(group) > 1], [group[0] for group in together if len(group) == 1]


def _groups(parts: list[Part], target_bytes: int) -> list[list[Part]]:
    groups: list[list[Part]] = []
    size = target_bytes
    for part in parts:
        if size + part.nbytes > target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part.nbytes
    return groups


def _merge(store: FeatureStore, parts: list[Part], target_bytes: int) -> list[str]:
    """Write all rows of ``parts`` anew, and return the parts that hold them.

    A row that a part outside ``parts`` holds too is kept nevertheless: that part may turn out to be bad. What the
    sources supersede is superseded by the new part too: it must not come back when the sources are removed.
    """
    names = sorted(part.name for part in parts)
    sources = store.at(Snapshot(store.digest, tuple(names)))
    before = {name for part in parts for name in part.supersedes if name in store.index.present}
    made_by = {tuple(sorted(made.items())): made for part in parts for made in part.made_by}
    written, chunks = [], list(_chunks(sources, target_bytes))
    for position, keys in enumerate(chunks):
        last = position == len(chunks) - 1
        rows = sources.read_rows(keys, sources.kinds)
        supersedes = sorted(before.union(names)) if last else []
        written.append(store.commit(rows, supersedes=supersedes, made_by=list(made_by.values())))
    return written


def _chunks(sources: FeatureStore, target_bytes: int) -> Iterator[list[RowKey]]:
    """Yield the rows of ``sources`` in order, so many at a time as have at most ``target_bytes``."""
    width = dict.fromkeys(("frame", "recording"), 0)
    for kind in kept_kinds(sources.spec).values():
        width[kind.rows] += kind.width(sources.spec) * np.dtype(kind.dtype).itemsize
    chunk: list[RowKey] = []
    size = 0
    for key, part in sorted(sources.index.refresh().items(), key=lambda item: item[0]):
        row = part.rows[key]
        row_bytes = width["frame"] * int(part.offsets[row + 1] - part.offsets[row]) + width["recording"]
        if chunk and size + row_bytes > target_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(key)
        size += row_bytes
    yield chunk
