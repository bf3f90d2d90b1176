"""Learning curves in MLflow while a network is trained, by Lightning's logger, where ``MLFLOW_TRACKING_URI`` is set.

Belongs here: the logger, and that no training fails or waits for its sake. Does not: what is told of finished runs
(publishing/), which also lays these curves below their run.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pytorch_lightning.loggers import MLFlowLogger

from cry_pipeline.quoting import shown
from cry_pipeline.tracking import (
    KIND,
    RUN,
    TRAINING,
    TrackingError,
    client_of,
    experiment_of,
    group_of,
    told,
    tracking_uri,
)
from cry_pipeline.training.models import FitSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOG = logging.getLogger("cry_pipeline")
TITLE = "cry_pipeline.training"


class Curves(MLFlowLogger):
    """Lightning's logger, which is told nothing more once MLflow did not take something."""

    def __init__(self, uri: str, settings: FitSettings) -> None:
        title = shown(settings.title)
        tags = {KIND: TRAINING, RUN: settings.run, TITLE: title}
        super().__init__(experiment_of(settings.cohort), title, uri, tags)
        self._uri, self._lost = uri, False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Tell of values at a step."""
        self._tried(lambda: super(Curves, self).log_metrics(metrics, step))

    def finalize(self, status: str = "success") -> None:
        """Tell that the training has ended."""
        self._tried(lambda: super(Curves, self).finalize(status))

    def _tried(self, tell: Callable[[], None]) -> None:
        if self._lost:
            return
        try:
            with told(self._uri):
                tell()
        except TrackingError as error:
            self._lost = True
            LOG.warning("%s: its curves end here: %s", self._run_name, error)


def mlflow_curves(settings: FitSettings) -> Curves | None:
    """Return the logger of one training; None where nobody is to be told, or can be, which is said.

    Curves of a training of the same fold that did not end are removed.
    """
    uri = tracking_uri()
    if uri is None or not settings.run:
        return None
    try:
        client = client_of(uri)
        group = group_of(client, uri, settings.cohort)
        with told(uri):
            _remove_earlier(client, group, settings)
        curves = Curves(uri, settings)
    except TrackingError as error:
        LOG.warning("%s: no curves: %s", settings.title, error)
        return None
    return curves


def _remove_earlier(client: "MlflowClient", group: str, settings: FitSettings) -> None:
    for run in client.search_runs([group], f"tags.`{RUN}` = '{settings.run}' AND tags.`{KIND}` = '{TRAINING}'"):
        if run.data.tags.get(TITLE) == shown(settings.title):
            client.delete_run(run.info.run_id)
