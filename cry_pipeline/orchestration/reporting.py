"""How a materialization is told: versions, counts, tables and small plots, the same way for every asset.

Belongs here: domain results -> Dagster metadata, and one line in the log. Does not: computing results.

What quotes a name or an error goes into tables, text and JSON, which Dagster's pages show as they are: Markdown is for
our own pictures, because a name in it could be a link or an image from anywhere.
"""

import base64
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.quoting import shown
from cry_pipeline.tables import Schema

LOG = logging.getLogger("cry_pipeline")
OWNERS = ["team:cry-pipeline"]
DIGITS = 4
"""Significant digits of numbers."""
PLOT_BYTES, CELL = 60_000, 500
"""Largest plot, and characters of a table's cell, in an asset's metadata: Dagster's event log is never pruned."""


def materialized(
    context: dg.AssetExecutionContext,
    data_version: str,
    *,
    computed: int,
    reused: int,
    key: dg.AssetKey | None = None,
    rows: pd.DataFrame | None = None,
    schema: Schema | None = None,
    lies_in: Path | None = None,
    plots: Mapping[str, bytes] | None = None,
    **metadata: Any,
) -> dg.MaterializeResult:
    """Say what there is now and what was done: ``computed=3 reused=882``, in the log and in the metadata.

    Args:
        context: of the step that makes the asset.
        data_version: digest of the content; equal versions leave everything downstream as it is.
        computed: units of work done now (files hashed, recordings transformed, folds trained …).
        reused: units of work found done.
        key: the asset, where the step makes more than one.
        rows: the table written, for its row count and column schema.
        schema: of that table: it says what the columns mean.
        lies_in: file or folder that the asset is, for its size.
        plots: PNG images by title, each below 60 kB.
        metadata: further entries, by name, in the order in which people are to read them; numbers are rounded.
    """
    key = key or context.asset_key
    LOG.info("%s: computed=%d reused=%d", key.to_user_string(), computed, reused)
    entries: dict[str, Any] = {name: rounded(value) for name, value in metadata.items()}
    if lies_in is not None:
        entries["size_mb"] = rounded(_bytes(lies_in) / 1e6)
    entries |= {"computed": computed, "reused": reused, "duration_s": rounded(_seconds(context))}
    if rows is not None:
        entries["dagster/row_count"] = len(rows)
        entries["dagster/column_schema"] = column_schema(rows, schema)
    for title, png in (plots or {}).items():
        entries[title] = image(png)
    return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(data_version), metadata=entries)


def site_page(name: str, workspace: Workspace) -> dg.UrlMetadataValue:
    """Return where people open the page of experiment ``name``."""
    return page_url(f"experiments/{name}.html", workspace)


def page_url(page: str, workspace: Workspace) -> dg.UrlMetadataValue:
    """Return where people open a page of the site, by its path in the folder of reports."""
    return dg.MetadataValue.url(f"{workspace.settings.site_address}/{page}")


def rounded(value: Any) -> Any:
    """Return a number with as many digits as people read; anything else, and what is whole, as it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _seconds(context: dg.AssetExecutionContext) -> float:
    """Return how long the step has taken until now; 0 of one that is called by hand."""
    stats = context.instance.get_run_step_stats(context.run.run_id, [str(context.op_execution_context.op_handle)])
    began = stats[0].start_time if stats else None
    return max(0.0, time.time() - began) if began else 0.0


def _bytes(place: Path) -> int:
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def column_schema(table: pd.DataFrame, schema: Schema | None = None) -> dg.TableSchema:
    """Return the columns of ``table`` with their dtypes, and what ``schema`` says of them, as Dagster shows them."""
    known = schema.columns if schema else {}
    return dg.TableSchema(
        [
            dg.TableColumn(name, str(dtype), description=known[name].description if name in known else None)
            for name, dtype in zip(map(str, table.columns), table.dtypes, strict=True)
        ]
    )


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
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, (int, float, bool)) or value is None:
        return rounded(value)
    return str(value)
