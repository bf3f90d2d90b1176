"""Experiments of one Dagster run side by side, where an engine has places for more than the folds of one.

Belongs here: which experiments are begun before their step comes. Does not: training them (assets/runs.py).

Steps are executed one after the other. While one waits for its own experiment, those of later steps whose inputs are
there are trained already, and these steps then find them done.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Generic, TypeVar

import dagster as dg

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.asset_keys import run_key
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.engine import Engine

USUAL_FOLDS = 5
R = TypeVar("R")


class Ahead(Generic[R]):
    """What was begun of one Dagster run. What is under way when the process ends, ends with it."""

    def __init__(self) -> None:
        self._begun: dict[str, Future[R]] = {}

    def result(self, name: str, train: Callable[[str], R], others: Iterable[str], most: int) -> R:
        """Return ``train(name)``, or raise what that raised; meanwhile train ``others``, ``most`` at a time.

        Args:
            name: of an experiment.
            train: trains an experiment.
            others: experiments that can be trained now; those that were begun are passed over.
            most: experiments that are trained side by side.
        """
        own, waiting = self._begin(name, train), iter([name for name in others if name not in self._begun])
        while not own.done():
            running = [future for future in self._begun.values() if not future.done()]
            while len(running) < most and (other := next(waiting, None)) is not None:
                running.append(self._begin(other, train))
            wait(running, return_when=FIRST_COMPLETED)
        return own.result()

    def _begin(self, name: str, train: Callable[[str], R]) -> Future[R]:
        if name not in self._begun:
            future = self._begun[name] = Future()
            # A daemon: nobody waits for it at the end, as for the threads of a pool.
            threading.Thread(target=_keep, args=(future, train, name), name=f"trains {name}", daemon=True).start()
        return self._begun[name]


def _keep(future: Future[R], train: Callable[[str], R], name: str) -> None:
    try:
        future.set_result(train(name))
    except BaseException as error:
        future.set_exception(error)


_of_run: dict[str, Ahead] = {}
"""By the id of the Dagster run that this process executes."""


def side_by_side(engine: "Engine") -> int:
    """Return how many experiments the engine has places for; one where its workers are this machine's processes."""
    return 1 if engine.shares_memory else 1 + engine.size() // USUAL_FOLDS


def trained_ahead(
    name: str, train: Callable[[str], R], context: dg.AssetExecutionContext, catalog: Catalog, workspace: Workspace
) -> R:
    """Return ``train(name)`` for the step ``context``, and let the run's later experiments be trained meanwhile."""
    most = side_by_side(workspace.spread())
    if most == 1:
        return train(name)
    if context.run.run_id not in _of_run:
        _of_run.clear()
        _of_run[context.run.run_id] = Ahead()
    return _of_run[context.run.run_id].result(name, train, _ready(context, catalog), most)


def _ready(context: dg.AssetExecutionContext, catalog: Catalog) -> list[str]:
    """Return the experiments of this Dagster run whose inputs this run does not make, or has made by now."""
    selected = context.job_def.asset_layer.selected_asset_keys
    made: dict[dg.AssetKey, bool] = {}

    def is_made(key: dg.AssetKey) -> bool:
        if key not in made:
            event = context.instance.get_latest_materialization_event(key)
            made[key] = key not in selected or (event is not None and event.run_id == context.run.run_id)
        return made[key]

    def inputs(name: str) -> list[dg.AssetKey]:
        experiment = catalog.experiments[name]
        features = [["features", experiment.feature_set]] if catalog.models[experiment.model].inputs else []
        return [dg.AssetKey(path) for path in (["folds", experiment.folds_name], *features)]

    asked = [name for name in catalog.experiments if run_key(name, catalog) in selected]
    return [name for name in asked if all(map(is_made, inputs(name)))]
