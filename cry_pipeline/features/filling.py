"""One feature set in an extraction: what its store lacks, and rows on their way to be a part.

Belongs here: what one feature set computes of recordings, gathers and keeps, and what is told of it. Does not: reading
recordings, and what several sets do side by side (extraction.py).
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cry_pipeline.features.loading import Loaded
from cry_pipeline.features.store.rows import FeatureRows, stack_rows
from cry_pipeline.features.store.store import FeatureStore

if TYPE_CHECKING:
    from cry_pipeline.features.computing import FeatureSetComputer, Values

LOG = logging.getLogger("cry_pipeline")
PART_RECORDINGS = 256
PART_BYTES = 64 * 2**20


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


class Computed(NamedTuple):
    """The values of one recording for one feature set, or the ``fault`` that keeps it from having some."""

    feature_set: "Filling"
    recording_id: str
    values: "Values"
    fault: str = ""


class Filling:
    """One feature set in an extraction: what its store lacks, its transforms, and rows that wait to be a part."""

    def __init__(self, store: FeatureStore, ids: Sequence[str], device: str) -> None:
        self.store = store
        self.missing = frozenset(store.missing(ids))
        self.report = ExtractionReport(reused=len(ids) - len(self.missing))
        self.rate_hz = store.spec.sample_rate_hz
        # Without, nothing is loaded that takes time to load.
        self._computer = _computer(store, device) if self.missing else None
        self._pending: dict[str, Values] = {}
        self._bytes = 0
        self._counting = threading.Lock()

    def compute(self, batch: Sequence[Loaded]) -> list[Computed]:
        """Return the values of those recordings of ``batch`` that are missing here, or why there are none."""
        missing = {item.recording_id: item.samples[self.rate_hz] for item in batch if item.recording_id in self.missing}
        spec = self.store.spec
        # Of nothing there is no frame, even centred: a recording may be too short for one sample at another rate.
        long = {name: samples for name, samples in missing.items() if len(samples) and spec.frames(len(samples))}
        computed = [
            Computed(
                self, name, {}, f"has {len(samples)} samples at {self.rate_hz} Hz, fewer than one frame: {spec.n_fft}"
            )
            for name, samples in missing.items()
            if name not in long
        ]
        if not long or not self._computer:
            return computed
        started = time.thread_time()
        for name, values in zip(long, self._computer(list(long.values())), strict=True):
            computed.append(Computed(self, name, values or {}, "" if values else NOT_FINITE))
        with self._counting:
            self.report.transform_cpu_s += time.thread_time() - started
        return computed

    def add(self, recording_id: str, values: "Values") -> FeatureRows | None:
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

    def fail(self, recording_id: str, reason: str) -> None:
        """Report a recording that has no features here."""
        LOG.warning("no features of recording %s: %s", recording_id, reason)
        self.report.failed[recording_id] = reason


def _computer(store: FeatureStore, device: str) -> "FeatureSetComputer":
    from cry_pipeline.features.computing import FeatureSetComputer

    return FeatureSetComputer(store.spec, device)
