"""Is anything left of what was withdrawn? A search of all bytes, in the forms that we write them in.

Belongs here: what bytes are looked through, and how (as they are; tables, databases and compressed text also opened).
Does not: what is looked for (traces.py), and what is done about it (withdrawal.py).

The feature store compresses nothing (encoding.py), so that its chunks are searched as they are. What is opened besides:
the columns of Parquet, the cells of SQLite (a text may be broken over two of its pages; its freed pages are in the
file's own bytes), base64 in text, gzip and zlib, also in each other.
"""

import base64
import binascii
import os
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Finder = Callable[[bytes], set[str]]
"""Bytes → in words, what of that which is looked for is in them."""
BLOCK = 1 << 24
"""Bytes that are searched at a time; of text, all."""
OVERLAP = 1 << 10
"""Nothing that is looked for is longer."""
DEEPEST = 4
"""How often what was opened is opened again."""
ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{48,}={0,2}")
URL_SAFE = bytes.maketrans(b"-_", b"+/")
COMPRESSED = {b"\x1f\x8b": 31, b"\x78\x01": 15, b"\x78\x5e": 15, b"\x78\x9c": 15, b"\x78\xda": 15}
"""How gzip and zlib begin, and zlib's number for each."""
SQLITE = b"SQLite format 3\0"
PARQUET = b"PAR1"


class SearchError(RuntimeError):
    """A place cannot be searched, so that nothing is proved; the message names it."""


@dataclass(frozen=True, order=True)
class Hit:
    """Something was found: in which file or object, and what, in words."""

    place: str
    what: str


class Needles:
    """Finds any of many byte strings, in upper or lower case, in one pass over the bytes.

    Args:
        needles: of at least four bytes each, with what to call it. One that begins with a null byte stands for the rest
            of it as a whole word: short names are parts of others.
    """

    def __init__(self, needles: Iterable[tuple[bytes, str]]) -> None:
        self._by_start: dict[bytes, list[tuple[bytes, str, bool]]] = {}
        self._first, self._second = np.zeros(1 << 16, bool), np.zeros(1 << 16, bool)
        for needle, what in needles:
            word = needle.removeprefix(b"\0").lower()
            if not 4 <= len(word) <= OVERLAP:
                raise ValueError(f"cannot search for {what}: it has {len(word)} bytes")
            self._by_start.setdefault(word[:4], []).append((word, what, needle[:1] == b"\0"))
            first, second = np.frombuffer(word[:4], "<u2")
            self._first[first] = self._second[second] = True

    def __call__(self, data: bytes) -> set[str]:
        """Return what is found in ``data``."""
        low, found = data.lower(), set()
        for shift in (0, 1) if len(low) > 3 else ():
            pairs = np.frombuffer(low, "<u2", count=(len(low) - shift) // 2, offset=shift)
            for place in (np.flatnonzero(self._first[pairs[:-1]] & self._second[pairs[1:]]) * 2 + shift).tolist():
                for word, what, whole in self._by_start.get(low[place : place + 4], ()):
                    if low.startswith(word, place) and (not whole or _is_whole(low, place, len(word))):
                        found.add(what)
        return found


def _is_whole(data: bytes, start: int, length: int) -> bool:
    around = data[max(0, start - 1) : start] + data[start + length : start + length + 1]
    return re.search(rb"[a-z0-9_.-]", around) is None


def found_in(data: bytes, find: Finder) -> set[str]:
    """Return what ``find`` finds in ``data``, or in what is encoded or compressed in it."""
    return {what for opened in _opened(data) for what in find(opened)}


def search_folder(folder: Path, find: Finder, skip: Callable[[Path], bool] = lambda _: False) -> Iterator[Hit]:
    """Yield what is found in the files below ``folder``, and in their names; links are followed to files, not folders.

    Raises:
        SearchError: a file is there and cannot be read.
    """
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not skip(Path(parent, name))]
        for name in (*folders, *names):
            yield from (
                Hit(str(Path(parent, name)), f"{what}, in its name") for what in sorted(find(os.fsencode(name)))
            )
        for path in (Path(parent, name) for name in names):
            if not skip(path):
                yield from (Hit(str(path), what) for what in sorted(search_file(path, find)))


def search_file(path: Path, find: Finder) -> set[str]:
    """Return what is found in a file, or in what a link says and leads to; nothing where the file is gone by now."""
    found = find(os.fsencode(os.readlink(path))) if path.is_symlink() else set()  # noqa: PTH115 - may be no text
    if not path.is_file():
        return found
    try:
        return found | _in_file(path, find)
    except FileNotFoundError:
        return found
    except OSError as error:
        raise SearchError(
            f"{path} cannot be searched ({error.strerror or error}): make it readable, and search again"
        ) from error


def _in_file(path: Path, find: Finder) -> set[str]:
    found: set[str] = set()
    with path.open("rb") as file:
        start = file.read(4096)
        file.seek(0)
        if b"\0" not in start:
            return found_in(file.read(), find)
        kept = b""
        while block := file.read(BLOCK):
            found |= find(kept + block)
            kept = block[-OVERLAP:]
    if start.startswith(SQLITE):
        found |= {what for cell in _cells(path) for what in found_in(cell, find)}
    elif start.startswith(PARQUET):
        found |= found_in(_parquet_text(path), find)
    elif start[:2] in COMPRESSED:
        found |= found_in(path.read_bytes(), find)
    return found


def _opened(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield ``data``, and what is encoded or compressed in it."""
    yield data
    if depth == DEEPEST:
        return
    if (bits := COMPRESSED.get(data[:2])) is not None:
        try:
            yield from _opened(zlib.decompressobj(bits).decompress(data), depth + 1)
        except zlib.error:
            return  # it only began like that
    elif b"\0" not in data[:4096]:
        for match in ENCODED.finditer(data):
            text = match[0].rstrip(b"=").translate(URL_SAFE)
            try:
                inner = base64.b64decode(text + b"=" * (-len(text) % 4))
            except binascii.Error:  # so many characters are of no bytes
                continue
            yield from _opened(inner, depth + 1)


def _cells(path: Path) -> Iterator[bytes]:
    """Yield every text and blob of a database of SQLite."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            database.text_factory = bytes
            for (table,) in list(database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")):
                quoted = table.decode().replace('"', '""')
                for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - a name from the database itself
                    yield from (cell for cell in row if isinstance(cell, bytes))
    except sqlite3.DatabaseError as error:
        raise SearchError(f"{path} cannot be searched ({error}): stop what writes it, and search again") from error


def _parquet_text(path: Path) -> bytes:
    """Return all texts of a table, and what is noted with it, a line each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SearchError(f"{path} cannot be searched ({error}): remove it, or make it again") from error
    lines = [*(table.schema.metadata or {}).values(), str(table.schema).encode()]
    for column in table.columns:
        if not (pa.types.is_primitive(column.type) or pa.types.is_boolean(column.type)):
            lines += [
                cell if isinstance(cell, bytes) else str(cell).encode("utf-8", "surrogatepass")
                for cell in column.to_pylist()
            ]
    return b"\n".join(lines)
