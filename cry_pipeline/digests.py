"""Digests: the keys under which work is cached, versioned and traced, and what a table holds, to the last bit.

Belongs here: the one canonical form of JSON types and of tables, and the one hash. Does not: what goes into a stage's
digest (keys.py), and files (artefacts.py).

A table's bytes are our own, so that no release of pandas, NumPy or pyarrow changes a digest: each piece has its length
before it, a column is its name, its type and its values, a number its IEEE or two's complement bytes, little-endian.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import pandas as pd

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TEXT, MISSING = b"text", b"missing"
ROWS_AT_ONCE = 20_000
WIDEST_FLOAT = 8
"""Bytes; wider ones are not the same on every machine."""


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        # A catalog's entry says itself what of it counts, see catalog/base.py.
        return getattr(value, "parts", None) or value.model_dump(mode="json")
    raise TypeError(f"a digest cannot take in a {type(value).__name__}: convert it to JSON types first")


def sha256_of(content: bytes | memoryview) -> str:
    """Return the sha256 of bytes, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, as 64 hex digits; it may be larger than the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces; NaN and infinities raise ``ValueError``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def digest(**parts: Any) -> str:
    """Return the sha256, as 64 hex digits, of the canonical JSON of the named ``parts``.

    By convention the parts are ``spec``, ``inputs`` (digests of what was read) and ``revision`` (of the
    implementation, raised when a change of code changes results).
    """
    return sha256_of(canonical_json(parts).encode())


def rows_digest(table: "pd.DataFrame") -> str:
    """Return ``digest(columns=…, rows=…)`` of a table's columns and rows, None where a value is missing.

    Rows are taken some at a time: as Python's objects a million of them take gigabytes.
    """
    whole = hashlib.sha256(f'{{"columns":{canonical_json(list(table.columns))},"rows":['.encode())
    for start in range(0, len(table), ROWS_AT_ONCE):
        part = table.iloc[start : start + ROWS_AT_ONCE]
        rows = part.astype(object).where(part.notna(), None).to_numpy().tolist()
        whole.update(("," * bool(start) + canonical_json(rows)[1:-1]).encode())
    whole.update(b"]}")
    return whole.hexdigest()


def table_digest(table: "pd.DataFrame") -> str:
    """Return the sha256, as 64 hex digits, of a table's column names, types and values, in the order they are in.

    Equal are only equal bits: −0.0 is not 0.0, NaN is not None, int32 is not int64, an instant in one time zone is not
    the same instant in another. Not told apart are ways to keep the same: text as Python's objects or in Arrow's memory
    (what is missing of it is None), the unit that instants are counted in, and NaNs among themselves. The index does
    not count.

    Raises:
        TypeError: a column holds what has no canonical bytes, a Python object of any other class for instance.
    """
    whole = hashlib.sha256(b"table 1")
    whole.update(_framed([str(len(table)).encode(), str(table.shape[1]).encode()]))
    for position, name in enumerate(table.columns):
        try:
            kind, values = _column(table.iloc[:, position])
            whole.update(_framed([_value(name), kind.encode(), values]))
        except TypeError as error:
            raise TypeError(f"Column {name!r} has no digest: {error}.") from None
    return whole.hexdigest()


def _column(column: "pd.Series") -> tuple[str, bytes]:
    """Return what kind of values a column holds, and their bytes."""
    import numpy as np
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _framed([_value(value) for value in dtype.categories.tolist()])
        codes = column.cat.codes.to_numpy(np.int64)
        return f"category, ordered: {bool(dtype.ordered)}", _framed([categories, codes.astype("<i8").tobytes()])
    if isinstance(dtype, pd.DatetimeTZDtype) or (isinstance(dtype, np.dtype) and dtype.kind in "mM"):
        zone = getattr(dtype, "tz", None)
        return f"{'time' if dtype.kind == 'M' else 'span'} {zone or ''}".strip(), _instants(column)
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf" and dtype.itemsize <= WIDEST_FLOAT:
        values = column.to_numpy()
        if dtype.kind == "f":
            values = np.where(np.isnan(values), np.asarray(np.nan, dtype), values)
        return dtype.name, values.astype(dtype.newbyteorder("<")).tobytes()
    if isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow":
        return "values", _framed_texts(column)
    if isinstance(dtype, pd.StringDtype):
        pairs = zip(column.tolist(), column.isna(), strict=True)
        return "values", _framed(MISSING if absent else _value(text) for text, absent in pairs)
    if pd.api.types.is_object_dtype(dtype):
        return "values", _framed(_value(value) for value in column.tolist())
    if isinstance(dtype, np.dtype):
        raise TypeError(f"{dtype} is not the same on every machine, or nothing to compare by its bits")
    return str(dtype), _framed(_value(value) for value in column.astype(object).tolist())


