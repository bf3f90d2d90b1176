"""One part of the store: an immutable, checksummed Zarr v3 group that holds some recordings' features.

Belongs here: ``part.json``, and strict reading of a part. Does not: how rows become files (encoding.py), where files
lie (storage.py), which parts there are, and when one becomes visible (store.py).
"""

import errno
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from cry_pipeline.digests import sha256_of
from cry_pipeline.features.store.rows import FeatureStoreError, RowKey, all_finite
from cry_pipeline.features.store.storage import INDEX, PARTS, READ_ERRORS, Storage, StoredArray

NAME_DIGITS = 32
FORMAT = 3
"""Raised when ``part.json`` or the files that it names change their form; parts of another format are refused.

(Parts of format 2 said nothing about the samples they were computed from. None lies under a digest of today.)"""
UPDATE = "update cry-pipeline to read it, or keep this version's features in another CRY_PIPELINE_DATA"
REPAIR = "`cry-pipeline store verify` sets bad parts aside; then materialize the feature set again"
DAMAGE = frozenset({errno.ENOENT, errno.EIO, errno.EISDIR, errno.ENOTDIR})
"""Errors of a file that is lost or cannot be read by anyone; others, as of too few descriptors, are of the reader."""


class NewerFormatError(FeatureStoreError):
    """A part was written by a later version: nothing is wrong with it, and this version leaves it where it is."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part that can be read: what its ``part.json`` says, checked against the part's name."""

    storage: Storage
    path: str
    """Where its files lie in the storage: ``parts/<name>``, or elsewhere while it is written."""
    name: str
    """The first digits of the sha256 of ``part.json``: no bit of it can change unnoticed."""
    feature_set: str
    """Digest of the feature set."""
    recording_ids: tuple[str, ...]
    samples_digests: tuple[str, ...]
    """Of the samples that each recording's features were computed from."""
    offsets: np.ndarray
    """Where each recording's frames begin, int64 [recordings + 1]."""
    arrays: dict[str, dict[str, Any]]
    """Shape and dtype by array."""
    files: dict[str, str]
    """sha256 of every other file of the part, by its path in the part."""
    sizes: dict[str, int]
    """Bytes of each of these files."""
    made_by: tuple[dict[str, str], ...]
    """The libraries, with their versions, that computed its rows; several where a compaction put rows together."""
    written_at: datetime
    supersedes: tuple[str, ...] = ()
    """The parts whose rows were all visible in other parts, this one among them, when it came."""
    _opened: dict[str, StoredArray] = field(default_factory=dict, repr=False)

    @cached_property
    def rows(self) -> dict[RowKey, int]:
        """At which place each row lies."""
        return {key: row for row, key in enumerate(zip(self.recording_ids, self.samples_digests, strict=True))}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, uncompressed."""
        return sum(math.prod(about["shape"]) * np.dtype(about["dtype"]).itemsize for about in self.arrays.values())

    @classmethod
    def load(cls, storage: Storage, name: str, feature_set: str) -> "Part":
        """Read the ``part.json`` of the visible part ``name``.

        Raises:
            NewerFormatError: a later version wrote it.
            FeatureStoreError: it is missing, is not what was written, or is of another feature set.
            OSError: it cannot be read here and now, which says nothing about the part.
        """
        path = f"{PARTS}/{name}"
        try:
            content = storage.read(f"{path}/{INDEX}")
        except OSError as error:
            if error.errno not in DAMAGE:
                raise
            raise FeatureStoreError(f"part {name}: {INDEX} cannot be read ({error}); {REPAIR}") from error
        if part_name(content) != name:
            raise FeatureStoreError(f"part {name}: {INDEX} is not what was written; {REPAIR}")
        try:
            index = json.loads(content)
            if (written := index["format"]) != FORMAT:
                error, way_out = (NewerFormatError, UPDATE) if written > FORMAT else (FeatureStoreError, REPAIR)
                raise error(f"part {name}: has format {written}, and this version reads {FORMAT}; {way_out}")
            part = cls.described(storage, path, name, index)
        except (ValueError, TypeError, LookupError) as error:  # under its own name, but written by something else
            raise FeatureStoreError(f"part {name}: {INDEX} is none of ours ({error!r}); {REPAIR}") from error
        if part.feature_set != feature_set:
            raise FeatureStoreError(
                f"part {name}: is of the feature set {part.feature_set}, not of {feature_set}; {REPAIR}"
            )
        return part

    @classmethod
    def parsed(cls, storage: Storage, path: str, content: bytes) -> "Part":
        """Return the part that ``content``, of a ``part.json``, describes."""
        return cls.described(storage, path, part_name(content), json.loads(content))

    @classmethod
    def described(cls, storage: Storage, path: str, name: str, index: dict[str, Any]) -> "Part":
        """Return the part ``name`` that ``index``, the content of its ``part.json``, describes."""
        return cls(
            storage=storage,
            path=path,
            name=name,
            feature_set=index["feature_set"],
            recording_ids=tuple(index["recording_ids"]),
            samples_digests=tuple(index["samples_digests"]),
            offsets=np.cumsum([0, *index["frames"]], dtype=np.int64),
            arrays=index["arrays"],
            files=index["files"],
            sizes=index["sizes"],
            made_by=tuple(index["made_by"]),
            written_at=datetime.fromisoformat(index["written_at"]),
            supersedes=tuple(index["supersedes"]),
        )

    def at(self, path: str) -> "Part":
        """Return the same part with its files under ``path``, nothing of it opened."""
        return replace(self, path=path, _opened={})

    @property
    def here(self) -> bool:
        """Whether the part is still visible."""
        return self.storage.has_part(self.name)

    def read(self, kind: str, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows ``start`` to ``stop`` of the array ``kind`` for each of ``ranges``, as [rows, width].

        Raises:
            FeatureStoreError: a file or chunk is missing, a checksum fails, shape or dtype differ from
                ``part.json``, or a value is not finite.
        """
        array = self._opened.get(kind) or self._open(kind)
        try:
            values = array.read(ranges)
        except READ_ERRORS as error:
            raise self._error(kind, f"cannot be read ({error})") from error
        if not all(all_finite(value) for value in values):
            raise self._error(kind, "holds values that are not finite")
        return values

    def obvious_faults(self, there: Mapping[str, int]) -> list[str]:
        """Return which files are lost or have another size than they were written with.

        Args:
            there: the bytes of each file of the part, by its path in it, as a listing says.
        """
        return [
            f"{path} is lost" if path not in there else f"{path} has {there[path]} bytes, and was written with {size}"
            for path, size in self.sizes.items()
            if there.get(path) != size
        ]

    def faults(self) -> list[str]:
        """Return what is wrong with the part's files, as sentences: none where every byte is as it was written.

        Raises:
            OSError: a file cannot be read here and now, which says nothing about the part.
        """
        faults = []
        for path, expected in self.files.items():
            try:
                if sha256_of(self.storage.read(f"{self.path}/{path}")) != expected:
                    faults.append(f"{path} is not what was written")
            except OSError as error:
                if error.errno not in DAMAGE:
                    raise
                faults.append(f"{path} cannot be read ({error})")
        return faults

    def _open(self, kind: str) -> StoredArray:
        """Return the array ``kind``, opened once: neither it nor its ``zarr.json`` ever changes."""
        expected = self.arrays.get(kind)
        if expected is None:
            raise self._error(kind, f"is not in it; it holds {', '.join(self.arrays)}")
        metadata = f"{kind}/zarr.json"
        try:
            intact = sha256_of(self.storage.read(f"{self.path}/{metadata}")) == self.files[metadata]
            # Damaged metadata are never interpreted.
            array = self.storage.open_array(f"{self.path}/{kind}") if intact else None
        except READ_ERRORS as error:
            raise self._error(kind, f"cannot be opened ({error})") from error
        if array is None:
            raise self._error(kind, "has a zarr.json that is not what was written")
        opened = {"shape": list(array.shape), "dtype": array.dtype}
        if opened != expected:
            raise self._error(kind, f"is {opened}, but {INDEX} says {expected}")
        self._opened[kind] = array
        return array

    def _error(self, kind: str, what: str) -> FeatureStoreError:
        return FeatureStoreError(f"part {self.name}: {kind} {what}; {REPAIR}")


def is_part_name(name: str) -> bool:
    """Return whether something of this name under ``parts/`` is a part."""
    return len(name) == NAME_DIGITS and set(name) <= set("0123456789abcdef")


def part_name(content: bytes) -> str:
    """Return the name of the part whose ``part.json`` is ``content``."""
    return sha256_of(content)[:NAME_DIGITS]
