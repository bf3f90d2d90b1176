"""What a table must look like, said column by column; checked whenever it is written and whenever it is read.

Belongs here: columns, schemas and their check. Does not: which tables there are (each stage says its own), and how a
file is sealed (artefacts.py).

Nothing is coerced, and all faults of a table are told at once. pandera checks; it is slow to load, so only then.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cry_pipeline import artefacts
from cry_pipeline.identity import identity, settled

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

LOG = logging.getLogger("cry_pipeline")
TEXT = "string[pyarrow]"
"""Any of pandas' types of text passes for it."""
FILLED = r"[\s\S]"
"""A text of at least one character."""
TOLD = 5
"""Faults that a message names."""
TABLES_KEPT, BYTES_KEPT = 16, 16 * 2**20
"""Tables that a process keeps as it read them, the manifest and folds, which every experiment and page asks for; and
bytes of the largest file of which it does, some 70,000 rows: in memory a table takes a multiple of them."""
_READ: "dict[tuple[str, Path], tuple[tuple[int, ...] | None, pd.DataFrame]]" = {}
"""By schema and path: what the file was when it was read, and the table, which is never given out itself."""


class TableError(ValueError):
    """A table is not what its schema says; the message names the table, columns and first faults."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its dtype, what it means, and which values it may have."""

    dtype: str
    description: str
    nullable: bool = False
    least: float | None = None
    most: float | None = None
    among: tuple[str, ...] | None = None
    matches: str | None = None
    """A regular expression, from the first character on."""

    def to_pandera(self) -> "pa.Column":
        """Return the same as pandera's column."""
        import pandera.pandas as pa

        checks = []
        if self.least is not None:
            checks.append(pa.Check.ge(self.least))
        if self.most is not None:
            checks.append(pa.Check.le(self.most))
        if self.among is not None:
            checks.append(pa.Check.isin(self.among))
        if self.matches is not None:
            checks.append(pa.Check.str_matches(self.matches))
        return pa.Column(self.dtype, checks, nullable=self.nullable, description=self.description)


def text(
    description: str, *, among: Iterable[str] | None = None, matches: str | None = None, nullable: bool = False
) -> Column:
    """Return a column of text, of the values ``among`` only, or of those that a regular expression ``matches``."""
    values = None if among is None else tuple(among)
    return Column(dtype=TEXT, description=description, among=values, matches=matches, nullable=nullable)


def sha256(description: str, *, nullable: bool = False) -> Column:
    """Return a column of sha256 as 64 hex digits."""
    return text(description, matches=r"^[0-9a-f]{64}$", nullable=nullable)


def integer(description: str, least: int | None = None, *, nullable: bool = False) -> Column:
    """Return a column of int64, or of pandas' Int64 where values may be missing."""
    return Column(dtype="Int64" if nullable else "int64", description=description, least=least, nullable=nullable)


def number(
    description: str, least: float | None = None, most: float | None = None, *, nullable: bool = False
) -> Column:
    """Return a column of float64; NaN counts as missing."""
    return Column(dtype="float64", description=description, least=least, most=most, nullable=nullable)


def flag(description: str, *, nullable: bool = False) -> Column:
    """Return a column of bool, or of pandas' boolean where values may be missing."""
    return Column(dtype="boolean" if nullable else "bool", description=description, nullable=nullable)


def instant(description: str) -> Column:
    """Return a column of instants, in nanoseconds of UTC."""
    return Column(dtype="datetime64[ns, UTC]", description=description)


Rule = Callable[["pd.DataFrame"], "bool | pd.Series[bool]"]


@dataclass(frozen=True)
class Schema:
    """The columns of a table, all of them and in their order; what makes a row the only one; and further rules."""

    name: str
    """What to call such a table, as in "the inventory"."""
    columns: Mapping[str, Column]
    unique: Sequence[str] = ()
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """By a sentence that says what holds: whether it does, of a table or of each of its rows."""

    @cached_property
    def _pandera(self) -> "pa.DataFrameSchema":
        import pandera.pandas as pa

        return pa.DataFrameSchema(
            {name: column.to_pandera() for name, column in self.columns.items()},
            checks=[pa.Check(rule, error=sentence) for sentence, rule in self.rules.items()],
            unique=list(self.unique) or None,
            strict=True,
            ordered=True,
        )

    def conforming(self, table: "pd.DataFrame", where: str = "") -> "pd.DataFrame":
        """Return ``table`` if it is what the schema says.

        Args:
            table: to be checked.
            where: which table it is, for the message; without, the schema's name.

        Raises:
            TableError: it is not.
        """
        from pandera.errors import SchemaErrors

        try:
            return self._pandera.validate(table, lazy=True)
        except SchemaErrors as error:
            faults = error.failure_cases
            first = "; ".join(
                # A fault of the table as a whole has no column.
                f"{f'{fault.column}: ' if isinstance(fault.column, str) else ''}{fault.check} ({fault.failure_case})"
                for fault in faults.head(TOLD).itertuples()
            )
            raise TableError(
                f"{where or self.name} has {len(faults)} faults against its schema, first: {first}"
            ) from error

    def table_of(self, records: Sequence[Mapping[str, Any]], text: str = TEXT) -> "pd.DataFrame":
        """Return ``records`` as a table with the schema's columns, order and dtypes, also where there are none.

        ``text`` is the dtype of its text.
        """
        import pandas as pd

        table = pd.DataFrame(list(records), columns=list(self.columns))
        dtypes = {name: text if column.dtype == TEXT else column.dtype for name, column in self.columns.items()}
        return table.astype(dtypes)

    def write(self, path: Path, table: "pd.DataFrame", digest: str, **inputs: Any) -> None:
        """Check ``table`` and write it; see :func:`cry_pipeline.artefacts.write_table`.

        Raises:
            TableError: it is not what the schema says; nothing is written.
        """
        self.conforming(table)
        artefacts.write_table(path, table, digest, **inputs)

    def read(self, path: Path) -> "pd.DataFrame":
        """Read a table and check it; one that has not changed since this process did so is not read again.

        Raises:
            MissingFileError: there is none at ``path``; a FileNotFoundError.
            DamagedFileError: it is not, byte for byte, what was written.
            TableError: it is not what the schema says.
        """
        seen = _version(path)
        if (known := _READ.pop((self.name, path), None)) is None or known[0] != seen:
            known = seen, self.conforming(artefacts.read_table(path), str(path))
        if seen is not None:
            _READ[self.name, path] = known
            for oldest in list(_READ)[:-TABLES_KEPT]:
                _READ.pop(oldest, None)
        return known[1].copy()

    def current(self, path: Path, digest: str) -> "pd.DataFrame | None":
        """Return the table at ``path`` if it was written under ``digest`` and is what the schema says; else None."""
        table = artefacts.current_table(path, digest)
        if table is None:
            return None
        try:
            return self.conforming(table, str(path))
        except TableError as error:
            LOG.warning("%s: it is made again", error)
            return None


def _version(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file's content does; None where it is not kept: changed just now, large, or none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return identity(status) if settled(status) and status.st_size <= BYTES_KEPT else None
