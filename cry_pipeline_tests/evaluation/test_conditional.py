"""Conditional evidence: what is told only by what recordings are alike in is gone among the alike."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.evaluation.conditional import LOUD_DBFS, case_mix_of, conditionals_of, groups_alike
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.findings import Alike, Comparison, Conditional, Interval, Probe, Shortcut
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import verdict_of

CRY = ("not_cry", "cry")
CHANCE, ABOVE = Interval(value=0.5, low=0.45, high=0.55), Interval(value=0.7, low=0.6, high=0.8)


def told_of(ids, **given) -> pd.DataFrame:
    """Return what is told of ``ids``, with changes."""
    rng, ages = np.random.default_rng(7), np.array(["0-4 weeks", "2-6 months", None], dtype=object)
    plain = {
        "platform": rng.choice(["ios", "android"], len(ids)),
        "app_version": "1.0",
        "gender": "male",
        "age_band": pd.array(ages[rng.integers(0, 3, len(ids))], "string"),
        "duration_s": 7.0,
        "peak": 0.5,
        "rms_dbfs": rng.uniform(-80, 0, len(ids)),
        "clipped_fraction": 0.0,
        "silent_fraction": 0.0,
    }
    return pd.DataFrame(plain | given, index=pd.Index(ids, name="recording_id"))


def by_hand(rows: OutOfFold, code: int, group: np.ndarray) -> tuple[float, int]:
    """Return (AUC, pairs of the class with the rest) over pairs of one fold and group, one pair at a time."""
    won, pairs = 0.0, 0
    for first, second in product(range(len(rows.labels)), repeat=2):
        alike = rows.folds[0, first] == rows.folds[0, second] and group[first] == group[second]
        if alike and rows.labels[first] == code != rows.labels[second]:
            ahead = rows.probabilities[0, first, code] - rows.probabilities[0, second, code]
            won, pairs = won + (ahead > 0) + (ahead == 0) / 2, pairs + 1
    return won / pairs, pairs


def test_only_pairs_of_one_fold_and_group_are_compared(run_of) -> None:
    rows = run_of(effect=0.8)
    told = told_of(rows.recording_ids)
    groups, everything = groups_alike(told), np.zeros(len(rows.labels))
    found = conditionals_of(rows, told.sample(frac=1, random_state=0), resamples=100)
    assert [one.alike for one in found] == ["platform", "age band", "platform and age band", "loudness"]
    assert [one.groups for one in found] == [2, 3, 6, 5]
    (overall, of_all), of_group = by_hand(rows, 1, everything), {}
    for one in found:
        of_group[one.alike] = by_hand(rows, 1, groups[one.alike])
        assert one.auc.value == pytest.approx(of_group[one.alike][0])
        assert one.difference.value == pytest.approx(of_group[one.alike][0] - overall)
        assert one.pairs == pytest.approx(of_group[one.alike][1] / of_all)
        assert one.auc.low < one.auc.value < one.auc.high


def test_of_several_classes_it_is_the_mean_over_those_with_pairs(run_of) -> None:
    rows = run_of(("hungry", "tired", "burping"), effect=0.8)
    own_platform = np.where(rows.labels == 2, "ios", "android")  # burping has no pair with another class
    told = told_of(rows.recording_ids, platform=own_platform)
    found = {one.alike: one for one in conditionals_of(rows, told, resamples=100)}
    group = groups_alike(told)["platform"]
    assert found["platform"].auc.value == pytest.approx(np.mean([by_hand(rows, code, group)[0] for code in (0, 1)]))
    group = groups_alike(told)["loudness"]
    expected = np.mean([by_hand(rows, code, group)[0] for code in range(3)])
    assert found["loudness"].auc.value == pytest.approx(expected)


def test_where_no_two_classes_are_alike_there_is_nothing_to_say(run_of) -> None:
    rows = run_of(effect=1.0)
    told = told_of(rows.recording_ids, platform=np.where(rows.labels == 1, "ios", "android"))
    assert [one.alike for one in conditionals_of(rows, told, resamples=100)] == ["age band", "loudness"]


def test_equal_level_everywhere_is_one_group(run_of) -> None:
    rows = run_of(effect=1.0)
    (loudness,) = (
        one
        for one in conditionals_of(rows, told_of(rows.recording_ids, rms_dbfs=-20.0), resamples=100)
        if one.alike == "loudness"
    )
    assert (loudness.groups, loudness.pairs, loudness.difference.value) == (1, 1.0, 0.0)


def test_case_mix_counts_the_near_silent_and_measures_among_the_loud(run_of) -> None:
    rows = run_of(effect=0.8)
    level = np.where(rows.labels == 0, -70.0, -20.0)
    level[::4] = -45.0
    level[1::4] = -10.0
    mix = case_mix_of(rows, told_of(rows.recording_ids, rms_dbfs=level), resamples=100)
    silent = {name: (level[rows.labels == code] < -60).mean() for code, name in enumerate(CRY)}
    assert mix.near_silent == pytest.approx(silent)
    assert mix.near_silent["cry"] == 0 < mix.near_silent["not_cry"]
    loud = level > LOUD_DBFS
    assert mix.loud == loud.sum()
    assert mix.loud_auc is not None
    apart = np.where(loud, -1, np.arange(len(level)))  # those that are not loud have no partner
    assert mix.loud_auc.value == pytest.approx(by_hand(rows, 1, apart)[0])
    assert case_mix_of(rows, told_of(rows.recording_ids, rms_dbfs=-50.0), resamples=100).loud_auc is None


def probe(name: Shortcut = "loudness", p_adjusted=0.01, better=True) -> Probe:
    low, high = (0.01, 0.2) if better else (-0.1, 0.1)
    difference = Comparison(
        first="run", second=name, metric="auc", difference=0.1, low=low, high=high, p_value=0.5, resamples=100
    )
    return Probe(
        name=name, experiment=name, headline=ABOVE, p_value=p_adjusted, p_adjusted=p_adjusted, comparison=difference
    )


def conditional(alike: Alike = "loudness", auc=CHANCE, fall=-0.1) -> Conditional:
    difference = Interval(value=fall, low=fall - 0.05, high=fall + 0.05)
    return Conditional(alike=alike, groups=5, pairs=0.2, auc=auc, difference=difference)


@pytest.mark.parametrize(
    ("probes", "conditionals", "verdict"),
    [
        ([probe()], [], "above chance"),
        ([probe(better=False)], [], "explained by a shortcut"),
        ([probe(better=False, p_adjusted=0.06)], [], "above chance"),
        ([probe()], [conditional()], "explained by a shortcut"),
        ([probe(p_adjusted=0.06)], [conditional()], "above chance"),
        ([probe("platform")], [conditional()], "above chance"),
        ([probe("platform")], [conditional("platform and age band")], "explained by a shortcut"),
        ([probe()], [conditional(auc=ABOVE)], "above chance"),
        ([probe()], [conditional(fall=-0.04)], "above chance"),
        ([], [conditional()], "above chance"),
    ],
)
def test_a_shortcut_explains_if_it_tells_by_itself_and_does_as_well_or_nothing_is_told_without_it(
    probes, conditionals, verdict: str
) -> None:
    assert verdict_of(ABOVE, 0.5, 0.001, probes, conditionals) == verdict
    assert verdict_of(CHANCE, 0.5, 0.001, probes, conditionals) == "not distinguishable from chance"


@pytest.mark.parametrize("hears", [0.0, 1.5])
def test_a_run_that_hears_loudness_better_than_its_probe_is_found_out_among_recordings_of_one_level(
    predict, provenance, hears: float
) -> None:
    run, folds = predict(effect=hears, donors=200, clips=2, seed=4)
    rng, truth = np.random.default_rng(0), (run["label"] == "cry").to_numpy()
    level = np.round((truth + rng.normal(0, 1.2, len(run))) * 5) - 40  # dB that go with the label
    heard = 1 / (1 + np.exp(-level / 5 - 8 - np.log(run["p_cry"] / run["p_not_cry"]) * bool(hears)))
    rough = 1 / (1 + np.exp(-level / 5 - 8 - rng.normal(0, 1.8, len(run))))
    run, loudness = (run.assign(p_cry=score, p_not_cry=1 - score) for score in (heard, rough))
    found = evaluate(
        run,
        CRY,
        "cry",
        folds=folds,
        provenance=provenance(shortcuts={"loudness": ("loudness_run", "c" * 64)}),
        shortcuts={"loudness": loudness},
        told=told_of(run["recording_id"], rms_dbfs=level),
        resamples=200,
    )
    assert found.probes[0].above_chance
    assert not found.explanations, "its probe does worse"
    if hears:
        assert found.verdict == "above chance"
        assert "; AUC among recordings alike in platform 0." in found.sentence
    else:
        assert [one.alike for one in found.conditional_explanations] == ["loudness"]
        assert found.verdict == "explained by a shortcut"
        assert "is the AUC among recordings alike in loudness" in found.sentence
