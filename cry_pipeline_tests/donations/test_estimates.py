"""Estimates of triage's worth: unbiased, with intervals that hold the truth as often as they say; by simulation."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from cry_pipeline.donations import estimates
from cry_pipeline.donations.estimates import area_of, recall_kept, share_of, stratum_weights, unheard
from cry_pipeline.evaluation.metrics import auc
from cry_pipeline.reports.happened import Estimate

AUDIT = 0.1


class World(NamedTuple):
    """Donations: what they are, the champion's scores, whose they are, what triage did, and who hears them."""

    cry: NDArray[np.bool_]
    scores: NDArray[np.float64]
    donors: NDArray[np.str_]
    decisions: NDArray[np.str_]
    heard: NDArray[np.bool_]


def world(rng: np.random.Generator, people: int = 400, strength: float = 2.0) -> World:
    """Return donations of ``people``: of each some, alike in what they are and how they score."""
    sizes = rng.geometric(0.4, people)
    donor = np.repeat(np.arange(people), sizes)
    leaning, voice = rng.beta(0.7, 0.7, people)[donor], rng.normal(0, 0.5, people)[donor]
    cry = rng.random(len(donor)) < leaning
    scores = 1 / (1 + np.exp(-rng.normal(strength * (cry - 0.5) + voice, 1)))
    decisions = np.where(scores > 0.7, "taken", np.where(scores < 0.3, "set_aside", "person"))
    heard = (decisions == "person") | (rng.random(len(donor)) < AUDIT)
    return World(cry, scores, donor.astype(str), decisions, heard)


def test_weights_make_what_is_heard_stand_for_all() -> None:
    strata = np.array(["a", "a", "a", "b", "b", "c"])
    heard = np.array([True, False, False, True, True, False])
    assert stratum_weights(strata, heard).tolist() == [3, 0, 0, 1, 1, 0]
    assert unheard(strata, heard) == ["c"]


def test_weighted_estimates_are_unbiased_and_what_was_heard_alone_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "RESAMPLES", 1)
    rng, off, naive = np.random.default_rng(1), [], []
    for _ in range(150):
        made = world(rng)
        own, weights = made.heard, stratum_weights(made.decisions, made.heard)
        truth = float(auc(made.cry, made.scores))
        found = area_of(
            made.cry[own], made.scores[own], weights[own], made.donors[own], np.zeros(own.sum(), dtype=np.int64)
        )
        assert found.value is not None
        cries = float((weights * made.cry).sum()) / made.cry.sum()
        off.append((found.value - truth, cries - 1))
        naive.append(float(auc(made.cry[own], made.scores[own])) - truth)
    error, spread = np.mean(off, axis=0), np.std(off, axis=0) / np.sqrt(len(off))
    assert (np.abs(error) < 4 * spread + 0.002).all(), (error, spread)
    assert np.mean(naive) < -0.05, "what people hear is mostly what is hard"


@pytest.mark.parametrize(("people", "share", "concentration"), [(40, 0.9, 3.0), (15, 0.97, 50.0), (60, 0.6, 0.5)])
def test_intervals_of_shares_hold_the_truth(people: int, share: float, concentration: float) -> None:
    rng, held = np.random.default_rng(2), []
    for _ in range(250):
        of_each = rng.beta(share * concentration, (1 - share) * concentration, people)
        donor = np.repeat(np.arange(people), rng.geometric(0.5, people))
        found = share_of(rng.random(len(donor)) < of_each[donor], donor.astype(str))
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= share <= found.high)
    assert np.mean(held) > 0.92, np.mean(held)


def test_intervals_of_areas_hold_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "RESAMPLES", 200)
    rng, held = np.random.default_rng(3), []
    endless = world(np.random.default_rng(4), people=100_000)
    truth = float(auc(endless.cry, endless.scores))
    for _ in range(100):
        made = world(rng)
        own, weights = made.heard, stratum_weights(made.decisions, made.heard)
        models = np.zeros(own.sum(), dtype=np.int64)
        found = area_of(made.cry[own], made.scores[own], weights[own], made.donors[own], models)
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) > 0.89, np.mean(held)


def test_intervals_of_the_recall_hold_the_truth() -> None:
    rng, held = np.random.default_rng(5), []
    for _ in range(200):
        made = world(rng)
        weights, aside = stratum_weights(made.decisions, made.heard), made.decisions == "set_aside"
        missed = share_of(made.cry[made.heard & aside], made.donors[made.heard & aside])
        found = recall_kept(missed, aside.sum(), float((weights * made.cry)[~aside].sum()))
        assert found.low is not None
        assert found.high is not None
        truth = (made.cry & ~aside).sum() / made.cry.sum()
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) > 0.9, np.mean(held)


def test_one_that_is_alone_has_no_interval() -> None:
    assert share_of(np.empty(0, dtype=bool), np.empty(0)) == Estimate(
        None, None, None, 0, 0, "nobody has heard one yet"
    )
    alone = share_of(np.array([True, True]), np.array(["a", "a"]))
    assert (alone.value, alone.low, alone.why) == (1.0, None, "they are of one donor")


def test_all_right_is_not_taken_for_certain() -> None:
    found = share_of(np.ones(20, dtype=bool), np.arange(20).astype(str))
    assert found.value == found.high == 1
    assert found.low is not None
    assert 0.75 < found.low < 0.85
    fewer = share_of(np.ones(20, dtype=bool), np.repeat(np.arange(5), 4).astype(str))
    assert fewer.low is not None
    assert fewer.low < found.low, "20 recordings of five donors say less"


def test_an_area_needs_a_few_donors_of_each_class_and_compares_within_models() -> None:
    cry = np.tile([True, False], 10)
    scores = np.where(cry, 0.4, 0.2) + np.repeat([0.0, 0.5], 10)
    donors, models = np.arange(20).astype(str), np.repeat([0, 1], 10)
    assert area_of(cry, scores, np.ones(20), donors, models).value == 1.0, "of one model alone, a cry is always above"
    few = area_of(cry[:8], scores[:8], np.ones(8), donors[:8], models[:8])
    assert few.value is None
    assert "cries of 4 donors" in few.why


def test_recall_is_what_was_not_set_aside() -> None:
    kept = recall_kept(Estimate(0.05, 0.02, 0.10, 40, 30), 100, 95)
    assert (kept.value, kept.low, kept.high) == pytest.approx((0.95, 95 / 105, 95 / 97))
    assert recall_kept(Estimate(None, None, None, 0, 0, "none heard"), 100, 95).why == "none heard"
    assert recall_kept(Estimate(None, None, None, 0, 0), 0, 95).value == 1.0
