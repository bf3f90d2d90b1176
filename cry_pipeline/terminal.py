"""What the commands of `cry-pipeline` share: settings, the catalog, tables.

Belongs here: what more than one file of commands needs. Does not: commands, and anything heavy at import.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cry_pipeline.catalog import Catalog
    from cry_pipeline.settings import Settings

WIDE = 100_000
"""Columns of a table that is not written to a terminal: as many as its longest row takes."""
LONG = 32
"""Characters: columns with more are folded where a terminal is too narrow, so that no other is lost."""


def settings() -> "Settings":
    """Return the settings that the environment gives."""
    from cry_pipeline.settings import load_settings

    return load_settings()


def catalog(folder: Path | None) -> "Catalog":
    """Return the catalog in ``folder``; the packaged one where it is None."""
    from cry_pipeline.catalog import load_catalog

    return load_catalog(folder)


def print_table(rows: list[dict[str, Any]], title: str | None = None) -> None:
    """Write ``rows`` as a table; the first row names the columns, and its numbers say which are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, value in rows[0].items():
        longest = max(len(str(row[column])) for row in rows)
        justify = "right" if isinstance(value, (int, float)) else "left"
        table.add_column(column, justify=justify, no_wrap=longest <= LONG, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    # A pipe or a file has no width to fit.
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def megabytes(size: int) -> str:
    """Return bytes as they are shown in tables."""
    return f"{size / 1e6:.1f} MB"
