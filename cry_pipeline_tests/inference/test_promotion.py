"""A champion is promoted only where it has earned it, switched at once, and can be taken back."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cry_pipeline.inference import champions
from cry_pipeline.inference.candidates import Candidate, CandidateError, best, bundle_digest
from cry_pipeline.inference.champions import ChampionError, champion_folder, current, history, roll_back
from cry_pipeline.inference.promotion import Decision, promote
from cry_pipeline.inference.refusals import refusals, standing
from cry_pipeline_tests.inference.conftest import Made, relabelled

MARGIN = 0.02
pytestmark = pytest.mark.usefixtures("_exported_before")


@pytest.fixture
def promoted(made: Made, tmp_path: Path) -> Callable[[Candidate], Decision]:
    """Return a function that offers a candidate, of whose audio none is compared unless asked."""

    def offer(candidate: Candidate, per_fold: int | None = 0) -> Decision:
        audio = made.files.get
        if per_fold == 0:  # one recording whose prediction is known to be right
            audio = {made.folds["recording_id"].iloc[0]: made.files[made.folds["recording_id"].iloc[0]]}.get
        return promote({"cry": candidate}, audio, models=tmp_path / "models", runs=tmp_path / "runs", margin=MARGIN)

    return offer


def graded(candidate: Callable[..., Candidate], correct: float) -> Candidate:
    """A candidate whose predictions are right by ``correct`` but for the one recording that is compared."""
    own = candidate().predictions
    first = own["recording_id"] == own["recording_id"].iloc[0]
    rng = np.random.default_rng(0)
    other = relabelled(own, correct)
    noise = rng.uniform(-0.01, 0.01, len(own))
    other = other.assign(p_cry=other["p_cry"] + noise, p_not_cry=other["p_not_cry"] - noise)
    columns = ["p_cry", "p_not_cry"]
    other.loc[first, columns] = own.loc[first, columns]
    return candidate(predictions=other)


def test_first_candidate_is_promoted_once_all_its_predictions_equal_the_offline_ones(
    candidate: Callable[..., Candidate], promoted: Callable[..., Decision], tmp_path: Path
) -> None:
    decision = promoted(candidate(), per_fold=None)
    assert decision.promoted
    assert "16 recordings from their audio files" in decision.why[0]
    assert current(tmp_path / "models") == champion_folder(tmp_path / "models", decision.candidate)
    again = promoted(candidate())
    assert (again.promoted, again.champion) == (False, decision.champion)
    assert len(history(tmp_path / "models")) == 1


def test_bundle_that_differs_from_the_stored_predictions_is_not_kept(
    candidate: Callable[..., Candidate], promoted: Callable[..., Decision], tmp_path: Path
) -> None:
    own = candidate().predictions
    other = candidate(predictions=own.assign(slope=own["slope"] * 1.05))
    decision = promoted(other, per_fold=None)
    assert decision == Decision(None, bundle_digest({"cry": other}), False, decision.why)
    assert "differ by at most" in decision.why[0]
    assert list((tmp_path / "models" / "champions").iterdir()) == []
    with pytest.raises(ChampionError, match="no champion"):
        current(tmp_path / "models")


def test_worse_candidate_is_refused_with_the_reason_and_a_better_one_is_promoted(
    candidate: Callable[..., Candidate], made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cry_pipeline.inference.parity.TOLERANCE", 2.0)
    models, runs = tmp_path / "models", tmp_path / "runs"

    def offer(correct: float) -> Decision:
        return promote({"cry": graded(candidate, correct)}, made.files.get, models=models, runs=runs, margin=MARGIN)

    good = offer(0.9)
    assert good.promoted
    refused = offer(0.1)
    assert not refused.promoted
    assert refused.champion == good.champion
    assert "cry: worse than the champion's cry_network by more than 0.02: AUC -" in refused.why[0]
    assert (standing(models), refusals(models)) == (refusals(models)[0], refusals(models))
    assert (refusals(models)[0].why, refusals(models)[0].champion) == (refused.why, good.champion)
    assert offer(0.1).why == refused.why
    assert len(refusals(models)) == 1, "the same refusal is noted once"
    better = offer(0.95)
    assert better.promoted
    assert "not worse" in better.why[0]
    assert standing(models) is None
    assert len(refusals(models)) == 1
    assert [event.digest for event in history(models)] == [good.champion, better.champion]

    back = roll_back(models)
    assert back.digest == good.champion
    assert current(models) == champion_folder(models, back.digest)
    refused = offer(0.95)
    assert "was rolled back from" in refused.why[0]
    with pytest.raises(ChampionError, match="first champion"):
        roll_back(models)
    assert roll_back(models, str(better.champion)[:8]).digest == better.champion
    assert [event.event for event in history(models)] == ["promoted", "promoted", "rolled back", "rolled back"]


def test_runs_on_other_folds_are_compared_where_each_saw_no_recording_of_the_donor(
    candidate: Callable[..., Candidate], made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cry_pipeline.inference.parity.TOLERANCE", 2.0)
    models, runs = tmp_path / "models", tmp_path / "runs"
    promote({"cry": graded(candidate, 0.9)}, made.files.get, models=models, runs=runs, margin=MARGIN)
    other = graded(candidate, 0.1).predictions
    donors = other["donor"].str.removeprefix("donor-").astype(int)
    moved = candidate(predictions=other.assign(fold=donors // 4, slope=1.0, intercept_cry=0.0))
    decision = promote({"cry": moved}, made.files.get, models=models, runs=runs, margin=MARGIN)
    assert "worse" in decision.why[0]
    assert "16 recordings" in decision.why[0]


def test_without_the_champions_run_there_is_no_promotion(
    candidate: Callable[..., Candidate], made: Made, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    promote({"cry": candidate()}, made.files.get, models=models, runs=tmp_path / "runs", margin=MARGIN)
    decision = promote(
        {"cry": graded(candidate, 0.9)}, made.files.get, models=models, runs=tmp_path / "elsewhere", margin=MARGIN
    )
    assert not decision.promoted
    assert "is not there" in decision.why[0]


def test_champion_switched_meanwhile_is_the_one_to_compare_with(
    candidate: Callable[..., Candidate], made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = champions.switch, champions.promotion("f" * 64, None, {"cry": {"experiment": "x", "run": "r"}}, [])

    def late(models: Path, event: champions.Event, **options: bool) -> bool:
        if not history(models):
            real(models, other)
        return real(models, event, **options)

    monkeypatch.setattr(champions, "switch", late)
    decision = promote(
        {"cry": candidate()}, made.files.get, models=tmp_path / "models", runs=tmp_path / "runs", margin=MARGIN
    )
    assert not decision.promoted
    assert decision.champion == other.digest
    assert "is not there" in decision.why[0]
    assert [event.digest for event in history(tmp_path / "models")] == [other.digest]


def test_damaged_champion_is_made_again(candidate: Callable[..., Candidate], made: Made, tmp_path: Path) -> None:
    models = tmp_path / "models"
    promote({"cry": candidate()}, made.files.get, models=models, runs=tmp_path / "runs", margin=MARGIN)
    (current(models) / "MODEL_CARD.md").write_text("changed")
    assert promote({"cry": candidate()}, made.files.get, models=models, runs=tmp_path / "runs", margin=MARGIN).promoted
    assert "changed" not in (current(models) / "MODEL_CARD.md").read_text().splitlines()
    assert len(history(models)) == 1


def test_a_champion_that_gives_no_answer_is_replaced_without_a_comparison(
    candidate: Callable[..., Candidate], made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At chance intervals are wide: by the margin alone no model could ever follow one that says nothing."""
    monkeypatch.setattr("cry_pipeline.inference.parity.TOLERANCE", 2.0)
    folders: Any = {"models": tmp_path / "models", "runs": tmp_path / "runs"}
    silent = candidate(predictions=graded(candidate, 0.5).predictions, verdict="not distinguishable from chance")
    assert promote({"cry": silent}, made.files.get, **folders, margin=MARGIN).promoted
    after = promote({"cry": graded(candidate, 0.45)}, made.files.get, **folders, margin=MARGIN)
    assert after.promoted
    assert "supports no answer" in after.why[0]


def test_torn_refusals_are_said(tmp_path: Path) -> None:
    assert (refusals(tmp_path), standing(tmp_path)) == ([], None)
    (tmp_path / "refusals.json").write_text("{}")
    with pytest.raises(ChampionError, match=r"refusals\.json cannot be read .*remove it"):
        standing(tmp_path)


def test_torn_pointer_is_said_not_taken_for_an_empty_history(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text(json.dumps({"history": [{}]})[:-3])
    with pytest.raises(ChampionError, match=r"champion\.json cannot be read"):
        history(tmp_path)


def test_best_of_several_candidates_is_taken(candidate: Callable[..., Candidate]) -> None:
    good, bad = graded(candidate, 0.9), graded(candidate, 0.1)
    assert best([bad, good, replace(bad)]) is good
    with pytest.raises(CandidateError, match="has been run"):
        best([])
