"""Whether the parts of a deployment are there and fit together; of each fault what to do.

Belongs here: looking at database, tables, code server, daemon, clock, disk. Does not: mending them, what every
installation has (command/doctor.py), nor what monitors ask the site (serving/health.py).
"""

import shutil
import time
from collections.abc import Callable

import dagster as dg
import sqlalchemy as sa

from cry_pipeline.orchestration import database
from cry_pipeline.orchestration.daemon import heartbeats
from cry_pipeline.orchestration.instance import InstanceError, open_instance
from cry_pipeline.orchestration.lock import BusyError
from cry_pipeline.settings import Settings

CODE_PORT = 4266
SILENT_S = 300.0
"""A part of the daemon that was not heard of for so long does not work; each says so every half minute."""
CLOCK_S = 5.0
"""How far the clocks of this host and the database may be apart: times of events and of runs are compared."""
LEAST_FREE_GB, LEAST_FREE_SHARE = 5.0, 0.05


class FaultError(RuntimeError):
    """What is wrong, and what to do."""


def _database(settings: Settings) -> str:
    url = settings.database_url or ""
    try:
        with database.connected(url) as connection:
            return f"{database.shown(url)}, PostgreSQL {database.version(connection)}"
    except database.DatabaseError as error:
        raise FaultError(str(error)) from error


def _opened(settings: Settings) -> dg.DagsterInstance:
    try:
        return open_instance(settings)
    except (database.DatabaseError, InstanceError) as error:
        raise FaultError(str(error)) from error


def _tables(settings: Settings) -> str:
    with _opened(settings) as instance:
        if behind := database.behind(instance):
            raise FaultError(f"{', '.join(behind)}: call `cry-pipeline deploy prepare` while the services are stopped")
    return f"as Dagster {dg.__version__} makes them"


def _code_server(settings: Settings) -> str:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import ListRepositoriesResponse
    from dagster._serdes import deserialize_value
    from dagster_shared.error import SerializableErrorInfo
    from dagster_shared.serdes.errors import DeserializationError

    where = f"{settings.code_server_host}:{CODE_PORT}"
    client = DagsterGrpcClient(host=settings.code_server_host, port=CODE_PORT)
    try:
        answer = deserialize_value(client.list_repositories())
    except DagsterUserCodeUnreachableError as error:
        raise FaultError(
            f"nobody answers at {where}: see that the service code-server runs, and what it said; "
            "CRY_PIPELINE_CODE_SERVER_HOST names its host"
        ) from error
    except DeserializationError as error:
        raise FaultError(f"{where} runs another version: install the same on both, and start it anew") from error
    if isinstance(answer, SerializableErrorInfo):
        raise FaultError(f"{where} cannot load the code ({answer.message.strip()}): mend that, and start it anew")
    assert isinstance(answer, ListRepositoriesResponse)  # noqa: S101 - there is no other answer
    theirs = (answer.dagster_library_versions or {}).get("dagster")
    if theirs != dg.__version__:
        raise FaultError(f"{where} runs Dagster {theirs}, and this is {dg.__version__}: start it anew")
    return f"{where} has loaded the code, with Dagster {theirs}"


def _daemon(settings: Settings) -> str:
    with _opened(settings) as instance:
        heard = heartbeats(instance)
    silent = sorted(name for name, seconds in heard.items() if seconds > SILENT_S)
    if silent:
        raise FaultError(
            f"not heard of for {SILENT_S / 60:.0f} minutes: {', '.join(silent)}; see that the service daemon runs, and "
            "what it said. Nothing that is asked for is done without it"
        )
    try:
        with database.held(settings.database_url or ""):
            raise FaultError(
                f"none holds the database's lock, the last was heard of {max(heard.values()):.0f} s ago: see that the "
                "service daemon runs, and that it is `cry-pipeline deploy daemon`"
            )
    except BusyError:
        return f"one works, last heard of {max(heard.values()):.0f} s ago"


def _clock(settings: Settings) -> str:
    with database.connected(settings.database_url or "") as connection:
        before = time.time()
        there = float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        apart = there - (before + time.time()) / 2
    if abs(apart) > CLOCK_S:
        raise FaultError(f"the database's clock is {apart:+.0f} s from this one: let both follow a time server")
    return f"{abs(apart):.1f} s from the database's"


def _disk(settings: Settings) -> str:
    folder = next(place for place in (settings.data, *settings.data.parents) if place.exists())
    usage = shutil.disk_usage(folder)
    said = f"{usage.free / 1e9:,.1f} GB of {usage.total / 1e9:,.1f} GB are free"
    if usage.free < min(LEAST_FREE_GB * 1e9, LEAST_FREE_SHARE * usage.total):
        raise FaultError(f"{said}: make room; `cry-pipeline maintain` lists what nobody needs")
    return said


LOOKS: dict[str, Callable[[Settings], str]] = {
    "database": _database,
    "tables": _tables,
    "code server": _code_server,
    "daemon": _daemon,
    "clock": _clock,
    "disk": _disk,
}
