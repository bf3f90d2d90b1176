"""What the corpus' tables must look like; nothing is coerced, and all faults of a table are told at once.

Belongs here: pandera schemas (import this module where it is needed: pandera is slow to load). Does not:
making the tables (sources.py, manifest.py).
"""

from pathlib import Path
from typing import get_args

import pandas as pd
import pandera.pandas as pa

from cry_pipeline import artefacts
from cry_pipeline.catalog.specs import Source
from cry_pipeline.corpus.filenames import AGE_BANDS, GENDERS, REASONS
from cry_pipeline.corpus.quality import FLOOR_DBFS
from cry_pipeline.corpus.refusals import REFUSALS

_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class TableError(ValueError):
    """A table is not what its schema says; the message names the table, columns and first faults."""


def _text(description: str, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    return pa.Column(str, list(checks), nullable=nullable, description=description)


def _integer(description: str, least: int) -> pa.Column:
    return pa.Column("int64", pa.Check.ge(least), description=description)


def _number(description: str, least: float, most: float) -> pa.Column:
    return pa.Column("float64", pa.Check.in_range(least, most), description=description)


def _sha256(description: str, nullable: bool = False) -> pa.Column:
    return _text(description, pa.Check.str_matches(r"^[0-9a-f]{64}$"), nullable=nullable)


_FILE = {
    "source": _text("where it comes from", pa.Check.isin(get_args(Source))),
    "processing": _text("raw upload or the curators' cleaned copy", pa.Check.isin(["raw", "cleaned"])),
    "root": _text("folder that path is relative to", pa.Check.isin(["corpus", "inbox"])),
    "path": _text("POSIX path of the file", pa.Check.str_length(min_value=1)),
    "bytes": _integer("size of the file", 0),
}

INVENTORY = pa.DataFrameSchema(
    {
        **{name: _FILE[name] for name in ("root", "path", "source", "processing", "bytes")},
        "sha256": _sha256("sha256 of the file's bytes; none where they were not read", nullable=True),
        "sidecar": _text("POSIX path of the sidecar beside an inbox file", nullable=True),
        "sidecar_sha256": _sha256("sha256 of the sidecar's bytes", nullable=True),
        "refused": _text("why it was not read, in one word", pa.Check.isin(REFUSALS), nullable=True),
        "detail": _text("why it was not read, in a sentence", nullable=True),
    },
    unique=["root", "path"],
    strict=True,
    ordered=True,
)

QUARANTINE = pa.DataFrameSchema(
    {
        **{name: _FILE[name] for name in ("root", "path", "source", "bytes")},
        "sha256": _sha256("sha256 of the file's bytes; none where they were not read", nullable=True),
        "reason": _text("why it was refused, in one word", pa.Check.isin(REFUSALS)),
        "detail": _text("why it was refused, in a sentence", pa.Check.str_length(min_value=1)),
    },
    unique=["root", "path"],
    strict=True,
    ordered=True,
)


def _same_donation(recordings: pd.DataFrame) -> "pd.Series[bool]":
    epoch_ms = recordings["recorded_at"].dt.as_unit("ms").astype("int64").astype(str)
    return recordings["donation_id"] == recordings["donor"] + ":" + epoch_ms


def _same_duration(recordings: pd.DataFrame) -> "pd.Series[bool]":
    return recordings["duration_s"] == recordings["samples"] / recordings["sample_rate_hz"]


RECORDINGS = pa.DataFrameSchema(
    {
        "recording_id": _sha256("sha256 of the file's bytes"),
        "donation_id": _text("donor and epoch in ms; an upload and its cleaned copy share it"),
        "donor": _text("app-instance UUID: an install, not a baby", pa.Check.str_matches(_UUID)),
        **_FILE,
        "folder_label": _text("folder of a cleaned file: the curators' label", nullable=True),
        "recorded_at": pa.Column("datetime64[ns, UTC]", description="when the app recorded it"),
        "platform": _text("app that recorded it", pa.Check.isin(["android", "ios"])),
        "app_version": _text("version of the app", nullable=True),
        "gender": _text("of the baby", pa.Check.isin(list(GENDERS.values())), nullable=True),
        "age_band": _text("of the baby", pa.Check.isin(list(AGE_BANDS.values())), nullable=True),
        "reason_code": _text("the parents' guess, coded", pa.Check.isin(list(REASONS))),
        "reason": _text("the parents' guess", pa.Check.isin(list(REASONS.values()))),
        "kept": pa.Column("boolean", nullable=True, description="whether the curators kept the upload as a cry"),
        "duration_s": _number("length", 0, float("inf")),
        "sample_rate_hz": _integer("of the file", 1),
        "samples": _integer("decoded, per channel", 1),
        "samples_digest": _sha256("sha256 of the decoded mono samples, float32, at the file's own rate"),
        "codec": _text("libav's name of the decoder"),
        "channels": _integer("of the file", 1),
        "peak": _number("max |x|, full scale is 1", 0, 1),
        "rms_dbfs": _number("10·log10(mean(x²))", FLOOR_DBFS, 0),
        "clipped_fraction": _number("share of samples at full scale", 0, 1),
        "silent_fraction": _number("share of 20 ms frames below -50 dBFS", 0, 1),
        "voiced_fraction": _number("share of 40 ms frames with a pitch of 200-800 Hz; a heuristic", 0, 1),
    },
    checks=[
        pa.Check(_same_donation, error="donation_id is donor and epoch in ms"),
        pa.Check(_same_duration, error="duration_s is samples / sample_rate_hz"),
    ],
    unique=["recording_id"],
    strict=True,
    ordered=True,
)


def conforming(table: pd.DataFrame, schema: pa.DataFrameSchema, where: str) -> pd.DataFrame:
    """Return ``table`` if it is what ``schema`` says.

    Raises:
        TableError: it is not; ``where`` says which table, for the message.
    """
    try:
        return schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        faults = error.failure_cases
        first = "; ".join(
            f"{fault.column}: {fault.check} ({fault.failure_case})" for fault in faults.head(5).itertuples()
        )
        raise TableError(f"{where} has {len(faults)} faults against its schema, first: {first}") from error


def read_table(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a Parquet table and validate it.

    Raises:
        FileNotFoundError: there is none at ``path``.
        DamagedFileError: it is not, byte for byte, what was written.
        TableError: it is not what ``schema`` says.
    """
    return conforming(artefacts.read_table(path), schema, str(path))


def with_types(records: list[dict[str, object]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return ``records`` as a table with the columns, order and dtypes of ``schema``, also where there are none."""
    table = pd.DataFrame(records, columns=list(schema.columns))
    return table.astype({name: str(column.dtype) for name, column in schema.columns.items()})
