"""A fold's folder is whole or absent; every kind of damage is noticed."""

import json
import logging
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.catalog import MajoritySpec
from cry_pipeline.training.baselines import Majority
from cry_pipeline.training.datasets import rows_of
from cry_pipeline.training.fold_folders import DamagedFoldError, read_fold, reusable, write_fold
from cry_pipeline.training.models import Epoch, FitSettings
from cry_pipeline.training.value_models import FittedValues
from cry_pipeline_tests.training.made_up import CLASSES

PREDICTIONS = pd.DataFrame({"recording_id": ["a"], "repeat": [0], "fold": [0], "p_x": [1.0]})
FILES = ["checkpoint.safetensors", "history.csv", "predictions.parquet", "provenance.json"]


@pytest.fixture
def fitted(folds: pd.DataFrame) -> FittedValues:
    fitted = Majority().fit(MajoritySpec(kind="majority"), rows_of(folds, CLASSES, None), FitSettings())
    fitted.history = (Epoch(0, 1.5, 1.25, 0.001, 0.5),)
    return fitted


@pytest.fixture
def fold(tmp_path: Path, fitted: FittedValues) -> Path:
    folder = tmp_path / "fold-0-0"
    write_fold(folder, fitted, PREDICTIONS, {"digest": "d"})
    return folder


def test_a_fold_holds_four_files_and_nothing_is_left_beside_it(fold: Path) -> None:
    assert sorted(path.name for path in fold.iterdir()) == FILES
    assert [path.name for path in fold.parent.iterdir() if path != fold] == []
    assert (fold / "history.csv").read_text() == (
        "epoch,train_loss,validation_loss,learning_rate,seconds\n0,1.5,1.25,0.001,0.5\n"
    )
    assert read_fold(fold, "d")["p_x"].tolist() == [1.0]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_damage_to_any_file_is_said_and_the_fold_is_not_reused(
    fold: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = (fold / name).read_bytes()
    if damage == "missing":
        (fold / name).unlink()
    elif damage == "cut":
        (fold / name).write_bytes(content[: len(content) // 2])
    else:
        (fold / name).write_bytes(b"\xff" + content[1:])
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        assert reusable(fold, "d") is None
    assert name in caplog.text
    assert "trained again" in caplog.text
    assert not fold.exists()


def test_a_fold_of_another_digest_is_not_read(fold: Path) -> None:
    with pytest.raises(DamagedFoldError, match="is of run d, not of e"):
        read_fold(fold, "e")


def test_another_fold_of_the_same_run_in_its_place_is_not_taken_for_it(fold: Path) -> None:
    shutil.copytree(fold, fold.with_name("fold-0-1"))
    with pytest.raises(DamagedFoldError, match=r"fold-0-1 holds predictions of the folds .*\[\[0, 0\]\]"):
        read_fold(fold.with_name("fold-0-1"), "d")
    assert reusable(fold.with_name("fold-0-1"), "d") is None


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "provenance.json", ""])
def test_a_pipe_or_a_link_to_nowhere_is_damage_and_nothing_waits_for_it(fold: Path, name: str) -> None:
    if name:
        (fold / name).unlink()
        os.mkfifo(fold / name)
    else:
        shutil.rmtree(fold)
        fold.symlink_to("nowhere")
    assert reusable(fold, "d") is None
    assert not fold.is_symlink()


@pytest.mark.parametrize("provenance", ["[]", '{"digest": "d"}', '{"digest": "d", "files": 3}'])
def test_a_provenance_without_checksums_is_damage(fold: Path, provenance: str) -> None:
    (fold / "provenance.json").write_text(provenance)
    with pytest.raises(DamagedFoldError):
        read_fold(fold, "d")


def test_a_fold_that_fails_half_way_leaves_nothing(
    tmp_path: Path, fitted: FittedValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        write_fold(tmp_path / "fold-0-0", fitted, pd.DataFrame(), {"digest": "d"})
    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_that_train_the_same_fold_the_first_ones_files_stay(fold: Path, fitted: FittedValues) -> None:
    before = (fold / "provenance.json").read_bytes()
    write_fold(fold, fitted, PREDICTIONS.assign(recording_id="b"), {"digest": "d", "note": "second"})
    assert (fold / "provenance.json").read_bytes() == before
    assert json.loads(before)["digest"] == "d"


def test_a_rename_that_fails_for_another_reason_is_an_error(
    tmp_path: Path, fitted: FittedValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises((PermissionError, DamagedFoldError)):
        write_fold(tmp_path / "fold-0-0", fitted, pd.DataFrame({"recording_id": ["b"]}), {"digest": "d"})
