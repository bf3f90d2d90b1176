"""A deployment as processes on one machine, with what it made undisturbed: for tests that take its parts away.

Belongs here: asking for runs, waiting for them, holding what they made against the undisturbed run. Does not: starting
services (machine.py), nor faults.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.utils import make_new_run_id

from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus
from cry_pipeline.settings import Settings
from cry_pipeline_tests.deploy.machine import MINUTES, Machine, machine
from cry_pipeline_tests.faults.contents import contents
from cry_pipeline_tests.faults.test_processes import least_catalog, status_of, versions
from cry_pipeline_tests.processes import wait_until

Status = dg.DagsterRunStatus
EXPERIMENTS = {"cleaned_majority_donor_grouped", "curation_lfeb_attention_lstm_donor_grouped"}
WORKSPACE = "/opt/cry_pipeline/cry_pipeline/deploy/workspace.yaml"
MADE_ANEW = ("cache", "manifests", "features", "folds", "runs")
"""Of what was made; evidence and reports of the same digests are then reused, which saves most of the time."""
SAYS_WHEN = "reports/compare"
"""The page that tells by when they were trained which runs it compares."""
IN_THE_MIDDLE = "runs__curation__donor_grouped__lfeb_attention_lstm"
SERVICES = ("code-server", "daemon", "webserver", "site")


@dataclass
class Production:
    """A deployment, its records, and what it made undisturbed."""

    machine: Machine
    instance: dg.DagsterInstance
    settings: Settings
    versions: dict[str, str]
    contents: dict[str, str]

    def ask(self, job: str = "everything") -> str:
        """Ask for a run as somebody who operates it does; return its id."""
        run_id = make_new_run_id()
        command = ["dagster", "job", "launch", "-w", WORKSPACE, "-l", "cry_pipeline.definitions", "-j", job]
        done = self.machine.run("code-server", *command, "--run-id", run_id)
        assert done.returncode == 0, done.stdout + done.stderr
        return run_id

    def forget_results(self) -> None:
        """Remove tables, features, folds and trained runs, so that the next run has to make them."""
        wait_until(self.is_idle, "no run is under way", 5 * MINUTES)
        for name in MADE_ANEW:
            shutil.rmtree(self.settings.data / name)

    def restore(self) -> None:
        """Start what an earlier test left behind: the database, then services."""
        if self.machine.server is None or self.machine.server.poll() is not None:
            self.machine.start_database()
        for name in SERVICES:
            if not self.machine.running[name].is_running():
                self.machine.start_healthy(name)

    def is_idle(self) -> bool:
        return all(run.is_finished for run in self.instance.get_runs(limit=20))

    def wait_for(self, run_id: str, status: dg.DagsterRunStatus, timeout_s: float = 8 * MINUTES) -> float:
        """Wait until a run has the status; return how many seconds that took."""
        began = time.monotonic()
        said = f"run {run_id[:8]} is {status.value}"
        wait_until(lambda: self.asked(lambda: status_of(self.instance, run_id) is status), said, timeout_s)
        return time.monotonic() - began

    def wait_for_middle(self, run_id: str) -> None:
        """Wait until the run trains folds."""
        wait_until(
            lambda: any(
                entry.dagster_event and entry.dagster_event.step_key == IN_THE_MIDDLE
                for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
            ),
            "the run is in its middle",
            8 * MINUTES,
        )

    def retry_of(self, run_id: str) -> dg.DagsterRun:
        """Wait until Dagster has launched the run again; return the second one."""
        found: list[dg.DagsterRun] = []

        def there() -> bool:
            found[:] = [run for run in self.instance.get_runs(limit=20) if run.parent_run_id == run_id]
            return bool(found)

        wait_until(lambda: self.asked(there), "the run is launched again", 5 * MINUTES)
        return found[0]

    @staticmethod
    def asked(question: Callable[[], bool]) -> bool:
        """Ask the database; False while it does not answer."""
        try:
            time.sleep(0.5)
            return question()
        except Exception as error:
            if "connection" not in str(error).lower() and "server" not in str(error).lower():
                raise
            return False

    def check_nothing_is_lost(self, *run_ids: str) -> dict[str, int]:
        """Hold data versions and the data folder against those of the undisturbed run; return what was counted."""
        last = {}
        for run_id in run_ids:
            last |= versions(self.instance, run_id)
        unequal = sorted(name for name in last.keys() | self.versions if last.get(name) != self.versions.get(name))
        # Pages show what the work took, too, so their versions may differ; their contents, less that, may not.
        assert not [name for name in unequal if not name.startswith("reports/")], unequal
        now = contents(self.settings)
        other = {name for name in now.keys() | self.contents if now.get(name) != self.contents.get(name)}
        assert not {name for name in other if not name.startswith(SAYS_WHEN)}, other
        return {"assets": len(last), "things_in_the_data_folder": len(now), "lost": 0}


@contextmanager
def started(folder: Path) -> Iterator[Production]:
    """Start a deployment, let it make all once, and give it; at the end nothing of it runs."""
    corpus = generate_corpus(folder / "corpus", **TINY)
    catalog = least_catalog(folder / "catalog", EXPERIMENTS, None)
    with machine(corpus, catalog, {
        "CRY_PIPELINE_WORKERS": "1", "CRY_PIPELINE_BATCH_RECORDINGS": "8", "CRY_PIPELINE_ACCELERATOR": "cpu",
        "CRY_PIPELINE_DECODER_CAGE": "best",
    }) as made:  # fmt: skip
        made.prepare()
        made.start_healthy("code-server")
        made.start_healthy("daemon", "webserver", "site")
        (folder / "dagster.yaml").write_text(
            yaml.safe_dump(
                {"storage": {"postgres": {"postgres_url": made.database_url}}, "telemetry": {"enabled": False}}
            )
        )
        settings = Settings(data=made.data, catalog=catalog, corpus=corpus)
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
            found = Production(made, instance, settings, {}, {})
            found.wait_for(run := found.ask(), Status.SUCCESS)
            found.versions, found.contents = versions(instance, run), contents(settings)
            yield found
