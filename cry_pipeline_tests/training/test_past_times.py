"""How long training will take is told by the latest folds of the nearest experiment that has any."""

import json
import os
from pathlib import Path

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.training.past_times import expected, latest_fold_seconds

NAME, KIN, STRANGER = (
    "curation_lfeb_attention_lstm_donor_grouped",
    "cleaned_lfeb_attention_lstm_donor_grouped",
    "curation_random_forest_donor_grouped",
)


def trained(run: Path, seconds: list[float], at: int = 0) -> None:
    for fold, taken in enumerate(seconds):
        note = run / f"fold-0-{fold}" / "provenance.json"
        note.parent.mkdir(parents=True)
        note.write_text(json.dumps({"seconds": taken}))
        os.utime(note, (at, at))


def test_the_latest_run_tells_whatever_it_is_called(tmp_path: Path) -> None:
    trained(tmp_path / "f", [9.0, 9.0], at=1)
    trained(tmp_path / "a", [2.0, 4.0], at=2)
    assert sorted(latest_fold_seconds(tmp_path)) == [2.0, 4.0]


def test_a_damaged_note_tells_nothing(tmp_path: Path) -> None:
    trained(tmp_path / "a", [2.0, 4.0, 5.0])
    (tmp_path / "a/fold-0-0/provenance.json").write_text("{")
    (tmp_path / "a/fold-0-1/provenance.json").write_text("{}")
    assert latest_fold_seconds(tmp_path) == [5.0]
    assert latest_fold_seconds(tmp_path / "nothing") == []


@pytest.mark.parametrize(("workers", "seconds", "whole"), [(1, 20.0, 100.0), (2, 20.0, 60.0), (2, 1.0, 5.0)])
def test_folds_that_are_worth_it_are_trained_side_by_side(
    workers: int, seconds: float, whole: float, tmp_path: Path
) -> None:
    trained(tmp_path / NAME / "a", [seconds] * 5)
    assert expected(NAME, load_catalog(), tmp_path, workers) == (5, whole)


def test_the_nearest_kin_tells_of_what_was_never_trained(tmp_path: Path) -> None:
    catalog = load_catalog()
    trained(tmp_path / STRANGER / "a", [50.0])
    assert expected(NAME, catalog, tmp_path, 1) == (5, None)
    trained(tmp_path / KIN / "a", [2.0])
    assert expected(NAME, catalog, tmp_path, 1) == (5, 10.0)
    trained(tmp_path / NAME / "a", [3.0])
    assert expected(NAME, catalog, tmp_path, 1) == (5, 15.0)
