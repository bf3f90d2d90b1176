"""Shortcuts: donors and platforms that stand for the label are recognised as such, and nothing else is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.findings import Shortcut
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold, out_of_fold
from cry_pipeline.evaluation.probes import donor_identity, donor_neighbours, probe_shortcuts

CRY = ("not_cry", "cry")
REASONS = ("hungry", "tired", "burping")


def clips(predict, classes=REASONS, **given: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions and folds that ignore donors, with labels that mostly go with them."""
    predictions, folds = predict(classes, donors=30, repeats=2, **given)
    for table in (predictions, folds):
        table["fold"] = np.random.default_rng(1).integers(0, 5, len(table))
        table.loc[table["recording_id"].isin(["r0001", "r0040", "r0077"]), "label"] = classes[0]
    return predictions, folds


def test_donor_identity_counts_the_labels_of_the_donors_training_recordings(predict) -> None:
    predictions, folds = clips(predict)
    rows = donor_identity(out_of_fold(predictions, folds, REASONS), folds)
    for repeat in range(2):
        for place in range(0, 90, 7):
            here = folds[folds["repeat"] == repeat]
            own = here[here["recording_id"] == rows.recording_ids[place]].iloc[0]
            trained = here[here["fold"] != own["fold"]]
            mine = trained[trained["donor"] == own["donor"]]
            expected = [
                ((mine["label"] == name).sum() + (trained["label"] == name).mean()) / (len(mine) + 1)
                for name in REASONS
            ]
            np.testing.assert_allclose(rows.probabilities[repeat, place], expected)


def test_recordings_that_no_fold_tests_are_trained_on(predict) -> None:
    predictions, folds = clips(predict)
    rows = out_of_fold(predictions, folds, REASONS)
    more = folds.assign(recording_id="early" + folds["recording_id"], fold=-1, label="burping")
    with_more = donor_identity(rows, pd.concat([folds, more]))
    without = donor_identity(rows, folds)
    assert (with_more.probabilities[:, :, 2] > without.probabilities[:, :, 2]).all()


def test_where_donors_are_on_one_side_the_probe_knows_nothing(predict) -> None:
    predictions, folds = predict(effect=1.0)
    (probe,) = probe_shortcuts(out_of_fold(predictions, folds, CRY, "run"), {}, folds, "auc", resamples=200)
    assert (probe.headline.value, probe.headline.low, probe.headline.high) == (0.5, 0.5, 0.5)
    assert (probe.name, probe.experiment, probe.comparison.first) == ("donor identity", None, "run")
    assert probe.comparison.better
    assert not probe.explains


def test_memory_of_donors_is_a_shortcut_where_they_are_on_both_sides(predict, provenance) -> None:
    predictions, folds = clips(predict, effect=1.0)
    of = provenance(protocol="clip_stratified", keeps_donors_apart=False)
    found = evaluate(predictions, REASONS, "reason", folds=folds, provenance=of, resamples=200)
    assert found.probes[0].headline.value > 0.8
    assert found.verdict == "explained by a shortcut"
    assert "explained by a shortcut: donor identity alone reaches 0." in found.sentence


