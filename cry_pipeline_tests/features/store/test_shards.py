"""The short way to read rows gives what TensorStore gives, and refuses what is not as it was written."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorstore
from hypothesis import HealthCheck, given, settings

from cry_pipeline.features.store.encoding import CHECKED, _encode_array, _regular
from cry_pipeline.features.store.shards import ShardedArray


def written(folder: Path, array: np.ndarray, chunk_rows: int) -> Path:
    """Write ``array`` as parts do, with ``chunk_rows`` rows in a chunk."""
    width = array.shape[1]
    shard = (-(-len(array) // chunk_rows) * chunk_rows, width)
    sharding = {"chunk_shape": (chunk_rows, width), "codecs": CHECKED, "index_codecs": CHECKED}
    about = {
        "data_type": array.dtype.name,
        "chunk_grid": _regular(shard),
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "fill_value": "NaN",
        "dimension_names": ["frame", "bin"],
        "attributes": {},
    }
    for path, content in _encode_array("values", array, about).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    return folder / "values"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_are_those_that_tensorstore_reads(data: st.DataObject, tmp_path: Path) -> None:
    rows, width, chunk = (data.draw(st.integers(1, most)) for most in (40, 5, 12))
    dtype = data.draw(st.sampled_from(["float16", "float32"]))
    array = np.random.default_rng(rows).normal(-50, 10, (rows, width)).astype(dtype)
    folder = written(tmp_path, array, chunk)
    edges = st.tuples(st.integers(0, rows), st.integers(0, rows))
    ranges = [(min(pair), max(pair)) for pair in data.draw(st.lists(edges, max_size=6))]
    opened = tensorstore.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}, read=True
    ).result()
    ours = ShardedArray(folder)
    assert (ours.shape, ours.dtype) == (array.shape, dtype)
    for (start, stop), found in zip(ranges, ours.read(ranges), strict=True):
        theirs = opened[start:stop].read().result()
        assert found.dtype == theirs.dtype
        np.testing.assert_array_equal(found, theirs)


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    folder = written(tmp_path, np.random.default_rng(0).normal(size=(7, 2)).astype("float16"), 3)
    shard = folder / "c.0.0"
    whole = shard.read_bytes()
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(changed)
        with pytest.raises(ValueError, match=r"checksum|is not there"):
            ShardedArray(folder).read([(0, 7)])
    for length in [*range(len(whole)), len(whole) + 1]:
        shard.write_bytes((whole + b"\0")[:length])
        with pytest.raises(ValueError, match="another size"):
            ShardedArray(folder).read([(0, 7)])
    shard.unlink()
    with pytest.raises(FileNotFoundError):
        ShardedArray(folder).read([(0, 7)])


@pytest.mark.parametrize("change", [("crc32c", "crc32"), ("little", "big"), ("[9,2]", "[12,2]"), ("shape", "form")])
def test_array_that_is_laid_out_otherwise_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    metadata = written(tmp_path, np.zeros((7, 2), "float16"), 3) / "zarr.json"
    whole = metadata.read_text()
    assert change[0] in whole
    metadata.write_text(whole.replace(*change))
    with pytest.raises(ValueError, match=r"laid out otherwise|not a sharded array"):
        ShardedArray(metadata.parent)
