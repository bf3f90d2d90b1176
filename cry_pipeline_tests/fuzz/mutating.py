"""Bytes → damaged bytes, the same ones for the same seed.

Belongs here: what may happen to a file, whatever it holds. Does not: what files there are (seeds.py), and who reads
them (targets.py).
"""

import random
import re
import struct
from collections.abc import Callable, Sequence

MOST_BYTES = 2_000_000
MOST_DEEDS = 6
EXTREMES = (0, 1, 2, -1, -2, 2**7 - 1, 2**7, 2**15 - 1, 2**15, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 4, 255, 1000)
NAMES = re.compile(rb"[A-Za-z#][A-Za-z0-9 _]{3}")
"""What chunks, boxes and pages begin with, and words of texts."""

Rng = random.Random


def damaged(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Return ``data`` after one to :data:`MOST_DEEDS` deeds; few are likelier, so that some of it is still read."""
    made = bytearray(data)
    for _ in range(min(1 + int(rng.expovariate(0.7)), MOST_DEEDS)):
        _deed(rng)(made, others, rng)
        del made[MOST_BYTES:]
    return bytes(made)


def _place(made: bytearray, rng: Rng) -> int:
    """Return a place to do something at: most of what there is to break is in the head, and beside names."""
    if not made:
        return 0
    kind = rng.random()
    if kind < 0.4:
        return rng.randrange(min(len(made), 256))
    if kind < 0.6:
        start = rng.randrange(len(made))
        name = NAMES.search(made, start) or NAMES.search(made)
        if name:
            return min(name.end() + rng.choice((-8, -4, 0, 0, 4, 8, 12, 20)), len(made) - 1) % len(made)
    return rng.randrange(len(made))


def _size(rng: Rng) -> int:
    return rng.choice((1, 1, 2, 4, 8, 16, 64, 512, 4096))


def _flip(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    for _number in range(rng.choice((1, 1, 1, 4, 30))):
        if made:
            made[_place(made, rng)] ^= 1 << rng.randrange(8)


def _overwrite(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start, size = _place(made, rng), _size(rng)
    kind = rng.random()
    fill = rng.randbytes(size) if kind < 0.5 else bytes([rng.choice((0, 0xFF, 0x7F, 0x80, 0x20))]) * size
    made[start : start + size] = fill[: max(len(made) - start, 0)]


def _extreme(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start, code = _place(made, rng), rng.choice("BHIQ")
    value = rng.choice(EXTREMES) % 2 ** (8 * struct.calcsize(code))
    field = struct.pack(rng.choice("<>") + code, value)
    if start + len(field) <= len(made):
        made[start : start + len(field)] = field


def _cut_out(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start = _place(made, rng)
    del made[start : start + _size(rng)]


def _cut_off(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    del made[rng.randrange(len(made) + 1) if rng.random() < 0.5 else max(len(made) - _size(rng), 0) :]


def _repeat(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start = _place(made, rng)
    made[start:start] = made[start : start + _size(rng)] * rng.choice((1, 1, 2, 16, 200))


def _insert(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    start = _place(made, rng)
    made[start:start] = rng.randbytes(_size(rng)) if rng.random() < 0.5 else bytes(_size(rng))


def _splice(made: bytearray, others: Sequence[bytes], rng: Rng) -> None:
    other = rng.choice(others)
    start, there = _place(made, rng), rng.randrange(len(other) + 1)
    if rng.random() < 0.5:
        made[start:] = other[there:]
    else:
        made[start:start] = other[there : there + 8 * _size(rng)]


def _swap_chunks(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    """Change the order of what begins with names, as chunks, boxes and pages do; or take one twice."""
    starts = [name.start() for name in NAMES.finditer(made[:100_000])]
    if len(starts) < 3:
        return
    first, second, third = sorted(rng.sample(starts, 3))
    one, other = bytes(made[first:second]), bytes(made[second:third])
    made[first:third] = rng.choice((other + one, one + other + one, one, other))


TOKENS = (
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"\t",
        b"\0",
        b"\\u0000",
        b"\\ud800",
        b"\xe2\x80\xae",
        b"\x1b[31m",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-0",
        b"9" * 400,
        b"1.7",
        b"0x10",
        b"2026-01-02",
        b"\xff",
        b"\xe9",
    ),
    *(b"&a ", b"*a", b"<<: *a", b"!!python/name:os ", b"? ", b"- ", b"|\n", b"# ", b"---\n", b"%YAML 1.1\n"),
)


def _token(made: bytearray, _: Sequence[bytes], rng: Rng) -> None:
    """Put what means something in JSON, YAML or a name into the place of some bytes, or between two."""
    start = _place(made, rng)
    made[start : start + rng.choice((0, 0, 1, 4))] = rng.choice(TOKENS) * rng.choice((1, 1, 1, 1, 3, 300))


DEEDS: tuple[tuple[Callable[[bytearray, Sequence[bytes], Rng], None], int], ...] = (
    (_flip, 5),
    (_overwrite, 4),
    (_extreme, 6),
    (_cut_out, 2),
    (_cut_off, 1),
    (_repeat, 2),
    (_insert, 2),
    (_splice, 2),
    (_swap_chunks, 2),
    (_token, 4),
)


def _deed(rng: Rng) -> Callable[[bytearray, Sequence[bytes], Rng], None]:
    return rng.choices([deed for deed, _ in DEEDS], [weight for _, weight in DEEDS])[0]
