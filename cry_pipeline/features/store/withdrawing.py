"""Recordings → out of the store: parts without their rows take the place of those that hold them, which go at once.

Belongs here: what becomes of parts, of the record of failures, and of what was set aside. Does not: which recordings
(donations/), and what nobody needs any more (garbage.py).

Garbage collection waits for readers and keeps what a run's snapshot names; here nothing is waited for. A reader that
looks again finds the same rows in the new part. Killed in between, both parts are there, and the next call goes on.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import feature_set_digest
from cry_pipeline.features.store.failures import FAILURES, forget_failures, mend_failures, read_failures
from cry_pipeline.features.store.garbage import feature_sets
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.snapshots import Snapshot
from cry_pipeline.features.store.storage import INDEX, PARTS, QUARANTINE, TEMPORARY, Storage
from cry_pipeline.features.store.store import FeatureStore


@dataclass(frozen=True)
class Holding:
    """A path in the storage that holds features of the recordings, what is done about it, and its bytes."""

    path: str
    what: str
    bytes: int


def withdraw_rows(
    storage: Storage, specs: Collection[FeatureSetSpec], ids: Collection[str], *, change: bool
) -> Iterator[Holding]:
    """Yield all that holds features of the recordings ``ids``; with ``change`` each is out of the store by then.

    Args:
        storage: of all feature sets.
        specs: of the catalog. Of a feature set that is not among them, parts go with all their rows: nobody can write
            such rows anew, and nobody has asked for them since.
        ids: of the recordings.
        change: whether anything is done.
    """
    known = {feature_set_digest(spec): spec for spec in specs}
    for digest in feature_sets(storage):
        place, spec = storage.below(digest), known.get(digest)
        found = [*_in_parts(place, spec, set(ids), change), *_beside(place, set(ids), change)]
        yield from (Holding(f"{digest}/{holding.path}", holding.what, holding.bytes) for holding in found)


def _in_parts(place: Storage, spec: FeatureSetSpec | None, ids: set[str], change: bool) -> Iterator[Holding]:
    holders = [name for name in place.parts() if not ids.isdisjoint(_recordings(place, f"{PARTS}/{name}", ids))]
    superseded = {name for part in _indices(place) for name in part.get("supersedes", ())}
    # Those that others superseded first: where the part that hides them went before, they would be seen again.
    for name in sorted(holders, key=lambda name: name not in superseded):
        path, rows = f"{PARTS}/{name}", 0
        size = place.size(path)
        if spec is not None and name not in superseded:
            rows = _rest(FeatureStore(place, spec), name, ids, change)
        if change:
            place.remove(path)
        yield Holding(path, f"written anew without them, {rows} rows" if rows else "removed", size)


def _rest(store: FeatureStore, name: str, ids: set[str], change: bool) -> int:
    """Write the part's other rows anew; return how many: none of a damaged part, whose rows are made again."""
    try:
        part = store.index.load(name)
        keys = [key for key in part.rows if key[0] not in ids]
        if change and keys:
            rows = store.at(Snapshot(store.digest, (name,))).read_rows(keys, store.kinds)
            supersedes = sorted({name, *part.supersedes} & set(store.storage.parts()))
            store.commit(rows, supersedes=supersedes, made_by=part.made_by)
    except FeatureStoreError:
        return 0
    return len(keys)


def _beside(place: Storage, ids: set[str], change: bool) -> Iterator[Holding]:
    """Yield what holds the recordings elsewhere than in ``parts/``: set aside, unfinished, failures."""
    for folder in (QUARANTINE, TEMPORARY):
        for name in sorted({path.split("/")[0] for path in place.sizes(folder)}):
            path = f"{folder}/{name}"
            # What a dead writer left may lack all that names its rows.
            if folder == TEMPORARY or not ids.isdisjoint(_recordings(place, path, ids)):
                size = place.size(path)
                if change:
                    place.remove(path)
                yield Holding(path, "removed", size)
    if not ids.isdisjoint(_named_in(place, FAILURES, ids)):
        if change:
            forget_failures(place, [key for key in read_failures(place) if key[0] in ids])
            mend_failures(place)  # nothing of a damaged record can be told apart
        yield Holding(FAILURES, "their rows taken out", place.sizes("").get(FAILURES, 0))


def _recordings(place: Storage, path: str, ids: set[str]) -> set[str]:
    """Return which of ``ids`` the part at ``path`` holds, as either of its lists of names says, damaged ones too."""
    names = (INDEX, *(file for file in place.sizes(path) if file.startswith("recording_id/")))
    return {recording for name in names for recording in _named_in(place, f"{path}/{name}", ids)}


def _named_in(place: Storage, path: str, ids: set[str]) -> set[str]:
    try:
        content = place.read(path)
    except FileNotFoundError:
        return set()
    return {recording for recording in ids if recording.encode() in content}


def _indices(place: Storage) -> Iterator[dict]:
    for name in place.parts():
        try:
            yield json.loads(place.read(f"{PARTS}/{name}/{INDEX}"))
        except (FileNotFoundError, ValueError):
            continue  # a damaged part supersedes nothing that anybody would believe
