"""The one daemon of a deployment: Dagster's, while this process holds the database's lock.

Belongs here: when the daemon may work, and preparing what it works with. Does not: the lock (database.py), keeping a
process running (supervisor.py), nor what the daemon does.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from cry_pipeline.orchestration import database
from cry_pipeline.orchestration.instance import DEPLOY, open_instance, signs_of_life
from cry_pipeline.orchestration.lock import hold, remove_signs_of_life
from cry_pipeline.orchestration.supervisor import Service, Supervisor
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")
WORKSPACE = DEPLOY / "workspace.yaml"
LOCK = ".daemon.lock"
LOOK_S = 1.0
"""How often it is seen whether the lock is still held."""
GRACE_S = 5.0
"""After the lock was taken: whoever lost it, with the connection, has noticed by then and ended its daemon."""
AGAIN_S = 5.0
"""After the database was lost: how long until it is asked again."""


def prepare(settings: Settings) -> list[str]:
    """Write dagster.yaml, and make or migrate Dagster's tables; say what was done.

    Runs whose process has died are for the daemon to notice, once the code server is there to launch them again.

    Raises:
        InstanceError, DatabaseError: dagster.yaml or the database cannot be used.
    """
    done = []
    with open_instance(settings) as instance:
        if settings.database_url is not None:
            with database.connected(settings.database_url) as connection:
                done.append(f"PostgreSQL {database.version(connection)}")
        if database.behind(instance):
            instance.upgrade()
            done.append("Dagster's tables were migrated")
        remove_signs_of_life(signs_of_life(instance))
    return [f"{settings.dagster_home} is ready", *done]


def work(settings: Settings, say: Callable[[str], object]) -> None:
    """Let Dagster's daemon work, started again when it ends, until KeyboardInterrupt is raised.

    It works only while the lock is held: if the database, or another host, takes that away, the daemon is ended within
    a second or two, and begins again once the lock could be taken.

    Raises:
        BusyError: another daemon works on this database, or this data folder.
        DatabaseError: the database did not answer at the start.
    """
    with open_instance(settings):
        pass
    if settings.database_url is None:
        with hold(settings.dagster_home / LOCK, "the daemon", wait_s=0):
            _supervised(settings, say, lambda: True)
    taken = False
    while True:
        try:
            with database.held(settings.database_url or "") as connection:
                taken = True
                time.sleep(GRACE_S)
                _supervised(settings, say, lambda: database.is_held(connection))
        except database.DatabaseError as error:
            if not taken:
                raise
            LOG.warning("%s", error)
        LOG.warning("The daemon was ended: the database is lost. It begins again once that answers.")
        time.sleep(AGAIN_S)


def _supervised(settings: Settings, say: Callable[[str], object], may_work: Callable[[], bool]) -> None:
    """Keep the daemon running while it ``may_work``."""
    home = settings.dagster_home.resolve()
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "--log-format", "colored"]
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "CRY_PIPELINE_CODE_SERVER_HOST": settings.code_server_host,
    }
    with Supervisor(None) as supervisor:
        if not may_work():
            return
        supervisor.start(Service("The daemon", [*command, "-w", str(WORKSPACE)], environment))
        say("The daemon works.")
        while may_work():
            supervisor.watch()
            time.sleep(LOOK_S)


def heartbeats(instance: dg.DagsterInstance) -> dict[str, float]:
    """Return of each part of the daemon that is needed how many seconds ago it was last heard of."""
    from dagster._daemon.controller import get_daemon_statuses

    asked = list(instance.get_required_daemon_types())
    statuses = get_daemon_statuses(instance, asked)
    now = time.time()
    return {
        name: now - status.last_heartbeat.timestamp if status.last_heartbeat else float("inf")
        for name, status in statuses.items()
    }
