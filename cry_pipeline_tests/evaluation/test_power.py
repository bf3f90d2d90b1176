"""Power: as a formula has it where there is one, no more than the level where there is nothing, rising with donors."""

import numpy as np
import pytest
from scipy.stats import norm

from cry_pipeline.evaluation import power
from cry_pipeline.evaluation.power import GAINS, Power, power_of
from cry_pipeline.evaluation.predictions import OutOfFold

CLASSES = ("hungry", "tired", "burping", "belly_pain", "discomfort")
SIZES = (200, 800, 3200)


def run(
    *, donors: int = 200, clips: int = 1, of_donor: float = 0.0, shares: tuple[float, ...] = (0.2,) * 5
) -> OutOfFold:
    """Return a run whose scores know nothing; ``of_donor`` is how much of their variance a donor's recordings share."""
    rng = np.random.default_rng(1)
    donor = np.repeat(np.arange(donors), clips)
    labels = np.repeat(rng.permutation(np.searchsorted(np.cumsum(shares), (np.arange(donors) + 0.5) / donors)), clips)
    own = rng.normal(size=(donors * clips, len(shares)))
    shared = rng.normal(size=(donors, len(shares)))[donor]
    odds = np.exp(np.sqrt(of_donor) * shared + np.sqrt(1 - of_donor) * own)
    return OutOfFold(
        recording_ids=np.array([f"{row:05}" for row in range(len(labels))]),
        donors=donor.astype(str),
        labels=labels,
        folds=(donor % 5)[None],
        probabilities=(odds / odds.sum(axis=1, keepdims=True))[None],
        classes=CLASSES,
        slopes=np.ones((1, len(labels))),
        intercepts=np.zeros((1, len(labels), len(CLASSES))),
        name="cleaned_forest",
    )


def asked(rows: OutOfFold, *, tried: int = 1, widening: float = 1.0, corpora: int = 300) -> Power:
    return power_of(rows, cohort="cleaned", tried=tried, widening=widening, asked=SIZES, corpora=corpora)


def test_power_is_that_of_a_formula_where_recordings_know_nothing_of_each_other() -> None:
    """One recording for each donor, balanced: UAR is the mean of five independent shares."""
    found = asked(run(), corpora=1000)
    for gain in GAINS:
        uar = 0.2 + gain
        expected = [norm.cdf(gain / np.sqrt(uar * (1 - uar) / size) - norm.isf(0.025)) for size in SIZES]
        assert found.of("balanced", round(uar, 4)).power == pytest.approx(expected, abs=0.06)


def test_what_knows_nothing_is_hardly_ever_called_above_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "GAINS", (0.0,))
    found = asked(run(clips=2, of_donor=0.6, shares=(0.8, 0.05, 0.05, 0.05, 0.05)), corpora=1000)
    for curve in found.curves:
        assert max(curve.power) < 0.04, "three standard errors above 1 in 40"


def test_recordings_of_one_donor_that_sound_alike_count_for_less() -> None:
    apart, alike = asked(run(clips=4)), asked(run(clips=4, of_donor=0.9))
    assert alike.of("balanced", 0.25).power[0] < apart.of("balanced", 0.25).power[0] - 0.2


def test_rare_reasons_many_tried_and_training_anew_each_take_more_donors() -> None:
    rare = run(clips=2, of_donor=0.3, shares=(0.8, 0.05, 0.05, 0.05, 0.05))
    plain, wider = asked(rare, tried=20), asked(rare, widening=1.5)
    curve = plain.of("as donated", 0.3)
    assert list(curve.power) == sorted(curve.power)
    needed = curve.needed or 0
    assert 0 < (plain.of("balanced", 0.3).needed or 0) < needed
    assert (wider.of("as donated", 0.3).needed or 0) > needed
    assert (curve.needed_tried or 0) > needed
    assert wider.of("as donated", 0.3).needed_tried == wider.of("as donated", 0.3).needed, "one was tried"
    assert plain.of("as donated", 0.22).needed is None, "more than the most asked"


def test_a_reason_of_fewer_donors_than_folds_shows_nothing() -> None:
    rows = run(shares=(0.96, 0.01, 0.01, 0.01, 0.01))
    found = power_of(rows, cohort="cleaned", tried=1, asked=(30,), corpora=50)
    assert found.of("as donated", 0.3).power == (0.0,)
    assert (found.donors, found.by_class["tired"]) == (200, (2, 2))


def test_the_standard_error_is_how_far_corpora_lie_apart() -> None:
    donors = power._made_up(run(clips=3, of_donor=0.5), run(clips=3).labels, 5, np.random.default_rng(0))
    measured = power._drawn(donors.of("balanced"), 500, 1500, np.random.default_rng(1))
    assert measured.errors.mean(axis=1) == pytest.approx(measured.uars.std(axis=1), rel=0.06)
