"""What the commands of `cry-pipeline` share: settings, the catalog, tables, lines, and log lines.

Belongs here: what more than one file of commands needs. Does not: commands, and anything heavy at import.

Names of files, and whatever quotes them, are data: a terminal and Rich must find nothing in them to obey.
"""

import logging
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

from cry_pipeline.quoting import shown

if TYPE_CHECKING:
    from rich.console import Console

    from cry_pipeline.catalog import Catalog
    from cry_pipeline.settings import Settings

WIDE = 100_000
"""Columns of a table that is not written to a terminal: as many as its longest row takes."""
LONG = 32
"""Characters: columns with more are folded where a terminal is too narrow, so that no other is lost."""
FOLDED, BETWEEN = 16, 3
"""Characters that a folded column has at least, and that lie between two columns."""


def settings() -> "Settings":
    """Return the settings that the environment gives."""
    from cry_pipeline.settings import load_settings

    return load_settings()


def catalog(folder: Path | None) -> "Catalog":
    """Return the catalog in ``folder``; the packaged one where it is None."""
    from cry_pipeline.catalog import load_catalog

    return load_catalog(folder)


def print_table(rows: list[dict[str, Any]], title: str | None = None) -> None:
    """Write ``rows`` as a table; the first row names the columns, and its numbers say which are right-aligned.

    Where a terminal is too narrow for that, each row is a block of lines: a number cut short would be another one.
    """
    from rich.cells import cell_len
    from rich.console import Console

    # A pipe or a file has no width to fit.
    title = shown(title) if title else None
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    cells = [{shown(column): shown(str(value)) for column, value in row.items()} for row in rows]
    longest = {column: max(cell_len(text) for text in (column, *(row[column] for row in cells))) for column in cells[0]}
    if sum(width if width <= LONG else FOLDED for width in longest.values()) + BETWEEN * len(longest) > console.width:
        _print_blocks(console, cells, title)
        return
    numbers = {shown(column) for column, value in rows[0].items() if _is_number(value)}
    _print_columns(console, cells, numbers, longest, title)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _print_columns(
    console: "Console", cells: list[dict[str, str]], numbers: set[str], longest: dict[str, int], title: str | None
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, width in longest.items():
        justify = "right" if column in numbers else "left"
        table.add_column(Text(column), justify=justify, no_wrap=width <= LONG, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row.values()))
    console.print(table)


def _print_blocks(console: "Console", cells: list[dict[str, str]], title: str | None) -> None:
    from rich.text import Text

    if title:
        console.print(Text(title, style="bold"))
    for row in cells:
        for column, cell in row.items():
            console.print(Text(f"{column}: ", style="bold").append(cell, style="not bold"), overflow="fold")
        console.print()


def megabytes(size: int) -> str:
    """Return bytes as they are shown in tables."""
    return f"{size / 1e6:.1f} MB"


def say(text: object, *, lines: bool = False, err: bool = False) -> None:
    """Write a line, which may quote what strangers wrote, to stdout, or stderr; or several ``lines``."""
    typer.echo(shown(str(text), lines=lines), err=err)


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write a traceback to stderr, as Python does by itself."""
    say("".join(traceback.format_exception(kind, error, trace)).rstrip(), lines=True, err=True)


def log_to_terminal(level: int = logging.INFO) -> None:
    """Show what the pipeline says from now on, on stderr, one line for each record."""
    log = logging.getLogger("cry_pipeline")
    if not any(isinstance(handler, _TerminalHandler) for handler in log.handlers):
        handler = _TerminalHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
        # First, because Dagster's handler rewrites the record for those that come after it.
        log.handlers.insert(0, handler)
    log.setLevel(level)


class _TerminalHandler(logging.Handler):
    """Writes log lines above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" in sys.modules:  # there may be a bar
            from tqdm import tqdm

            tqdm.write(self.format(record), file=sys.stderr)
        elif sys.stderr is not None:
            sys.stderr.write(self.format(record) + "\n")


def close_output() -> None:
    """Let what is still to be written to stdout go nowhere: whoever read it does so no more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
