"""Plain PCM in a WAV → its samples, without libav: what libav would return, in a twentieth of its time.

Belongs here: recognising the one layout that most recordings have, and reading it. Does not: anything else that a WAV
may hold, which libav reads (decoding.py), and any judgement of what was read.

Of a cleaned recording of 7 s libav takes 1.7 ms, most of it to open a file, and this 0.07. By libav alone, a probe of
one would cost 28 % more (7.4 ms, not 5.8), and so would its features at 8 kHz.

The standard library's ``wave`` is as fast, but does not tell what has to be doubted: 12 bits in 2 bytes, a size of
blocks or a rate of bytes that does not fit, a last sample that is cut. Its samples are then not libav's.
"""

import struct
from typing import NamedTuple

import numpy as np

CODECS = {
    (1, 8): ("pcm_u8", np.dtype("u1")),
    (1, 16): ("pcm_s16le", np.dtype("<i2")),
    (1, 32): ("pcm_s32le", np.dtype("<i4")),
    (3, 32): ("pcm_f32le", np.dtype("<f4")),
    (3, 64): ("pcm_f64le", np.dtype("<f8")),
}
"""libav's name and NumPy's dtype by format tag and bits. (24 bits are no dtype.)"""

HARMLESS = frozenset({b"LIST", b"fact", b"PEAK", b"JUNK", b"bext", b"cue ", b"id3 ", b"ID3 "})
"""Chunks that say nothing about the samples."""


class Pcm(NamedTuple):
    """Samples as they are stored, ``[samples, channels]``."""

    samples: np.ndarray
    sample_rate_hz: int
    codec: str


def read_pcm(data: bytes) -> Pcm | None:
    """Return the samples of a plain WAV: one ``fmt`` chunk, then one of whole samples that are all there.

    None for any other file, and wherever there is any doubt about one: libav, or what checks its result, decides.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    about, position = None, 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if name == b"data":
            return None if about is None else _samples(data, position, size, *about)
        if name == b"fmt " and about is None and size in (16, 18):
            about = _format(data[position : position + 16])
            if about is None:
                return None
        elif name not in HARMLESS:
            return None
        position += size + size % 2
    return None


def _format(chunk: bytes) -> tuple[str, np.dtype, int, int] | None:
    """Return codec, dtype, channels and rate that a ``fmt`` chunk states; None where libav shall decide."""
    if len(chunk) < 16:
        return None
    tag, channels, rate_hz, bytes_per_s, block, bits = struct.unpack("<HHIIHH", chunk)
    codec = CODECS.get((tag, bits))
    if codec is None or channels not in (1, 2) or not rate_hz:
        return None
    if block != channels * bits // 8 or bytes_per_s != rate_hz * block:
        return None
    return *codec, channels, rate_hz


def _samples(
    data: bytes, start: int, size: int, codec: str, dtype: np.dtype, channels: int, rate_hz: int
) -> Pcm | None:
    if not size or size % (channels * dtype.itemsize) or start + size > len(data):
        return None
    samples = np.frombuffer(data, dtype, size // dtype.itemsize, start).reshape(-1, channels)
    return Pcm(samples, rate_hz, codec)
