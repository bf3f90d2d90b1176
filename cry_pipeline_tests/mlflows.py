"""Stores of MLflow's for tests: real ones, in a database of each test's own.

A plugin of the tests. Nothing heavy is imported with it.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cry_pipeline.tracking import VARIABLE, client_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow's: making one takes seconds."""
    pytest.importorskip("mlflow", reason="MLflow's client is not installed in this environment")
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    client_of(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def mlflow(_empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    """A client of a store of the test's own, to which the environment leads; its files lie in ``mlruns``."""
    (tmp_path / "mlflow").mkdir()
    monkeypatch.chdir(tmp_path / "mlflow")
    shutil.copy(_empty_store, "store.db")
    uri = f"sqlite:///{tmp_path / 'mlflow' / 'store.db'}"
    monkeypatch.setenv(VARIABLE, uri)
    return client_of(uri)


def runs_of(client: "MlflowClient", **tags: str) -> "list[Run]":
    """Return the runs that have all of ``tags``, by name, those that were deleted apart."""
    groups = [group.experiment_id for group in client.search_experiments()]
    found = [run for run in client.search_runs(groups) if tags.items() <= run.data.tags.items()]
    return sorted(found, key=lambda run: str(run.info.run_name))
