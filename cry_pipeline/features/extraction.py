"""Recordings of the manifest → parts of the feature store; only what is missing is computed.

Belongs here: the way from recordings to committed parts, of one feature set or of several at once, and what is told
about it. Does not: reading one recording (loading.py), the transforms, and the store's rules.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from cry_pipeline.corpus.cage.pool import stop as stop_decoders
from cry_pipeline.corpus.sources import SourceError
from cry_pipeline.features.batching import grouped, in_threads
from cry_pipeline.features.computing import FeatureSetComputer, Values
from cry_pipeline.features.loading import Loaded, Recording, load, recordings_of
from cry_pipeline.features.store.checking import set_aside_damaged
from cry_pipeline.features.store.failures import note_failures
from cry_pipeline.features.store.rows import FeatureRows, samples_of, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.progress import track

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.corpus.sources import Roots

__all__ = ["ExtractionReport", "device_of", "extract", "extract_all"]

LOG = logging.getLogger("cry_pipeline")
PART_RECORDINGS = 256
PART_BYTES = 64 * 2**20
BATCH_SAMPLES = {"cpu": 2**16, "cuda": 2**24}
"""Samples transformed at a time: on a CPU so few that the work stays in its caches (one recording of 7 s at 8 kHz;
each of 32 takes 1.5 to 3 times as long), on a GPU so many that it is busy."""


@dataclass
class ExtractionReport:
    """What was done for one feature set: recordings ``computed``, found there (``reused``), and ``failed``, with
    reasons; parts that were ``set_aside`` as damaged before that, with what was wrong. ``seconds`` passed in all, for
    every feature set that was extracted together with this one."""

    computed: int = 0
    reused: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    transform_cpu_s: float = 0.0
    """CPU time of this set's own transforms and statistics; decoding, resampling and committing are not in it."""


NOT_FINITE = "has features that are not finite: its samples are not, or are too large"


class _Computed(NamedTuple):
    feature_set: "_FeatureSet"
    recording_id: str
    values: Values
    fault: str = ""


def device_of(accelerator: str) -> str:
    """Return torch's name of the device that features are computed on for ``accelerator`` (auto, cpu, gpu or mps).

    On a Mac that is the CPU whatever is set: the transforms are float64, and its GPU (MPS) has none.

    Raises:
        ValueError: a GPU is asked for, and torch finds none.
    """
    if accelerator in ("cpu", "mps") or torch.backends.mps.is_available():
        return "cpu"
    if torch.cuda.is_available():
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
    listed = recordings_of(recordings)
    samples = samples_of(recordings)
    sets = [_FeatureSet(store.of(samples), list(listed), device) for store in stores]
    lacking = frozenset().union(*(feature_set.missing for feature_set in sets))
    if lacking:
        files = {name: recording for name, recording in listed.items() if name in lacking}
        _fill(sets, _loaded(files, roots, sets, workers, batch_recordings), workers, batch_recordings, device)
    for feature_set in sets:
        feature_set.note_failures()
        feature_set.report.seconds = time.perf_counter() - started
    return [feature_set.report for feature_set in sets]


def _loaded(
    files: dict[str, Recording], roots: "Roots", sets: Sequence["_FeatureSet"], workers: int, ahead: int
) -> Iterator[Loaded]:
    """Return those of ``files`` that can be read, with their samples at the rates that are needed of each."""
    for root in {recording.root for recording in files.values()}:
        if not (folder := roots.locate(root, "")).is_dir():  # one fault of all its recordings, and of none of them
            raise SourceError(f"{folder} is not there, and {root} recordings are to be read from it")

    def loaded_of(recording_id: str) -> Loaded:
        rates = {feature_set.rate_hz for feature_set in sets if recording_id in feature_set.missing}
        return load(files[recording_id], roots, rates)

    name = ", ".join(feature_set.store.digest[:8] for feature_set in sets if feature_set.missing)
    loaded = in_threads(loaded_of, files, workers=workers, ahead=ahead, give_up=stop_decoders)
    return _without_failed(track(loaded, f"features {name}", total=len(files)), sets)


