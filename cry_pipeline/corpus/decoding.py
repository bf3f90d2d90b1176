"""An audio file → mono samples, whole or not at all.

Belongs here: who reads what, and resampling. Does not: judging what is heard (quality.py), which files to read
(sources.py), what a file states of its length (containers.py, framing.py), reading plain PCM (pcm.py) and anything
else (libav.py), and mixing channels (mono.py).

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
    check_length,
    check_shape,
    check_size,
)
from cry_pipeline.corpus.containers import inspect
from cry_pipeline.corpus.libav import decode_with_libav
from cry_pipeline.corpus.mono import Mono
from cry_pipeline.corpus.pcm import read_pcm
from cry_pipeline.corpus.reading import read_regular

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
            recording of a voice (audio.py), or its samples are not what is heard (mono.py). Nothing else is raised.
    """
    check_size(len(data))
    contents = inspect(data)
    return _plain(contents.data) or decode_with_libav(contents)


def _plain(data: bytes) -> Audio | None:
    """Return the audio of a plain PCM WAV, equal to libav's; None for anything else."""
    pcm = read_pcm(data)
    if pcm is None:
        return None
    count, channels = pcm.samples.shape
    check_shape(pcm.sample_rate_hz, channels)
    check_length(count, pcm.sample_rate_hz, channels)
    mono = Mono()
    mono.add(pcm.samples.T)
    return Audio(mono.samples(), pcm.sample_rate_hz, pcm.codec, channels)


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
