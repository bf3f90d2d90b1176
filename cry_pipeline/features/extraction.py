"""Recordings of the manifest → parts of the feature store; only what is missing is computed.

Belongs here: the way from audio files to committed parts, and what is told about it. Does not: the transforms,
the store's rules, and how an audio file is decoded (corpus/decoding.py).
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import DecodeError, load_samples
from cry_pipeline.features.batching import grouped, in_threads, padded
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.features.rows import stack_rows
from cry_pipeline.features.statistics import StatisticsPool, statistics_names
from cry_pipeline.features.store import FeatureStore
from cry_pipeline.features.transforms import FeatureTransform
from cry_pipeline.progress import track

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots

__all__ = ["ExtractionReport", "extract", "statistics_names"]

LOG = logging.getLogger("cry_pipeline")
PART_RECORDINGS = 256
PART_BYTES = 64 * 2**20
BATCH_SAMPLES = {"cpu": 2**16, "cuda": 2**24}
"""Samples transformed at a time: on a CPU so few that the work stays in its caches (one recording of 7 s at 8 kHz;
each of 32 takes 1.5 to 3 times as long), on a GPU so many that it is busy."""


@dataclass
class ExtractionReport:
    """What :func:`extract` did: recordings ``computed``, found there (``reused``), and ``failed``, with reasons."""

    computed: int = 0
    reused: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0


class _Loaded(NamedTuple):
    recording_id: str
    samples: np.ndarray
    fault: str = ""


Values = dict[str, np.ndarray]
"""A recording's values by kind, as they are stored."""


def extract(
    recordings: "pd.DataFrame",
    roots: "Roots",
    store: FeatureStore,
    *,
    workers: int = 1,
    batch_recordings: int = 32,
    device: str = "cpu",
) -> ExtractionReport:
    """Compute the features of those ``recordings`` that ``store`` lacks, and commit them part by part.

    ``workers`` threads decode and resample, as many transform, and this one commits, all at the same time; at most
    ``batch_recordings`` wait decoded. If interrupted, the parts committed so far stay and are reused.

    Args:
        recordings: rows of the manifest, with the columns ``recording_id``, ``root`` and ``path``.
        roots: where the audio files are.
        store: the feature set's store; its spec says what is computed.
        workers: threads that decode, and threads that transform.
        batch_recordings: most recordings in a batch, and most that wait for one.
        device: "cpu" or "cuda".

    Raises:
        SourceError: a recording's root is not there.
        FeatureStoreError: a part could not be kept. A recording that cannot be decoded, or whose features are not
            finite, raises nothing: it is in the report's ``failed``, and the others go on.
    """
    started = time.perf_counter()
    places = zip(recordings["root"].astype(str), recordings["path"].astype(str), strict=True)
    files = dict(zip(recordings["recording_id"].astype(str), places, strict=True))
    missing = store.missing(files)
    report = ExtractionReport(reused=len(files) - len(missing))

    def load(recording_id: str) -> _Loaded:
        try:
            samples = load_samples(roots.locate(*files[recording_id]), store.spec.sample_rate_hz)
        except (DecodeError, OSError) as error:
            return _Loaded(recording_id, np.empty(0, np.float32), str(error))
        return _Loaded(recording_id, samples, "" if samples.size else "holds no samples")

    if missing:
        loaded = in_threads(load, missing, workers=workers, ahead=batch_recordings)
        sound = _without_failed(track(loaded, f"features {store.digest[:8]}", total=len(missing)), report)
        largest = BATCH_SAMPLES[torch.device(device).type]
        batches = grouped(sound, lambda item: len(item.samples), most=batch_recordings, largest=largest)
        with _one_torch_thread():
            computed = in_threads(_Featurizer(store.spec, device), batches, workers=workers, ahead=workers)
            _commit(chain.from_iterable(computed), store, report)
    report.seconds = time.perf_counter() - started
    return report


def _without_failed(loaded: Iterable[_Loaded], report: ExtractionReport) -> Iterator[_Loaded]:
    for item in loaded:
        if item.fault:
            _fail(report, item.recording_id, item.fault)
        else:
            yield item


def _fail(report: ExtractionReport, recording_id: str, reason: str) -> None:
    LOG.warning("no features of recording %s: %s", recording_id, reason)
    report.failed[recording_id] = reason


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Let torch do each batch in one thread: the threads are ours, and more than cores only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Featurizer:
    """Transforms and statistics of one feature set, on one device."""

    def __init__(self, spec: FeatureSetSpec, device: str) -> None:
        self._transform = FeatureTransform(spec).to(device)
        self._pool = StatisticsPool(spec)
        self._device = device

    @torch.inference_mode()
    def __call__(self, batch: list[_Loaded]) -> list[tuple[str, Values]]:
        samples, lengths = padded([item.samples for item in batch])
        features = self._transform(samples.to(self._device), lengths.to(self._device))
        computed = []
        for row, item in enumerate(batch):
            frames = self._transform.spec.frames(len(item.samples))
            own = {kind: values[row, :frames].cpu().numpy() for kind, values in features._asdict().items()}
            own["statistics"] = self._pool(**own)
            computed.append(
                (item.recording_id, {kind: values.astype(KINDS[kind].dtype) for kind, values in own.items()})
            )
        return computed


def _commit(computed: Iterable[tuple[str, Values]], store: FeatureStore, report: ExtractionReport) -> None:
    pending: dict[str, Values] = {}
    size = 0
    for recording_id, values in computed:
        if not all(np.isfinite(array).all() for array in values.values()):
            _fail(report, recording_id, "has features that are not finite: its samples are not, or are too large")
            continue
        pending[recording_id] = values
        size += sum(array.nbytes for array in values.values())
        if len(pending) == PART_RECORDINGS or size >= PART_BYTES:
            _write(pending, store, report)
            pending, size = {}, 0
    if pending:
        _write(pending, store, report)


def _write(pending: dict[str, Values], store: FeatureStore, report: ExtractionReport) -> None:
    rows = stack_rows(pending)
    store.write(rows)
    report.computed += len(rows)
    report.frames += int(rows.offsets[-1])
    report.bytes += rows.nbytes
