"""How often a challenger that is worse gets by, and that many small steps down do not add up: by simulation."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.inference import rivals
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.inference.champions import PROMOTED, ROLLED_BACK, Event
from cry_pipeline.inference.rivals import compare_with, compare_with_earlier

MARGIN = 0.02
RUNS = Path("runs")


def population(rng: np.random.Generator, donors: int) -> pd.DataFrame:
    """Two recordings of each donor, one label each, over five folds; ``heard`` is what all models hear of it.

    ``noise`` is what worse models hear besides.
    """
    rows = pd.DataFrame({"donor": np.repeat([f"d{n}" for n in range(donors)], 2)})
    rows["recording_id"] = [f"{n:05}" for n in range(len(rows))]
    cry = rng.permutation(np.arange(donors) % 2)[np.arange(len(rows)) // 2]
    rows["label"], rows["repeat"] = np.where(cry, "cry", "not_cry"), 0
    rows["fold"] = np.arange(len(rows)) // 2 % 5
    return rows.assign(heard=2.3 * cry + rng.normal(0, 1, len(rows)), noise=rng.normal(0, 1, len(rows)))


def said(rows: pd.DataFrame, rng: np.random.Generator, noise: float, own: float = 0.2) -> pd.DataFrame:
    """What a model predicts that hears ``noise``, too, by that factor, and a little of its ``own``."""
    score = rows["heard"] + noise * rows["noise"] + rng.normal(0, own, len(rows))
    cry = 1 / (1 + np.exp(-(score - 1.15)))
    return rows.drop(columns=["heard", "noise"]).assign(p_not_cry=1 - cry, p_cry=cry)


def offered(predictions: pd.DataFrame, run: str = "new") -> Candidate:
    provenance = SimpleNamespace(run_digest=run)
    cohort, evidence = SimpleNamespace(classes=("not_cry", "cry")), SimpleNamespace(provenance=provenance)
    return Candidate("network", cast("Any", cohort), cast("Any", None), RUNS, predictions, cast("Any", evidence))


def event(run: str, kind: str = PROMOTED, previous: str | None = None) -> Event:
    runs: Any = {"cry": {"experiment": "network", "run": run}}
    return Event(at="2026-01-01", event=kind, digest=run, previous=previous, runs=runs, why=[])


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """Predictions of runs by their digest, in the place of folders; fewer resamples than in earnest."""
    kept: dict[str, pd.DataFrame] = {}

    def read(run: dict[str, str], _: Path) -> pd.DataFrame:
        if run["run"] not in kept:
            raise rivals.DamagedFoldError("its run is not there")
        return kept[run["run"]]

    monkeypatch.setattr(rivals, "stored_predictions", read)
    monkeypatch.setattr(rivals, "compare", partial(rivals.compare, resamples=200))
    return kept


def area(rows: pd.DataFrame) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(rows["label"] == "cry", rows["p_cry"]))


@pytest.mark.parametrize(("noise", "least", "most"), [(0.0, 0.95, 1.0), (0.49, 0.0, 0.1)])
def test_an_equal_challenger_gets_by_and_one_that_is_worse_by_the_margin_rarely(
    stored: dict[str, pd.DataFrame], noise: float, least: float, most: float
) -> None:
    """Equal: at least 95 of 100. Worse by the margin on average: 2.5 % by the rule; 60 trials allow for up to 10 %."""
    rng, passed, lost = np.random.default_rng(0), [], []
    for _ in range(60):
        rows = population(rng, 300)
        stored["old"], new = said(rows, rng, 0.0), said(rows, rng, noise)
        lost.append(area(stored["old"]) - area(new))
        passed.append(compare_with(offered(new), "cry", event("old").runs["cry"], RUNS, MARGIN).passed)
    assert np.mean(lost) == pytest.approx(MARGIN if noise else 0, abs=0.004)
    assert least <= np.mean(passed) <= most


def test_what_is_not_known_does_not_count_for_the_challenger(stored: dict[str, pd.DataFrame]) -> None:
    """Few recordings: no difference can be shown, and so far the challenger was promoted for that."""
    rng = np.random.default_rng(1)
    rows = population(rng, 20)
    stored["old"] = said(rows, rng, 0.0, own=2.0)
    point = compare_with(offered(said(rows, rng, 0.0, own=2.0)), "cry", event("old").runs["cry"], RUNS, MARGIN)
    assert not point.passed
    assert "cry: perhaps worse than the champion's network by more than 0.02: AUC" in point.sentence


def test_many_steps_within_the_margin_do_not_lead_down(stored: dict[str, pd.DataFrame]) -> None:
    rng = np.random.default_rng(2)
    rows = population(rng, 3000)
    history, alone, lost, verdicts = [event("0")], [], [], []
    stored["0"] = said(rows, rng, 0.0, own=0.05)
    for noise in (0.376, 0.537, 0.666, 0.781):  # each 0.012 below the one before
        new = said(rows, rng, noise, own=0.05)
        alone.append(compare_with(offered(new), "cry", history[-1].runs["cry"], RUNS, MARGIN).passed)
        verdicts += compare_with_earlier(offered(new), "cry", history, RUNS, MARGIN)
        lost.append(area(stored["0"]) - area(new))
        stored[str(noise)] = new
        history.append(event(str(noise)))
    np.testing.assert_allclose(lost, [0.012, 0.024, 0.036, 0.048], atol=0.004)
    assert all(alone), "each step passes beside the one before"
    assert not any(point.passed for point in verdicts), "but from the second on none passes beside the first"
    assert len(verdicts) == 3
    assert "cry: below the best champion so far by more than 0.02: AUC -" in verdicts[-1].sentence
    assert "network of 2026-01-01" in verdicts[-1].sentence


def test_earlier_champions_that_are_gone_or_were_rolled_back_from_stop_nobody(stored: dict[str, pd.DataFrame]) -> None:
    rng = np.random.default_rng(3)
    rows = population(rng, 300)
    worse = offered(said(rows, rng, 3.0))
    history = [event("gone"), event("old")]
    assert compare_with_earlier(worse, "cry", [event("old")], RUNS, MARGIN) == []
    (point,) = compare_with_earlier(worse, "cry", history, RUNS, MARGIN)
    assert point == (True, "cry: no earlier champion can be compared with any more")
    stored["best"] = said(rows, rng, 0.0)
    assert not compare_with_earlier(worse, "cry", [event("best"), *history], RUNS, MARGIN)[0].passed
    taken_back = [event("old"), event("best", previous="old"), event("old", ROLLED_BACK, previous="best")]
    assert compare_with_earlier(worse, "cry", taken_back, RUNS, MARGIN) == []


def test_a_cohort_that_has_doubled_since_is_compared_on_what_both_tested(stored: dict[str, pd.DataFrame]) -> None:
    rng = np.random.default_rng(4)
    rows = population(rng, 900)
    early = rows[rows["donor"].isin([f"d{n}" for n in range(300)])].reset_index(drop=True)
    stored["old"] = said(rows, rng, 0.0).iloc[: len(early)].assign(fold=early["fold"])
    point = compare_with(offered(said(rows, rng, 0.0)), "cry", event("old").runs["cry"], RUNS, MARGIN)
    assert point.passed
    assert "600 recordings" in point.sentence
