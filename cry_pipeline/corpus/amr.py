"""Frames of AMR speech, 20 ms each: where one ends and the next begins, and which of them are pauses.

Belongs here: the frame tables of RFC 4867 (storage format, section 5). Does not: decoding frames (libav.py).
"""

from collections.abc import Iterator
from typing import NamedTuple


class Amr(NamedTuple):
    """One of the two codecs: a frame's bytes by its type, the types of a pause, samples per frame.

    In a pause (discontinuous transmission) a phone sends descriptors of the silence now and then, and "no data" in
    between; wide band also knows "speech lost". libav's decoders read none of them.
    """

    magic: bytes
    frame_bytes: tuple[int, ...]
    pauses: frozenset[int]
    samples: int


AMR = {
    "amrnb": Amr(b"#!AMR\n", (13, 14, 16, 18, 20, 21, 27, 32, 6, *[1] * 7), frozenset({8, 15}), 160),
    "amrwb": Amr(b"#!AMR-WB\n", (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, *[1] * 6), frozenset({9, 14, 15}), 320),
}
"""By libav's name of the decoder."""


def amr_frames(data: bytes, amr: Amr, start: int = 0) -> Iterator[tuple[int, int, bool]]:
    """Yield start, end and whether it is a pause of each frame in ``data``; the last one may end behind its end."""
    while start < len(data):
        kind = data[start] >> 3 & 15
        end = start + amr.frame_bytes[kind]
        yield start, end, kind in amr.pauses
        start = end
