"""The null: donors keep their blocks, p-values are as small as they should be, and no smaller."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy import stats

from cry_pipeline.evaluation import nulls
from cry_pipeline.evaluation.measures import measure, measure_dealt
from cry_pipeline.evaluation.nulls import conditional_null, p_value_of, retrained_null
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.resampling import deal_labels

REASONS = ("hungry", "discomfort", "tired", "belly_pain", "burping")


def dealt(labels: np.ndarray, donors: np.ndarray, count: int = 50, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(deal_labels(labels, donors, permutations=count, seed=seed)))


def test_every_donor_gets_the_block_of_one_donor_and_every_block_goes_to_one() -> None:
    rng = np.random.default_rng(0)
    donors = rng.permutation(np.repeat(np.arange(40), np.repeat([1, 3], 20)))
    own = np.arange(len(donors))  # each recording a label of its own, so that it can be followed
    for labels in dealt(own, donors):
        np.testing.assert_array_equal(np.sort(labels), own, "equal sizes: every label stays, once")
        for donor in range(40):
            taken = labels[donors == donor]
            assert len(set(donors[taken])) == 1, "from one donor"
            assert (np.diff(taken) > 0).all(), "the block as it was"


def test_a_donor_of_another_size_gives_its_labels_in_their_proportions() -> None:
    sizes = np.arange(1, 13)
    donors = np.repeat(np.arange(12), sizes)
    rows = np.arange(len(donors))
    for labels in dealt(rows, donors, 200):
        givers = [set(donors[labels[donors == donor]]) for donor in range(12)]
        assert sorted(giver for each in givers for giver in each) == list(range(12))
        for donor, (giver,) in enumerate(givers):
            often = np.bincount(labels[donors == donor], minlength=len(donors))[donors == giver]
            assert often.max() - often.min() <= 1, "spread evenly over the giver's recordings"


def test_donors_get_labels_of_donors_of_like_size_and_the_largest_are_not_left_with_their_own() -> None:
    sizes = np.repeat([1, 2, 50], [100, 60, 3])
    donors = np.repeat(np.arange(len(sizes)), sizes)
    givers = dealt(donors, donors, 300)[:, np.unique(donors, return_index=True)[1]]
    assert (sizes[givers[:, :100]] == 1).all()
    assert (sizes[givers[:, 100:]] > 1).all()
    assert (sizes[givers[:, 160:]] == 50).mean() < 0.15
    for donor in (0, 100, 162):
        assert len(np.unique(givers[:, donor])) > 40


def test_with_donors_of_one_size_the_null_is_the_exact_one_but_for_the_widening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(5)
    donors, truth = np.repeat(np.arange(6), 2), np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1])
    scores = np.round(rng.random(12), 1)
    rows = made(truth, donors, scores)
    blocks = truth.reshape(6, 2)
    every = [sk.roc_auc_score(blocks[list(order)].ravel(), scores) for order in permutations(range(6))]
    observed = sk.roc_auc_score(truth, scores)
    wide = conditional_null(rows, permutations=8_000)["auc"]
    assert (wide.kind, wide.widening) == ("conditional", nulls.TRAINING_WIDENING)
    assert wide.sd == pytest.approx(nulls.TRAINING_WIDENING * np.std(every), rel=0.03)
    monkeypatch.setattr(nulls, "TRAINING_WIDENING", 1.0)
    null = conditional_null(rows, permutations=8_000)["auc"]
    assert null.mean == pytest.approx(np.mean(every), abs=0.005)
    assert null.mean == pytest.approx(wide.mean)
    assert null.p_value == pytest.approx(np.mean(np.array(every) >= observed - 1e-9), abs=0.01)
    assert null.high == pytest.approx(np.quantile(every, 0.95), abs=0.03)


def made(truth: np.ndarray, donors: np.ndarray, scores: np.ndarray) -> OutOfFold:
    """Return a run of two classes and one fold."""
    return OutOfFold(
        recording_ids=np.array([f"r{number:04}" for number in range(len(truth))]),
        donors=donors.astype(str),
        labels=truth.astype(np.int64),
        folds=np.zeros((1, len(truth)), dtype=np.int64),
        probabilities=np.stack([1 - scores, scores], axis=-1)[None],
        classes=("not_cry", "cry"),
        slopes=np.ones((1, len(truth))),
        intercepts=np.zeros((1, len(truth), 2)),
    )


@pytest.mark.parametrize("mixed", [False, True], ids=["one label a donor", "several labels a donor"])
def test_without_an_effect_p_values_are_spread_evenly_though_recordings_of_a_donor_are_alike(mixed: bool) -> None:
    p_values, shuffled = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        donors = np.repeat(np.arange(50), rng.choice([1, 2, 3, 8, 12], size=50))
        odds = np.where(rng.random(50) < 0.5, 0.85, 0.15) if mixed else (rng.random(50) < 0.5).astype(float)
        truth = (rng.random(len(donors)) < odds[donors]).astype(int)
        rows = made(truth, donors, (rng.random(50)[donors] + 0.1 * rng.random(len(donors))) / 1.1)
        p_values.append(conditional_null(rows, permutations=199, seed=seed)["auc"].p_value)
        free = replace(rows, donors=rows.recording_ids)
        shuffled.append(conditional_null(free, permutations=199, seed=seed)["auc"].p_value)
    assert np.mean(np.array(p_values) <= 0.05) < 0.11, "0.05 and three standard errors"
    assert 0.42 < np.mean(p_values) < 0.58
    assert np.mean(np.array(shuffled) <= 0.05) > 0.15, "shuffling recordings would find what is not there"


def test_an_effect_is_found_and_equal_answers_are_as_good_as_any_deal(run_of) -> None:
    strong = conditional_null(run_of(REASONS, effect=1.0, repeats=2), permutations=400)
    for null in strong.values():
        assert null.p_value <= 1 / 401
        assert sum(null.histogram) == null.permutations == 400
        assert null.histogram_low < null.mean < null.high < null.histogram_high
    assert strong["uar"].mean == pytest.approx(0.2, abs=0.02)
    flat = run_of(REASONS)
    constant = replace(flat, probabilities=np.full_like(flat.probabilities, 0.2))
    assert all(null.p_value == 1 for null in conditional_null(constant, permutations=100).values())


def test_the_share_of_deals_is_the_p_value_while_enough_do_as_well_then_the_tail_of_a_gamma() -> None:
    deals = np.random.default_rng(0).gamma(4.0, 1.0, 200)
    mean, sd, slant = deals.mean(), deals.std(), stats.skew(deals)
    often, seldom = np.sort(deals)[-10], np.sort(deals)[-9]
    assert p_value_of(deals, often) == pytest.approx(11 / 201)
    for observed in (seldom, mean + 5 * sd):
        # Pearson III by its definition: shape 4/g², scale sd·g/2, from mean − 2·sd/g on.
        golden = stats.gamma.sf(observed, 4 / slant**2, loc=mean - 2 * sd / slant, scale=sd * slant / 2)
        assert p_value_of(deals, observed) == pytest.approx(golden, rel=1e-6)
    assert p_value_of(-deals, 3 * sd - mean) == pytest.approx(stats.norm.sf(3)), "the tail does not end"
    assert p_value_of(deals, 1000.0) == nulls.SMALLEST_P
    assert p_value_of(np.full(200, 0.5), 0.5) == 1
    assert p_value_of(np.full(200, 0.5), 0.6) == pytest.approx(1 / 201), "nothing is known of a spread"


def test_a_tail_of_two_hundred_deals_is_right_on_average() -> None:
    truth = stats.gamma(9.0)
    beyond = truth.isf(0.002)
    found = [p_value_of(truth.rvs(200, random_state=seed), beyond) for seed in range(200)]
    assert np.median(found) == pytest.approx(0.002, rel=0.3)
    assert np.quantile(found, 0.05) > 0.0003


def test_the_null_of_retrained_models_is_what_these_came_to_as_it_is(run_of) -> None:
    deals = {name: np.append(np.random.default_rng(1).normal(0.5, 0.04, 199), np.nan) for name in ("uar", "auc")}
    null = retrained_null(run_of(effect=1.5), deals)["auc"]
    assert (null.kind, null.widening, null.permutations, null.permutations_lost) == ("retrained", 1.0, 200, 1)
    assert null.sd == pytest.approx(np.nanstd(deals["auc"]))
    assert null.fitted
    assert not retrained_null(run_of(effect=-2.0), deals)["auc"].fitted, "nearly all deals do as well"


@pytest.mark.parametrize("classes", [REASONS[:2], REASONS])
def test_dealt_labels_are_measured_as_true_ones_are(run_of, classes) -> None:
    rows = run_of(classes, effect=0.7, repeats=3)
    deals = dealt(rows.labels, rows.donors, 20)
    found = measure_dealt(rows, deals)
    for place, labels in enumerate(deals):
        plain = measure(replace(rows, labels=labels), None, ("uar", "auc"))
        assert {name: values[place] for name, values in found.items()} == pytest.approx(plain)
        answers = rows.probabilities.argmax(axis=2)
        recalls = [sk.recall_score(labels, answer, average="macro") for answer in answers]
        assert found["uar"][place] == pytest.approx(np.mean(recalls))


def test_deals_without_a_class_are_counted_and_no_null_is_made_of_none() -> None:
    donors = np.repeat(np.arange(4), [9, 1, 1, 1])
    truth = np.array([0] * 8 + [1] + [0] * 3)  # dealt to a donor of one recording, the one cry is mostly lost
    null = conditional_null(made(truth, donors, np.linspace(0, 1, 12)), permutations=400)["auc"]
    assert null.permutations_lost == pytest.approx(400 * 3 / 4 * 8 / 9, abs=35)
    lone = made(truth[:9], np.zeros(9), np.linspace(0, 1, 9))
    assert conditional_null(lone, permutations=100)["auc"].p_value == 1, "one donor keeps its labels"


def test_a_null_of_no_value_is_refused(monkeypatch: pytest.MonkeyPatch, run_of) -> None:
    nowhere = "cry_pipeline.evaluation.nulls.measure_dealt"
    monkeypatch.setattr(nowhere, lambda rows, deals: dict.fromkeys(("uar", "auc"), np.full(len(deals), np.nan)))
    with pytest.raises(EvidenceError, match="always lose a class; use a cohort with more donors"):
        conditional_null(run_of(), permutations=100)