def _fill(
    sets: Sequence["_FeatureSet"], loaded: Iterable[Loaded], workers: int, batch_recordings: int, device: str
) -> None:
    """Compute what ``sets`` lack of the recordings ``loaded``, and commit it."""

    def compute(batch: list[Loaded]) -> list[_Computed]:
        return [computed for feature_set in sets for computed in feature_set.compute(batch)]

    largest = BATCH_SAMPLES[torch.device(device).type]
    batches = grouped(loaded, _longest, most=batch_recordings, largest=largest)
    with _one_torch_thread():
        computed = in_threads(compute, batches, workers=workers, ahead=workers)
        for _ in in_threads(_commit, _parts(computed, sets), workers=1, ahead=1):
            pass


def _longest(item: Loaded) -> int:
    return max(map(len, item.samples.values()))


def _without_failed(loaded: Iterable[Loaded], sets: Sequence["_FeatureSet"]) -> Iterator[Loaded]:
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
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _FeatureSet:
    """One feature set in an extraction: what its store lacks, its transforms, and rows that wait to be a part."""

    def __init__(self, store: FeatureStore, ids: Sequence[str], device: str) -> None:
        self.store = store
        damaged = set_aside_damaged(store)
        self.missing = frozenset(store.missing(ids))
        self.report = ExtractionReport(reused=len(ids) - len(self.missing), set_aside=damaged)
        self.rate_hz = store.spec.sample_rate_hz
        # Without, nothing is loaded that takes time to load.
        self._computer = FeatureSetComputer(store.spec, device) if self.missing else None
        self._pending: dict[str, Values] = {}
        self._bytes = 0
        self._counting = threading.Lock()

    def compute(self, batch: Sequence[Loaded]) -> list[_Computed]:
        """Return the values of those recordings of ``batch`` that are missing here, or why there are none."""
        missing = {item.recording_id: item.samples[self.rate_hz] for item in batch if item.recording_id in self.missing}
        spec = self.store.spec
        # Of nothing there is no frame, even centred: a recording may be too short for one sample at another rate.
        long = {name: samples for name, samples in missing.items() if len(samples) and spec.frames(len(samples))}
        computed = [
            _Computed(
                self, name, {}, f"has {len(samples)} samples at {self.rate_hz} Hz, fewer than one frame: {spec.n_fft}"
            )
            for name, samples in missing.items()
            if name not in long
        ]
        if not long or not self._computer:
            return computed
        started = time.thread_time()
        for name, values in zip(long, self._computer(list(long.values())), strict=True):
            computed.append(_Computed(self, name, values or {}, "" if values else NOT_FINITE))
        with self._counting:
            self.report.transform_cpu_s += time.thread_time() - started
        return computed

    def add(self, recording_id: str, values: Values) -> FeatureRows | None:
        """Let a recording wait for its part; return the part's rows once they are enough."""
        self._pending[recording_id] = values
        self._bytes += sum(array.nbytes for array in values.values())
        full = len(self._pending) == PART_RECORDINGS or self._bytes >= PART_BYTES
        return self.rest() if full else None

    def rest(self) -> FeatureRows | None:
        """Return the rows that wait, if any, which then wait no more."""
        samples = [samples for _, samples in self.store.keys(self._pending)]
        rows = stack_rows(self._pending, samples) if self._pending else None
        self._pending, self._bytes = {}, 0
        return rows

    def commit(self, rows: FeatureRows) -> None:
        """Keep ``rows`` as a part."""
        self.store.write(rows)
        self.report.computed += len(rows)
        self.report.frames += int(rows.offsets[-1])
        self.report.bytes += rows.nbytes

    def note_failures(self) -> None:
        """Leave beside the parts which recordings have no features here, and why."""
        failed = {key: self.report.failed[key[0]] for key in self.store.keys(self.report.failed)}
        note_failures(self.store.storage, self.store.keys(self.missing), failed)

    def fail(self, recording_id: str, reason: str) -> None:
        """Report a recording that has no features here."""
        LOG.warning("no features of recording %s: %s", recording_id, reason)
        self.report.failed[recording_id] = reason


def _parts(
    computed: Iterable[list[_Computed]], sets: Sequence[_FeatureSet]
) -> Iterator[tuple[_FeatureSet, FeatureRows]]:
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


def _commit(part: tuple[_FeatureSet, FeatureRows]) -> None:
    feature_set, rows = part
    feature_set.commit(rows)
