"""What a recording sounds like, in five numbers.

Belongs here: measures of samples. Does not: refusing recordings for them (manifest.py).
"""

from dataclasses import dataclass

import numpy as np

from cry_pipeline.corpus.decoding import resample

FLOOR_DBFS = -120.0
CLIPPED_AT = 0.999
SILENT_DBFS = -50.0
SILENCE_FRAME_S = 0.020

VOICE_RATE_HZ = 8000
VOICE_FRAME = 320
VOICE_HOP = 160
CRY_F0_HZ = (200, 800)
VOICED_AT = 0.7
VOICE_FRAMES_AT_ONCE = 3000
"""A minute; its correlations take 45 MB, and those of the longest recording would take 450."""


@dataclass(frozen=True)
class Quality:
    """Measures of one recording; x are its samples, full scale is 1, a full-scale sine has -3.01 dBFS.

    Attributes:
        peak: max |x|.
        rms_dbfs: 10·log10(mean(x²)), at least :data:`FLOOR_DBFS`.
        clipped_fraction: share of samples with |x| ≥ :data:`CLIPPED_AT`.
        silent_fraction: share of whole 20 ms frames whose rms is below :data:`SILENT_DBFS`; the quietest 30 %
            of the corpus' frames.
        voiced_fraction: share of frames with a pitch in a cry's range; see :func:`voiced_fraction`.
    """

    peak: float
    rms_dbfs: float
    clipped_fraction: float
    silent_fraction: float
    voiced_fraction: float


def measure(samples: np.ndarray, sample_rate_hz: int) -> Quality:
    """Measure float32 mono ``samples`` ``[samples]`` in [-1, 1]; a recording without samples is all silence."""
    if not samples.size:
        return Quality(0.0, FLOOR_DBFS, 0.0, 1.0, 0.0)
    magnitude = np.abs(samples)
    return Quality(
        peak=float(magnitude.max()),
        rms_dbfs=float(_dbfs(np.mean(np.square(samples, dtype=np.float64)))),
        clipped_fraction=float(np.mean(magnitude >= CLIPPED_AT)),
        silent_fraction=silent_fraction(samples, sample_rate_hz),
        voiced_fraction=voiced_fraction(samples, sample_rate_hz),
    )


def silent_fraction(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Return the share of whole 20 ms frames below :data:`SILENT_DBFS`; a shorter recording is one frame."""
    frame = max(1, min(round(SILENCE_FRAME_S * sample_rate_hz), samples.size))
    frames = samples[: samples.size // frame * frame].reshape(-1, frame)
    return float(np.mean(_dbfs(np.mean(np.square(frames, dtype=np.float64), axis=1)) < SILENT_DBFS))


def voiced_fraction(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Return the share of 40 ms frames, every 20 ms at 8 kHz, that are not silent and have a pitch of 200–800 Hz.

    A heuristic: a frame has a pitch where its :func:`autocorrelation`, less its mean, has a local maximum of at
    least :data:`VOICED_AT` at a lag between 1/800 and 1/200 s. The maximum must be local, so that hum below
    200 Hz, whose r falls slowly from 1, does not count. A steady tone above 800 Hz does: multiples of its
    period are in the range. A recording of less than one frame has none.
    """
    voice = resample(samples, sample_rate_hz, VOICE_RATE_HZ)
    if voice.size < VOICE_FRAME:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(voice, VOICE_FRAME)[::VOICE_HOP]
    parts = (frames[start : start + VOICE_FRAMES_AT_ONCE] for start in range(0, len(frames), VOICE_FRAMES_AT_ONCE))
    return float(np.mean(np.concatenate([_voiced(part) for part in parts])))


def _voiced(frames: np.ndarray) -> np.ndarray:
    """Return which of ``frames`` ``[frames, samples]`` are voiced, as :func:`voiced_fraction` says."""
    frames = frames - frames.mean(axis=1, keepdims=True, dtype=np.float64)
    shortest, longest = VOICE_RATE_HZ // CRY_F0_HZ[1], VOICE_RATE_HZ // CRY_F0_HZ[0]
    lags = np.arange(shortest - 1, longest + 2)  # one more on either side, to tell a local maximum
    r = autocorrelation(frames, lags)
    local = (r[:, 1:-1] >= r[:, :-2]) & (r[:, 1:-1] >= r[:, 2:])
    pitched = np.any(local & (r[:, 1:-1] >= VOICED_AT), axis=1)
    return pitched & (_dbfs(np.mean(np.square(frames), axis=1)) >= SILENT_DBFS)


def autocorrelation(frames: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Return r ``[frames, lags]`` of float64 ``frames`` ``[frames, samples]`` at positive ``lags``, in samples.

    r(τ) = Σ x[n]·x[n+τ] / √(Σ x[n]² · Σ x[n+τ]²), the sums over the samples that overlap; 0 for silence.
    """
    samples = frames.shape[1]
    padded = -(-(samples + int(lags.max())) // 64) * 64  # the circular correlation of the FFT is then the linear one
    power = np.abs(np.fft.rfft(frames, padded, axis=1)) ** 2
    energy = np.cumsum(np.square(frames), axis=1)
    head, tail = energy[:, samples - 1 - lags], energy[:, -1:] - energy[:, lags - 1]
    return np.fft.irfft(power, padded, axis=1)[:, lags] / np.sqrt(np.maximum(head * tail, 1e-20))


def _dbfs(mean_square: np.ndarray | np.floating) -> np.ndarray:
    return 10 * np.log10(np.maximum(mean_square, 10 ** (FLOOR_DBFS / 10)))
