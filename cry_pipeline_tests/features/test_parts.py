import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.rows import FeatureStoreError
from cry_pipeline.features.store import FeatureStore


def test_part_of_another_feature_set_is_refused(store: FeatureStore, make_rows) -> None:
    part = store.write(make_rows(a=3))
    other = FeatureStore.open(store.root.parent, store.spec.model_copy(update={"floor_db": -80.0}))
    shutil.copytree(store.root / "parts" / part, other.root / "parts" / part)
    with pytest.raises(FeatureStoreError, match="is of the feature set"):
        other.recording_ids()


def test_what_reads_back_differently_is_not_committed(
    store: FeatureStore, make_rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    setitem = zarr.Array.__setitem__

    def flip(array: zarr.Array, where, values) -> None:
        setitem(array, where, values * np.float16(2) if array.name.endswith("mel") else values)

    monkeypatch.setattr(zarr.Array, "__setitem__", flip)
    with pytest.raises(FeatureStoreError, match="read back differs"):
        store.write(make_rows(a=3))
    assert store.recording_ids() == set()


def test_part_is_plain_zarr_for_other_readers(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=2000)
    folder = store.root / "parts" / store.write(rows)
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
        assert inner["chunk_shape"] == [1024 if about.rows == "frame" else 2, rows.arrays[kind].shape[1]]
        assert [codec["name"] for codec in inner["codecs"]] == ["bytes", "crc32c"]
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
    folder = store.root / "parts" / store.write(make_rows(a=3))
    name = _rewrite_part_json(folder, lambda index: index["arrays"]["mel"].update({key: value}))
    with pytest.raises(FeatureStoreError, match=f"part {name}: mel is .* but part.json says"):
        store.read(["a"], ["mel"])
    store.read(["a"], ["mfcc"])


def test_value_that_is_not_a_number_is_refused_though_its_checksum_is_right(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    array = zarr.open_array(str(store.root / "parts" / name / "mel"), mode="r+")
    array[1, 1] = np.nan
    with pytest.raises(FeatureStoreError, match=re.escape(f"part {name}: mel holds values that are not finite")):
        store.read(["a"], ["mel"])


def test_missing_chunk_is_said_to_be_missing(store: FeatureStore, make_rows) -> None:
    name = store.write(make_rows(a=3))
    (store.root / "parts" / name / "mel" / "c.0.0").unlink()
    with pytest.raises(FeatureStoreError, match=rf"part {name}: mel cannot be read \(NOT_FOUND"):
        store.read(["a"], ["mel"])
