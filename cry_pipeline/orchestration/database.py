"""The PostgreSQL that a deployment's records are in: whether it answers, its tables, and its lock for one daemon.

Belongs here: talking to the server about itself. Does not: what Dagster keeps there (instance.py), nor what of it is
removed (dagster_home.py) or masked (forgetting.py).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from cry_pipeline.orchestration.lock import BusyError, Process

LOG = logging.getLogger("cry_pipeline")
LEAST_VERSION = 15
DAEMON_LOCK = 0x6372795F70697065
"""Number of the advisory lock that the one daemon of a database holds: "cry_pipe"."""
CONNECTING_S, SILENCE_S = 10, 15
"""How long connecting may take, and how long a server or a client may be silent before the other gives it up."""
UNREACHABLE = ("could not connect", "connection to server", "server closed the connection", "too many retries for DB")
"""What libpq, and Dagster above it, say of a server that does not answer."""


class DatabaseError(RuntimeError):
    """The database cannot be used; the message says which, why, and what to do."""


def shown(url: str) -> str:
    """Return the address of a database without its password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return "the database of CRY_PIPELINE_DATABASE_URL"
    return f"the database {found.database} on {found.host or 'this machine'}"


def check_installed() -> None:
    """Raise DatabaseError where what talks to PostgreSQL is not installed."""
    if find_spec("dagster_postgres") is None:
        raise DatabaseError("CRY_PIPELINE_DATABASE_URL needs dagster-postgres: pip install 'cry-pipeline[deploy]'")


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """Give a connection of one's own, each statement a transaction.

    Raises:
        DatabaseError: the server does not answer, or does not let this user in.
    """
    check_installed()
    keepalives = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2}
    asked = {"connect_timeout": CONNECTING_S, "tcp_user_timeout": SILENCE_S * 1000, **keepalives}
    try:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool, connect_args=asked)
        connection = engine.connect()
    except (SQLAlchemyError, ValueError) as error:
        raise DatabaseError(
            f"{shown(url)} does not let this process in ({_first_line(error)}): see that it runs, and that "
            "CRY_PIPELINE_DATABASE_URL and PGPASSWORD are right"
        ) from error
    try:
        yield connection
    finally:
        # Of a connection that is lost, closing tells so once more.
        with suppress(SQLAlchemyError):
            connection.close()
        engine.dispose()


def _first_line(error: BaseException) -> str:
    said = getattr(error, "orig", None) or error
    return str(said).strip().partition("\n")[0] or type(error).__name__


def version(connection: sa.Connection) -> str:
    """Return the server's version; raises DatabaseError where it is too old."""
    number, text = connection.execute(
        sa.text("SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version')")
    ).one()
    if number < LEAST_VERSION:
        raise DatabaseError(f"PostgreSQL {text} is too old: use {LEAST_VERSION} or newer")
    return text


def behind(instance: dg.DagsterInstance) -> list[str]:
    """Return which of Dagster's storages have tables of another version than this Dagster makes; none in most cases."""
    from dagster._core.storage.sql import AlembicVersion  # what alembic_version() returns

    storages = {
        "runs": instance.run_storage,
        "events": instance.event_log_storage,
        "schedules": instance.schedule_storage,
    }
    found = []
    for name, storage in storages.items():
        state: AlembicVersion | None = storage.alembic_version() if storage is not None else None
        if state is not None and state[0] != state[1]:
            found.append(f"{name} ({state[0]}, not {state[1]})")
    return found


@contextmanager
def held(url: str) -> Iterator[sa.Connection]:
    """Hold the lock of the one daemon for as long as the given connection lives.

    The server frees it when that ends, also when nothing is heard of this host for half a minute.

    Raises:
        BusyError: another daemon holds it; the message says which.
        DatabaseError: the database cannot be reached.
    """
    this = Process.this()
    with connected(url) as connection:
        name = f"cry_pipeline daemon {this.pid} on {this.host}"[:63]
        connection.execute(sa.text("SELECT set_config('application_name', :name, false)"), {"name": name})
        for setting, value in (("idle", 5), ("interval", 5), ("count", 3)):
            connection.execute(sa.text(f"SET tcp_keepalives_{setting} = {value}"))
        if not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": DAEMON_LOCK}).scalar_one():
            raise BusyError(
                f"Another daemon works on {shown(url)}: {_holder(connection)}. There may be one: end it, or leave the "
                "work to it."
            )
        yield connection


def _holder(connection: sa.Connection) -> str:
    asked = sa.text(
        "SELECT application_name, host(client_addr), to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') "
        "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
        "AND classid = CAST(:key >> 32 AS oid) AND objid = CAST(:key & 4294967295 AS oid)"
    )
    found = connection.execute(asked, {"key": DAEMON_LOCK}).first()
    if found is None:
        return "it has just ended, or begun"
    where = f" ({found[1]})" if found[1] else ""
    return f"{found[0]}{where}, since {found[2]}"


def is_held(connection: sa.Connection) -> bool:
    """Return whether the connection, and with it the lock, is still there."""
    try:
        connection.execute(sa.text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True
