"""Dagster's instance under the data folder.

Belongs here: where runs and events are recorded, and how. Does not: what is run, nor what is removed (maintenance.py).
"""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from alembic.util import CommandError
from dagster._core.instance.ref import InstanceRef
from dagster_shared.error import DagsterError
from sqlalchemy.exc import SQLAlchemyError

from cry_pipeline.artefacts import open_plain, read_plain, write_atomically
from cry_pipeline.digests import sha256_of
from cry_pipeline.orchestration.database import connected, shown
from cry_pipeline.orchestration.lock import hold
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")
OPENING, SETTINGS, SETTINGS_FOR_RAY = ".opening.lock", "dagster.yaml", "dagster.ray.yaml"
DATABASE_VARIABLE = "CRY_PIPELINE_DATABASE_URL"
DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""Where Dagster keeps its records if no other storage is set; those of single runs lie beside the second."""
BEGIN_ANEW = (
    "move {home} away, and run again: Dagster's history then begins anew, and all results are found and reused."
)
LONGEST_STUDY_H = 24 * 7
DEPLOY = Path(__file__).parents[1] / "deploy"
"""What a deployment is made of; its ``dagster.yaml`` is that of every installation."""
SIGNS_OF_LIFE = "alive"
# Dagster keeps what a step writes to stderr in a file; a progress bar needs the terminal itself.
IN_TERMINAL = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}
MARK = "# Written by cry-pipeline; follows its releases until it is edited. Delete it to get the shipped one. sha256: "
BEFORE_THE_MARK = {"d7ad522ee62d3c950159ad21d5de65357118d825239f52086e85eb4aa49f53bf"}
"""sha256 of files that were written before they were marked."""


class InstanceError(RuntimeError):
    """Dagster's instance cannot be opened; the message names the file and says what to do."""


def instance_config(*, in_database: bool, ray_dashboard: str | None = None) -> dict[str, Any]:
    """Return the shipped configuration; without a database, Dagster's records are files of SQLite in its home.

    With ``ray_dashboard`` runs are jobs of the Ray cluster that has its dashboard there, not processes of this machine.
    """
    shipped = yaml.safe_load((DEPLOY / SETTINGS).read_text(encoding="utf-8"))
    if ray_dashboard is not None:
        over = yaml.safe_load((DEPLOY / SETTINGS_FOR_RAY).read_text(encoding="utf-8"))
        over["run_launcher"]["config"]["ray"]["address"] = ray_dashboard
        shipped |= {"run_launcher": over["run_launcher"]}
        shipped["run_monitoring"] |= over["run_monitoring"]
    return {name: value for name, value in shipped.items() if in_database or name != "storage"}


def signs_of_life(instance: dg.DagsterInstance) -> Path:
    """Return the folder in which processes that execute runs say that they are alive: see lock.py."""
    return Path(instance.root_directory) / SIGNS_OF_LIFE


def open_instance(settings: Settings, *, in_terminal: bool = False) -> dg.DagsterInstance:
    """Return the instance at ``settings.dagster_home``, made on first use, and name it in ``DAGSTER_HOME``.

    Call it before two processes touch a new home: its database is then there before either asks for it. With
    ``in_terminal`` steps of this process write to its own stderr; events and logs are recorded all the same.

    Raises:
        InstanceError: its settings or one of its databases are damaged, or of another version of Dagster.
        DatabaseError: the PostgreSQL of the settings does not answer, or what talks to it is not installed.
    """
    home, url = settings.dagster_home.resolve(), settings.database_url
    home.mkdir(parents=True, exist_ok=True)
    follow(home / SETTINGS, instance_config(in_database=url is not None, ray_dashboard=settings.ray_dashboard))
    os.environ["DAGSTER_HOME"] = str(home)
    if url is not None:
        os.environ[DATABASE_VARIABLE] = url  # as dagster.yaml names it; it holds where the settings are not of there
        with connected(url):
            pass
    overrides = IN_TERMINAL if in_terminal else None
    # Two processes that make the tables of a fresh home at once get in each other's way, and one of them ends.
    with hold(home / OPENING, "making Dagster's tables", say=LOG.debug):
        for name in DATABASES if url is None else ():
            _check_database(home / name, home)
        try:
            instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
            # The first query of each storage makes its tables.
            instance.get_runs_count()
            instance.all_asset_keys()
            instance.all_instigator_state()
        except (DagsterError, SQLAlchemyError, CommandError) as error:
            said = " ".join(str(error).split())[:300]
            if url is not None:
                raise InstanceError(
                    f"Dagster cannot work with {shown(url)} ({said}). If its tables are of an earlier version, call "
                    f"`cry-pipeline deploy prepare`; if {home / SETTINGS} was edited, mend it, or delete it to get the "
                    "shipped one"
                ) from error
            raise InstanceError(
                f"Dagster cannot work with what is in {home} ({said}). If {home / SETTINGS} was edited, mend it, or "
                f"delete it to get the shipped one. Else {BEGIN_ANEW.format(home=home)}"
            ) from error
    return instance


def _check_database(path: Path, home: Path) -> None:
    """Raise InstanceError unless ``path`` is a sound database of SQLite, or not there yet."""
    if not path.exists() and not path.is_symlink():
        return
    try:
        os.close(open_plain(path, os.O_RDONLY))
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except (OSError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return  # somebody writes into it: it is sound enough for that
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if found != "ok":
        raise InstanceError(
            f"{path} is damaged ({' '.join(found.split())}). It holds what Dagster has on record of runs, and nothing "
            f"that the pipeline made: {BEGIN_ANEW.format(home=home)}"
        )


def follow(path: Path, shipped: dict[str, Any]) -> None:
    """Write ``shipped`` to ``path``, unless somebody edited the file: then it is kept, and what differs is said."""
    body = yaml.safe_dump(shipped, sort_keys=False)
    text = f"{MARK}{sha256_of(body.encode())}\n{body}"
    written = read_plain(path).decode(errors="replace") if path.exists() else None
    if written == text:
        return
    if written is None or _is_ours(written):
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return
    try:
        own = yaml.safe_load(written) or {}
        differences = _differences(own, shipped)
    except (yaml.YAMLError, AttributeError, TypeError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise InstanceError(
            f"{path} is not YAML of settings ({said}): mend it, or delete it to get the shipped one"
        ) from error
    if differences:
        LOG.warning("%s was edited and is kept. It differs from the shipped one: %s.", path, "; ".join(differences))


def _is_ours(text: str) -> bool:
    first, _, body = text.partition("\n")
    if first.startswith(MARK):
        return first.removeprefix(MARK) == sha256_of(body.encode())
    return sha256_of(text.encode()) in BEFORE_THE_MARK


def _differences(written: dict[str, Any], shipped: dict[str, Any]) -> list[str]:
    return [
        f"{key} is {written.get(key, 'not there')}, shipped is {shipped.get(key, 'nothing')}"
        for key in dict.fromkeys([*shipped, *written])
        if written.get(key) != shipped.get(key)
    ]
