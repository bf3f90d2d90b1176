"""Runs on disk: each is found by its name, earlier ones too, and none whose predictions are not those evaluated."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cry_pipeline.evaluation.evidence import write_evidence
from cry_pipeline.evaluation.kept_runs import Change, KeptRun, before, changes, comparable, facts, find_run, kept_runs
from cry_pipeline.evaluation.predictions import EvidenceError
from cry_pipeline.training.fold_folders import PREDICTIONS, DamagedFoldError
from cry_pipeline_tests.evaluation.made_up import write_folds

NAME = "curation_lr_grouped"
LATER = "2026-02-01T00:00:00+00:00"
Roots = tuple[Path, Path]


def test_runs_are_found_by_experiment_by_digest_and_as_what_was_before(kept: Callable, roots: Roots) -> None:
    kept(NAME, "a" * 64, started_at="2026-01-01T00:00:00+00:00")
    kept(NAME, "b" * 64, started_at=LATER, effect=0.5, current=True)
    kept(NAME, "c" * 64, started_at="2026-03-01T00:00:00+00:00", donors=40)  # on other recordings
    there = kept_runs(NAME, *roots)
    assert [run.digest[0] for run in there] == ["c", "b", "a"], "the newest first"
    names = [NAME, "curation_svm_grouped"]
    assert find_run(NAME, names, *roots).digest == "b" * 64, "what was finished last, not what is newest"
    assert find_run(f"{NAME}@before", names, *roots).digest == "a" * 64, "of those on the same folds"
    assert find_run(f"{NAME}@CCCC", names, *roots).digest == "c" * 64
    assert before(there[0], there) is None
    for called, said in {
        "curation_lr_groupd": f"is {NAME} meant",
        "curation_svm_grouped": "has no evidence yet",
        f"{NAME}@": "means more than one run|means no run",
        f"{NAME}@f": f"no run of {NAME}; there are {NAME}@cccccccc, {NAME}@bbbbbbbb, {NAME}@aaaaaaaa",
    }.items():
        with pytest.raises(EvidenceError, match=said):
            find_run(called, names, *roots)


def test_an_experiment_without_another_run_on_its_folds_has_no_before(kept: Callable, roots: Roots) -> None:
    kept(NAME, "a" * 64, current=True)
    kept(NAME, "b" * 64, donors=40)
    with pytest.raises(EvidenceError, match="no earlier run on the recordings and folds of now"):
        find_run(f"{NAME}@before", [NAME], *roots)


def test_only_runs_on_folds_of_now_can_be_compared(kept: Callable, roots: Roots) -> None:
    now = kept(NAME, "a" * 64, started_at=LATER)
    for place, letter in enumerate("bcd"):
        kept(NAME, letter * 64, started_at=f"2026-01-0{place + 1}T00:00:00+00:00")
    kept(NAME, "e" * 64, donors=40)
    kept("not_in_the_catalog", "f" * 64)
    found = comparable([now.evidence], [NAME, "never_run"], *roots, earlier=2)
    assert [run.digest[0] for run in found] == ["a", "d", "c"]
    assert [run.digest[0] for run in comparable([now.evidence], [NAME], *roots)] == ["a", "d", "c", "b"]


def test_evidence_without_its_run_or_damaged_is_left_out(kept: Callable, roots: Roots, caplog) -> None:
    gone, damaged = kept(NAME, "a" * 64), kept(NAME, "c" * 64)
    for path in sorted(gone.folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (evidence,) = (path for path in roots[0].rglob("evidence.json") if damaged.digest in path.read_text())
    evidence.write_text("{")
    assert kept_runs(NAME, *roots) == []
    assert str(evidence) in caplog.text


def test_of_two_pieces_of_evidence_of_one_run_the_newest_counts(kept: Callable, roots: Roots) -> None:
    run = kept(NAME, "a" * 64)
    probed = run.evidence.model_copy(update={"digest": "9" * 64})
    write_evidence(probed, roots[0] / NAME / probed.digest[:16])
    assert [one.evidence.digest for one in kept_runs(NAME, *roots)] == ["9" * 64]


def test_predictions_are_those_that_were_evaluated(kept: Callable) -> None:
    run = kept(NAME, "a" * 64, repeats=2)
    rows = run.rows()
    assert (len(rows.labels), len(rows.folds)) == (run.evidence.recordings, 2)
    assert rows.name == f"{NAME}@aaaaaaaa"


def test_other_predictions_than_those_evaluated_are_refused(kept: Callable, predict: Callable) -> None:
    run = kept(NAME, "a" * 64)
    lacking = run.folder / "fold-0-0"
    aside = lacking.rename(run.folder / ".aside")
    with pytest.raises(EvidenceError, match="are not those that evidence"):
        run.rows()
    aside.rename(lacking)
    other, _ = predict(effect=2.0)
    files = write_folds(run.folder.parent / "other", "a" * 64, other, {}, "")
    for path in files:
        (run.folder / path.name / PREDICTIONS).write_bytes((path / PREDICTIONS).read_bytes())
    with pytest.raises(DamagedFoldError, match="differs from what was written"):
        run.rows()
    replaced = KeptRun(run.evidence, run.folder.parent / "other", run.made_from, run.started_at)
    with pytest.raises(EvidenceError, match="are not those that evidence"):
        replaced.rows()


def test_what_changed_is_told_by_name(kept: Callable) -> None:
    first = kept(NAME, "a" * 64, parts={"width": 10, "grid": {"least": 1}})
    second = kept(NAME, "b" * 64, parts={"width": 6, "grid": {"least": 1}, "C": 2.0})
    parameters = {
        "spec": {"parameters": {"hop_samples": 80}, "kinds": {"mel": 1}},
        "revision": 2,
        "libraries": {"soxr": "1.0"},
    }
    other = {**parameters, "spec": {"parameters": {"hop_samples": 160}, "kinds": {"mel": 1}}}
    assert changes(facts(first, parameters), facts(second, other)) == [
        Change("model.width", "10", "6"),
        Change("features.hop_samples", "80", "160"),
        Change("model.C", "", "2.0"),
    ]
    assert changes(facts(first), facts(first)) == []


def test_between_models_of_two_kinds_parameters_are_not_told(kept: Callable) -> None:
    first = kept(NAME, "a" * 64, parts={"width": 10})
    second = kept("curation_majority", "b" * 64, parts={"kind": "majority"}, hears=False, names={"model": "majority"})
    told = changes(facts(first), facts(second))
    assert told == [Change("model", "logistic_regression", "majority"), Change("feature set", "mel64_8k", "")]
