"""Keeping house, weekly: bad parts are set aside, small ones put together, and what nobody needs is removed.

Belongs here: what is done, in which order, after how many days; the job and its schedule. Does not: what is needed
(retention.py, dagster_home.py, features/garbage.py).
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.artefacts import leftovers, remove_leftovers
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration import dagster_home, retention
from cry_pipeline.orchestration.instance import signs_of_life
from cry_pipeline.orchestration.lock import remove_signs_of_life
from cry_pipeline.orchestration.reporting import points
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.features.store.store import FeatureStore

LOG = logging.getLogger("cry_pipeline")
MAINTENANCE, MAINTENANCE_CRON = "maintenance", "0 1 * * 0"


@dataclass(frozen=True)
class Limits:
    """How long what nobody needs is kept all the same: the one place that says so, but for ticks (instance.py)."""

    results: timedelta = timedelta(days=30)
    """Runs, evidence, bundles and feature sets."""
    dagster_runs: timedelta = timedelta(days=30)
    evaluations: timedelta = timedelta(days=2)
    logs: timedelta = timedelta(days=7)
    leftovers: timedelta = timedelta(days=1)


@dataclass(frozen=True)
class House:
    """What is kept: an installation with Dagster's instance; and whether anything is changed or only listed."""

    catalog: Catalog
    workspace: Workspace
    instance: dg.DagsterInstance
    change: bool
    limits: Limits = Limits()

    def stores(self) -> "dict[str, FeatureStore]":
        """Return the store of each feature set of the catalog."""
        from cry_pipeline.features.store.store import FeatureStore

        uri = self.workspace.settings.features
        return {name: FeatureStore.open(uri, spec) for name, spec in self.catalog.feature_sets.items()}


@dataclass(frozen=True)
class Item:
    """One thing that was done, or would be: what, and the bytes that it gives back."""

    what: str
    bytes: int = 0


def verify(house: House) -> Iterator[Item]:
    """Check every byte of every part; bad ones are set aside, so that their rows are computed again."""
    from cry_pipeline.features.store import checking

    for name, store in house.stores().items():
        if house.change:
            faults = checking.verify(store).faults
        else:
            store.index.refresh()
            damage = {folder: part.faults() for folder, part in store.index.present.items()}
            faults = {folder: "; ".join(said) for folder, said in damage.items() if said}
        for folder, fault in faults.items():
            yield Item(f"features/{name}: {folder} is bad: {fault}")


def compact(house: House) -> Iterator[Item]:
    """Put small parts together."""
    from cry_pipeline.features.store import compaction

    for name, store in house.stores().items():
        if house.change and (report := compaction.compact(store)).superseded:
            yield Item(f"features/{name}: {report.superseded} parts put together to {len(report.written)}")


def prune_results(house: House) -> Iterator[Item]:
    """Remove runs, evidence and bundles that nobody needs."""
    settings = house.workspace.settings
    kept = retention.needed(house.catalog, house.workspace, house.instance)
    folders = retention.unneeded(settings, kept, house.limits.results.total_seconds())
    items = [Item(path.relative_to(settings.data).as_posix(), retention.size(path)) for path in folders]
    if house.change:
        retention.remove(settings, folders)
    yield from items


def collect_garbage(house: House) -> Iterator[Item]:
    """Remove superseded parts that no run needs, and feature sets that neither the catalog nor a run uses."""
    from cry_pipeline.features.store import garbage
    from cry_pipeline.features.store.opening import open_storage
    from cry_pipeline.features.store.users import feature_uses

    settings, stores = house.workspace.settings, house.stores()
    seconds = house.limits.results.total_seconds()
    kept = retention.needed(house.catalog, house.workspace, house.instance)
    without = retention.without_features(settings, kept, seconds)
    uses = [use for use in feature_uses(settings.runs) if use.run not in without]
    parts = {part for use in uses for part in use.parts}
    reports = [garbage.collect_garbage(store, parts, dry_run=not house.change) for store in stores.values()]
    sets = {store.digest for store in stores.values()} | {use.feature_set for use in uses}
    reports.append(garbage.collect_unlisted(open_storage(settings.features), sets, seconds, dry_run=not house.change))
    for report in reports:
        yield from (Item(f"features/{path}", size) for path, size in report.bytes_by_path.items())


