"""An audio file → mono samples, whole or not at all.

Belongs here: in which process a file is decoded, and resampling. Does not: decoding (uncaged.py), judging what is heard
(quality.py), and which files to read (sources.py).

Plain WAV is read here, in memory-safe Python; all else in a cage (cage/), unless CRY_PIPELINE_DECODER_CAGE is off.

A file of which bytes are missing is refused, and so is a stream that yields another number of samples than it states.
The tolerance is the unit in which the length is stated and, for lossy codecs, which pad the last frame and prime the
first, one decoder frame. On the 1,345 files of the corpus the difference is 0 but for 16 of the .3gp, where it is one
AMR frame (160 samples, 20 ms) more. Raw AMR, AAC and many MP3 state no length: their frames have to be whole.
"""

from pathlib import Path

import numpy as np

from cry_pipeline.corpus.audio import (
    MAX_DURATION_S,
    Audio,
    DecodeError,
    NotAudioError,
    TruncatedError,
)
from cry_pipeline.corpus.cage.pool import shared
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.uncaged import decode_plain, decode_uncaged

__all__ = [
    "AUDIO_SUFFIXES",
    "MAX_DURATION_S",
    "Audio",
    "DecodeError",
    "NotAudioError",
    "TruncatedError",
    "decode",
    "decode_bytes",
    "load_samples",
    "resample",
]

AUDIO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".aac", ".aif", ".aiff", ".amr", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov"}
    | {".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}
)


def decode(path: Path) -> Audio:
    """Decode the first audio stream of the file at ``path``; see :func:`decode_bytes`.

    Raises:
        DecodeError: as :func:`decode_bytes`, with the path.
        OSError: the file cannot be read, is no plain file, or has more bytes than any recording.
    """
    try:
        return decode_bytes(read_regular(path))
    except DecodeError as error:
        raise type(error)(f"{path} {error}") from error


def decode_bytes(data: bytes) -> Audio:
    """Decode the first audio stream of a file's content. Only the content counts, not the file's name.

    Lossy codecs overshoot full scale (AMR up to 2.8 in the corpus); like their reference decoders, this clips.

    Raises:
        NotAudioError: there is no audio stream.
        TruncatedError: bytes are missing.
        DecodeError: it cannot be read, states no duration or another one than it has, is longer or larger than any
            recording of a voice (audio.py), or its samples are not what is heard (mono.py); it makes the decoder crash,
            or takes it too long or too much memory.
        CageError: the cage that the settings ask for cannot be had.
        CageStoppedError: decoders were stopped meanwhile (cage/pool.py).
    """
    plain = decode_plain(data)
    if plain is not None:
        return plain
    pool = shared()
    return decode_uncaged(data) if pool.level == "off" else pool.decode(data)


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample float32 ``[samples]`` with soxr's HQ recipe; the same array where the rates are equal."""
    if from_hz == to_hz:
        return samples
    import soxr

    return soxr.resample(samples, from_hz, to_hz, quality="HQ")


def load_samples(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Decode the file at ``path`` and resample it: float32 mono ``[samples]`` at ``sample_rate_hz``.

    Decoded samples lie in [-1, 1]; resampling may overshoot that slightly.

    Raises:
        DecodeError, OSError: as :func:`decode`.
    """
    audio = decode(path)
    return resample(audio.samples, audio.sample_rate_hz, sample_rate_hz)
