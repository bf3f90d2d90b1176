"""Equal digests are equal tables to the last bit, whatever library keeps them in which way."""

import hashlib
import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cry_pipeline.digests import table_digest

NAN, OTHER_NAN = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
BERLIN = pd.Timestamp("2015-05-01 12:00", tz="Europe/Berlin")


def _of(values: Any, dtype: Any = None, name: str = "x") -> str:
    return table_digest(pd.DataFrame({name: pd.Series(values, dtype=dtype)}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_of([1.0, np.nan]), _of([1.0, None], object)),
        (_of([np.nan], object), _of([None], object)),
        (_of([None], object), _of([pd.NaT], object)),
        (_of([0.1 + 0.2]), _of([0.3])),  # differ in the 17th digit
        (_of([0.0]), _of([-0.0])),
        (_of([1]), _of([1.0])),
        (_of([1], "int32"), _of([1], "int64")),
        (_of([1], "int64"), _of([1], "Int64")),
        (_of([1], object), _of([True], object)),
        (_of([1], object), _of([1.0], object)),
        (_of(["1"]), _of([1], object)),
        (_of(["nan"]), _of([None], "str")),
        (_of([BERLIN]), _of([BERLIN.tz_convert("UTC")])),
        (_of([BERLIN]), _of([BERLIN.tz_localize(None)])),
        (_of([BERLIN]), _of([BERLIN + pd.Timedelta(1, "ns")])),
        (_of(["ab", "c"]), _of(["a", "bc"])),
        (_of(["a"]), _of(["a"], name="y")),
        (_of(["a", "b"]), _of(["b", "a"])),
        (_of(["a"]), _of(["a"], pd.CategoricalDtype(["a", "b"]))),
        (_of(["a"], pd.CategoricalDtype(["b", "a"])), _of(["a"], pd.CategoricalDtype(["a", "b"]))),
        (_of([["a", "b"]], object), _of([["ab"]], object)),
        (_of([date(2015, 5, 1)], object), _of(["2015-05-01"], object)),
        (_of([Decimal("1.0")], object), _of([Decimal("1.00")], object)),
    ],
)
def test_what_differs_has_another_digest(one: str, other: str) -> None:
    assert one != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_of(["ä", None], object), _of(["ä", None], "str")),
        (_of(["ä", None], pd.StringDtype("python")), _of(["ä", None], pd.StringDtype("pyarrow", na_value=np.nan))),
        (_of([NAN]), _of([OTHER_NAN])),
        (_of([BERLIN.as_unit("s")]), _of([BERLIN.as_unit("ns")])),
        (_of([pd.Timestamp("2015-05-01", tz="UTC")]), _of([pd.Timestamp(datetime(2015, 5, 1, tzinfo=UTC))])),
        (_of([pd.NaT], "datetime64[us, UTC]"), _of([pd.NaT], "datetime64[s, UTC]")),
        (_of([np.float64(1.5), np.int64(2)], object), _of([1.5, 2], object)),
        (_of([np.array(["a", "b"])], object), _of([["a", "b"]], object)),
        (_of([{"b": 1, "a": 2}], object), _of([{"a": 2, "b": 1}], object)),
    ],
)
def test_what_is_kept_in_another_way_has_the_same(one: str, other: str) -> None:
    assert one == other


def test_the_bytes_are_those_of_the_docstring() -> None:
    def framed(*pieces: bytes) -> bytes:
        return b"".join(len(piece).to_bytes(8, "little") + piece for piece in pieces)

    written = b"table 1" + framed(b"2", b"2")
    written += framed(b"textid", b"values", framed(b"texta", b"missing"))
    written += framed(b"textv", b"float32", bytes.fromhex("0000c03f 0000c07f"))
    table = pd.DataFrame({"id": ["a", None], "v": np.array([1.5, np.nan], np.float32)}, index=[7, 8])
    assert table_digest(table) == hashlib.sha256(written).hexdigest()


def test_an_object_without_canonical_bytes_is_refused_with_its_column() -> None:
    with pytest.raises(TypeError, match="Column 'x' has no digest: it holds a object"):
        _of([object()], object)
    with pytest.raises(TypeError, match="Column 'x' has no digest: complex128"):
        _of([1j])


_CELLS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "str": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    "datetime64[us, UTC]": st.none() | st.datetimes(timezones=st.just(UTC)),
    "datetime64[us]": st.none() | st.datetimes(),
    "timedelta64[us]": st.none() | st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6)),
}


@given(st.data(), st.lists(st.sampled_from(sorted(_CELLS)), min_size=1, max_size=4), st.integers(0, 5))
def test_a_table_read_back_from_parquet_has_the_digest_it_was_written_with(
    data: st.DataObject, dtypes: list[str], rows: int
) -> None:
    table = pd.DataFrame(
        {
            f"{number}": pd.Series(data.draw(st.lists(_CELLS[dtype], min_size=rows, max_size=rows)), dtype=dtype)
            for number, dtype in enumerate(dtypes)
        }
    )
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    assert table_digest(pd.read_parquet(io.BytesIO(file.getvalue()))) == table_digest(table)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5), st.data())
def test_one_bit_of_one_number_changes_the_digest(values: list[float], data: st.DataObject) -> None:
    before = np.array(values)
    flipped = before.view(np.uint64).copy()
    flipped[data.draw(st.integers(0, len(values) - 1))] ^= np.uint64(1)
    if not np.isnan(flipped.view(np.float64)).any():
        assert _of(flipped.view(np.float64)) != _of(before)


def test_a_fixed_offset_is_a_time_zone() -> None:
    east = datetime(2015, 5, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    assert _of([pd.Timestamp(east)]) != _of([pd.Timestamp(east).tz_convert("UTC")])
