"""A real tracking server of MLflow, on SQLite, in an environment of its own: told by the command, asked over HTTP."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import requests

from cry_pipeline.inference.bundle import verify
from cry_pipeline.inference.champions import history
from cry_pipeline_tests.donations.test_withdrawal import verify as search
from cry_pipeline_tests.donations.test_withdrawal import withdraw
from cry_pipeline_tests.orchestration.installations import Installation
from cry_pipeline_tests.processes import wait_until
from cry_pipeline_tests.publishing.tools import call_of
from cry_pipeline_tests.ui.installed import COMMAND, environment, free_port

PATIENCE_S = 300
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""What the server leaves out, which starts in half the time then."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Give the address of a server that keeps what it is told in ``folder``."""
    address = f"http://127.0.0.1:{free_port()}"
    options = ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "files")]
    options += ["--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--workers", "1"]
    call, given = call_of(f"mlflow=={version('mlflow-skinny')}", "mlflow", "server", *options)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(call, env=given | QUIET, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            wait_until(lambda: _answers(address), "MLflow answers", PATIENCE_S)
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.mark.base
def test_a_real_server_is_told_by_the_command_and_forgets_who_is_withdrawn(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installation.settings
    (tmp_path / "server").mkdir()
    with served(tmp_path / "server") as address:
        given = environment(settings) | {"MLFLOW_TRACKING_URI": address}

        def told(*options: str) -> str:
            done = subprocess.run([COMMAND, "mlflow", *options], env=given, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()[-1]

        first, again = told(), told()
        assert "computed=0" not in first
        assert "computed=0" in again
        experiments = _asked(address, "experiments/search", max_results=100)["experiments"]
        ids = [each["experiment_id"] for each in experiments if each["name"].startswith("cry_pipeline/")]
        runs = _asked(address, "runs/search", experiment_ids=ids)["runs"]
        assert len({run["info"]["run_id"] for run in runs}) == int(again.rpartition("reused=")[2]) - 1
        assert {run["info"]["status"] for run in runs} == {"FINISHED"}
        tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs]
        assert all({"verdict", "headline_metric", "mlflow.note.content"} <= set(each) for each in tags)
        asked = f"{address}/api/2.0/mlflow/registered-models/alias?name=cry_pipeline&alias=champion"
        champion = requests.get(asked, timeout=30).json()["model_version"]
        uri = f"models:/{champion['name']}@champion"
        call, own = call_of(f"mlflow=={version('mlflow-skinny')}", "mlflow", "artifacts", "download", "-u", uri)
        own |= {"MLFLOW_TRACKING_URI": address}
        subprocess.run([*call, "-d", str(tmp_path / "bundle")], env=own, check=True, capture_output=True)
        assert verify(tmp_path / "bundle") == history(settings.models)[-1].digest
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        donor = _who_gave_most(installation)
        assert withdraw(settings, [donor]).left == []
        assert search(settings, [donor]) == []
        left = [path for path in (tmp_path / "server" / "files").rglob("*") if path.is_file()]
        assert not [path for path in left if path.suffix == ".html" or "bundles" in path.parts]


def _who_gave_most(installation: Installation) -> str:
    """Return the donor of most uploads."""
    from cry_pipeline.orchestration.resources import Workspace

    table = Workspace.of(installation.settings).recordings()
    return str(table.loc[(table["root"] == "corpus") & (table["processing"] == "raw"), "donor"].mode()[0])


def _asked(address: str, what: str, **body: Any) -> dict[str, Any]:
    answer = requests.post(f"{address}/api/2.0/mlflow/{what}", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()
