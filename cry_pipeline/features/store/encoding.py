"""Rows → the files of a part, in memory: a Zarr v3 group, and the ``part.json`` that names them all.

Belongs here: what the files are, and whether what was written reads back as it was meant. Does not: where they go
(storage.py) and how they are read (parts.py).

TensorStore encodes the arrays of values, ten times faster than zarr-python and to the same bytes; zarr-python the
recordings' names, a data type that TensorStore has not. Values are packed by Blosc, bits of equal weight side by
side: LZ4 then leaves 0.71 of the default set, and costs less to write than it saves in bytes to check and to sync;
Zstandard leaves 0.68 at four times the time.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec, canonical_json
from cry_pipeline.digests import sha256_of
from cry_pipeline.features.kinds import KINDS, feature_set_digest, kept_kinds, parameters, revisions
from cry_pipeline.features.store.parts import FORMAT, Part
from cry_pipeline.features.store.rows import FeatureRows, FeatureStoreError
from cry_pipeline.version import __version__

CHUNK_FRAMES = 256
"""4 s at 16 ms: of a recording picked at random, at most so many frames are unpacked in vain at either end."""
CHUNK_KEYS = {"name": "default", "separator": "."}
"""No folders of one file each, which would have to be synced too."""
LIBRARIES = ("av", "librosa", "numpy", "scipy", "soxr", "tensorstore", "torch", "zarr")
"""What computes and keeps features; a part says which versions made it."""
LITTLE, CRC32C = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
CHECKED = [LITTLE, CRC32C]
LEVELS = {"lz4": 5, "zstd": 3}


def encode(rows: FeatureRows, spec: FeatureSetSpec) -> dict[str, bytes]:
    """Return the files of ``rows``, already checked, by their path in the part; all but ``part.json``."""
    files = _encode_group(rows, spec)
    for name, kind in kept_kinds(spec).items():
        array = rows.arrays[name]
        chunk = (min(CHUNK_FRAMES, len(array)), array.shape[1])
        shard = (-(-len(array) // chunk[0]) * chunk[0], chunk[1])
        codecs = [LITTLE, *_packed(spec.compression, array.dtype), CRC32C]
        metadata = {
            "data_type": array.dtype.name,
            "chunk_grid": _regular(shard),
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {"chunk_shape": chunk, "codecs": codecs, "index_codecs": CHECKED},
                }
            ],
            "fill_value": "NaN",
            "dimension_names": [kind.rows, kind.axis],
            "attributes": kind.attributes(spec) | {"sample_rate_hz": spec.sample_rate_hz},
        }
        files |= _encode_array(name, array, metadata)
    edges = {
        "data_type": "int64",
        "chunk_grid": _regular(rows.offsets.shape),
        "codecs": CHECKED,
        "fill_value": 0,
        "dimension_names": ["recording_edge"],
        "attributes": {},
    }
    return files | _encode_array("offsets", rows.offsets, edges)


@cache
def libraries() -> Mapping[str, str]:
    """Return the versions of this package and of the libraries that compute and keep features."""
    versions = {"cry_pipeline": __version__}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # rows can be copied and kept without what computes them
            versions[name] = version(name)
    return versions


def describe(
    rows: FeatureRows,
    files: dict[str, bytes],
    spec: FeatureSetSpec,
    supersedes: Sequence[str] = (),
    made_by: Sequence[Mapping[str, str]] = (),
) -> bytes:
    """Return the ``part.json`` of ``rows`` and their ``files``.

    ``supersedes`` names the parts that need not be looked at any more, ``made_by`` what computed the rows, if not this
    process.
    """
    index = {
        "format": FORMAT,
        "feature_set": feature_set_digest(spec),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "writer": os.urandom(16).hex(),  # two parts of equal rows are still two parts
        "supersedes": list(supersedes),
        "made_by": list(made_by or [libraries()]),
        # Lists, not pairs: the index of many recordings is read in half the time.
        "recording_ids": list(rows.recording_ids),
        "samples_digests": list(rows.samples_digests),
        "frames": rows.frames.tolist(),
        "arrays": {kind: {"shape": list(a.shape), "dtype": a.dtype.name} for kind, a in rows.arrays.items()},
        "files": {path: sha256_of(content) for path, content in sorted(files.items())},
        "sizes": {path: len(content) for path, content in sorted(files.items())},
    }
    return canonical_json(index).encode()


def check_written(part: Part, rows: FeatureRows, files: dict[str, bytes]) -> None:
    """Read ``part`` from where it was written, and compare it with what was meant: all bytes, and values at both ends.

    Bytes that are as they were hashed say that storage lost nothing. That they stand for ``rows`` is decoded of the
    first and the last recording: an encoder that is at fault is so in each, and to decode all takes as long as to
    encode it.

    Raises:
        FeatureStoreError: it reads back otherwise.
    """
    same = [list(part.rows) == rows.keys, np.array_equal(part.offsets, rows.offsets)]
    same += [part.storage.read(f"{part.path}/{path}") == content for path, content in files.items()]
    for kind, array in rows.arrays.items():
        edges = rows.offsets if KINDS[kind].rows == "frame" else np.arange(len(rows) + 1)
        ends = [(int(edges[place]), int(edges[place + 1])) for place in (0, len(rows) - 1)]
        read = part.read(kind, ends)
        # As bytes: NumPy compares float16 thirty times slower.
        same += [
            np.array_equal(_bytes_of(values), _bytes_of(array[start:stop]))
            for values, (start, stop) in zip(read, ends, strict=True)
        ]
    if not all(same):
        raise FeatureStoreError(f"part {part.name}: what was read back differs from what was written; check the disk")


def _encode_group(rows: FeatureRows, spec: FeatureSetSpec) -> dict[str, bytes]:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    attributes = {
        "feature_set": feature_set_digest(spec),
        "revisions": revisions(spec),
        "sample_rate_hz": spec.sample_rate_hz,
        "parameters": parameters(spec),
        "layout": "recording i has the frames offsets[i] to offsets[i + 1]; frame f of them is centred at"
        " first_frame_s + (f - offsets[i]) * frame_s seconds of it, so that the axis has no origin of its own",
        "first_frame_s": spec.first_frame_s,
        "frame_s": spec.hop_samples / spec.sample_rate_hz,
        "coordinates": "recording_id",  # CF: xarray then shows it as the recordings' names
    }
    memory = MemoryStore()
    group = zarr.create_group(store=memory, zarr_format=3, attributes=attributes)
    names = group.create_array(
        "recording_id",
        shape=(len(rows),),
        dtype=str,
        dimension_names=("recording",),
        compressors=(Crc32cCodec(),),
        config={"write_empty_chunks": True},
        chunk_key_encoding=CHUNK_KEYS,  # type: ignore[arg-type]
    )
    names[:] = np.array(rows.recording_ids, dtype=object)
    return _files_of(memory, default_buffer_prototype())


def _files_of(memory: Any, prototype: Any) -> dict[str, bytes]:
    from zarr.core.sync import sync

    async def read() -> dict[str, bytes]:
        return {path: (await memory.get(path, prototype)).to_bytes() async for path in memory.list()}

    return sync(read())


def _encode_array(name: str, array: np.ndarray, metadata: dict[str, Any]) -> dict[str, bytes]:
    import tensorstore

    context = tensorstore.Context()  # each has a memory of its own
    opened = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "memory", "path": f"{name}/"},
            "metadata": metadata
            | {
                "shape": array.shape,
                "chunk_key_encoding": {"name": CHUNK_KEYS["name"], "configuration": {"separator": "."}},
            },
            "store_data_equal_to_fill_value": True,
        },
        create=True,
        context=context,
    ).result()
    opened.write(array).result()
    memory = tensorstore.KvStore.open({"driver": "memory"}, context=context).result()
    return {key.decode(): memory.read(key).result().value for key in memory.list().result()}


def _packed(compression: str, dtype: np.dtype) -> list[dict[str, Any]]:
    if compression == "none":
        return []
    about = {"cname": compression, "clevel": LEVELS[compression], "shuffle": "bitshuffle", "typesize": dtype.itemsize}
    return [{"name": "blosc", "configuration": about | {"blocksize": 0}}]


def _regular(shape: Sequence[int]) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": shape}}


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint8)