def remove_temporary_files(house: House) -> Iterator[Item]:
    """Remove what killed writers left behind."""
    data, age_s = house.workspace.settings.data, house.limits.leftovers.total_seconds()
    sizes = {path: path.stat().st_size for path in leftovers(data, age_s)}
    for path in remove_leftovers(data, age_s) if house.change else sizes:
        yield Item(path.relative_to(data).as_posix(), sizes.get(path, 0))


def collect_contents(house: House) -> Iterator[Item]:
    """Remove contents in the data root's bucket that no tree names: of dead writers, and what was there before."""
    from cry_pipeline.storage.root import DataRoot

    root = DataRoot.of(house.workspace.settings)
    if root is not None:
        for path, size in root.collect(house.limits.leftovers.total_seconds(), change=house.change).items():
            yield Item(f"{root.bucket.uri}/{path}", size)


def prune_dagster_home(house: House) -> Iterator[Item]:
    """Remove Dagster's records of long ago, and give their room back."""
    home, limits = house.workspace.settings.dagster_home, house.limits
    before = retention.size(home)
    runs = dagster_home.old_runs(house.instance, limits.dagster_runs)
    if house.change:
        dagster_home.remove_runs(house.instance, runs)
        dagster_home.remove_evaluations(house.instance, limits.evaluations)
        remove_signs_of_life(signs_of_life(house.instance))
    logs = dagster_home.old_logs(house.instance, limits.logs)
    if house.change:
        dagster_home.remove_logs(logs)
        for busy in dagster_home.give_back(home):
            LOG.warning("dagster_home/%s; its space is freed another time", busy)
    yield from (Item(f"dagster_home: the record of run {run[:8]}") for run in runs)
    if logs:
        yield Item(f"dagster_home: {len(logs)} logs of steps and sensors")
    if house.change:
        yield Item("dagster_home: what was given back", max(0, before - retention.size(home)))


STEPS: tuple[Callable[[House], Iterator[Item]], ...] = (
    verify,
    compact,
    prune_results,
    collect_garbage,
    remove_temporary_files,
    collect_contents,
    prune_dagster_home,
)


class MaintenanceError(RuntimeError):
    """Some steps failed; the others were done all the same. The message says which, and why."""


def maintain(house: House) -> list[Item]:
    """Do, or without ``house.change`` only list, all that there is to do; return it.

    Raises:
        MaintenanceError: a step failed; what the others did is in the log.
    """
    done, failed = [], []
    for step in STEPS:
        name = step.__name__.replace("_", " ")
        try:
            items = list(step(house))
        except Exception as error:
            # What is damaged says so in a sentence; where a fault of the program came from, only a traceback tells.
            expected = isinstance(error, ValueError | RuntimeError | OSError)
            LOG.log(logging.DEBUG if expected else logging.ERROR, "maintenance: %s failed", name, exc_info=True)
            failed.append(f"{name}: {error}")
            continue
        for item in items:
            LOG.info("%s%s (%.1f MB)", "" if house.change else "would: ", item.what, item.bytes / 1e6)
        done += items
    if failed:
        raise MaintenanceError("\n".join(failed))
    return done


def maintenance_job(catalog: Catalog) -> dg.JobDefinition:
    """Return the job that keeps house for good."""

    @dg.op(description="Set bad parts aside, compact, remove what nobody needs; lists all of it in its log.")
    def keep_house(context: dg.OpExecutionContext, workspace: Workspace) -> None:
        done = maintain(House(catalog, workspace, context.instance, change=True))
        context.add_output_metadata(
            {
                "done": points(item.what for item in done[:200]),
                "items": len(done),
                "megabytes": sum(item.bytes for item in done) / 1e6,
            }
        )

    @dg.job(name=MAINTENANCE, description="Weekly: verify and compact the store, remove what nobody needs any more.")
    def maintenance() -> None:
        keep_house()

    return maintenance


maintenance_schedule = dg.ScheduleDefinition(
    name="weekly_maintenance",
    job_name=MAINTENANCE,
    cron_schedule=MAINTENANCE_CRON,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Cleans up on Sundays; `cry-pipeline maintain` lists what it would do.",
)
