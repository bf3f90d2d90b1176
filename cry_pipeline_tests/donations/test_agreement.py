"""Agreement: κ as scikit-learn has it, weighted, with intervals that hold what they promise."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from cry_pipeline.corpus.judgements import Judgement, add_judgement, read_judgements
from cry_pipeline.digests import sha256_of
from cry_pipeline.donations.agreement import between_people, interval_of, kappa, kappa_interval, kappas


def test_kappa_is_what_chance_does_not_explain() -> None:
    first = np.array(["cry"] * 45 + ["not_cry"] * 15 + ["cry"] * 25 + ["not_cry"] * 15)
    other = np.array(["cry"] * 45 + ["cry"] * 15 + ["not_cry"] * 25 + ["not_cry"] * 15)
    # Two observers, 60 of 100 the same: the worked example of Cohen's κ, 0.1304 by hand.
    assert kappa(first, other) == pytest.approx((0.6 - (0.6 * 0.7 + 0.4 * 0.3)) / (1 - 0.54))


def test_a_weight_of_two_is_a_recording_that_is_there_twice() -> None:
    rng = np.random.default_rng(0)
    first, other, twice = rng.integers(0, 3, (3, 60))
    weights = 1.0 + (twice == 0)
    repeated = np.repeat(np.arange(60), weights.astype(int))
    assert kappa(first, other, weights) == pytest.approx(cohen_kappa_score(first[repeated], other[repeated]))


def test_many_at_once_are_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    first, other = rng.integers(0, 3, (2, 12))
    weights = rng.integers(0, 3, (300, 12)).astype(float)
    weights[0], weights[1, 1:] = 0, 0
    one_by_one = [kappa(first, other, row) for row in weights]
    assert kappas(first, other, weights) == pytest.approx(one_by_one, nan_ok=True)
    assert np.isnan(one_by_one[1])


def test_where_both_know_one_verdict_there_is_no_kappa() -> None:
    same = np.array(["cry", "cry", "not_cry"])
    assert np.isnan(kappa(same[:2], same[:2]))
    assert np.isnan(kappa(same, same, np.array([1.0, 1.0, 0.0])))
    assert kappa_interval(same[:2], same[:2], np.array(["a", "b"])) is None
    assert kappa_interval(same[:0], same[:0], same[:0]) is None


def test_a_number_that_most_resamples_lack_has_no_interval() -> None:
    donors = np.array(list("abcdefghij"))
    with_first = interval_of(lambda weights: np.where(weights[:, 0] > 0, 1.0, np.nan), donors)
    assert with_first is not None, "a donor of ten is in two of three resamples"
    assert interval_of(lambda weights: np.where(weights[:, :4].min(axis=1) > 0, 1.0, np.nan), donors) is None


def test_the_interval_of_kappa_holds_it_as_often_as_it_says() -> None:
    """Donors of 1 to 4 recordings who are as a whole easy or hard to hear; κ of all recordings there are is 0.66."""
    rng, inside, draws = np.random.default_rng(1), 0, 60
    truth = _two_listeners(rng, 4000)
    value = kappa(*truth[:2])
    assert value == pytest.approx(0.66, abs=0.02)
    for _ in range(draws):
        found = kappa_interval(*_two_listeners(rng, 60), resamples=150)
        assert found is not None
        inside += found.low <= value <= found.high
    assert inside >= 0.85 * draws


def _two_listeners(rng: np.random.Generator, donors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    donor = np.repeat(np.arange(donors), rng.integers(1, 5, donors))
    wrong = np.where(rng.random(donors) < 0.3, 0.3, 0.03)[donor]
    truth = rng.random(len(donor)) < 0.4
    first, other = (truth ^ (rng.random(len(donor)) < wrong) for _ in range(2))
    return first, other, donor


def test_every_two_people_are_held_against_each_other_on_what_both_judged(tmp_path: Path) -> None:
    noon, verdicts = (
        datetime(2015, 5, 1, 12, tzinfo=UTC),
        {"Ann": "ccccnn", "Ben": "ccnncn", "Cleo": "------", "Dan": "c-----"},
    )
    donors = {}
    for who, said in verdicts.items():
        for number, letter in enumerate(said):
            recording = sha256_of(str(number).encode())
            donors[recording] = f"donor {number}"
            if letter != "-":
                verdict = {"c": "cry", "n": "not_cry"}[letter]
                at = noon + timedelta(minutes=number)
                add_judgement(
                    tmp_path,
                    Judgement.model_validate({"recording_id": recording, "verdict": verdict, "who": who, "at": at}),
                )
    first, *others = between_people(read_judgements(tmp_path), donors)
    assert (first.first, first.second, first.recordings, first.same) == ("Ann", "Ben", 6, 3)
    assert first.kappa is not None
    assert first.kappa.value == pytest.approx(cohen_kappa_score(list("ccccnn"), list("ccnncn")))
    assert [(pair.first, pair.second, pair.recordings, pair.kappa) for pair in others] == [
        ("Ann", "Dan", 1, None),
        ("Ben", "Dan", 1, None),
    ]
    donors.pop(sha256_of(b"0"))
    assert [pair.recordings for pair in between_people(read_judgements(tmp_path), donors)] == [5]
