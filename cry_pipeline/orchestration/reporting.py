"""How a materialization is told: versions, counts, tables and small plots, the same way for every asset.

Belongs here: domain results -> Dagster metadata, and one line in the log. Does not: computing results.

What quotes a name or an error goes into tables, text and JSON, which Dagster's pages show as they are: Markdown is for
our own pictures, because a name in it could be a link or an image from anywhere.
"""

import base64
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from cry_pipeline.quoting import shown

LOG = logging.getLogger("cry_pipeline")
OWNERS = ["team:cry-pipeline"]
PLOT_BYTES, CELL = 60_000, 500
"""Largest plot, and characters of a table's cell, in an asset's metadata: Dagster's event log is never pruned."""


def materialized(
    key: dg.AssetKey,
    data_version: str,
    *,
    computed: int,
    reused: int,
    rows: pd.DataFrame | None = None,
    plots: Mapping[str, bytes] | None = None,
    **metadata: Any,
) -> dg.MaterializeResult:
    """Say what a materialization did: ``computed=3 reused=882``, in the log and in the metadata.

    Args:
        key: the asset.
        data_version: digest of the content; equal versions leave everything downstream as it is.
        computed: units of work done now (files hashed, recordings transformed, folds trained …).
        reused: units of work found done.
        rows: the table written, for its row count and column schema.
        plots: PNG images by title, each below 60 kB.
        metadata: further entries, by name.
    """
    LOG.info("%s: computed=%d reused=%d", key.to_user_string(), computed, reused)
    entries: dict[str, Any] = {"computed": computed, "reused": reused, **metadata}
    if rows is not None:
        entries["dagster/row_count"] = len(rows)
        entries["dagster/column_schema"] = column_schema(rows)
    for title, png in (plots or {}).items():
        entries[title] = image(png)
    return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(data_version), metadata=entries)


def column_schema(table: pd.DataFrame) -> dg.TableSchema:
    """Return the columns of ``table`` with their dtypes, as Dagster shows them."""
    return dg.TableSchema([dg.TableColumn(str(name), str(dtype)) for name, dtype in table.dtypes.items()])


def table(frame: pd.DataFrame) -> dg.TableMetadataValue:
    """Return ``frame`` as a table in Dagster's metadata; missing values are shown as ``None``."""
    plain = frame.astype(object).where(frame.notna(), None)
    records = [
        dg.TableRecord({str(name): _cell(value) for name, value in row.items()}) for row in plain.to_dict("records")
    ]
    return dg.MetadataValue.table(records, schema=column_schema(frame))


def points(sentences: Iterable[str]) -> dg.TableMetadataValue:
    """Return ``sentences`` as a table in Dagster's metadata, one to a row."""
    return table(pd.DataFrame({"what": list(sentences)}, dtype=object))


def image(png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG as an inline picture; raises ``ValueError`` for one that would bloat the event log."""
    if len(png) > PLOT_BYTES:
        raise ValueError(f"A plot of {len(png)} bytes is too large for an asset's metadata; at most {PLOT_BYTES}.")
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def _cell(value: Any) -> str | int | float | bool | None:
    if isinstance(value, str):
        text = shown(value)
        return text if len(text) <= CELL else f"{text[:CELL]} …"
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    return value.item() if hasattr(value, "item") else str(value)
