"""What evidence is made of is the run that is there, if it is of the folds, parameters and code of now."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.artefacts import write_json
from cry_pipeline.catalog import Catalog
from cry_pipeline.keys import STAGES
from cry_pipeline.training.current_runs import FILE, NotTrainedError, current_run, run_folder, run_of_now, without
from cry_pipeline.training.registry import MODELS, Registered
from cry_pipeline.training.runs import RunResult, read_run
from cry_pipeline_tests.training.made_up import MAJORITY, REGRESSION


def test_the_run_that_is_there_is_read_though_its_digest_cannot_be_told_from_the_catalog(
    train: Callable[..., RunResult], catalog: Catalog, folds: pd.DataFrame, tmp_path: Path
) -> None:
    result = train(feature_rows="whatever the store had")
    found, own = run_of_now(REGRESSION, catalog, folds, tmp_path / "runs", "f")
    assert found == result.reference == current_run(REGRESSION, tmp_path / "runs")
    assert run_folder(found.experiment, found.digest, tmp_path / "runs") == result.folder
    pd.testing.assert_frame_equal(read_run(REGRESSION, found.digest, own, tmp_path / "runs"), result.predictions)


def test_a_run_asked_for_again_is_the_current_one_again(train: Callable[..., RunResult], tmp_path: Path) -> None:
    first, other = train(), train(feature_digest="g")
    assert current_run(REGRESSION, tmp_path / "runs").digest == other.digest
    assert train().reused == 3
    assert current_run(REGRESSION, tmp_path / "runs").digest == first.digest


def test_the_folds_of_a_run_are_those_of_now_less_what_it_left_out(
    train: Callable[..., RunResult], catalog: Catalog, folds: pd.DataFrame, tmp_path: Path
) -> None:
    gone = folds["recording_id"].iloc[0]
    result = train(left_out={gone: "no frame"})
    _, own = run_of_now(REGRESSION, catalog, folds, tmp_path / "runs")
    assert sorted(own["recording_id"]) == sorted(result.predictions["recording_id"])
    copies = pd.DataFrame({"recording_id": ["a", "a+1", "ab", "ab+1"]})
    assert without(copies, {"a": "no frame"})["recording_id"].tolist() == ["ab", "ab+1"]


def test_a_run_of_other_folds_is_none_of_these(
    train: Callable[..., RunResult], catalog: Catalog, folds: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(NotTrainedError, match=f"{REGRESSION} has not been trained yet: materialize runs/{REGRESSION}"):
        run_of_now(REGRESSION, catalog, folds, tmp_path / "runs")
    train()
    with pytest.raises(NotTrainedError, match="has not been trained on these folds yet"):
        run_of_now(REGRESSION, catalog, folds.assign(fold=(folds["fold"] + 1) % 3), tmp_path / "runs")
    with pytest.raises(NotTrainedError, match="has not been trained on these features yet"):
        run_of_now(REGRESSION, catalog, folds, tmp_path / "runs", "g")


def test_a_model_that_reads_no_features_is_of_any(
    train: Callable[..., RunResult], catalog: Catalog, folds: pd.DataFrame, tmp_path: Path
) -> None:
    result = train(MAJORITY)
    found, _ = run_of_now(MAJORITY, catalog, folds, tmp_path / "runs", "g")
    assert found.digest == result.digest


@pytest.mark.parametrize("what", ["classes", "parameter", "revision", "implementation", "library"])
def test_a_run_of_other_parameters_or_code_is_said_and_crashes_nothing(
    what: str,
    train: Callable[..., RunResult],
    catalog: Catalog,
    folds: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train()
    cohort, model, stage = catalog.cohorts["cleaned"], catalog.models["logistic_regression"], STAGES["run_values"]
    match what:
        case "classes":
            reordered = cohort.model_copy(update={"classes": cohort.classes[::-1]})
            catalog = catalog.model_copy(update={"cohorts": {**catalog.cohorts, "cleaned": reordered}})
        case "parameter":
            other = model.model_copy(update={"inverse_regularisation": 0.5})
            catalog = catalog.model_copy(update={"models": {**catalog.models, "logistic_regression": other}})
        case "revision":
            monkeypatch.setitem(STAGES, "run_values", replace(stage, revision=99))
        case "implementation":
            monkeypatch.setitem(MODELS, "logistic_regression", Registered("99", MODELS["logistic_regression"].make))
        case _:
            monkeypatch.setattr("cry_pipeline.keys.minor_version", lambda _: "99.9")
    with pytest.raises(NotTrainedError, match="has not been trained with these parameters, or this code yet"):
        run_of_now(REGRESSION, catalog, folds, tmp_path / "runs")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"NaN", b"\xff\x00", b'{"digest": 3}'])
def test_a_damaged_note_is_said_and_written_again(
    content: bytes, train: Callable[..., RunResult], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = train()
    path = tmp_path / "runs" / REGRESSION / FILE
    path.write_bytes(content)
    with (
        caplog.at_level(logging.WARNING, "cry_pipeline"),
        pytest.raises(NotTrainedError, match="is damaged"),
    ):
        current_run(REGRESSION, tmp_path / "runs")
    assert str(path) in caplog.text
    assert train().reused == 3
    assert current_run(REGRESSION, tmp_path / "runs") == result.reference


def test_a_note_by_another_version_is_none(tmp_path: Path) -> None:
    write_json(tmp_path / REGRESSION / FILE, {"digest": "d", "colour": "blue"})
    with pytest.raises(NotTrainedError, match="damaged"):
        current_run(REGRESSION, tmp_path)
