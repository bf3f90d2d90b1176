"""What a file states of its own length, held against its bytes: here it shows that an end is missing.

Belongs here: the outermost layer of the containers that state sizes (WAV, AIFF, CAF, MP4 and its kin, Matroska), and
tags in front of any of them. Does not: containers that are a row of frames (framing.py), and anything within, which
libav reads (libav.py).

libav takes a file's end for the end of its sound. So nobody but these pages can say that bytes are missing, and only
they do: a length that libav makes of a bit rate is a guess, and never a reason to ask for a file again.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from cry_pipeline.corpus.audio import ASK_AGAIN, NO_LENGTH, DecodeError, TruncatedError
from cry_pipeline.corpus.framing import Contents, adts, amr, bounded, is_adts, is_mp3, mp3, ogg, skip_id3

MOST_INDEX_BYTES = 20_000_000
"""Of an MP4's index, with a picture and words in it; that of the longest recording has 0.3 MB."""
NOT_KNOWN_BYTES = 0x7F00_0000
"""Who writes to a pipe states 0 or some number about 2 or 4 GiB, and cannot come back to mend it."""


class _Chunked(NamedTuple):
    """A container of chunks, each a type of 4 bytes, its size, its content; and how another one would begin."""

    first: int
    size_bytes: int
    byte_order: Literal["little", "big"]
    samples: bytes
    padded: bool
    kinds: tuple[bytes, ...]


_WAV = _Chunked(12, 4, "little", b"data", padded=True, kinds=(b"WAVE",))
_AIFF = _Chunked(12, 4, "big", b"SSND", padded=True, kinds=(b"AIFF", b"AIFC"))
_CAF = _Chunked(8, 8, "big", b"data", padded=False, kinds=(b"desc",))
CHUNKED = {
    b"RIFF": _WAV,
    b"RF64": _WAV,
    b"BW64": _WAV,
    b"RIFX": _WAV._replace(byte_order="big"),
    b"FORM": _AIFF,
    b"caff": _CAF,
}


def inspect(data: bytes) -> Contents:
    """Return what a file's own bytes say of it, and what of them a decoder shall read.

    Raises:
        TruncatedError: some of the bytes that it states are missing.
        DecodeError: it states no length, or cannot be what it states.
    """
    data = _without_tag(data)
    for matches, reader in READERS:
        if matches(data):
            return reader(data)
    return Contents(data, counted=False)


def _without_tag(data: bytes) -> bytes:
    """Return ``data`` without ID3v2 tags in front of a container that has no place for one; libav skips others."""
    start = skip_id3(data)
    if not start:
        return data
    head = data[start : start + 4096]
    first = len(head) - len(head.lstrip(b"\0"))  # some taggers leave room that their tag does not state
    if head[first : first + 4] in {*CHUNKED, b"fLaC", b"OggS", EBML}:
        return data[start + first :]
    box = head.find(b"ftyp", first) - 4  # its size of 4 bytes, the first ones 0, stands in front
    return data[start + box :] if 0 <= box <= first else data


def _chunked(data: bytes) -> Contents:
    """Walk the chunks of a WAV, AIFF or CAF: the samples have to be there, and all of them."""
    form = CHUNKED[data[:4]]
    if data[8:12] not in form.kinds:
        return Contents(data)
    _refuse_second(data)
    has_samples, window, end = False, None, len(data)
    for name, start, size in bounded(_chunks(data, form)):
        if name == form.samples:
            if has_samples:
                raise DecodeError("holds two chunks of samples: split it into two files")
            has_samples = True
            _check_samples(size, len(data) - start)
        elif name in CHUNKED:
            raise _second(start - 4 - form.size_bytes)
        elif start + size > len(data):
            if not has_samples:
                raise DecodeError(
                    f"ends within the chunk {name.decode('latin-1')!r} of {size} bytes in front of its samples"
                )
            end = start - 4 - form.size_bytes  # half a chunk of notes: without it, all that is heard is there
            break
        elif name == b"pakt" and form is _CAF and size >= 24:
            if window:
                raise DecodeError("holds two tables of packets")
            valid, priming = struct.unpack_from(">qi", data, start + 8)
            if valid > 0 and priming >= 0:
                window = (priming, valid)
                data = data[: start + 16] + bytes(8) + data[start + 24 :]  # libav takes the rest off a short packet
    if not has_samples:
        raise DecodeError("holds no chunk of samples")
    # What a WAV's "fact" or libav counts of a CAF's packets is no better than the bytes, and wrong where it differs.
    return Contents(data[:end], whole=True, counted=form is _AIFF, window=window)


