"""Where mel bands lie, by formula: enough to refuse a feature set that cannot be, before anything heavy is loaded.

Belongs here: the two scales, and which bands of them no bin of an FFT falls into. Does not: the filters themselves,
which are librosa's (features/transforms.py).
"""

import math
from typing import Literal

Scale = Literal["slaney", "htk"]
HERTZ_PER_MEL, LINEAR_TO_HZ, LOG_STEP = 200 / 3, 1000.0, math.log(6.4) / 27
"""Of the "slaney" scale (Auditory Toolbox): linear below 1 kHz, logarithmic above."""
HEARD = 1e-9
"""Of its height at the middle: a bin at which a band has less lies on its edge, but for rounding."""


def hz_to_mel(hz: float, scale: Scale) -> float:
    """Return the mel of a frequency; ``htk``: 2595 · log₁₀(1 + f / 700)."""
    if scale == "htk":
        return 2595 * math.log10(1 + hz / 700)
    if hz < LINEAR_TO_HZ:
        return hz / HERTZ_PER_MEL
    return LINEAR_TO_HZ / HERTZ_PER_MEL + math.log(hz / LINEAR_TO_HZ) / LOG_STEP


def mel_to_hz(mel: float, scale: Scale) -> float:
    """Return the frequency of a mel."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    if mel < LINEAR_TO_HZ / HERTZ_PER_MEL:
        return mel * HERTZ_PER_MEL
    return LINEAR_TO_HZ * math.exp(LOG_STEP * (mel - LINEAR_TO_HZ / HERTZ_PER_MEL))


def empty_bands(mels: int, fmin_hz: float, fmax_hz: float, bin_hz: float, scale: Scale) -> list[int]:
    """Return which of ``mels`` triangles, evenly spaced on the scale, are 0 at all multiples of ``bin_hz``."""
    low, high = hz_to_mel(fmin_hz, scale), hz_to_mel(fmax_hz, scale)
    edges = [mel_to_hz(low + (high - low) * step / (mels + 1), scale) for step in range(mels + 2)]
    empty = []
    for band in range(mels):
        start, middle, stop = edges[band : band + 3]
        below = math.floor(middle / bin_hz) * bin_hz  # the highest bins on either side: a triangle is highest there
        height = max((below - start) / (middle - start), (stop - below - bin_hz) / (stop - middle))
        if height <= HEARD:
            empty.append(band)
    return empty