def _framed_texts(column: "pd.Series") -> bytes:
    """Return what ``_framed`` makes of the values of text in Arrow's memory, without an object for each."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker sees them
    texts = pa.chunked_array(column.array.__arrow_array__()).combine_chunks().cast(pa.large_binary())
    absent = texts.is_null()
    lengths = pc.fill_null(pc.binary_length(texts), len(MISSING) - len(TEXT)).to_numpy(zero_copy_only=False)
    heads = pa.py_buffer((lengths.astype("<i8") + len(TEXT)).tobytes())
    framed = pc.binary_join_element_wise(
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(texts), [None, heads]).cast(pa.large_binary()),
        pc.if_else(absent, MISSING[: len(TEXT)], TEXT).cast(pa.large_binary()),
        pc.fill_null(texts, MISSING[len(TEXT) :]),
        pa.scalar(b"", pa.large_binary()),
    )
    _, edges, values = framed.buffers()
    end = int(np.frombuffer(edges, np.int64)[len(texts)]) if len(texts) else 0
    return values[:end].to_pybytes() if end else b""


def _instants(column: "pd.Series") -> bytes:
    """Return whole seconds (NaT: the least int64) and the nanoseconds behind them, whatever unit they are kept in."""
    import numpy as np
    import pandas as pd

    dtype = column.dtype
    unit = dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(str(dtype))[0]
    counts = column.to_numpy(f"{dtype.kind}8[{unit}]").view(np.int64)
    seconds, rest = np.divmod(counts, 10**9 // NANOSECONDS[unit])
    absent = column.isna().to_numpy()
    seconds, nanoseconds = np.where(absent, np.iinfo(np.int64).min, seconds), np.where(absent, 0, rest)
    return np.stack([seconds, nanoseconds * NANOSECONDS[unit]], axis=1).astype("<i8").tobytes()


def _value(value: Any) -> bytes:
    """Return the bytes of one value, with its type."""
    import numpy as np
    import pandas as pd

    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist() if not isinstance(value, np.datetime64 | np.timedelta64) else pd.Series([value])[0]
    if value is None or value is pd.NA:
        return MISSING
    match value:
        case str():
            # A file's name may hold bytes that are no UTF-8.
            return TEXT + value.encode("utf-8", "surrogatepass")
        case bool():
            return b"true" if value else b"false"
        case int() | Decimal():
            return f"{type(value).__name__} {value}".encode()
        case float():
            return b"float" + np.float64(np.nan if value != value else value).astype("<f8").tobytes()
        case bytes():
            return b"bytes" + value
        case _:
            return _other(value)


def _other(value: Any) -> bytes:
    """Return the bytes of a moment, or of values in a list or a dictionary."""
    import pandas as pd

    if value is pd.NaT:
        return b"no time"
    if isinstance(value, datetime | timedelta):
        column = pd.Series([value])
        return b"time" + str(getattr(column.dtype, "tz", "")).encode() + _instants(column)
    if isinstance(value, date):
        return b"date " + value.isoformat().encode()
    if isinstance(value, list | tuple):
        return b"list" + _framed(_value(item) for item in value)
    if isinstance(value, dict):
        pairs = sorted((_value(key), _value(item)) for key, item in value.items())
        return b"pairs" + _framed(part for pair in pairs for part in pair)
    raise TypeError(f"it holds a {type(value).__name__}")


def _framed(pieces: Iterable[bytes]) -> bytes:
    """Return the pieces behind each other, each behind its length: no two lists of pieces give the same bytes."""

    def parts() -> Iterator[bytes]:
        for piece in pieces:
            yield len(piece).to_bytes(8, "little")
            yield piece

    return b"".join(parts())
