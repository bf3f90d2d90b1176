"""All that follows from a change, at once: which assets are stale, what depends on them, and how long it will take.

Belongs here: what `cry-pipeline refresh` plans. Does not: materializing it (launch.py), nor when assets are asked for
by themselves (conditions.py).

Dagster calls an asset stale by its own inputs, one level at a time: what follows from what is stale shows only once
that has been materialized.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.asset_keys import run_key
from cry_pipeline.orchestration.current import Now
from cry_pipeline.orchestration.jobs import by_default
from cry_pipeline.orchestration.records import NEVER_MADE, Made, is_current, last_made
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

LOOKED_BACK = 30
"""How many runs are looked at for how long assets take."""


TRAINED_ALREADY = "trained already"


class Work(NamedTuple):
    """An asset that is to be made again: why, how much it is, and how long it takes; None where that is not known."""

    key: dg.AssetKey
    why: str
    amount: str
    seconds: float | None

    @property
    def name(self) -> str:
        """The asset's key, as people write it."""
        return self.key.to_user_string()


class Plan(NamedTuple):
    """What is to be made again, in the order in which it is made, and of how many assets."""

    work: tuple[Work, ...]
    of: int

    @property
    def selection(self) -> str:
        """The assets, in Dagster's selection syntax."""
        return " or ".join(f'key:"{work.name}"' for work in self.work)

    @property
    def seconds(self) -> float:
        """How long all of it takes that is known."""
        return sum(work.seconds or 0.0 for work in self.work)

    @property
    def unknown(self) -> list[str]:
        """The assets of which nobody knows how long they take."""
        return [work.name for work in self.work if work.seconds is None]


def plan(definitions: dg.Definitions, catalog: Catalog, settings: Settings, instance: dg.DagsterInstance) -> Plan:
    """Return what is stale, but for what is of the study alone, and what follows from that.

    It is the most that can be to do: where an asset turns out as it was, what follows from it is found done.
    """
    graph = definitions.resolve_asset_graph()
    wanted = by_default().resolve(graph)
    keys = [key for key in graph.toposorted_asset_keys if key in wanted]
    made = last_made(instance, {parent for key in keys for parent in graph.get(key).parent_keys} | set(keys))
    stale = _stale(keys, graph, made)
    pace = _Pace(instance, catalog, settings)
    work = (
        Work(key, why, *pace.of(key, first=not graph.get(key).parent_keys & stale.keys())) for key, why in stale.items()
    )
    return Plan(tuple(work), len(keys))


def _stale(
    keys: Iterable[dg.AssetKey], graph: "BaseAssetGraph", made: Mapping[dg.AssetKey, Made]
) -> dict[dg.AssetKey, str]:
    """Return those of ``keys``, each after its inputs, that are stale or follow from one that is, with why."""
    keys, stale = list(keys), {}
    for key in keys:
        node = graph.get(key)
        if key not in made:
            stale[key] = "never made"
        elif made[key].code_version != node.code_version:
            stale[key] = "other parameters or code"
        elif any(parent in stale for parent in node.parent_keys):
            stale[key] = "follows"
        elif not is_current(key, graph, made):
            stale[key] = f"made of other {_and_others(_changed(key, graph, made))}"
    together = {other for key in stale for other in graph.get(key).execution_set_asset_keys}
    return {key: stale.get(key, "is made together with it") for key in keys if key in stale or key in together}


def _changed(key: dg.AssetKey, graph: "BaseAssetGraph", made: Mapping[dg.AssetKey, Made]) -> list[str]:
    """Return the inputs that asset ``key`` was made without, that it has no more, or whose data are others now."""
    before = dict(made[key].inputs)
    now = {parent.to_user_string(): parent for parent in graph.get(key).parent_keys}
    versions = {name: made[parent].data_version if parent in made else NEVER_MADE for name, parent in now.items()}
    return sorted(name for name in before.keys() | versions.keys() if before.get(name) != versions.get(name))


def _and_others(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


class _Pace:
    """How much work an asset is and how long it takes, by what Dagster and the run folders say of earlier work."""

    def __init__(self, instance: dg.DagsterInstance, catalog: Catalog, settings: Settings) -> None:
        self._catalog, self._settings = catalog, settings
        self._experiments = {run_key(name, catalog): name for name in catalog.experiments}
        self._taken = _taken(instance)

    def of(self, key: dg.AssetKey, *, first: bool) -> tuple[str, float | None]:
        """Return how much is to be done for asset ``key``, and in about how many seconds; None: nobody knows.

        ``first`` says that none of its inputs is made before it: a run may then be there, and Dagster not know of it.
        """
        if key in self._experiments:
            from cry_pipeline.training.past_times import expected

            name, settings = self._experiments[key], self._settings
            if first and self._is_trained(name):
                return TRAINED_ALREADY, 0.0
            training = expected(name, self._catalog, settings.runs, settings.workers)
            return f"{training.folds} folds", training.seconds
        kin = [taken for other, taken in self._taken.items() if other.path[0] == key.path[0]]
        found = self._taken.get(key) or max(kin, key=lambda taken: taken.seconds, default=None)
        if found is None:
            return "", None
        return f"{found.computed} recordings" if key.path[0] == "features" else "", found.seconds

    def _is_trained(self, name: str) -> bool:
        from cry_pipeline.training.current_runs import NotTrainedError

        try:
            Now(self._catalog, Workspace.of(self._settings)).trained(name)
        except (NotTrainedError, DamagedFileError):
            return False
        return True


class _Taken(NamedTuple):
    """What one materialization computed, and how long that took."""

    computed: int
    seconds: float


def _taken(instance: dg.DagsterInstance) -> dict[dg.AssetKey, _Taken]:
    """Return, of each asset, the materialization that computed most, among the latest runs.

    One step may make several assets: each has its share of the step's time, by what was computed of it.
    """
    taken: dict[dg.AssetKey, _Taken] = {}
    for run in instance.get_runs(limit=LOOKED_BACK):
        events = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
        steps: dict[str, list[tuple[dg.AssetKey, int]]] = defaultdict(list)
        for event in events:
            if event.asset_key is not None:
                steps[event.event_log_entry.step_key or ""].append((event.asset_key, _computed(event)))
        for stats in instance.get_run_step_stats(run.run_id, list(steps)):
            if stats.start_time is None or stats.end_time is None:
                continue
            made = steps[stats.step_key]
            whole = sum(computed for _, computed in made)
            for key, computed in made:
                share = computed / whole if whole else 1 / len(made)
                if key not in taken or computed > taken[key].computed:
                    taken[key] = _Taken(computed, (stats.end_time - stats.start_time) * share)
    return taken


def _computed(event: dg.EventLogRecord) -> int:
    entry = event.asset_materialization.metadata.get("computed") if event.asset_materialization else None
    return int(entry.value) if isinstance(entry, dg.IntMetadataValue) and entry.value else 0
