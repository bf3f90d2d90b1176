"""What the commands of `cry-pipeline` share: settings, the catalog, tables, lines, and log lines.

Belongs here: what more than one file of commands needs. Does not: commands, and anything heavy at import.

Names of files, and whatever quotes them, are data: a terminal and Rich must find nothing in them to obey.
"""

import logging
import os
import sys
import traceback
from collections.abc import Container, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from cry_pipeline.quoting import shown

if TYPE_CHECKING:
    from rich.console import Console

    from cry_pipeline.catalog import Catalog
    from cry_pipeline.settings import Settings

T = TypeVar("T")

WIDE = 100_000
"""Columns of a table that is not written to a terminal: as many as its longest row takes."""
LONG = 32
"""Characters: columns with more are folded where a terminal is too narrow, so that no other is lost."""
FOLDED, BETWEEN = 24, 2
"""Characters that a folded column has at least, and that lie between two columns."""


def settings(*, refresh: bool = True) -> "Settings":
    """Return the settings that the environment gives; of a data root in a bucket, bring the data folder up to it."""
    from cry_pipeline.settings import load_settings

    where = load_settings()
    if refresh and where.data_root is not None:
        from cry_pipeline.orchestration.writing import refreshed

        refreshed(where)
    return where


def share(where: "Settings", *folders: str) -> None:
    """Let the data root, if it lies in a bucket, have what a command wrote below ``folders`` without the lock."""
    if where.data_root is not None:
        from cry_pipeline.orchestration.writing import shared

        shared(where, folders)


def catalog(folder: Path | None) -> "Catalog":
    """Return the catalog in ``folder``; the packaged one where it is None."""
    from cry_pipeline.catalog import load_catalog

    return load_catalog(folder)


def named(name: str, known: Mapping[str, T], what: str) -> T:
    """Return the entry ``name`` of a section of the catalog; ``what`` says of which kind it is.

    Raises:
        ValueError: there is none; the message says which there are, and which is meant.
    """
    if name in known:
        return known[name]
    nearest = get_close_matches(name, known, n=1)
    meant = f" (is {nearest[0]} meant?)" if nearest else ""
    raise ValueError(f"no {what} {name!r}{meant}; the catalog has {', '.join(sorted(known))}")


def feature_set_names() -> list[str]:
    """Return what a shell may complete the name of a feature set to."""
    return sorted(catalog(settings(refresh=False).catalog).feature_sets)


def print_table(
    rows: list[dict[str, Any]], title: str | None = None, *, spare: Sequence[str] = (), folded: Sequence[str] = ()
) -> None:
    """Write one table; see :func:`print_tables`."""
    print_tables({title: rows}, spare=spare, folded=folded)


def print_tables(
    tables: Mapping[str | None, list[dict[str, Any]]], *, spare: Sequence[str] = (), folded: Sequence[str] = ()
) -> None:
    """Write tables; the first row of each names its columns, and its numbers say which are right-aligned.

    Nothing is cut short, as a number cut short would be another one. Where a terminal is too narrow, long texts are
    folded, columns that can be spared are left out and named, and if that does not help, each row is a block of lines.

    Args:
        tables: rows, which are cells by column, by what stands above them.
        spare: columns that may be left out, the first of them first.
        folded: columns that may be folded between words, though they are short; other short ones never are.
    """
    from rich.console import Console

    # A pipe or a file has no width to fit.
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    left_out: dict[str, None] = {}
    for number, (title, rows) in enumerate(tables.items()):
        if number:
            console.print()
        cells = [{shown(column): shown(str(value)) for column, value in row.items()} for row in rows]
        heading = shown(title) if title else None
        least, long = _widths(cells, folded)
        for column in spare:
            if _needed(least) > console.width:
                left_out[column] = None
                del least[column]
        if _needed(least) > console.width:
            _print_blocks(console, cells, heading)
            continue
        numbers = {shown(column) for column, value in rows[0].items() if _is_number(value)}
        _print_columns(console, cells, least, numbers, {*long, *folded}, heading)
    if left_out:
        say(f"Not shown in {console.width} columns: {', '.join(left_out)}. A pipe gets them all.")


def _widths(cells: list[dict[str, str]], folded: Sequence[str]) -> tuple[dict[str, int], set[str]]:
    """Return how many characters each column needs at least, and which columns are long."""
    from rich.cells import cell_len

    texts = {column: [column, *(row[column] for row in cells)] for column in cells[0]}
    longest = {column: max(map(cell_len, column_texts)) for column, column_texts in texts.items()}
    least = {column: width if width <= LONG else FOLDED for column, width in longest.items()}
    for column in folded:
        least[column] = min(least[column], max(cell_len(word) for text in texts[column] for word in text.split()))
    return least, {column for column, width in longest.items() if width > LONG}


def _needed(least: Mapping[str, int]) -> int:
    return sum(least.values()) + BETWEEN * (len(least) - 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _print_columns(
    console: "Console",
    cells: list[dict[str, str]],
    least: Mapping[str, int],
    numbers: Container[str],
    may_fold: Container[str],
    title: str | None,
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, style="bold not italic") if title else None
    table = Table(title=heading, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.pad_edge, table.show_edge, table.collapse_padding = False, False, True
    for column, width in least.items():
        justify, folds = "right" if column in numbers else "left", column in may_fold
        table.add_column(Text(column), justify=justify, no_wrap=not folds, overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*(Text(row[column]) for column in least))
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
