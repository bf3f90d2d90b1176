"""Predictions that no evidence may rest on are refused, saying which."""

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.evaluation.predictions import EvidenceError, out_of_fold

CLASSES = ("not_cry", "cry")


def test_arrays_are_aligned_by_recording_whatever_the_order_of_rows(predict) -> None:
    predictions, folds = predict(repeats=2)
    rows = out_of_fold(predictions.sample(frac=1, random_state=0), folds, CLASSES)
    assert rows.probabilities.shape == (2, 180, 2)
    for repeat, own in predictions.groupby("repeat"):
        own = own.set_index("recording_id").loc[list(rows.recording_ids)]
        np.testing.assert_array_equal(rows.probabilities[int(repeat)], own[["p_not_cry", "p_cry"]])
        np.testing.assert_array_equal(rows.folds[int(repeat)], own["fold"])
        np.testing.assert_array_equal(np.array(CLASSES)[rows.labels], own["label"])
        np.testing.assert_array_equal(rows.donors, own["donor"])


def test_what_calibrates_is_that_of_the_rows_and_changes_nothing_where_it_was_not_fitted(predict) -> None:
    predictions, folds = predict(repeats=2)
    plain = out_of_fold(predictions, folds, CLASSES)
    assert (plain.slopes == 1).all()
    assert (plain.intercepts == 0).all()
    slope = 1.5 + predictions["fold"] + 10 * predictions["repeat"]
    given = predictions.assign(slope=slope, intercept_not_cry=0.0, intercept_cry=-slope)
    rows = out_of_fold(given.sample(frac=1, random_state=0), folds, CLASSES)
    np.testing.assert_array_equal(rows.slopes, 1.5 + rows.folds + 10 * np.arange(2)[:, None])
    np.testing.assert_array_equal(rows.intercepts, np.stack([0 * rows.slopes, -rows.slopes], axis=-1))


def test_a_temperature_of_an_earlier_run_is_the_inverse_of_a_slope(predict) -> None:
    predictions, folds = predict()
    rows = out_of_fold(predictions.assign(temperature=2.0 + predictions["fold"]), folds, CLASSES)
    np.testing.assert_array_equal(rows.slopes, 1 / (2.0 + rows.folds))
    assert (rows.intercepts == 0).all()


def test_shared_donors_are_those_in_several_folds_of_one_repeat(predict) -> None:
    predictions, folds = predict(repeats=2)
    assert out_of_fold(predictions, folds, CLASSES).shared_donors == 0, "another fold in another repeat is no leak"
    row = folds.index[(folds["repeat"] == 1) & (folds["recording_id"] == "r0004")]
    for table in (predictions, folds):
        table.loc[row, "fold"] = (table.loc[row, "fold"] + 1) % 5
    assert out_of_fold(predictions, folds, CLASSES).shared_donors == 1


def _fitted(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.assign(slope=2.0, intercept_not_cry=0.0, intercept_cry=0.5)


def _set(table: pd.DataFrame, **values: str | float) -> pd.DataFrame:
    changed = table.copy()
    for name, value in values.items():
        changed.loc[7, name] = value
    return changed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.drop(index=7), "1 recordings have no prediction, first r0007 in repeat 0"),
        (lambda p: p[p["repeat"] == 0], "180 recordings have no prediction, first r0000 in repeat 1"),
        (lambda p: pd.concat([p, p.iloc[[7]]]), "1 predictions come more than once, first r0007"),
        (
            lambda p: pd.concat([p, p.iloc[[7]].assign(recording_id="x")]),
            "1 predictions are of recordings outside the folds",
        ),
        (
            lambda p: _set(p, fold=(p.loc[7, "fold"] + 1) % 5),
            "1 predictions are by a fold whose model trained on the recor",
        ),
        (lambda p: _set(p, label="not_cry" if p.loc[7, "label"] == "cry" else "cry"), "for another label"),
        (lambda p: _set(p, donor="x"), "for another donor"),
        (lambda p: _set(p, p_cry=np.nan), "1 predictions have probabilities NaN or infinite, first r0007"),
        (lambda p: _set(p, p_cry=1.2, p_not_cry=-0.2), "1 predictions have probabilities outside 0 to 1"),
        (lambda p: _set(p, p_cry=0.9, p_not_cry=0.2), "1 predictions have probabilities not summing to 1"),
        (lambda p: p.drop(columns="p_cry"), "lack the columns p_cry"),
        (lambda p: p.assign(p_whale=0.0), "hold p_whale, of no class"),
        (lambda p: p.assign(temperature=0.0), "360 predictions have no slope above 0 .* first r0000"),
        (lambda p: _fitted(p).drop(columns="intercept_cry"), "lack the columns intercept_cry"),
        (lambda p: _set(_fitted(p), slope=-1.0), "1 predictions have no slope above 0 .* first r0007"),
        (lambda p: _set(_fitted(p), intercept_cry=np.nan), "1 predictions have no slope above 0 .* first r0007"),
        (lambda p: _set(_fitted(p), slope=1.0), "are calibrated otherwise than others of their fold"),
        (lambda p: _set(_fitted(p), intercept_cry=1.0), "are calibrated otherwise than others of their fold"),
    ],
)
def test_predictions_that_are_not_out_of_fold_are_refused(predict, spoil, message: str) -> None:
    predictions, folds = predict(repeats=2)
    with pytest.raises(EvidenceError, match=message):
        out_of_fold(spoil(predictions), folds, CLASSES)


def test_folds_that_lack_a_recording_in_a_repeat_are_refused(predict) -> None:
    predictions, folds = predict(repeats=2)
    with pytest.raises(EvidenceError, match="each recording once in every repeat"):
        out_of_fold(predictions.drop(index=7), folds.drop(index=7), CLASSES)


@pytest.mark.parametrize(
    ("label", "message"),
    [("whale", "no class: whale; the classes are not_cry, cry"), ("cry", "All recordings are cry")],
)
def test_labels_that_leave_nothing_to_tell_apart_are_refused(predict, label: str, message: str) -> None:
    predictions, folds = predict()
    with pytest.raises(EvidenceError, match=message):
        out_of_fold(predictions.assign(label=label), folds.assign(label=label), CLASSES)


def test_no_prediction_at_all_is_said(predict) -> None:
    predictions, folds = predict()
    with pytest.raises(EvidenceError, match="There is no prediction, so nothing to evaluate"):
        out_of_fold(predictions.iloc[:0], folds.iloc[:0], ("not_cry", "cry"))