def platform_runs(predict, *, hears: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return (run, folds, platform probe): labels go with a platform, which the run knows, and it hears something."""
    run, folds = predict(effect=hears, donors=200, seed=4)
    truth = (run["label"] == "cry").to_numpy()
    donor = run["donor"].str[-3:].astype(int).to_numpy()
    ios = np.where(np.random.default_rng(0).random(200)[donor] < 0.75, truth, ~truth)  # one platform a donor
    probe = run.assign(p_cry=np.where(ios, 0.75, 0.25))
    odds = run["p_cry"] / run["p_not_cry"] * np.where(ios, 3, 1 / 3)
    run, probe = run.assign(p_cry=odds / (1 + odds)), probe
    return run.assign(p_not_cry=1 - run["p_cry"]), folds, probe.assign(p_not_cry=1 - probe["p_cry"])


@pytest.mark.parametrize("hears", [0.0, 2.5])
def test_a_run_that_only_knows_the_platform_is_explained_and_one_that_hears_more_is_not(
    predict, provenance, hears: float
) -> None:
    run, folds, probe = platform_runs(predict, hears=hears)
    of = provenance(shortcuts={"platform": ("platform_run", "c" * 64)})
    found = evaluate(run, CRY, "cry", folds=folds, provenance=of, shortcuts={"platform": probe}, resamples=400)
    assert found.headline.low > 0.55
    assert [each.name for each in found.probes] == ["platform", "donor identity"]
    assert found.probes[0].experiment == found.probes[0].comparison.second == "platform_run"
    assert found.probes_not_run == ("metadata", "loudness", "all metadata")
    if hears:
        assert found.verdict == "above chance"
        assert found.sentence.endswith("above chance; not probed: metadata, loudness, all metadata")
    else:
        assert found.verdict == "explained by a shortcut"
        assert [each.name for each in found.explanations] == ["platform"]


def test_a_shortcut_at_chance_explains_nothing_and_one_is_explained_by_itself(predict, provenance) -> None:
    run, folds, probe = platform_runs(predict, hears=0.0)
    of = provenance(shortcuts={"platform": ("platform_run", "c" * 64)})
    blind = probe.assign(p_cry=0.4, p_not_cry=0.6)
    found = evaluate(run, CRY, "cry", folds=folds, provenance=of, shortcuts={"platform": blind}, resamples=200)
    assert found.verdict == "above chance"
    own = evaluate(probe, CRY, "cry", folds=folds, provenance=of, shortcuts={"platform": probe}, resamples=200)
    assert own.verdict == "explained by a shortcut", "the platform run itself"
    assert own.probes[0].comparison.p_value == 1


def test_probes_that_tell_nothing_explain_no_weak_effect_more_often_than_stated(run_of) -> None:
    explained, tied = 0, 0
    for seed in range(40):
        rows, blind = (run_of(effect=effect, name=str(effect), seed=seed) for effect in (0.3, 0.0))
        noise = np.random.default_rng([seed, 1]).uniform(size=(2, *blind.labels.shape))
        others: dict[Shortcut, OutOfFold] = {
            "platform": replace(blind, probabilities=np.stack([1 - noise[0], noise[0]], axis=1)[None]),
            "loudness": replace(blind, probabilities=np.stack([1 - noise[1], noise[1]], axis=1)[None]),
        }
        folds = pd.DataFrame(
            {
                "recording_id": rows.recording_ids,
                "donor": rows.donors,
                "label": np.array(CRY)[rows.labels],
                "repeat": 0,
                "fold": rows.folds[0],
            }
        )
        probes = probe_shortcuts(rows, others, folds, "auc", resamples=100, seed=seed)
        explained += any(probe.explains for probe in probes)
        tied += any(probe.headline.value > 0.5 and not probe.comparison.better for probe in probes)
    assert tied > 12, "so many would be explained by any probe above .5"
    assert explained <= 3


def test_a_probe_on_other_folds_is_refused(predict) -> None:
    predictions, folds = predict(effect=1.0)
    rows = out_of_fold(predictions, folds, CRY, "run")
    other = replace(rows, folds=(rows.folds + 1) % 5, name="platform_run")
    with pytest.raises(EvidenceError, match="run and platform_run have other folds"):
        probe_shortcuts(rows, {"platform": other}, folds, "auc", resamples=100)


def test_neighbours_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    donors = np.concatenate([np.repeat(np.arange(30), 3), [90, 91, 92]])
    values = np.repeat(rng.normal(size=(100, 8)), 1, axis=0)[donors] + rng.normal(size=(93, 8))
    values = np.column_stack([values * np.arange(1, 9) * 100, np.full(93, 7.0)])
    found = donor_neighbours(values, donors)
    _, nearest = NearestNeighbors(n_neighbors=2).fit(StandardScaler().fit_transform(values)).kneighbors()
    assert found is not None
    assert found.recordings == 90, "three donors have no other recording"
    assert found.rate == pytest.approx((donors[nearest[:90, 0]] == donors[:90]).mean())
    assert found.chance == pytest.approx(2 / 92)
    assert found.rate > 5 * found.chance


def test_features_that_do_not_know_the_donor_have_neighbours_by_chance_and_lone_donors_none() -> None:
    values, donors = np.random.default_rng(0).normal(size=(900, 4)), np.repeat(np.arange(90), 10)
    found = donor_neighbours(values, donors)
    assert found is not None
    assert found.rate == pytest.approx(found.chance, abs=0.02)
    assert donor_neighbours(values, np.arange(900)) is None


def test_neighbours_enter_evidence_by_recording_whatever_the_order_and_copies_have_none(predict, provenance) -> None:
    predictions, folds = predict(effect=1.0)
    donor = predictions["donor"].str[-3:].astype(float)
    statistics = pd.DataFrame({0: donor.to_numpy()}, index=pd.Index(predictions["recording_id"]))
    shuffled = statistics.iloc[:150].sample(frac=1, random_state=0)
    found = evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), statistics=shuffled, resamples=100)
    assert found.neighbours is not None
    assert (found.neighbours.rate, found.neighbours.recordings) == (1.0, 150)
