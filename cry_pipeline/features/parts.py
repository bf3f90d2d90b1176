"""One part of the store: an immutable, checksummed Zarr v3 group that holds some recordings' features.

Belongs here: a part's files and ``part.json``, and strict reading of them. Does not: which parts there are, and
when one becomes visible (store.py).

zarr-python writes, TensorStore reads: a cohort's arrays come 4 times faster (28.6 MB in 0.03 s, not 0.10 s).
Nothing is compressed: zstd (level 1) saves 26 % of the spectrogram, which 32 recordings picked at random pay with
twice the time (8.8 ms, not 4.5 ms).
"""

import errno
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec, canonical_json
from cry_pipeline.features.files import files_below, sha256
from cry_pipeline.features.kinds import REVISION, feature_set_digest, kinds_of, parameters
from cry_pipeline.features.rows import FeatureRows, FeatureStoreError, all_finite

INDEX = "part.json"
FORMAT = 1
CHUNK_FRAMES = 1024
NAME_DIGITS = 32
READ_ERRORS = (ValueError, RuntimeError, LookupError, OSError)
"""What TensorStore and the file system raise."""
REPAIR = "`cry-pipeline store verify` sets bad parts aside; then materialize the feature set again"
DAMAGE = frozenset({errno.ENOENT, errno.EIO, errno.EISDIR, errno.ENOTDIR})
"""Errors of a file that is lost or cannot be read by anyone; others, as of too few descriptors, are of the reader."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part that can be read: what its ``part.json`` says, checked against the part's name."""

    folder: Path
    name: str
    """The first digits of the sha256 of ``part.json``: no bit of it can change unnoticed."""
    recording_ids: tuple[str, ...]
    offsets: np.ndarray
    """Where each recording's frames begin, int64 [recordings + 1]."""
    arrays: dict[str, dict[str, Any]]
    """Shape and dtype by array."""
    files: dict[str, str]
    """sha256 of every other file of the part, by its path in the part."""
    written_at: datetime
    supersedes: tuple[str, ...] = ()
    """The parts whose rows are all in this one too."""

    @cached_property
    def rows(self) -> dict[str, int]:
        """In which row each recording lies."""
        return {recording: row for row, recording in enumerate(self.recording_ids)}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, uncompressed."""
        return sum(math.prod(about["shape"]) * np.dtype(about["dtype"]).itemsize for about in self.arrays.values())

    @classmethod
    def load(cls, folder: Path, name: str, feature_set: str) -> "Part":
        """Read the ``part.json`` of the part ``name`` in ``folder``.

        Raises:
            FeatureStoreError: it is missing, is not what was written, or is of another feature set.
            OSError: it cannot be read here and now, which says nothing about the part.
        """
        try:
            content = (folder / INDEX).read_bytes()
        except OSError as error:
            if error.errno not in DAMAGE:
                raise
            raise FeatureStoreError(f"part {name}: {INDEX} cannot be read ({error}); {REPAIR}") from error
        if _name(content) != name:
            raise FeatureStoreError(f"part {name}: {INDEX} is not what was written; {REPAIR}")
        index = json.loads(content)
        if index["feature_set"] != feature_set:
            raise FeatureStoreError(
                f"part {name}: is of the feature set {index['feature_set']}, not of {feature_set}; {REPAIR}"
            )
        ids, frames = zip(*index["recordings"], strict=True)
        offsets = np.concatenate([[0], np.cumsum(frames)]).astype(np.int64)
        written_at = datetime.fromisoformat(index["written_at"])
        supersedes = tuple(index.get("supersedes", ()))  # parts written before there were compactions have none
        return cls(folder, name, ids, offsets, index["arrays"], index["files"], written_at, supersedes)

    def read(self, kind: str, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows ``start`` to ``stop`` of the array ``kind`` for each of ``ranges``, as [rows, width].

        Raises:
            FeatureStoreError: a file or chunk is missing, a checksum fails, shape or dtype differ from
                ``part.json``, or a value is not finite.
        """
        array = self._open(kind)
        reads = [array[start:stop].read() for start, stop in ranges]
        try:
            values = [np.asarray(read.result()) for read in reads]
        except READ_ERRORS as error:
            raise self._error(kind, f"cannot be read ({error})") from error
        if not all(all_finite(value) for value in values):
            raise self._error(kind, "holds values that are not finite")
        return values

    def faults(self) -> list[str]:
        """Return what is wrong with the part's files, as sentences: none where every byte is as it was written.

        Raises:
            OSError: a file cannot be read here and now, which says nothing about the part.
        """
        faults = []
        for path, expected in self.files.items():
            try:
                if sha256(self.folder / path) != expected:
                    faults.append(f"{path} is not what was written")
            except OSError as error:
                if error.errno not in DAMAGE:
                    raise
                faults.append(f"{path} cannot be read ({error})")
        return faults

    def _open(self, kind: str) -> Any:
        import tensorstore

        expected = self.arrays.get(kind)
        if expected is None:
            raise self._error(kind, f"is not in it; it holds {', '.join(self.arrays)}")
        metadata = self.folder / kind / "zarr.json"
        try:
            intact = sha256(metadata) == self.files[f"{kind}/zarr.json"]
            array = tensorstore.open(
                {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": f"{metadata.parent.resolve()}/"},
                    # By default a missing chunk reads as the fill value.
                    "fill_missing_data_reads": False,
                },
                read=True,
            ).result()
        except READ_ERRORS as error:
            raise self._error(kind, f"cannot be opened ({error})") from error
        if not intact:
            raise self._error(kind, "has a zarr.json that is not what was written")
        found = {"shape": list(array.shape), "dtype": array.dtype.name}
        if found != expected:
            raise self._error(kind, f"is {found}, but {INDEX} says {expected}")
        return array

    def _error(self, kind: str, what: str) -> FeatureStoreError:
        return FeatureStoreError(f"part {self.name}: {kind} {what}; {REPAIR}")


