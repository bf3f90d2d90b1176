"""Pairs: what can be compared is, with the numbers of a single comparison, and Holm's correction over what is shown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cry_pipeline.evaluation.comparisons import compare, holm
from cry_pipeline.evaluation.kept_runs import KeptRun
from cry_pipeline.evaluation.pairs import (
    METRICS,
    Group,
    Pair,
    compare_runs,
    edits,
    feature_set_pair,
    feature_set_pairs,
    group_runs,
)
from cry_pipeline.evaluation.predictions import EvidenceError

NEW, OLD, SVM = "a" * 64, "b" * 64, "c" * 64
RESAMPLES = 200
WIDE, NARROW = "1" * 64, "2" * 64


@pytest.fixture(scope="module")
def runs(kept_in: Callable[[Path], Callable[..., KeptRun]], tmp_path_factory: pytest.TempPathFactory) -> list[KeptRun]:
    """Two models with two feature sets each; of one there is an earlier run, and another is on other recordings."""
    wide, narrow = ({"feature_set": name, "feature_digest": digest} for name, digest in (("w", WIDE), ("n", NARROW)))
    svm, kept = {"kind": "svm"}, kept_in(tmp_path_factory.mktemp("kept"))
    return [
        kept("lr_wide", NEW, effect=1.5, names=wide),
        kept("lr_wide", OLD, effect=0.2, names=wide, parts={"C": 2.0}, started_at="2025-01-01T00:00:00+00:00"),
        kept("lr_narrow", "d" * 64, effect=0.5, names=narrow),
        kept("svm_wide", SVM, effect=0.5, names=wide, parts=svm),
        kept("svm_narrow", "e" * 64, effect=0.2, names=narrow, parts=svm),
        kept("majority", "f" * 64, effect=0.0, names=narrow, hears=False, parts={"kind": "majority"}),
        kept("elsewhere", "9" * 64, donors=40, names=wide),
    ]


@pytest.fixture(scope="module")
def groups(runs: list[KeptRun]) -> list[Group]:
    return group_runs(runs, resamples=RESAMPLES)


def test_any_two_runs_of_a_group_differ_by_what_a_single_comparison_says(
    runs: list[KeptRun], groups: list[Group]
) -> None:
    group, alone = groups
    assert [run.digest for run in alone.runs] == ["9" * 64]
    assert list(group.draws) == [group.headline, *(name for name in METRICS if name != group.headline)]
    for metric in ("auc", "log_loss"):
        single = compare(runs[0].rows(), runs[3].rows(), metric=metric, resamples=RESAMPLES)
        assert group.comparison(0, 3, metric) == single
    others = [group.comparison(0, place) for place in range(1, 6)]
    assert group.against_all(0) == holm(others)
    assert group.comparison(0, 1).p_adjusted is None, "one that was named beforehand needs no correction"
    single = compare(runs[0].rows(), runs[3].rows(), metric="auc")
    assert compare_runs(runs[0], runs[3]).comparison(0, 1) == single, "by as many resamples as evidence has"


def test_nothing_is_said_of_two_runs_that_guess(kept: Callable[..., KeptRun]) -> None:
    one, other, told = (kept(str(at), str(at) * 64, effect=of) for at, of in enumerate([0.0, 0.0, 1.5]))
    found = compare(told.rows(), one.rows(), metric="auc")
    assert (one.evidence.guesses, other.evidence.guesses, told.evidence.guesses) == (True, True, False)
    assert Pair(one, other, found).kept_back == "not said: neither is above chance"
    assert Pair(told, one, found).kept_back == Pair(one, told, found).kept_back == ""


def test_runs_on_other_recordings_are_not_compared(runs: list[KeptRun]) -> None:
    with pytest.raises(EvidenceError, match="lr_wide@aaaaaaaa and elsewhere@99999999 have other recordings"):
        compare_runs(runs[0], runs[-1])


def test_a_damaged_run_is_said_and_stops_no_other(runs: list[KeptRun], caplog) -> None:
    gone = replace(runs[0], folder=runs[0].folder / "gone")
    mixed = replace(runs[2], folder=runs[3].folder)
    (group,) = group_runs([gone, mixed, runs[3]], resamples=RESAMPLES)
    assert [run.experiment for run in group.runs] == ["svm_wide"]
    assert "lr_wide@aaaaaaaa cannot be compared" in caplog.text
    assert "lr_narrow@dddddddd cannot be compared" in caplog.text


def test_what_changed_in_place_is_held_against_what_was_before(runs: list[KeptRun], groups: list[Group]) -> None:
    now = [run.digest for run in runs if run.digest != OLD]
    (edit,) = edits(groups, now)
    assert (edit.first.digest, edit.second.digest) == (NEW, OLD)
    assert edit.comparison == holm([groups[0].comparison(0, 1)])[0]
    assert edit.comparison.shown == "better", "planted: it knows more"
    assert edits(groups, []) == []


def test_feature_sets_are_compared_where_all_else_is_alike(runs: list[KeptRun], groups: list[Group]) -> None:
    now = [run.digest for run in runs if run.digest != OLD]
    (two,) = feature_set_pairs(groups, now)
    assert (two.first, two.second) == (WIDE, NARROW)
    assert [(pair.first.experiment, pair.second.experiment) for pair in two.pairs] == [
        ("lr_wide", "lr_narrow"),
        ("svm_wide", "svm_narrow"),
    ], "neither the earlier run, of other parameters, nor a model that does not listen"
    assert [pair.comparison for pair in two.pairs] == holm([groups[0].comparison(0, 2), groups[0].comparison(3, 4)])
    turned = feature_set_pair(groups, NARROW, WIDE, now)
    assert turned.pairs[0].comparison.difference == -two.pairs[0].comparison.difference
    assert feature_set_pair(groups, WIDE, "7" * 64, now).pairs == ()
