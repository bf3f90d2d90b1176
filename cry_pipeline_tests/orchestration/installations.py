"""A materialized installation on a tiny synthetic corpus and a shrunk copy of the packaged catalog.

A plugin of the tests, not a conftest: the tests of the README use it, too. So nothing heavy is imported with it.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from filelock import FileLock

from cry_pipeline.catalog import load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

EXPERIMENTS = {
    "cleaned_majority_donor_grouped": "default",
    "cleaned_logistic_regression_donor_grouped": "default",
    "cleaned_logistic_regression_clip_stratified": "default",
    "curation_lfeb_attention_lstm_donor_grouped": "default",
    "uploads_logistic_regression_donor_grouped": "default",
    # Of one kin, with the temporal one below: by donor, by clip, by time.
    "curation_majority_donor_grouped": "default",
    "curation_majority_clip_stratified": "default",
    "cleaned_majority_augment_then_split": "study",
    "cleaned_logistic_regression_augment_then_split": "study",
    "curation_majority_temporal": "study",
    "curation_svm_covariance_donor_hashed": "default",
    "curation_svm_covariance_temporal": "study",
}
CANDIDATES = ["curation_svm_covariance_donor_hashed", "curation_svm_covariance_temporal"]
"""For the champion: one of every day, and one that only the study makes."""
ODD = "11111111-2222-4333-8444-555555555555-1431028888000-1.7-f-04-lo.wav"
"""Stereo, floating-point, 11,025 Hz; of a reason that is in no cohort."""
REFUSED = "11111111-2222-4333-8444-555555555555-1431028889000-1.7-f-04-hu.wav"
FOLDS = {"donor_grouped": 3, "donor_hashed": 3, "clip_stratified": 4, "augment_then_split": 4}
SMALL_NETWORK = {"epochs": 1, "bins": 16, "frame_pool": 8, "channels": [4, 4, 4, 4], "heads": 2, "lstm_units": 4}


@dataclass(frozen=True)
class Installation:
    """Settings with what Dagster makes of them."""

    settings: Settings

    @property
    def definitions(self) -> "dg.Definitions":
        """Loaded anew at each call, as a code location is after its catalog was edited."""
        from cry_pipeline.definitions import build_definitions

        return build_definitions(self.settings)

    def with_study(self) -> "Installation":
        """Return the same, with what only the study makes in the graph."""
        return Installation(self.settings.model_copy(update={"study": True}))

    def run(self, job: str = "everything") -> "dg.ExecuteInProcessResult":
        """Run a job on the installation's instance; failures are in the result."""
        from cry_pipeline.orchestration.launch import QUIET

        with self.instance() as instance:
            return self.definitions.resolve_job_def(job).execute_in_process(
                instance=instance, run_config=QUIET, raise_on_error=False
            )

    def instance(self) -> "dg.DagsterInstance":
        """Open the installation's instance."""
        from cry_pipeline.orchestration.instance import open_instance

        return open_instance(self.settings)

    def edit_catalog(self, section: str, **entries: dict) -> None:
        """Change keys of entries of the catalog."""
        path = Path(self.settings.catalog or "") / f"{section}.yaml"
        content = yaml.safe_load(path.read_text())
        for name, keys in entries.items():
            content[name] |= keys
        path.write_text(yaml.safe_dump(content))


