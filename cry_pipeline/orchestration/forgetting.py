"""What Dagster has on record of withdrawn recordings → masked: events, ticks, run tags, logs of steps and of the UI.

Belongs here: Dagster's databases, of SQLite or another, and the files of its home. Does not: all else (donations/).

The records stay: only what tells is written over, by as many other characters, so that JSON stays JSON and an open log
can be gone on with. A database of SQLite then gives its freed pages back, which would still tell.
"""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError

from cry_pipeline.donations.byte_search import SQLITE, Finder, Hit, found_in, search_file, search_folder
from cry_pipeline.donations.traces import Traces
from cry_pipeline.donations.withdrawn_files import Item
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

BESIDE_DATABASE = re.compile(r"(?<=\.db)-(wal|shm|journal)\Z")
BUSY_S = 30.0
"""How long another process may take to write a database."""
AT_A_TIME = 500
"""Rows read at once: an event with pictures has some tens of kB."""
Connect = Callable[[], AbstractContextManager["Connection"]]


class BusyRecordsError(RuntimeError):
    """A database is being written by another process, so that it keeps what it freed; the message says what to do."""


@contextmanager
def records_of(settings: Settings) -> "Iterator[DagsterRecords | NoRecords]":
    """Give the records of the installation's instance; where there is no instance, none is made."""
    if not settings.dagster_home.is_dir():
        yield NoRecords()
        return
    with open_instance(settings) as instance:
        yield DagsterRecords(instance, settings.dagster_home)


class NoRecords:
    """What an installation has on record in which Dagster never ran."""

    def forget(self, traces: Traces, *, change: bool) -> Iterator[Item]:
        """Yield nothing."""
        return iter(())

    def search(self, find: Finder) -> Iterator[Hit]:
        """Yield nothing."""
        return iter(())


class DagsterRecords:
    """The records of one instance; see :class:`cry_pipeline.donations.withdrawal.Records`."""

    def __init__(self, instance: dg.DagsterInstance, home: Path) -> None:
        self._instance, self._home = instance, home

    def forget(self, traces: Traces, *, change: bool) -> Iterator[Item]:
        """Yield which records tell of ``traces``; with ``change`` they do so no more.

        Raises:
            BusyRecordsError: somebody else writes a database: stop the daemon and the UI first.
        """
        found = (hit.place for hit in search_folder(self._home, traces.find))
        for path in sorted({Path(BESIDE_DATABASE.sub("", place)) for place in found}):
            yield self._file_forgets(path, traces, change)
        for name, engine in self._elsewhere():
            count = _mask(_in_transactions(engine), traces, change)
            if count and change:
                _write_anew(engine)
            if count:
                yield Item(name, f"{count} texts masked")

    def search(self, find: Finder) -> Iterator[Hit]:
        """Yield what is found in databases that are no files of Dagster's home."""
        for name, engine in self._elsewhere():
            with _in_transactions(engine)() as connection:
                for table, _, values in _texts(connection):
                    for what in {what for text in values.values() for what in found_in(_bytes(text), find)}:
                        yield Hit(f"{name}: {table.name}", what)

    def _elsewhere(self) -> Iterator[tuple[str, sa.Engine]]:
        """Yield the databases of a server, by what they keep."""
        storages = {
            "Dagster's runs": self._instance.run_storage,
            "Dagster's events": self._instance.event_log_storage,
            "Dagster's schedules": self._instance.schedule_storage,
        }
        engines: dict[str, Any] = {}
        for name, storage in storages.items():
            engine = getattr(storage, "_engine", None)
            if isinstance(engine, sa.Engine) and engine.dialect.name != "sqlite":
                engines.setdefault(str(engine.url), (name, engine))  # of one server there is one database
        yield from engines.values()

    def _file_forgets(self, path: Path, traces: Traces, change: bool) -> Item:
        place = f"dagster_home/{path.relative_to(self._home).as_posix()}"
        if path.is_dir() or traces.find(os.fsencode(path.name)):
            return Item(place, "left: its name tells")
        with path.open("rb") as file:
            is_database = file.read(len(SQLITE)) == SQLITE
        if is_database:
            count = _mask(lambda: _sqlite(path), traces, change)
            if change:
                _give_back(path)
            return Item(place, f"{count} texts masked")
        if change:
            _mask_file(path, traces)
        return Item(place, "masked")


