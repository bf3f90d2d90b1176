"""What Dagster has on record of an asset: of what it was last made, and which runs have failed to make it since.

Belongs here: reading events and runs. Does not: deciding anything by them (conditions.py, automation.py).
"""

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"
INPUT_TAG = "dagster/input_data_version/"
NEVER_MADE = "INITIAL"
"""What Dagster notes as the version of an input that was not there."""
LOOKED_BACK = 50
"""How many events of an asset are read back at most."""


class Made(NamedTuple):
    """An asset's last materialization: the version of its data and code, and those of its inputs by their keys."""

    data_version: str | None
    code_version: str | None
    inputs: Mapping[str, str]
    storage_id: int
    """Dagster numbers all events: a later one has a higher number."""


def last_made(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> dict[dg.AssetKey, Made]:
    """Return the last materialization of each of ``keys`` that has one."""
    last = {}
    for record in instance.get_asset_records(list(keys)):
        event = record.asset_entry.last_materialization_record
        if event is not None and event.asset_materialization is not None:
            last[record.asset_entry.asset_key] = _made(event)
    return last


def is_current(key: dg.AssetKey, graph: "BaseAssetGraph", made: Mapping[dg.AssetKey, Made]) -> bool:
    """Return whether asset ``key`` was made by the code and of the inputs of now: what the UI calls fresh.

    Args:
        key: the asset.
        graph: the definitions of now.
        made: the last materializations of the asset and of its parents.
    """
    node, last = graph.get(key), made.get(key)
    if last is None or last.code_version != node.code_version:
        return False
    now = {
        parent.to_user_string(): made[parent].data_version if parent in made else NEVER_MADE
        for parent in node.parent_keys
    }
    return last.inputs == now


def failed_runs(instance: dg.DagsterInstance, key: dg.AssetKey, parents: Iterable[dg.AssetKey]) -> list[str]:
    """Return the ids of the runs that failed to make asset ``key`` of the inputs of now, the latest first.

    What failed before an input's data changed, or before the asset was last made, does not count.
    """
    last = last_made(instance, [key]).get(key)
    since = max([_version_since(instance, parent) for parent in parents] + [last.storage_id if last else 0])
    planned = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=key, after_cursor=since),
        limit=LOOKED_BACK,
    )
    ids = list(dict.fromkeys(record.run_id for record in planned))
    if not ids:
        return []
    failed = dg.RunsFilter(run_ids=ids, statuses=[dg.DagsterRunStatus.FAILURE])
    kept = {run.run_id for run in instance.get_runs(filters=failed)}
    return [run_id for run_id in ids if run_id in kept]


def _version_since(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """Return the number of the event by which the asset came to have the data version that it has; 0 if it has none."""
    events = instance.fetch_materializations(key, limit=LOOKED_BACK).records
    if not events:
        return 0
    *_, first = takewhile(lambda event: _made(event).data_version == _made(events[0]).data_version, events)
    return first.storage_id


def _made(event: dg.EventLogRecord) -> Made:
    tags = (event.asset_materialization.tags if event.asset_materialization else None) or {}
    inputs = {name.removeprefix(INPUT_TAG): value for name, value in tags.items() if name.startswith(INPUT_TAG)}
    return Made(tags.get(DATA_VERSION_TAG), tags.get(CODE_VERSION_TAG), inputs, event.storage_id)
