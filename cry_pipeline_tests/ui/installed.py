"""An installation as a new user has it, on a small synthetic corpus, and its processes: `cry-pipeline run`, then `ui`.

Belongs here: what is installed, started and ended. Does not: looking at pages.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from cry_pipeline.catalog import Catalog, load_catalog
from cry_pipeline.settings import Settings
from cry_pipeline_tests.orchestration.installations import Installation, shrunk_catalog
from cry_pipeline_tests.processes import heed_ctrl_c, wait_until
from cry_pipeline_tests.ui.dagster_state import MINUTES, Dagster

DETECTOR, NETWORK = "curation_svm_covariance_donor_hashed", "curation_lfeb_attention_lstm_donor_hashed"
EXPERIMENTS = {
    DETECTOR: "default",
    NETWORK: "default",
    "curation_svm_covariance_donor_hashed": "default",  # what the champion is made of
    "cleaned_majority_donor_grouped": "default",
    "cleaned_majority_clip_stratified": "default",
    "curation_svm_covariance_temporal": "study",
    "cleaned_majority_augment_then_split": "study",
}
COMMAND = Path(sys.executable).with_name("cry-pipeline")
OF_OTHERS = ("CRY_PIPELINE_", "DAGSTER_", "AWS_")


@dataclass(frozen=True)
class Served:
    """A materialized installation, its UI, and where its pages are."""

    installation: Installation
    dagster: Dagster
    site: str

    @property
    def settings(self) -> Settings:
        """Settings of the installation."""
        return self.installation.settings

    @property
    def catalog(self) -> Catalog:
        """The catalog as it is now."""
        return load_catalog(self.settings.catalog)

    def key(self, stage: str, experiment: str) -> str:
        """Return the key of the asset that an experiment has at ``stage``."""
        return "/".join([stage, *self.catalog.place_of(experiment)])

    def of_study(self) -> set[str]:
        """Return the keys of what only the study makes."""
        experiments, folds = self.catalog.study_only()
        keys = {self.key(stage, name) for stage in ("runs", "evidence") for name in experiments}
        return keys | {f"folds/{name}" for name in folds} | {"reports/of_study"}


def install(folder: Path) -> Settings:
    """Lay out a corpus and a catalog in ``folder``; return the settings of the installation."""
    from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus

    generate_corpus(folder / "corpus", **TINY)
    shrunk_catalog(folder / "catalog", EXPERIMENTS)
    return Settings(
        data=folder / "data",
        corpus=folder / "corpus",
        catalog=folder / "catalog",
        workers=1,
        batch_recordings=8,
        accelerator="cpu",
        ui_port=free_port(),
        site_port=free_port(),
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a process of the installation: nothing of the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_OTHERS)}
    stated = settings.model_dump(mode="json", exclude_defaults=True)
    return kept | {f"CRY_PIPELINE_{name.upper()}": str(value) for name, value in stated.items() if value is not None}


@contextmanager
def started(settings: Settings) -> Iterator[Served]:
    """Serve UI and pages of an installation with `cry-pipeline ui`, which says when that is so; ended with Ctrl-C."""
    dagster, log = Dagster(settings.ui_address), settings.data.parent / "ui.log"
    with ExitStack() as stack:
        file = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [COMMAND, "ui"], env=environment(settings), stdout=file, stderr=file, preexec_fn=heed_ctrl_c
        )
        stack.callback(ended, process)

        def is_usable() -> bool:
            assert process.poll() is None, log.read_text()
            return f"usable at {settings.ui_address}" in log.read_text() and answers(settings.site_address)

        wait_until(is_usable, "the UI can be used, and the site answers", 3 * MINUTES)
        yield Served(Installation(settings), dagster, settings.site_address)


def answers(address: str) -> bool:
    """Whether somebody answers at ``address``."""
    try:
        return requests.get(address, timeout=10).ok
    except requests.ConnectionError:
        return False


def ended(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end as Ctrl-C does, and wait until it has."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def run(settings: Settings, *options: str) -> None:
    """Call `cry-pipeline run`; what it says is shown where it fails."""
    done = subprocess.run([COMMAND, "run", *options], env=environment(settings), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def chromium() -> str | None:
    """Return the path of an installed Chromium, or Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
