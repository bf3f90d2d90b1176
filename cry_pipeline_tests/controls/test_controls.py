"""Controls: what is there is found, what is not there is not, from synthetic audio to the verdict.

A synthetic donor has a voice of its own, and most of its cries have one reason. Without a planted effect nothing in a
cry tells the reason but who cries; a model that recognises donors then seems to tell it, unless the split forbids it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog import Catalog, ExperimentSpec, ProtocolSpec, load_catalog
from cry_pipeline.corpus.cohorts import select_cohort
from cry_pipeline.corpus.manifest import build_manifest
from cry_pipeline.corpus.sources import Roots, take_inventory
from cry_pipeline.corpus.synthetic.files import generate_corpus
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.records import Evidence, Provenance
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.folds.splitting import make_folds
from cry_pipeline.training.run_inputs import RunFeatures
from cry_pipeline.training.runs import train_run

MODEL = "logistic_regression"
ABOVE, NOT_ABOVE, SHORTCUT = "above chance", "not distinguishable from chance", "explained by a shortcut"
PROTOCOLS = {
    "donor_grouped": ProtocolSpec(kind="donor_grouped", folds=5),
    "clip_stratified": ProtocolSpec(kind="clip_stratified", folds=5),
    "augment_then_split": ProtocolSpec(kind="augment_then_split", folds=5, copies=3),
}


def _catalog() -> Catalog:
    """The packaged catalog with a regression that may learn by heart, and an experiment for each protocol."""
    packaged = load_catalog()
    regression = packaged.models[MODEL].model_copy(update={"inverse_regularisation": 1.0})
    experiments = {
        name: ExperimentSpec(cohort="cleaned", feature_set="mel64_8k", model=MODEL, protocol=name) for name in PROTOCOLS
    }
    return packaged.model_copy(
        update={"models": {MODEL: regression}, "protocols": PROTOCOLS, "experiments": experiments}
    )


@dataclass(frozen=True)
class Laboratory:
    """A synthetic corpus with its cohort ``cleaned`` and its features."""

    catalog: Catalog
    cohort: pd.DataFrame
    store: FeatureStore
    runs: Path

    def evidence(self, protocol: str, cohort: pd.DataFrame | None = None) -> Evidence:
        """Return what a run under ``protocol`` shows, by the pipeline's own functions."""
        folds = make_folds(self.cohort if cohort is None else cohort, PROTOCOLS[protocol])
        features = RunFeatures(self.store.digest, self.store.read)
        run = train_run(protocol, self.catalog, folds, features, runs=self.runs)
        provenance = Provenance.of(
            protocol, self.catalog, run_digest=run.digest, feature_digest=self.store.digest, sources=("synthetic",)
        )
        classes = self.catalog.cohorts["cleaned"].classes
        return evaluate(run.predictions, classes, "reason", folds=folds, provenance=provenance, resamples=400)


def laboratory(root: Path, effect: float) -> Laboratory:
    """Make a corpus of 40 donors, each with about five cries of one reason, a fifth of them hungry."""
    corpus = generate_corpus(
        root / "corpus",
        donors=40,
        donors_per_reason=8,
        kept_per_reason=5,
        hungry_share=0.2,
        kept_share=0.95,
        surprises=False,
        clip_s=(1.2, 1.6),
        seed=1,
        effect=effect,
    )
    inbox, catalog = root / "inbox", _catalog()
    inbox.mkdir()
    roots = Roots(corpus, inbox)
    recordings = build_manifest(take_inventory(roots, root / "cache"), roots, root / "cache").recordings
    cohort = select_cohort(recordings, catalog.cohorts["cleaned"])
    store = FeatureStore.open(root / "features", catalog.feature_sets["mel64_8k"]).of(samples_of(recordings))
    extract(recordings[recordings["recording_id"].isin(cohort["recording_id"])], roots, store)
    return Laboratory(catalog, cohort, store, root / "runs")


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A corpus in which the reason cannot be heard."""
    return laboratory(tmp_path_factory.mktemp("nothing"), effect=0.0)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A corpus in which each reason shifts a trait of the voice."""
    return laboratory(tmp_path_factory.mktemp("planted"), effect=1.0)


def test_donor_identity_without_an_effect_is_at_chance_when_grouped_and_above_it_when_not(nothing: Laboratory) -> None:
    grouped, clips, augmented = (nothing.evidence(protocol) for protocol in PROTOCOLS)
    assert grouped.verdict == NOT_ABOVE, grouped.sentence
    for leaking in (clips, augmented):  # above chance, and known to come from hearing the donor again
        assert leaking.headline.low > leaking.chance
        assert leaking.null.p_value < 0.05
        assert leaking.verdict == SHORTCUT, leaking.sentence
    assert clips.headline.value > grouped.headline.value + 0.15
    assert augmented.headline.value > clips.headline.value + 0.1


def test_planted_effect_is_found_in_donors_never_heard(planted: Laboratory) -> None:
    found = planted.evidence("donor_grouped")
    assert found.verdict == ABOVE, found.sentence
    assert found.headline.value > 0.5, found.sentence


@pytest.mark.parametrize("protocol", ["donor_grouped", "clip_stratified"])
def test_shuffled_labels_are_at_chance_even_where_there_is_an_effect(planted: Laboratory, protocol: str) -> None:
    shuffled = np.random.default_rng(0).permutation(planted.cohort["label"].to_numpy())
    found = planted.evidence(protocol, planted.cohort.assign(label=shuffled))
    assert found.verdict == NOT_ABOVE, found.sentence
