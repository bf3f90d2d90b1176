"""Containers that are a row of pages or frames and state no length: Ogg, raw AMR, AAC (ADTS) and MP3.

Belongs here: walking from one frame to the next, which shows whether the last one is whole. Does not: containers that
state sizes (containers.py), and what is in a frame (libav.py).

A raw stream may be cut between two frames, and nobody can tell; within a frame it shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cry_pipeline.corpus.amr import AMR, amr_frames
from cry_pipeline.corpus.audio import ASK_AGAIN, DecodeError, TruncatedError

T = TypeVar("T")
MOST_PARTS = 500_000
"""The longest recording in the shortest packets, 600 s of Opus in pages of 2.5 ms each, has 240,000."""


def bounded(parts: Iterator[T]) -> Iterator[T]:
    """Yield ``parts`` of a file; raises DecodeError where there are so many that it was made to keep readers busy."""
    for number, part in enumerate(parts):
        if number == MOST_PARTS:
            raise DecodeError(f"consists of more than {MOST_PARTS} parts, which no recording does")
        yield part


@dataclass(frozen=True)
class Contents:
    """What of a file a decoder shall read, and what is known of its length.

    ``whole``: all bytes that it states are there, so that nobody is to be asked for it again. ``counted``: libav has
    the number of samples from the file, not from a guess; the decoder has to yield as many. ``window``: samples of
    priming that a decoder yields in front, and how many of those that follow are meant.
    """

    data: bytes
    whole: bool = False
    counted: bool = True
    window: tuple[int, int] | None = None


OGG_AUDIO = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")


def ogg(data: bytes) -> Contents:
    """Walk the pages of an Ogg file: the sound's have to be consecutive, and the last one has to say so.

    Raises:
        TruncatedError: the last page of the sound is no last page, or pages between are missing.
        DecodeError: one recording follows another.
    """
    streams: dict[int, int] = {}  # number of the last page
    ended: set[int] = set()
    for start, end in bounded(_ogg_pages(data)):
        flags, serial = data[start + 5], int.from_bytes(data[start + 14 : start + 18], "little")
        number = int.from_bytes(data[start + 18 : start + 22], "little")
        if flags & 2 and data.startswith(OGG_AUDIO, start + 27 + data[start + 26]):
            if ended:
                raise DecodeError(f"holds a second recording at byte {start}: split it there")
            streams[serial] = number
        elif serial in streams:
            if end > len(data):
                break
            if number > streams[serial] + 1:
                raise TruncatedError(f"lacks pages {streams[serial] + 1} to {number - 1} of its sound; {ASK_AGAIN}")
            streams[serial] = number
        if flags & 4 and serial in streams:
            ended.add(serial)
    if set(streams) - ended:
        raise TruncatedError(f"ends with a page that is not its last (no end-of-stream flag); {ASK_AGAIN}")
    return Contents(data, whole=bool(streams))


def _ogg_pages(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each page; the last one may end behind the data's end."""
    start = 0
    while start >= 0 and start + 27 <= len(data):
        lengths = data[start + 27 : start + 27 + data[start + 26]]
        end = start + 27 + data[start + 26] + sum(lengths)
        yield start, end
        start = data.find(b"OggS", end)


def amr(data: bytes) -> Contents:
    """Walk the frames of an AMR file.

    Raises:
        TruncatedError: the last frame is not whole.
        DecodeError: one recording follows another.
    """
    codec = next((codec for codec in AMR.values() if data.startswith(codec.magic)), None)
    if codec is None:
        return Contents(data, counted=False)
    for start, end, _ in bounded(amr_frames(data, codec, len(codec.magic))):
        if data.startswith(b"#!AMR", start):
            raise DecodeError(f"holds a second recording at byte {start}: split it there")
        _check_last(end, len(data))
    return Contents(data, whole=True, counted=False)


def is_adts(data: bytes) -> bool:
    """Return whether ``data``, behind its tags, begins with a raw AAC frame."""
    return _adts_frame(_head(data, skip_id3(data))) > 0


def is_mp3(data: bytes) -> bool:
    """Return whether ``data``, behind its tags, begins with an MPEG audio frame."""
    return _mp3_frame(_head(data, skip_id3(data))) > 0


def adts(data: bytes) -> Contents:
    """Walk the frames of a raw AAC stream; TruncatedError where the last one is not whole."""
    frames = _frames(data, _adts_frame)
    return Contents(_trimmed(data, frames[-1][1], _adts_frame), whole=True, counted=False)


