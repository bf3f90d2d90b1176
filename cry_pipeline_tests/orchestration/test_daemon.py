"""The real daemon, code server and runs, on an installation of their own: what nobody asks for is done all the same.

Some minutes; left out unless asked for: ``pytest -m daemon``. The same within one process is in test_automation.py.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.orchestration.asset_keys import CHAMPION, INVENTORY
from cry_pipeline_tests.orchestration.installations import REFUSED, Installation
from cry_pipeline_tests.orchestration.test_automation import A_DONATION_BYTES, donate, home_bytes, ingest
from cry_pipeline_tests.processes import wait_until

pytestmark = pytest.mark.daemon

LOCATION = '''
"""The code location as it is, but for its patience: sensors look every few seconds, and each minute begins a week."""

import dagster as dg

from cry_pipeline.orchestration import automation, retraining

retraining.RETRAINING_S = 5
automation.inbox_sensor._min_interval = 5
retraining.CRONS["weekly"] = "* * * * *"

from cry_pipeline.definitions import build_definitions
from cry_pipeline.settings import load_settings

defs = build_definitions(load_settings())
for sensor in defs.sensors:
    sensor._default_status = dg.DefaultSensorStatus.RUNNING
'''
MINUTES = 60.0


@pytest.fixture
def daemon(installation: Installation, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon, running; what it says is in ``daemon.log``."""
    (tmp_path / "location.py").write_text(LOCATION)
    settings = installation.settings
    installation.instance().dispose()
    environment = os.environ | {
        "DAGSTER_HOME": str(settings.dagster_home),
        "CRY_PIPELINE_DATA": str(settings.data),
        "CRY_PIPELINE_CORPUS": str(settings.corpus),
        "CRY_PIPELINE_CATALOG": str(settings.catalog),
        "CRY_PIPELINE_RETRAINING": "weekly",
        "CRY_PIPELINE_WORKERS": "1",
        "CRY_PIPELINE_ACCELERATOR": "cpu",
    }
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-f", str(tmp_path / "location.py")]
    with (tmp_path / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


class Watched:
    """What came of it, as the instance has it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def runs(self) -> list[tuple[str, str]]:
        """Job and status of every run since the installation was made, the first one first."""
        with self.installation.instance() as instance:
            return [(run.job_name, run.status.value) for run in instance.get_runs()][::-1][1:]

    def taken_in(self, donation: Path) -> bool:
        """Whether the manifest has the donation and nothing is in progress."""
        recordings = self.installation.settings.manifests / "recordings.parquet"
        return donation.name in set(pd.read_parquet(recordings)["name"]) and self.is_idle()

    def is_idle(self) -> bool:
        return all(status in ("SUCCESS", "FAILURE", "CANCELED") for _, status in self.runs())

    def made(self, key: dg.AssetKey) -> int:
        """How often the asset was made."""
        with self.installation.instance() as instance:
            return len(instance.fetch_materializations(key, limit=50).records)


def test_what_nobody_asks_for_is_done_all_the_same(installation, tiny_corpus, request):
    watched = Watched(installation)
    # What a killed ingestion and a lost champion leave behind.
    donation = donate(installation, tiny_corpus)
    ingest(installation, "raw/inventory")
    with installation.instance() as instance:
        instance.wipe_assets([CHAMPION])
    uploads = dg.AssetKey(["evidence", "uploads", "donor_grouped", "logistic_regression"])
    evaluated = watched.made(uploads)

    request.getfixturevalue("daemon")
    wait_until(lambda: watched.taken_in(donation), "a donation whose ingestion was killed is taken in", 5 * MINUTES)
    wait_until(lambda: watched.made(CHAMPION), "the champion is made, though the study was never run", 10 * MINUTES)
    wait_until(lambda: watched.made(uploads) > evaluated, "what the donation changed is evaluated", 10 * MINUTES)
    wait_until(watched.is_idle, "everything is done", 10 * MINUTES)

    before, inventories = home_bytes(installation), watched.made(INVENTORY)
    refused = installation.settings.inbox / REFUSED
    away = refused.rename(installation.settings.data / REFUSED)
    wait_until(lambda: watched.made(INVENTORY) > inventories, "a refused file that goes is noticed", 5 * MINUTES)
    away.rename(refused)
    wait_until(lambda: watched.made(INVENTORY) > inventories + 1, "and looked at when it comes back", 5 * MINUTES)
    wait_until(watched.is_idle, "to its end", 5 * MINUTES)
    # Two states of the inbox, and a week's training between them.
    assert home_bytes(installation) - before < 3 * A_DONATION_BYTES
    assert [run for run in watched.runs() if run[1] != "SUCCESS"] == []
