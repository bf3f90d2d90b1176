"""Curves in MLflow: all epochs of a training, and no training that fails or differs for their sake."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cry_pipeline.catalog import LfebAttentionLstmSpec
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm
from cry_pipeline.training.trainer import NetworkModel
from cry_pipeline_tests.mlflows import runs_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = FitSettings(seed=3, run="a" * 64, cohort="made_up", title="some fold 0-1")
MODEL = NetworkModel(LfebAttentionLstm, LfebAttentionLstmSpec)


def test_every_epoch_is_told_and_the_network_is_the_same(
    rows: Rows, spec: LfebAttentionLstmSpec, mlflow: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = MODEL.fit(spec, rows, SETTINGS)
    (run,) = runs_of(mlflow)
    assert (run.info.run_name, run.info.status) == (SETTINGS.title, "FINISHED")
    for name in ("train_loss", "validation_loss", "learning_rate", "seconds"):
        told = [(point.step, point.value) for point in mlflow.get_metric_history(run.info.run_id, name)]
        assert told == [(epoch.epoch, getattr(epoch, name)) for epoch in fitted.history]
    again = MODEL.fit(spec, rows, SETTINGS)
    (second,) = runs_of(mlflow)
    assert second.info.run_id != run.info.run_id
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    untold = MODEL.fit(spec, rows, SETTINGS)
    for other in (again, untold):
        np.testing.assert_array_equal(fitted.predict_probabilities(rows), other.predict_probabilities(rows))


def test_a_training_of_no_run_tells_nobody(rows: Rows, spec: LfebAttentionLstmSpec, mlflow: "MlflowClient") -> None:
    MODEL.fit(spec, rows, replace(SETTINGS, run=""))
    assert runs_of(mlflow) == []


def test_a_server_that_goes_away_costs_the_curves_alone_and_is_said_once(
    rows: Rows,
    spec: LfebAttentionLstmSpec,
    mlflow: "MlflowClient",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise ConnectionResetError("the server went away")

    monkeypatch.setattr(type(mlflow), "log_batch", gone)
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        fitted = MODEL.fit(spec.model_copy(update={"epochs": 3, "patience": 3}), rows, SETTINGS)
    assert len(fitted.history) == 3
    assert [record.message.partition(": MLflow")[0] for record in caplog.records] == [
        "some fold 0-1: its curves end here"
    ]


def test_a_server_that_was_never_there_costs_the_curves_alone(
    rows: Rows, spec: LfebAttentionLstmSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:hidden@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        assert MODEL.fit(spec, rows, SETTINGS).history
    (record,) = caplog.records
    assert "MLflow at http://127.0.0.1:9 cannot be told" in record.getMessage()
    assert "hidden" not in record.getMessage()
