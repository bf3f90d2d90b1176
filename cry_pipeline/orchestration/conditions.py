"""When an asset is asked for by itself: the conditions that the sensor ``retraining`` evaluates.

Belongs here: conditions of assets. Does not: when training is due (retraining.py), sensors and schedules
(automation.py), nor reading events (records.py).

Dagster's own conditions are *edges*: true in the one evaluation in which an input changed. Whoever misses that edge,
because the run failed, the sensor was off or its cursor was lost, is never asked for again. These here are *levels*:
true as long as an asset is not what its inputs, parameters and code say, so nothing can be missed. What cannot be made
is not asked for for ever either: a limit of failed runs ends it, until its inputs change.

A condition of Dagster's is also kept with its whole tree, a node for each input of each part, whenever any of it
changes: megabytes for each donation. One of these is one node.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.orchestration.records import failed_runs, is_current, last_made

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

ATTEMPTS = 3
"""Failed runs, on inputs of the same data, after which an asset is not asked for any more."""


class Stale(dg.AutomationCondition):
    """An asset is missing, or not what its code and inputs of now make, and can be made: ask for it.

    That is: it and its inputs are not in progress; the inputs that it needs are themselves current, and their blocking
    checks have passed; and not more than :data:`ATTEMPTS` runs have failed to make it of them. Inputs that are asked
    for at the same time count as current: they are made in the same run, before.

    ``needs`` are the inputs that must be current, by default all. With ``despite_missing`` the asset shows what there
    is, as reports do: nothing need be there, and it has a run of its own, so that no input that fails takes it along.
    """

    def __init__(self, *, needs: Collection[dg.AssetKey] | None = None, despite_missing: bool = False) -> None:
        self._needs, self._despite_missing = needs, despite_missing

    @property
    def name(self) -> str:
        """How the UI calls it."""
        return "stale, and its inputs are sound"

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered from one evaluation to the next."""
        return False

    async def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return whether the asset is to be asked for now."""
        wanted = self._wanted(context) and await self._is_free(context) and self._may_be_tried(context)
        return dg.AutomationResult(context, context.candidate_subset if wanted else context.get_empty_subset())

    def _wanted(self, context: dg.AutomationContext) -> bool:
        graph, parents = context.asset_graph, context.asset_graph.get(context.key).parent_keys
        asked = {key for key in parents if key in context.request_subsets_by_key}
        asked = {key for key in asked if not context.request_subsets_by_key[key].is_empty}
        if asked and self._despite_missing:
            return False
        made = last_made(context.asset_graph_view.instance, _with_parents(graph, {context.key, *parents}))
        if not asked and is_current(context.key, graph, made):
            return False
        if self._despite_missing:
            return True
        needs = parents if self._needs is None else set(self._needs)
        return all(
            key in asked or (key in made and (key not in needs or is_current(key, graph, made))) for key in parents
        )

    async def _is_free(self, context: dg.AutomationContext) -> bool:
        """Evaluate what Dagster has conditions for, without keeping their trees."""
        condition = dg.AutomationCondition
        free = (
            ~condition.in_progress() & ~condition.any_deps_in_progress() & condition.all_deps_blocking_checks_passed()
        )
        child = context.for_child_condition(free, child_indices=[0], candidate_subset=context.candidate_subset)
        return not (await child.evaluate_async()).true_subset.is_empty

    def _may_be_tried(self, context: dg.AutomationContext) -> bool:
        parents = context.asset_graph.get(context.key).parent_keys
        failed = failed_runs(context.asset_graph_view.instance, context.key, parents)
        if len(failed) < ATTEMPTS:
            return True
        context.log.warning(
            "%s is not asked for any more: %d runs on the inputs of now have failed, the last is %s. See there what is "
            "wrong, correct it and materialize the asset; it is asked for again by itself once an input changes, and "
            "with everything else by the weekly catch-up.",
            context.key.to_user_string(),
            len(failed),
            failed[0],
        )
        return False


def when_stale(
    *, needs: Collection[dg.AssetKey] | None = None, despite_missing: bool = False
) -> dg.AutomationCondition[dg.AssetKey]:
    """Ask for an asset as long as it is stale and can be made; see :class:`Stale`."""
    return Stale(needs=needs, despite_missing=despite_missing)


def _with_parents(graph: "BaseAssetGraph", keys: Collection[dg.AssetKey]) -> set[dg.AssetKey]:
    return set(keys) | {parent for key in keys for parent in graph.get(key).parent_keys}
