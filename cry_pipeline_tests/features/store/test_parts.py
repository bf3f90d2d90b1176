import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import MemoryStore

from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.store import folder_storage
from cry_pipeline.features.store.checking import set_aside_damaged
from cry_pipeline.features.store.encoding import LEVELS, encode
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import assert_holds, damage, folder_of
from cry_pipeline_tests.stated import Stated


def test_part_of_another_feature_set_is_refused(store: FeatureStore, make_rows) -> None:
    part = store.write(make_rows(a=3))
    other = FeatureStore.open(folder_of(store).parent, store.spec.model_copy(update={"floor_db": -80.0})).of(Stated())
    shutil.copytree(folder_of(store) / "parts" / part, folder_of(other) / "parts" / part)
    with pytest.raises(FeatureStoreError, match="is of the feature set"):
        other.recording_ids()


@pytest.mark.parametrize("file", ["mel/c.0.0", "mel/zarr.json", "recording_id/c.0", "zarr.json", "part.json"])
def test_what_reads_back_differently_is_not_committed(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write = folder_storage._write_files

    def flip(folder: Path, files: dict[str, bytes]) -> None:
        changed = bytes([files[file][0] ^ 1]) + files[file][1:]
        write(folder, files | {file: changed})

    monkeypatch.setattr(folder_storage, "_write_files", flip)
    with pytest.raises(FeatureStoreError):
        store.write(make_rows(a=3))
    assert store.recording_ids() == set()
    assert list((folder_of(store) / "tmp").iterdir()) == []


@pytest.mark.parametrize("wrong", [slice(0, 1), slice(-1, None)])
def test_values_that_were_encoded_wrongly_are_not_committed(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch, wrong: slice
) -> None:
    rows, other = make_rows(a=3, b=700, c=2), make_rows(a=3, b=700, c=2)
    other.arrays["mel"][wrong] += 1
    monkeypatch.setattr("cry_pipeline.features.store.store.encode", lambda _, spec: encode(other, spec))
    with pytest.raises(FeatureStoreError, match="read back differs"):
        store.write(rows)
    assert store.recording_ids() == set()


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
def test_arrays_are_encoded_as_zarr_itself_would(store: FeatureStore, make_rows, compression: str) -> None:
    rows = make_rows(a=3, b=2000)
    files, theirs = encode(rows, store.spec.model_copy(update={"compression": compression})), MemoryStore()
    group = zarr.create_group(store=theirs, zarr_format=3)
    for kind, about in kinds_of(store.spec).items():
        array, chunk = rows.arrays[kind], min(256, len(rows.arrays[kind]))
        packed = (
            BloscCodec(
                cname=compression,  # type: ignore[arg-type]
                clevel=LEVELS[compression],
                shuffle="bitshuffle",
                typesize=array.itemsize,
                blocksize=0,
            )
            if compression != "none"
            else None
        )
        written = group.create_array(
            kind,
            shape=array.shape,
            dtype=array.dtype,
            chunks=(chunk, array.shape[1]),
            shards=(-(-len(array) // chunk) * chunk, array.shape[1]),
            compressors=(*([packed] if packed else []), Crc32cCodec()),
            fill_value=np.nan,
            config={"write_empty_chunks": True},
            chunk_key_encoding={"name": "default", "separator": "."},  # type: ignore[arg-type]
            dimension_names=(about.rows, about.axis),
            attributes=about.attributes(store.spec) | {"sample_rate_hz": store.spec.sample_rate_hz},
        )
        written[:] = array
        assert theirs._store_dict[f"{kind}/c.0.0"].to_bytes() == files[f"{kind}/c.0.0"]
        ours = ArrayV3Metadata.from_dict(json.loads(files[f"{kind}/zarr.json"]))
        assert ours.to_dict() | {"fill_value": "NaN"} == written.metadata.to_dict() | {"fill_value": "NaN"}


def test_parts_packed_in_several_ways_lie_side_by_side(store: FeatureStore, make_rows) -> None:
    written = {"lz4": make_rows(0, a=300), "zstd": make_rows(1, b=4), "none": make_rows(2, c=5)}
    for compression, rows in written.items():
        other = FeatureStore.open(folder_of(store).parent, store.spec.model_copy(update={"compression": compression}))
        assert other.digest == store.digest
        other.write(rows)
    for rows in written.values():
        assert_holds(store, rows)


def test_damage_after_an_array_was_opened_is_told(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=4)
    name = store.write(rows)
    store.read(["a"], ["mel"])
    damage(store, name)
    with pytest.raises(FeatureStoreError, match=f"part {name}: mel cannot be read"):
        store.read(["a"], ["mel"])


def test_part_is_plain_zarr_for_other_readers(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=2000)
    folder = folder_of(store) / "parts" / store.write(rows)
    group = zarr.open_group(str(folder), mode="r")
    assert group.attrs["parameters"]["n_fft"] == store.spec.n_fft  # type: ignore[index, call-overload]
    assert group.attrs["sample_rate_hz"] == 8000
    np.testing.assert_array_equal(group["offsets"][:], rows.offsets)  # type: ignore[index]
    assert group["recording_id"][:].tolist() == ["a", "b"]  # type: ignore[index, union-attr]
    for kind, about in kinds_of(store.spec).items():
        metadata = json.loads((folder / kind / "zarr.json").read_text())
        assert metadata["dimension_names"] == [about.rows, about.axis]
        assert metadata["fill_value"] == "NaN"
        inner = metadata["codecs"][0]["configuration"]
        assert inner["chunk_shape"] == [256 if about.rows == "frame" else 2, rows.arrays[kind].shape[1]]
        assert [codec["name"] for codec in inner["codecs"]] == ["bytes", "blosc", "crc32c"]
        opened = tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder / kind}/"}}
        ).result()
        np.testing.assert_array_equal(opened.read().result(), rows.arrays[kind])
    attributes = group["mel"].attrs.asdict()
    assert attributes["units"] == "dB re full-scale sine"
    assert attributes["frame_s"] == 32 / 8000
    assert len(group["statistics"].attrs["names"]) == rows.arrays["statistics"].shape[1]  # type: ignore[arg-type]


def _rewrite_part_json(folder: Path, change) -> str:
    """Rewrite ``part.json`` as if the part had been written that way, under the name that then is its own."""
    index = json.loads((folder / "part.json").read_text())
    change(index)
    content = json.dumps(index).encode()
    (folder / "part.json").write_bytes(content)
    name = hashlib.sha256(content).hexdigest()[: len(folder.name)]
    folder.rename(folder.with_name(name))
    return name


@pytest.mark.parametrize(("key", "value"), [("dtype", "float32"), ("shape", [3, 9])])
def test_array_that_differs_from_part_json_is_refused(store: FeatureStore, make_rows, key: str, value) -> None:
    folder = folder_of(store) / "parts" / store.write(make_rows(a=3))
    name = _rewrite_part_json(folder, lambda index: index["arrays"]["mel"].update({key: value}))
    with pytest.raises(FeatureStoreError, match=f"part {name}: mel is .* but part.json says"):
        store.read(["a"], ["mel"])
    store.read(["a"], ["mfcc"])


def test_part_that_something_else_wrote_is_said_and_set_aside(store: FeatureStore, make_rows) -> None:
    folder = folder_of(store) / "parts" / store.write(make_rows(a=3))
    name = _rewrite_part_json(folder, lambda index: index.pop("frames"))
    with pytest.raises(FeatureStoreError, match=f"part {name}: part.json is none of ours"):
        store.read(["a"], ["mel"])
    assert list(set_aside_damaged(store)) == [name]


def test_value_that_is_not_a_number_is_refused_though_its_checksum_is_right(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    array = zarr.open_array(str(folder_of(store) / "parts" / name / "mel"), mode="r+")
    array[1, 1] = np.nan
    with pytest.raises(FeatureStoreError, match=re.escape(f"part {name}: mel holds values that are not finite")):
        store.read(["a"], ["mel"])


def test_missing_chunk_is_said_to_be_missing(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    (folder_of(store) / "parts" / name / "mel" / "c.0.0").unlink()
    with pytest.raises(FeatureStoreError, match=rf"part {name}: mel cannot be read \(NOT_FOUND"):
        store.read(["a"], ["mel"])