def _in_transactions(engine: sa.Engine) -> Connect:
    """Return how to connect: Dagster's engines commit each statement, and rows cannot be read some at a time then."""
    return engine.execution_options(isolation_level="SERIALIZABLE").begin


def _write_anew(engine: sa.Engine) -> None:
    """Let PostgreSQL write its tables anew: masked rows lie beside those of before until it does."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect() as connection:
        connection.execute(sa.text(f"SET lock_timeout = '{BUSY_S:.0f}s'"))
        try:
            for table in sa.inspect(connection).get_table_names():
                connection.execute(sa.text(f"VACUUM FULL {connection.dialect.identifier_preparer.quote(table)}"))
            connection.execute(sa.text("CHECKPOINT"))
        except OperationalError as error:
            raise BusyRecordsError(
                f"Dagster's tables are in use ({error.orig}), and keep what was masked until they are written anew: "
                "stop the services of the deployment, and withdraw again"
            ) from error
        except ProgrammingError as error:
            # A checkpoint is for superusers, or members of pg_checkpoint; it comes by itself within minutes.
            if "checkpoint" not in str(error).lower():
                raise


def _mask(connect: Connect, traces: Traces, change: bool) -> int:
    """Write every text of a database that tells over; return how many there are."""
    count = 0
    with connect() as connection:
        for table, row, values in list(_telling(connection, traces)):
            count += len(values)
            if change:
                masked = {name: _masked(text, traces) for name, text in values.items()}
                connection.execute(table.update().where(row).values(masked))
    return count


def _telling(connection: "Connection", traces: Traces) -> Iterator[tuple[sa.Table, Any, dict[str, Any]]]:
    for table, row, values in _texts(connection):
        telling = {name: text for name, text in values.items() if found_in(_bytes(text), traces.find)}
        if telling:
            yield table, row, telling


def _texts(connection: "Connection") -> Iterator[tuple[sa.Table, Any, dict[str, Any]]]:
    """Yield of each row its table, what selects it, and its texts and blobs by column."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        by = list(table.primary_key.columns) or list(table.columns)
        # Of the statement: a connection would keep the option, and declare a cursor for what is written, too.
        rows = connection.execute(sa.select(table).execution_options(yield_per=AT_A_TIME))
        for found in rows.mappings():
            values = {name: value for name, value in found.items() if isinstance(value, str | bytes)}
            if values:
                yield table, sa.and_(*(column == found[column.name] for column in by)), values


def _masked(text: str | bytes, traces: Traces) -> str | bytes:
    masked = traces.masked(_bytes(text))
    return masked if isinstance(text, bytes) else masked.decode("utf-8", "surrogatepass")


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


@contextmanager
def _sqlite(path: Path) -> "Iterator[Connection]":
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _give_back(path: Path) -> None:
    """Write the log of changes into the database, and the database anew without what it freed."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S)) as database:
            database.execute("VACUUM")
            (busy, *_), *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        busy = str(error)
    if busy:
        raise BusyRecordsError(
            f"{path} is being written by another process ({busy}), and keeps what it freed until that ends: stop "
            "`cry-pipeline ui` and the daemon, and withdraw again"
        )


def _mask_file(path: Path, traces: Traces) -> None:
    """Write over what tells in a file, in place: whoever appends to it goes on."""
    with path.open("r+b") as file:
        content = file.read()
        masked = traces.masked(content)
        for start in range(0, len(content), 1 << 12):
            if content[start : start + (1 << 12)] != masked[start : start + (1 << 12)]:
                file.seek(start)
                file.write(masked[start : start + (1 << 12)])
        file.flush()
        os.fsync(file.fileno())
    if search_file(path, traces.find):
        path.unlink()  # encoded or compressed: nothing can be written over
