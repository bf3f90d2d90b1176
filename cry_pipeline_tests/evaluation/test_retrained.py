"""Models trained on dealt labels: folds of each deal, what is remembered and kept, and what the null is good for."""

from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline.catalog import ProtocolSpec, load_catalog
from cry_pipeline.catalog.models import LogisticRegressionSpec, RandomForestSpec
from cry_pipeline.engine import Engine, Local
from cry_pipeline.evaluation import retrained
from cry_pipeline.evaluation.findings import LEVEL
from cry_pipeline.evaluation.metrics import auc
from cry_pipeline.evaluation.nulls import METRICS, p_value_of
from cry_pipeline.evaluation.refitting import refit
from cry_pipeline.evaluation.retrained import ALONE, Cohort, deal, kept_null, null_digest, retrain
from cry_pipeline.folds.splitting import leaking_donors, make_folds

REGRESSION = LogisticRegressionSpec(kind="logistic_regression")
GROUPED = ProtocolSpec(kind="donor_grouped", folds=3, repeats=2)


def table(donors: int = 30, clips: int = 2, seed: int = 0) -> pd.DataFrame:
    donor = np.repeat(np.arange(donors), clips)
    label = np.where(np.random.default_rng(seed).random(donors)[donor] < 0.5, "cry", "not_cry")
    names = [f"r{number:03}" for number in range(len(donor))]
    return pd.DataFrame({"recording_id": names, "donor": [f"d{one:02}" for one in donor], "label": label})


def cohort(**given: int) -> Cohort:
    return Cohort.of(table(**given), ("not_cry", "cry"))


def dealt(of: Cohort, deals: int, protocol: ProtocolSpec = GROUPED, engine: Engine = ALONE) -> retrained.Deals:
    return deal(of, protocol, deals, 0, engine)


def test_every_deal_has_the_protocols_folds_of_the_labels_dealt() -> None:
    of = cohort()
    deals = dealt(of, 6)
    assert (deals.codes.shape, deals.folds.shape, deals.lost) == ((6, 60), (6, 2, 60), 0)
    assert len(np.unique(deals.codes, axis=0)) == 6
    assert len(np.unique(deals.folds[:, 0], axis=0)) == 6, "labels dealt otherwise are stratified otherwise"
    rows = table().assign(label=np.array(of.classes)[deals.codes[5]])
    golden = make_folds(rows, GROUPED)
    np.testing.assert_array_equal(deals.folds[5], golden["fold"].to_numpy().reshape(2, -1))
    assert not leaking_donors(golden)


def test_a_deal_that_no_folds_can_be_made_of_is_lost_and_counted() -> None:
    # Of three donors with a cry one has five recordings: dealt to a smaller donor its one cry may be lost.
    sizes = np.repeat([5, 1], [10, 14])
    donor = np.repeat(np.arange(24), sizes)
    label = np.array(["not_cry"] * len(donor), dtype=object)
    label[[0, 55, 57]] = "cry"
    names = [f"r{number:03}" for number in range(len(donor))]
    rows = pd.DataFrame({"recording_id": names, "donor": donor.astype(str), "label": label})
    deals = dealt(Cohort.of(rows, ("not_cry", "cry")), 40)
    assert 0 < deals.lost < 40
    assert len(deals.codes) == len(deals.folds) == 40 - deals.lost
    found = retrain(REGRESSION, np.random.default_rng(0).normal(size=(len(donor), 3)), deals, classes=2)
    for name in METRICS:
        assert np.isnan(found[name]).sum() == deals.lost
        assert len(found[name]) == 40


class LastFirst(Local):
    """Finishes what is given to it in another order."""

    def map(self, function, items, **_):
        yield from ((item, function(item)) for item in reversed(items))


def test_what_is_found_depends_neither_on_the_order_of_rows_nor_on_that_in_which_others_finish() -> None:
    values = np.random.default_rng(0).normal(size=(60, 4))
    shuffled = Cohort.of(table().sample(frac=1, random_state=1), ("not_cry", "cry"))
    assert shuffled == cohort()
    alone = retrain(REGRESSION, values, dealt(cohort(), 32), classes=2, seed=3)
    others = LastFirst(2)
    together = retrain(REGRESSION, values, dealt(cohort(), 32, engine=others), classes=2, seed=3, engine=others)
    for name in METRICS:
        np.testing.assert_array_equal(alone[name], together[name])


def test_nulls_are_retrained_where_that_is_cheap_and_donors_are_kept_apart() -> None:
    catalog = load_catalog()
    retrains = {
        name
        for name, of in catalog.experiments.items()
        if null_digest(catalog.models[of.model], catalog.protocols[of.protocol], "a" * 64)
    }
    assert "curation_svm_covariance_donor_hashed" in retrains
    assert "cleaned_logistic_regression_donor_grouped" in retrains
    assert "cleaned_logistic_regression_clip_stratified" not in retrains
    assert "curation_random_forest_donor_grouped" not in retrains
    assert "curation_metadata_only_donor_grouped" not in retrains
    assert null_digest(RandomForestSpec(kind="random_forest"), GROUPED, "a" * 64) == ""
    of = [null_digest(REGRESSION, GROUPED, run * 64) for run in "ab"]
    assert len({*of, null_digest(REGRESSION, GROUPED, "a" * 64, deals=50)}) == 3


def test_what_came_out_is_kept_and_made_again_where_it_is_another_or_damaged(tmp_path: Path) -> None:
    made = {name: np.array([0.4, 0.6, np.nan]) for name in METRICS}
    calls: list[str] = []

    def kept(digest: str) -> dict[str, np.ndarray]:
        return kept_null("own", digest, "a" * 64, tmp_path, lambda: calls.append(digest) or made)

    for _ in range(2):
        np.testing.assert_array_equal(kept("b" * 64)["auc"], made["auc"])
    kept("b" * 16 + "c" * 48)
    path = tmp_path / "own" / ("b" * 16) / retrained.FILE
    assert calls == ["b" * 64, "b" * 16 + "c" * 48]
    path.write_bytes(path.read_bytes().replace(b"0.4", b"0.9"))
    kept("b" * 16 + "c" * 48)
    assert len(calls) == 3


def test_a_method_that_finds_nothing_is_seldom_called_above_chance() -> None:
    """Few donors with recordings alike: with predictions as they are, training's variance would be overlooked."""
    rng = np.random.default_rng(3)
    of = cohort(donors=24, clips=3)
    values = rng.normal(size=(24, 6))[np.arange(72) // 3] + 0.3 * rng.normal(size=(72, 6))
    deals = dealt(of, 100, ProtocolSpec(kind="donor_grouped", folds=3))
    found = retrain(REGRESSION, values, deals, classes=2)["auc"]
    p_values = [p_value_of(np.delete(found, place), value) for place, value in enumerate(found)]
    assert np.mean(np.array(p_values) <= LEVEL) < LEVEL + 3 * np.sqrt(LEVEL / 100)
    assert 0.4 < np.mean(p_values) < 0.6
    # One who hears the label is found.
    codes = of.codes
    heard = values.copy()
    heard[:, 0] += 6 * codes
    folds = np.arange(24).repeat(3)[None] % 3
    answers = refit(REGRESSION, heard, codes, folds, classes=2)[0]
    assert p_value_of(found, float(auc(codes == 1, answers[:, 1], strata=folds[0]))) < LEVEL / 2
