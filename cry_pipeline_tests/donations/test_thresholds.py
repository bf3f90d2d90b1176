"""Thresholds: as much is decided as the precision asked for allows, and nothing where it is not reached."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cry_pipeline.catalog.donations import TriageSpec
from cry_pipeline.donations.thresholds import LEAST, Thresholds, thresholds_of

SPEC = TriageSpec(cry_precision=0.9, not_cry_precision=0.8)


def decided(scores: np.ndarray, found: Thresholds) -> tuple[np.ndarray, np.ndarray]:
    return scores >= found.upper, scores <= found.lower


def by_trying(scores: np.ndarray, cry: np.ndarray, spec: TriageSpec) -> tuple[int, int]:
    """Return how many any two thresholds may decide on, and be right about, by trying all of them."""
    best = (0, 0)
    for upper in [*np.unique(scores), np.inf]:
        for lower in [-np.inf, *np.unique(scores)]:
            taken, aside = scores >= upper, scores <= lower
            if lower >= upper:
                continue
            sound = [
                not side.any() or (side.sum() >= LEAST and right[side].mean() >= precision)
                for side, right, precision in (
                    (taken, cry, spec.cry_precision),
                    (aside, ~cry, spec.not_cry_precision),
                )
            ]
            if all(sound):
                best = max(best, (int(taken.sum() + aside.sum()), int(cry[taken].sum() + (~cry)[aside].sum())))
    return best


@given(st.integers(0, 10_000), st.floats(0, 6), st.sampled_from([0.5, 0.2, 0.9]))
def test_no_other_thresholds_decide_on_more_or_are_right_more_often(seed: int, strength: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    cry = rng.random(120) < share
    scores = np.round(1 / (1 + np.exp(-rng.normal(strength * (cry - 0.5), 1))), 1)
    taken, aside = decided(scores, thresholds_of(scores, cry, SPEC))
    assert not (taken & aside).any()
    found = int(taken.sum() + aside.sum()), int(cry[taken].sum() + (~cry)[aside].sum())
    assert found == by_trying(scores, cry, SPEC)


def test_a_model_that_knows_nothing_decides_nothing() -> None:
    cry = np.tile([True, False], 100)
    found = thresholds_of(np.full(200, 0.5), cry, SPEC)
    assert np.isnan([found.lower, found.upper]).all()


def test_one_side_may_be_automatic_alone() -> None:
    cry = np.concatenate([np.ones(50, bool), np.tile([True, False], 50)])
    scores = np.concatenate([np.full(50, 0.9), np.full(100, 0.4)])
    found = thresholds_of(scores, cry, SPEC)
    assert (np.isnan(found.lower), found.upper) == (True, 0.9)


def test_a_few_right_answers_are_not_enough() -> None:
    few = LEAST - 1
    cry = np.concatenate([np.ones(few, bool), np.tile([True, False], 50)])
    scores = np.concatenate([np.full(few, 0.9), np.full(100, 0.4)])
    assert np.isnan(thresholds_of(scores, cry, SPEC).upper)
    assert thresholds_of(np.append(scores, 0.9), np.append(cry, True), SPEC).upper == 0.9


def test_where_both_sides_are_sure_they_meet_where_most_answers_are_right() -> None:
    scores = np.linspace(0, 1, 200)
    cry = scores > 0.6
    found = thresholds_of(scores, cry, SPEC)
    taken, aside = decided(scores, found)
    assert (taken | aside).all()
    assert (taken == cry).all()


def test_without_a_prediction_nothing_is_decided() -> None:
    found = thresholds_of(np.empty(0), np.empty(0, bool), SPEC)
    assert np.isnan([found.lower, found.upper]).all()
