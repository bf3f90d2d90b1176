"""Rows of a part's array, read straight from its shard: four times less work than by TensorStore, at equal values.

Belongs here: the one layout in which parts keep values (Zarr v3, ``sharding_indexed`` with the index at the end, inner
codecs ``bytes`` and ``crc32c``, one shard an array, whole rows in each chunk). Does not: any other layout, which is
refused, and writing (encoding.py).

https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

import json
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np

CRC_BYTES = 4
RESIDUE = 0x48674BC7
"""The crc32c of any bytes followed by their own crc32c (RFC 3720)."""
ENTRY = np.dtype([("offset", "<u8"), ("bytes", "<u8")])
CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


class ShardedArray:
    """An array ``[rows, width]`` in a folder of its own; see :class:`.StoredArray` (storage.py)."""

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "zarr.json").read_bytes())
        try:
            (codec,) = about["codecs"]
            layout = codec["configuration"]
            self.shape = tuple(about["shape"])
            self.dtype = about["data_type"]
            self._chunk_rows, width = layout["chunk_shape"]
            shard = about["chunk_grid"]["configuration"]["chunk_shape"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder} is not a sharded array of rows ({error!r})") from error
        self._chunks = math.ceil(self.shape[0] / self._chunk_rows)
        plain = all(
            [{key: value for key, value in one.items() if value} for one in layout[name]] == CODECS
            for name in ("codecs", "index_codecs")
        )
        if not plain or list(shard) != [self._chunks * self._chunk_rows, width] or width != self.shape[1]:
            raise ValueError(f"{folder} is laid out otherwise than parts are")
        self._values = np.dtype(self.dtype).newbyteorder("<")
        self._chunk_bytes = self._chunk_rows * width * self._values.itemsize
        self._path = folder / "c.0.0"

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows of each of ``ranges``; a chunk that several of them lie in is read once.

        Raises:
            ValueError: the file is shorter or longer than it should be, or a checksum fails.
            OSError: it cannot be read.
        """
        found = [np.empty((stop - start, self.shape[1]), self._values) for start, stop in ranges]
        wanted: dict[int, list[int]] = defaultdict(list)
        for position, (start, stop) in enumerate(ranges):
            for chunk in range(start // self._chunk_rows, -(-stop // self._chunk_rows)):
                wanted[chunk].append(position)
        if not wanted:
            return found
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            index = self._index(descriptor)
            for chunk in sorted(wanted):
                first = chunk * self._chunk_rows
                values = self._chunk(descriptor, index[chunk], chunk)
                for position in wanted[chunk]:
                    start, stop = ranges[position]
                    low, high = max(start, first), min(stop, first + self._chunk_rows)
                    found[position][low - start : high - start] = values[low - first : high - first]
        finally:
            os.close(descriptor)
        return found

    def _index(self, descriptor: int) -> np.ndarray:
        size = self._chunks * ENTRY.itemsize + CRC_BYTES
        if os.fstat(descriptor).st_size != self._chunks * (self._chunk_bytes + CRC_BYTES) + size:
            raise ValueError(f"{self._path.name} has another size than it was written with")
        raw = os.pread(descriptor, size, self._chunks * (self._chunk_bytes + CRC_BYTES))
        if google_crc32c.value(raw) != RESIDUE:
            raise ValueError(f"the checksum of the index of {self._path.name} fails")
        return np.frombuffer(raw, ENTRY, self._chunks)

    def _chunk(self, descriptor: int, entry: np.void, chunk: int) -> np.ndarray:
        size = self._chunk_bytes + CRC_BYTES
        if entry["bytes"] != size:  # an absent chunk has 2**64 - 1
            raise ValueError(f"chunk {chunk} of {self._path.name} is not there")
        raw = os.pread(descriptor, size, int(entry["offset"]))
        if len(raw) != size or google_crc32c.value(raw) != RESIDUE:
            raise ValueError(f"the checksum of chunk {chunk} of {self._path.name} fails")
        return np.frombuffer(raw, self._values, count=self._chunk_bytes // self._values.itemsize).reshape(
            self._chunk_rows, self.shape[1]
        )