def mp3(data: bytes) -> Contents:
    """Walk the frames of an MP3, and hold them against their number, if the first one states it.

    Raises:
        TruncatedError: the last frame is not whole.
        DecodeError: there are more frames than stated: libav would stop there.
    """
    frames = _frames(data, _mp3_frame)
    head = data[slice(*frames[0])]
    data = _trimmed(data, frames[-1][1], _mp3_frame)
    tag = max(head.find(b"Xing"), head.find(b"Info"))
    if tag < 0 or len(head) < tag + 12 or not head[tag + 7] & 1:
        return Contents(data, counted=b"VBRI" in head)
    stated = int.from_bytes(head[tag + 8 : tag + 12], "big")
    if len(frames) > stated + 2:  # the first one is none, and not everybody leaves it out
        raise DecodeError(f"states {stated} frames and holds {len(frames)}: is it more than one recording?")
    return Contents(data)


MOST_TAGS = 100


def skip_id3(data: bytes) -> int:
    """Return where the ID3v2 tags at the beginning end, or the first :data:`MOST_TAGS` of them."""
    start = 0
    for _ in range(MOST_TAGS):
        size = _id3_bytes(data, start)
        if not size:
            break
        start += size
    return start


def _id3_bytes(data: bytes, start: int) -> int:
    """Return the bytes of the ID3v2 tag that begins at ``start``, 0 if none does."""
    if not data.startswith(b"ID3", start) or start + 10 > len(data):
        return 0
    high, middle, low, least = data[start + 6 : start + 10]
    footer = 10 if data[start + 5] & 0x10 else 0
    return 10 + (high << 21 | middle << 14 | low << 7 | least) + footer


def _head(data: bytes, start: int) -> bytes:
    return data[start : start + 7]


def _frames(data: bytes, frame_bytes: Callable[[bytes], int]) -> list[tuple[int, int]]:
    """Return start and end of each frame, up to what is neither a frame nor a tag.

    Raises:
        TruncatedError: the last frame is not whole.
    """
    return [(start, start + size) for start, size in bounded(_frames_and_tags(data, frame_bytes)) if size]


def _frames_and_tags(data: bytes, frame_bytes: Callable[[bytes], int]) -> Iterator[tuple[int, int]]:
    """Yield start and bytes of each frame, and of each tag its start and 0."""
    start = skip_id3(data)
    while start < len(data):
        size = frame_bytes(_head(data, start))
        if size:
            _check_last(start + size, len(data))
        yield start, size
        start += size or _tag_bytes(data, start) or len(data)


def _trimmed(data: bytes, end: int, frame_bytes: Callable[[bytes], int]) -> bytes:
    """Return ``data`` up to the ``end`` of its frames, unless they go on behind it: two of them in a row.

    libav makes errors of what is left there, and takes the number of frames that an MP3 states for wrong.
    """
    for start in bounded(_found(data, b"\xff", end)):
        size = frame_bytes(_head(data, start))
        if size and frame_bytes(_head(data, start + size)):
            return data
    return data[:end]


def _found(data: bytes, mark: bytes, start: int) -> Iterator[int]:
    while (start := data.find(mark, start)) >= 0:
        yield start
        start += 1


def _tag_bytes(data: bytes, start: int) -> int:
    """Return the bytes of the tag (ID3v1, ID3v2, APE) that begins at ``start``, 0 if none does."""
    if data.startswith(b"TAG", start):
        return 128
    if data.startswith(b"APETAGEX", start):
        return 32 + int.from_bytes(data[start + 12 : start + 16], "little")
    return _id3_bytes(data, start)


def _adts_frame(head: bytes) -> int:
    """Return the bytes of the AAC frame that begins with ``head``, 0 if none does."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size >= len(head) else 0


def _mp3_frame(head: bytes) -> int:
    """Return the bytes of the MPEG audio frame that begins with ``head``, 0 if none does or it does not say."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bit_rate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate in (0, 15) or rate == 3:
        return 0
    full = version == 3
    kbits = KBITS[full, layer if full else min(layer, 2)][bit_rate - 1]
    rate_hz = (44_100, 48_000, 32_000)[rate] >> (0 if full else 3 - max(version, 1))
    if layer == 1:
        return (12_000 * kbits // rate_hz + padding) * 4
    return (144_000 if full or layer == 2 else 72_000) * kbits // rate_hz + padding


KBITS = {
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of MPEG-1 (True) and MPEG-2 and 2.5, by layer (2 and 3 are alike in the latter)."""


def _check_last(end: int, present: int) -> None:
    if end > present:
        raise TruncatedError(f"ends {end - present} bytes before its last frame does; {ASK_AGAIN}")
