"""Recordings of the manifest → parts of the feature store; only what is missing is computed.

Belongs here: the way from recordings to committed parts, of one feature set or of several at once, and what is told
about it. Does not: reading one recording (loading.py), the transforms, and the store's rules.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cry_pipeline.accelerators import finds_gpu
from cry_pipeline.corpus.cage.pool import stop as stop_decoders
from cry_pipeline.corpus.sources import SourceError
from cry_pipeline.features.batching import grouped, in_threads
from cry_pipeline.features.filling import Computed, ExtractionReport, Filling
from cry_pipeline.features.loading import Loaded, Recording, load, recordings_of
from cry_pipeline.features.store.checking import set_aside_damaged
from cry_pipeline.features.store.failures import note_failures
from cry_pipeline.features.store.rows import FeatureRows, samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.progress import track

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots

__all__ = ["ExtractionReport", "device_of", "extract", "extract_all"]

BATCH_SAMPLES = {"cpu": 1, "cuda": 2**24}
"""Samples transformed at a time: on a GPU so many that it is busy, on a CPU one recording. That keeps the work in its
caches (of 32 at a time, each takes 1.5 to 3 times as long), and a recording's values are then the same to the last bit,
whichever others are extracted with it."""


def device_of(accelerator: str) -> str:
    """Return torch's name of the device that features are computed on for ``accelerator`` (auto, cpu, gpu or mps).

    On a Mac that is the CPU whatever is set: the transforms are float64, and its GPU (MPS) has none.

    Raises:
        ValueError: a GPU is asked for, and torch finds none.
    """
    if accelerator in ("cpu", "mps") or sys.platform == "darwin":
        return "cpu"
    if finds_gpu():
        return "cuda"
    if accelerator == "gpu":
        raise ValueError("CRY_PIPELINE_ACCELERATOR is gpu, but torch finds no GPU here; set it to auto or cpu")
    return "cpu"


def extract(
    recordings: "pd.DataFrame",
    roots: "Roots",
    store: FeatureStore,
    *,
    workers: int = 1,
    batch_recordings: int = 32,
    device: str = "cpu",
) -> ExtractionReport:
    """Compute the features of those ``recordings`` that ``store`` lacks; see :func:`extract_all`."""
    return extract_all(recordings, roots, [store], workers=workers, batch_recordings=batch_recordings, device=device)[0]


def extract_all(
    recordings: "pd.DataFrame",
    roots: "Roots",
    stores: Sequence[FeatureStore],
    *,
    workers: int = 1,
    batch_recordings: int = 32,
    device: str = "cpu",
) -> list[ExtractionReport]:
    """Compute what each of ``stores`` lacks of ``recordings``, and commit it part by part.

    A part that is seen to be damaged is set aside first, and its rows are computed anew. Each recording is read and
    decoded once, and resampled once for each sample rate, whichever stores lack it. ``workers`` threads decode and
    resample, as many transform, and one commits, all at the same time; at most ``batch_recordings`` wait decoded, and
    one part waits to be committed. If interrupted, the parts committed so far stay and are reused.

    Args:
        recordings: rows of the manifest, with the columns of ``loading.COLUMNS``.
        roots: where the audio files are.
        stores: one or several feature sets' stores; their specs say what is computed.
        workers: threads that decode, and threads that transform.
        batch_recordings: most recordings in a batch, and most that wait for one.
        device: "cpu" or "cuda".

    Returns:
        A report for each store.

    Raises:
        SourceError: a recording's root is not there.
        FeatureStoreError: a part could not be kept. A recording that is not what the manifest says, cannot be decoded,
            or has no finite features raises nothing: it is in the report's ``failed`` and the store's
            :meth:`~FeatureStore.failures`, and the others go on.
    """
    started = time.perf_counter()
    samples = samples_of(recordings)
    stores = [store.of(samples) for store in stores]
    damaged = [set_aside_damaged(store) for store in stores]
    reports = compute_missing(
        recordings, roots, stores, workers=workers, batch_recordings=batch_recordings, device=device
    )
    for store, report, faults in zip(stores, reports, damaged, strict=True):
        note_outcome(store, samples, report.failed)
        report.set_aside, report.seconds = faults, time.perf_counter() - started
    return reports


def compute_missing(
    recordings: "pd.DataFrame",
    roots: "Roots",
    stores: Sequence[FeatureStore],
    *,
    workers: int = 1,
    batch_recordings: int = 32,
    device: str = "cpu",
) -> list[ExtractionReport]:
    """Do what :func:`extract_all` does, with the stores as they are, of these recordings; failures are only returned.

    Who does a shard of the recordings does no more than this, as what is noted of a store is noted by one alone.
    """
    ids = list(dict.fromkeys(recordings["recording_id"].tolist()))
    sets = [Filling(store, ids, device) for store in stores]
    lacking = frozenset().union(*(feature_set.missing for feature_set in sets))
    if lacking:
        files = recordings_of(recordings[recordings["recording_id"].isin(lacking)])
        _fill(sets, _loaded(files, roots, sets, workers, batch_recordings), workers, batch_recordings, device)
    return [feature_set.report for feature_set in sets]


def note_outcome(store: FeatureStore, ids: Iterable[str], failed: Mapping[str, str]) -> None:
    """Leave beside the parts which of the recordings ``ids`` have no features here, and why."""
    keys = {key: failed[key[0]] for key in store.keys(failed)}
    note_failures(store.storage, store.keys(ids), keys)


def _loaded(
    files: dict[str, Recording], roots: "Roots", sets: Sequence[Filling], workers: int, ahead: int
) -> Iterator[Loaded]:
    """Return those of ``files`` that can be read, with their samples at the rates that are needed of each."""
    for root in {recording.root for recording in files.values()}:
        folder = roots.folder(root)
        if folder is not None and not folder.is_dir():  # one fault of all its recordings, and of none of them
            raise SourceError(f"{folder} is not there, and {root} recordings are to be read from it")

    def loaded_of(recording_id: str) -> Loaded:
        rates = {feature_set.rate_hz for feature_set in sets if recording_id in feature_set.missing}
        return load(files[recording_id], roots, rates)

    name = ", ".join(feature_set.store.digest[:8] for feature_set in sets if feature_set.missing)
    loaded = in_threads(loaded_of, files, workers=workers, ahead=ahead, give_up=stop_decoders)
    return _without_failed(track(loaded, f"features {name}", total=len(files)), sets)


def _fill(sets: Sequence[Filling], loaded: Iterable[Loaded], workers: int, batch_recordings: int, device: str) -> None:
    """Compute what ``sets`` lack of the recordings ``loaded``, and commit it."""

    def compute(batch: list[Loaded]) -> list[Computed]:
        return [computed for feature_set in sets for computed in feature_set.compute(batch)]

    largest = BATCH_SAMPLES[device.partition(":")[0]]
    batches = grouped(loaded, _longest, most=batch_recordings, largest=largest)
    with _one_torch_thread():
        computed = in_threads(compute, batches, workers=workers, ahead=workers)
        for _ in in_threads(_commit, _parts(computed, sets), workers=1, ahead=1):
            pass


def _longest(item: Loaded) -> int:
    return max(map(len, item.samples.values()))


def _without_failed(loaded: Iterable[Loaded], sets: Sequence[Filling]) -> Iterator[Loaded]:
    for item in loaded:
        if item.fault:
            for feature_set in sets:
                if item.recording_id in feature_set.missing:
                    feature_set.fail(item.recording_id, item.fault)
        else:
            yield item


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Let torch do each batch in one thread: the threads are ours, and more than cores only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _parts(computed: Iterable[list[Computed]], sets: Sequence[Filling]) -> Iterator[tuple[Filling, FeatureRows]]:
    """Gather rows to parts, each set's own, in the order in which they are full."""
    for batch in computed:
        for feature_set, recording_id, values, fault in batch:
            if fault:
                feature_set.fail(recording_id, fault)
            elif rows := feature_set.add(recording_id, values):
                yield feature_set, rows
    for feature_set in sets:
        if rows := feature_set.rest():
            yield feature_set, rows


def _commit(part: tuple[Filling, FeatureRows]) -> None:
    feature_set, rows = part
    feature_set.commit(rows)