def write_part(folder: Path, rows: FeatureRows, spec: FeatureSetSpec, supersedes: Sequence[str] = ()) -> Part:
    """Write ``rows``, already checked, as the files of a part into the new ``folder``; read all back and compare.

    ``supersedes`` names the parts whose rows are all among ``rows``.

    Raises:
        FeatureStoreError: what is read back differs from what was written.
    """
    _write_zarr(folder, rows, spec)
    index = {
        "format": FORMAT,
        "feature_set": feature_set_digest(spec),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "writer": os.urandom(16).hex(),  # two parts of equal rows are still two parts
        "supersedes": list(supersedes),
        "recordings": [[name, int(frames)] for name, frames in zip(rows.recording_ids, rows.frames, strict=True)],
        "arrays": {kind: {"shape": list(a.shape), "dtype": a.dtype.name} for kind, a in rows.arrays.items()},
        "files": {path.as_posix(): sha256(folder / path) for path in files_below(folder)},
    }
    content = canonical_json(index).encode()
    (folder / INDEX).write_bytes(content)
    part = Part.load(folder, _name(content), index["feature_set"])
    _compare(part, rows)
    return part


def is_part_name(name: str) -> bool:
    """Return whether a folder of this name is a part."""
    return len(name) == NAME_DIGITS and set(name) <= set("0123456789abcdef")


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:NAME_DIGITS]


def _write_zarr(folder: Path, rows: FeatureRows, spec: FeatureSetSpec) -> None:
    import zarr

    attributes = {
        "feature_set": feature_set_digest(spec),
        "revision": REVISION,
        "sample_rate_hz": spec.sample_rate_hz,
        "parameters": parameters(spec),
        "layout": "recording i has the frames offsets[i] to offsets[i + 1]; frame f of them is centred at"
        " first_frame_s + (f - offsets[i]) * frame_s seconds of it, so that the axis has no origin of its own",
        "first_frame_s": spec.first_frame_s,
        "frame_s": spec.hop_samples / spec.sample_rate_hz,
        "coordinates": "recording_id",  # CF: xarray then shows it as the recordings' names
    }
    group = zarr.create_group(store=str(folder), zarr_format=3, attributes=attributes)
    for name, kind in kinds_of(spec).items():
        array, width = rows.arrays[name], rows.arrays[name].shape[1]
        chunk = min(CHUNK_FRAMES, len(array))
        written = _create(
            group,
            name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=(chunk, width),
            shards=(-(-len(array) // chunk) * chunk, width),
            fill_value=np.nan,
            dimension_names=(kind.rows, kind.axis),
            attributes=kind.attributes(spec) | {"sample_rate_hz": spec.sample_rate_hz},
        )
        written[:] = array
    edges = _create(group, "offsets", shape=rows.offsets.shape, dtype="int64", dimension_names=("recording_edge",))
    edges[:] = rows.offsets
    ids = _create(group, "recording_id", shape=(len(rows),), dtype=str, dimension_names=("recording",))
    ids[:] = np.array(rows.recording_ids, dtype=object)


def _create(group: Any, name: str, **kwargs: Any) -> Any:
    from zarr.codecs import Crc32cCodec

    return group.create_array(
        name,
        compressors=(Crc32cCodec(),),
        config={"write_empty_chunks": True},
        chunk_key_encoding={"name": "default", "separator": "."},  # no folders of one file each, to be synced too
        **kwargs,
    )


def _compare(part: Part, rows: FeatureRows) -> None:
    import zarr

    group = zarr.open_group(str(part.folder), mode="r", zarr_format=3)
    read = {kind: part.read(kind, [(0, len(array))])[0] for kind, array in rows.arrays.items()}
    same = [np.array_equal(read[kind], array) for kind, array in rows.arrays.items()]
    same += [np.array_equal(np.asarray(group["offsets"]), rows.offsets), np.array_equal(part.offsets, rows.offsets)]
    same += [tuple(np.asarray(group["recording_id"])) == rows.recording_ids == part.recording_ids]
    if not all(same):
        raise FeatureStoreError(
            f"part {part.name}: what was read back differs from what was written; is the disk sound?"
        )