def _chunks(data: bytes, form: _Chunked) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and size of each chunk; the last one may state more than there is."""
    position, head, long_size = form.first, 4 + form.size_bytes, None
    while position + head <= len(data):
        name = data[position : position + 4]
        size = int.from_bytes(data[position + 4 : position + head], form.byte_order)
        start = position + head
        if name == b"ds64" and data[:4] in (b"RF64", b"BW64"):
            long_size = int.from_bytes(data[start + 8 : start + 16], "little")
        if name == form.samples and size == 0xFFFF_FFFF and long_size is not None:
            size = long_size
        yield name, start, size
        position = start + size + (size % 2 if form.padded else 0)


def _check_samples(size: int, present: int) -> None:
    if not size or size >= NOT_KNOWN_BYTES:
        raise DecodeError(NO_LENGTH)
    _check_present(size, present, "of samples ")


def _check_present(size: int, present: int, what: str = "") -> None:
    if present < size:
        raise TruncatedError(f"states {size} bytes {what}and holds {present}; {ASK_AGAIN}")


def _refuse_second(data: bytes) -> None:
    """Raise where another file of the same writer begins within this one, as where recordings were strung together."""
    beginning = data[8:16]  # the kind, and the first chunk
    if data.rfind(beginning, 16) >= 0:  # rfind is the faster one
        raise _second(data.find(beginning, 16) - 8)


def _second(start: int) -> DecodeError:
    return DecodeError(f"holds a second file at byte {start}: split it there")


def _boxes(data: bytes) -> Contents:
    """Walk the outermost boxes of an MP4, 3GP or QuickTime file: those that hold samples or say what they are."""
    seen = set()
    for position, head, size, name in bounded(_outermost(data)):
        if size == 0 and name == b"mdat":  # up to the file's end
            return Contents(data)
        if name == b"ftyp" and name in seen:
            raise _second(position)
        if name == b"moov" and size > MOST_INDEX_BYTES:
            raise DecodeError(f"has an index of {size / 1e6:,.0f} MB, which no recording has")
        if size < head or (position + size > len(data) and {b"moov", b"mdat"} <= seen and name != b"mdat"):
            return Contents(data[:position], whole=True)  # what is left is no box, or half of one that says nothing
        _check_present(size - head, len(data) - position - head, f"of {name.decode('latin-1')!r} ")
        seen.add(name)
    return Contents(data, whole=True)


def _outermost(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield position, bytes of the head, size and name of each box; whoever gets one without a size has to stop."""
    position = 0
    while position + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1 and position + 16 <= len(data):
            size, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        yield position, head, size, name
        position += size


EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
MOST_VOIDS = 100


def _matroska(data: bytes) -> Contents:
    """Hold a Matroska or WebM file against the size of its segment, if that was known to who wrote it."""
    size, start = _ebml_size(data, 4)
    if size is None:
        return Contents(data)
    position, before = start + size, 0
    while position < len(data) and not data.startswith(SEGMENT, position):
        before += 1
        if before > MOST_VOIDS or not data.startswith((b"\xec", b"\xbf"), position):  # void, checksum
            return Contents(data)
        size, start = _ebml_size(data, position + 1)
        if size is None:
            return Contents(data)
        position = start + size
    size, start = _ebml_size(data, position + 4)
    for _ in bounded(_elements(data, start)):
        pass
    if size is None:  # a stream that was recorded as it came
        return Contents(data)
    _check_present(size, len(data) - start)
    if data.startswith(EBML, start + size):
        raise _second(start + size)
    return Contents(data[: start + size], whole=True, counted=False)  # its duration is that of its longest stream


def _elements(data: bytes, position: int) -> Iterator[int]:
    """Yield where each element behind ``position`` begins, up to one whose size is not known."""
    while position < len(data) and data[position]:
        yield position
        size, start = _ebml_size(data, position + 9 - data[position].bit_length())
        if size is None:
            return
        position = start + size


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """Return the size that begins at ``position``, None if it is not known, and where what it measures starts."""
    first = data[position] if position < len(data) else 0
    if not first:
        return None, position
    width = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + width], "big") & (1 << 7 * width) - 1
    return (None if value == (1 << 7 * width) - 1 else value), position + width


READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Contents]], ...] = (
    (lambda data: data[:4] in CHUNKED, _chunked),
    (lambda data: data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"), _boxes),
    (lambda data: data.startswith(EBML), _matroska),
    (lambda data: data.startswith(b"OggS"), ogg),
    (lambda data: data.startswith(b"#!AMR"), amr),
    (lambda data: data.startswith(b"fLaC"), Contents),
    (is_adts, adts),
    (is_mp3, mp3),
)
