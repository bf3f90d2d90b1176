"""Samples as a decoder gives them → float32 mono, piece by piece, so that a long file needs little memory.

Belongs here: scaling, mixing, and refusing what mixing would hide. Does not: decoding (libav.py, pcm.py).
"""

import numpy as np

from cry_pipeline.corpus.audio import DecodeError

PIECE = 2**18
"""Samples per channel that are mixed at once."""
FULL_SCALE = 10.0
"""Codecs overshoot 1 (AMR up to 2.8 in the corpus); floats that were never scaled reach thousands."""
CANCELLED = 0.01
"""The mean of n channels has 1/n of their power where they have nothing in common; 20 dB less tells of a sign."""
SILENCE = 1e-8
"""Power of -80 dBFS, below which nothing is heard in the channels either."""


class Mono:
    """The mean of the channels of a recording that comes in pieces."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._power, self._power_of_mean = 0.0, 0.0

    def add(self, pcm: np.ndarray) -> None:
        """Mix ``pcm`` ``[channels, samples]``, as it is stored: unsigned 8 bits, signed integers or floats.

        Raises:
            DecodeError: it holds floats that are no numbers, or no sound of full scale 1.
        """
        for start in range(0, pcm.shape[1], PIECE):
            self._add(pcm[:, start : start + PIECE])

    def _add(self, pcm: np.ndarray) -> None:
        if pcm.dtype.kind == "f":
            _check_floats(pcm)
        piece = scaled(pcm)
        self._pieces.append(piece)
        if len(pcm) > 1:
            self._power += sum(float(np.square(scaled(channel[None]), dtype=np.float64).sum()) for channel in pcm)
            self._power_of_mean += len(pcm) * float(np.square(piece, dtype=np.float64).sum())

    def samples(self) -> np.ndarray:
        """Return float32 ``[samples]``, clipped at full scale, as reference decoders do.

        Raises:
            DecodeError: the channels cancel each other, so that their mean is not what is heard.
        """
        samples = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        if self._power > SILENCE * samples.size and self._power_of_mean < CANCELLED * self._power:
            raise DecodeError("has channels that cancel each other (one is the other's negative): keep one of them")
        return np.clip(samples, -1.0, 1.0, out=samples)


def scaled(pcm: np.ndarray) -> np.ndarray:
    """Return the mean over the channels of samples as they are stored, ``[channels, samples]``, over full scale."""
    if len(pcm) == 1 and pcm.dtype == np.int16:  # exact, and a tenth of the time
        return pcm[0].astype(np.float32) / np.float32(2**15)
    mono = pcm.mean(axis=0, dtype=np.float64)
    if pcm.dtype == np.uint8:
        mono = (mono - 128) / 128
    elif pcm.dtype.kind == "i":
        mono /= 2.0 ** (8 * pcm.dtype.itemsize - 1)
    return mono.astype(np.float32)


def _check_floats(pcm: np.ndarray) -> None:
    peak = max(float(pcm.max()), -float(pcm.min()))
    if not np.isfinite(peak):
        raise DecodeError("holds samples that are not finite numbers")
    if peak > FULL_SCALE:
        raise DecodeError(f"holds samples of up to {peak:.6g} where full scale is 1: it was never scaled")
