"""What reading an audio file gives: mono samples, or why there are none; the limits of both; and samples as a WAV.

Belongs here: what all readers of audio files share. Does not: reading (decoding.py says who reads what).
"""

import io
import wave
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cry_pipeline.corpus.reading import MAX_BYTES

MAX_DURATION_S = 600.0
MAX_VALUES = 2**26
"""Samples × channels of one file: the longest recording as 48 kHz stereo has 58 million."""
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 192_000
MAX_CHANNELS = 8
WHOLE = 2**15
"""What 1 is in samples of 16 bits."""

NO_LENGTH = "states no duration, so that a missing end could not be noticed: remux or convert it"
ASK_AGAIN = "ask for the file again"


class DecodeError(ValueError):
    """A file cannot be used as audio; the message says why. ``reason`` is the word that the quarantine uses."""

    reason: ClassVar[str] = "undecodable"


class NotAudioError(DecodeError):
    """A file can be opened but holds no sound."""

    reason = "not_audio"


class TruncatedError(DecodeError):
    """Some of a file's bytes are missing: it is worth asking for the file again."""

    reason = "truncated"


class DecoderCrashedError(DecodeError):
    """A file makes the decoder crash."""

    reason = "decoder_crashed"


class DecoderTimeoutError(DecodeError):
    """A file takes the decoder longer than it may take."""

    reason = "decoder_timeout"


class DecoderMemoryError(DecodeError):
    """A file takes the decoder more memory than it may have."""

    reason = "decoder_memory"


@dataclass(frozen=True)
class Audio:
    """Decoded audio: float32 mono ``samples`` ``[samples]`` in [-1, 1], the mean of the file's ``channels``."""

    samples: np.ndarray
    sample_rate_hz: int
    codec: str
    channels: int


def wav(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Return mono ``samples`` in [-1, 1] as a WAV of 16 bits; samples that had 16 bits stay as they were."""
    whole = np.clip(np.rint(samples * WHOLE), -WHOLE, WHOLE - 1).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(whole.tobytes())
    return buffer.getvalue()


def check_size(size: int) -> None:
    """Raise DecodeError for more bytes than any recording has."""
    if size > MAX_BYTES:
        raise DecodeError(f"has {size / 1e6:,.0f} MB, and no recording has more than {MAX_BYTES / 1e6:,.0f} MB")


def check_shape(rate_hz: int, channels: int) -> None:
    """Raise DecodeError for a sample rate or a number of channels that no recording of a voice has."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DecodeError(f"states {rate_hz} samples per second; {MIN_RATE_HZ} to {MAX_RATE_HZ} are read")
    if not 1 <= channels <= MAX_CHANNELS:
        raise DecodeError(f"states {channels} channels; 1 to {MAX_CHANNELS} are read")


def check_length(samples: float, rate_hz: int, channels: int) -> None:
    """Raise DecodeError for more ``samples`` per channel than are read."""
    if samples > MAX_DURATION_S * rate_hz:
        raise DecodeError(f"is longer than {MAX_DURATION_S:.0f} s, which no donated cry is")
    if samples * channels > MAX_VALUES:
        raise DecodeError(
            f"has {samples * channels / 1e6:,.0f} million values ({channels} channels of {samples / rate_hz:.0f} s at "
            f"{rate_hz} Hz); {MAX_VALUES / 1e6:,.0f} million are read: convert it to one channel"
        )
