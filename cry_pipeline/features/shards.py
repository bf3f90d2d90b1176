"""An extraction in shards that can be handed to others: some recordings each, of which a worker writes the parts.

Belongs here: what goes to a worker, and what it did. Does not: the way from recordings to parts (extraction.py), and
which engine there is.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from cry_pipeline.engine import Engine, EngineError
from cry_pipeline.features.extraction import compute_missing, note_outcome
from cry_pipeline.features.filling import PART_RECORDINGS, ExtractionReport
from cry_pipeline.features.loading import COLUMNS
from cry_pipeline.features.store.checking import set_aside_damaged
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.progress import track

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots


def extract_shards(
    recordings: "pd.DataFrame",
    roots: "Roots",
    stores: Sequence[FeatureStore],
    engine: Engine,
    *,
    batch_recordings: int = 32,
    device: str = "cpu",
) -> list[ExtractionReport]:
    """Do what :func:`.extraction.extract_all` does, by the workers of ``engine``.

    A worker that dies leaves the parts that it has committed; whoever is given its shard again computes the rest.

    Args:
        recordings: rows of the manifest.
        roots: where the audio files are, for this machine and the workers alike.
        stores: one or several feature sets' stores, which all of them reach.
        engine: gives the shards out.
        batch_recordings: most recordings in a batch.
        device: that each worker has: "cpu" or "cuda".

    Returns:
        A report for each store. Seconds, frames and bytes of a worker that died are not in it.

    Raises:
        EngineError: what a worker wrote is not to be seen here, or as :meth:`.Engine.map`.
        SourceError, FeatureStoreError: as :func:`.extraction.extract_all`, on a worker.
    """
    started = time.perf_counter()
    samples = samples_of(recordings)
    stores = [store.of(samples) for store in stores]
    damaged = [set_aside_damaged(store) for store in stores]
    missing = [store.missing(samples) for store in stores]
    done = [ExtractionReport(reused=len(samples) - len(lacking)) for lacking in missing]
    work = partial(_extract, _packable(roots), [store.of({}) for store in stores], batch_recordings, device)
    shards = list(_shards(recordings, frozenset(chain.from_iterable(missing)), engine))
    for reports in _tracked(engine, work, shards, stores, 1.0 if device == "cuda" else 0.0):
        for total, report in zip(done, reports, strict=True):
            total.failed |= report.failed
            total.frames += report.frames
            total.bytes += report.bytes
            total.transform_cpu_s += report.transform_cpu_s
    for store, report, lacking, faults in zip(stores, done, missing, damaged, strict=True):
        report.computed, report.set_aside = len(lacking) - _left(store, lacking, report), faults
        note_outcome(store, samples, report.failed)
        report.seconds = time.perf_counter() - started
    return done


def _left(store: FeatureStore, lacking: Iterable[str], report: ExtractionReport) -> int:
    """Return how many of ``lacking`` have no features now; raise EngineError where some should have."""
    left = set(store.missing(lacking))
    if unseen := left - report.failed.keys():
        raise EngineError(
            f"Features of {len(unseen)} recordings were written on other machines and are not to be seen here, "
            f"under {store.uri}: all nodes need the feature store, at the same place"
        )
    return len(left)


def _packable(roots: "Roots") -> "Roots":
    """Return ``roots`` without the connection that an archive in a bucket has once it was asked."""
    return roots if roots.archive is None else replace(roots, archive=replace(roots.archive))


def _shards(recordings: "pd.DataFrame", lacking: frozenset[str], engine: Engine) -> "Iterator[pd.DataFrame]":
    """Yield the recordings to compute in equal shards, each a part's at most, as many for each worker."""
    rows = recordings.loc[recordings["recording_id"].isin(lacking), COLUMNS]
    if rows.empty:
        return
    rounds = math.ceil(len(rows) / PART_RECORDINGS / engine.size())
    length = math.ceil(len(rows) / (rounds * engine.size()))
    for start in range(0, len(rows), length):
        yield rows.iloc[start : start + length]


def _tracked(
    engine: Engine,
    work: "partial[list[ExtractionReport]]",
    shards: "Sequence[pd.DataFrame]",
    stores: Sequence[FeatureStore],
    gpus: float,
) -> Iterator[list[ExtractionReport]]:
    """Yield the reports of each shard; progress is shown by recordings."""
    counted: list[list[ExtractionReport]] = []

    def recordings() -> Iterator[None]:
        for shard, reports in engine.map(work, shards, gpus=gpus):
            counted.append(reports)
            yield from [None] * len(shard)

    name = ", ".join(store.digest[:8] for store in stores)
    for _ in track(recordings(), f"features {name}", total=sum(map(len, shards))):
        yield from counted
        counted.clear()


def _extract(
    roots: "Roots", stores: Sequence[FeatureStore], batch_recordings: int, device: str, shard: "pd.DataFrame"
) -> list[ExtractionReport]:
    samples = samples_of(shard)
    opened = [_here(store).of(samples) for store in stores]
    return compute_missing(shard, roots, opened, batch_recordings=batch_recordings, device=device)


_stores_here: dict[str, FeatureStore] = {}
"""On a worker: stores by URI, so that the index of a large one is not read anew for each shard."""


def _here(store: FeatureStore) -> FeatureStore:
    return _stores_here.setdefault(store.uri, store)