def shrunk_catalog(folder: Path, chosen: dict[str, str] = EXPERIMENTS) -> Path:
    """Copy the packaged catalog to ``folder`` with fewer experiments and a network that trains in a blink.

    ``chosen``: the tier of each experiment; :data:`CANDIDATES` are among them.
    """
    folder.mkdir(parents=True)
    for section in SECTIONS:
        shutil.copy(PACKAGED / f"{section}.yaml", folder)
    models = yaml.safe_load((folder / "models.yaml").read_text())
    models["lfeb_attention_lstm"] |= SMALL_NETWORK
    (folder / "models.yaml").write_text(yaml.safe_dump(models))
    protocols = yaml.safe_load((folder / "protocols.yaml").read_text())
    for name, folds in FOLDS.items():
        protocols[name] |= {"folds": folds}
    (folder / "protocols.yaml").write_text(yaml.safe_dump(protocols))
    packaged = load_catalog().experiments
    added = {
        "curation_majority_clip_stratified": ("curation_majority_donor_grouped", "clip_stratified"),
        "curation_svm_covariance_temporal": ("curation_svm_covariance_donor_hashed", "temporal"),
        "curation_lfeb_attention_lstm_donor_hashed": ("curation_lfeb_attention_lstm_donor_grouped", "donor_hashed"),
    }
    for name, (kin, protocol) in added.items():
        packaged = packaged | {name: packaged[kin].model_copy(update={"protocol": protocol})}
    experiments = {name: packaged[name].model_dump(mode="json") | {"tier": tier} for name, tier in chosen.items()}
    (folder / "experiments.yaml").write_text(yaml.safe_dump(experiments))
    (folder / "donations.yaml").write_text(yaml.safe_dump({"retraining": {"min_new_donors": 1}}))
    (folder / "champion.yaml").write_text(yaml.safe_dump({"cry": CANDIDATES, "confusers": 1}))
    return folder


def lay_in(inbox: Path) -> None:
    """Put two donations into ``inbox``: an odd recording that is taken, and one that is refused."""
    import numpy as np
    import soundfile

    inbox.mkdir(parents=True)
    loud = np.random.default_rng(0).normal(0, 0.1, 15_000).astype(np.float32)
    soundfile.write(inbox / ODD, np.stack([loud, loud], axis=1), 11_025, format="WAV", subtype="FLOAT")
    (inbox / REFUSED).write_bytes(b"no sound at all")


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic corpus to read from."""
    from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus

    return generate_corpus(tmp_path_factory.mktemp("corpora") / "tiny", **TINY)


@dataclass(frozen=True)
class RecordedRun:
    """What the instance recorded of a run: whichever process ran it, any other can ask."""

    success: bool
    events: "list[dg.DagsterEvent]"

    @classmethod
    def last_of(cls, installation: Installation) -> "RecordedRun":
        with installation.instance() as instance:
            (run,) = instance.get_runs(limit=1)
            events = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
        return cls(run.is_success, [event for event in events if event is not None])

    def get_asset_materialization_events(self) -> "list[dg.DagsterEvent]":
        return [event for event in self.events if event.is_step_materialization]

    def get_asset_check_evaluations(self) -> "list[dg.AssetCheckEvaluation]":
        import dagster as dg

        checks = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        return [event.asset_check_evaluation_data for event in self.events if event.event_type is checks]


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, RecordedRun]:
    """An installation on which everything was materialized once, and that run; only to be looked at.

    Made once for all processes that share the tests: it takes more than a minute.
    """
    from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus
    from cry_pipeline_tests.conftest import NO_TORCH, WITHOUT_TORCH

    if WITHOUT_TORCH:
        pytest.skip(NO_TORCH)
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "installation"
    settings = Settings(
        data=shared / "data",
        corpus=shared / "corpus",
        catalog=shared / "catalog",
        workers=1,  # folds in processes are for the tests of training
        batch_recordings=8,
        accelerator="cpu",
    )
    finished = shared / "finished"
    with FileLock(shared.with_suffix(".lock")):
        if not finished.exists():
            shutil.rmtree(shared, ignore_errors=True)
            generate_corpus(shared / "corpus", **TINY)
            shrunk_catalog(shared / "catalog")
            lay_in(settings.inbox)
            Installation(settings).run()
            finished.touch()
    # A copy for each process: of a database that another one has open, files come and go.
    installation = copied(Installation(settings), tmp_path_factory.mktemp("installation"))
    return installation, RecordedRun.last_of(installation)


def copied(installation: Installation, folder: Path) -> Installation:
    """Copy an installation to ``folder``; the corpus stays where it is."""
    settings = installation.settings
    assert settings.catalog is not None
    shutil.copytree(settings.data, folder / "data")
    shutil.copytree(settings.catalog, folder / "catalog")
    return Installation(settings.model_copy(update={"data": folder / "data", "catalog": folder / "catalog"}))


@pytest.fixture
def installation(first_run: tuple[Installation, RecordedRun], tmp_path: Path) -> Installation:
    """A copy of the materialized installation, to change."""
    return copied(first_run[0], tmp_path)
