"""One feature set's fused transform on a CPU: its constants, and recordings handed through.

Belongs here: what the pass (fused.py) is given, made by the reference's own functions (transforms.py, pooling.py).
Does not: whether there is one at all (the package).
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kernel.fourier import steps_of
from cry_pipeline.features.kernel.fused import SHAPES, Constants, compute
from cry_pipeline.features.kernel.lanes import LANES
from cry_pipeline.features.kernel.pooled import pooled
from cry_pipeline.features.pooling import LAG_STEP_S, ROLLOFF, StatisticsPool
from cry_pipeline.features.transforms import dct_matrix, mel_filters, reference_power, window

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FusedTransform:
    """Samples of one recording → its power, spectrogram, mel, MFCC and tracks.

    Making one compiles the pass, unless this process, or one before it, has: seconds. Calls may come from many threads.
    """

    KINDS = frozenset({"spectrogram", "mel", "mfcc", "statistics"})

    def __init__(self, spec: FeatureSetSpec) -> None:
        self.spec = spec
        self.pool = StatisticsPool(spec)
        self._constants = _constants(spec, self.pool)
        self._tracks = len(self.pool.bands) + spec.mfcc + SHAPES
        self.pooled(self(np.zeros(spec.n_fft, np.float32), power=False, tracks=True)["tracks"])

    def __call__(
        self, samples: "NDArray[np.float32]", *, power: bool, tracks: bool
    ) -> "dict[str, NDArray[np.float32]]":
        """Return float32 ``spectrogram`` [frames, bins], ``mel`` [frames, mels] and ``mfcc`` [frames, coefficients].

        With ``power`` also that, over the reference, [frames, bins]; with ``tracks`` those of ``StatisticsPool``.
        Each frame's values hang on its own samples alone.
        """
        spec = self.spec
        frames = spec.frames(len(samples))
        made = {
            name: np.empty((rows, width), np.float32)
            for name, rows, width in (
                ("power", frames if power else 0, spec.bins),
                ("spectrogram", frames, spec.bins),
                ("mel", frames, spec.mels),
                ("mfcc", frames, spec.mfcc),
                ("tracks", self._tracks if tracks else 0, -(-frames // LANES) * LANES),
            )
        }
        compute(_continued(samples, spec), self._constants, *made.values())
        if not power:
            del made["power"]
        made["tracks"] = made["tracks"][:, :frames]
        return made

    def pooled(self, tracks: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Return the statistics, float32 [values], of the ``tracks`` that a call returned."""
        return pooled(tracks, self.spec.mfcc)


def _continued(samples: "NDArray[np.float32]", spec: FeatureSetSpec) -> "NDArray[np.float32]":
    """Return ``samples`` with what :func:`.transforms.frame` puts at their ends."""
    if not spec.center:
        return samples
    beside = spec.n_fft // 2
    if spec.padding != "reflect":
        return np.pad(samples, beside)
    last = len(samples) - 1
    ends = np.concatenate([np.arange(-beside, 0), last + 1 + np.arange(beside)])
    around = np.remainder(ends, max(2 * last, 1))
    reflected = samples[np.maximum(np.minimum(around, 2 * last - around), 0)]
    return np.concatenate([reflected[:beside], samples, reflected[beside:]])


def _constants(spec: FeatureSetSpec, pool: StatisticsPool) -> Constants:
    filters = mel_filters(spec).numpy().T
    held = [np.flatnonzero(weights) for weights in filters]
    starts, ends = (np.array([bins[end] for bins in held]) for end in (0, -1))
    weights = [row[start : end + 1] for row, start, end in zip(filters, starts, ends, strict=True)]
    return Constants(
        steps=steps_of(spec.n_fft),
        window=window(spec).numpy() / math.sqrt(reference_power(spec)),
        hop=spec.hop_samples,
        floor_db=np.float32(spec.floor_db),
        floor=np.float32(10 ** (spec.floor_db / 10)),
        filters=np.concatenate(weights),
        filter_first=starts,
        filter_end=ends + 1,
        cosines=_filled(dct_matrix(spec.mels, spec.mfcc).numpy().T),
        band_end=np.cumsum(pool.bands),
        mean_square=pool.mean_square,
        hertz=pool.hertz,
        inside=pool.inside.start,
        rolloff=np.float32(ROLLOFF),
        scores=_filled(pool.scores.T),
        lags_s=pool.lags_s,
        lag_cost=pool.lag_cost,
        lag_step_s=LAG_STEP_S,
    )


def _filled(rows: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Return ``rows`` with zeros below, up to a number of rows that four divides."""
    return np.pad(rows, ((0, -len(rows) % 4), (0, 0)))
