"""Rows keep metadata and features together, in the order asked for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training.datasets import Rows, TrainingDataError, rows_of
from cry_pipeline_tests.training.made_up import CLASSES


def test_rows_taken_bring_their_own_frames_and_statistics(folds: pd.DataFrame, features: FeatureRows) -> None:
    rows = rows_of(folds, CLASSES, features)
    wanted = [rows.recording_ids[position] for position in (41, 3, 59, 0)]
    taken = rows.take(wanted)
    assert taken.recording_ids == wanted
    assert taken.features is not None
    for index, recording in enumerate(wanted):
        for kind in features.arrays:
            expected = features.of(kind, features.recording_ids.index(recording))
            np.testing.assert_array_equal(taken.features.of(kind, index), expected)
    assert taken.features.offsets[-1] == len(taken.features.arrays["mel"])


def test_rows_taken_still_say_which_samples_they_are_of(folds: pd.DataFrame, features: FeatureRows) -> None:
    known = replace(features, samples_digests=tuple(f"samples of {name}" for name in features.recording_ids))
    rows = rows_of(folds, CLASSES, known)
    wanted = [rows.recording_ids[position] for position in (41, 3)]
    taken = rows.take(wanted).features
    assert taken is not None
    assert taken.keys == [(name, f"samples of {name}") for name in wanted]


def test_features_in_another_order_and_of_other_recordings_are_matched_by_id(
    folds: pd.DataFrame, features: FeatureRows
) -> None:
    everything = rows_of(folds, CLASSES, features)
    some = folds.sample(frac=0.5, random_state=1)
    rows = rows_of(some, CLASSES, everything.take(everything.recording_ids[::-1]).features)
    assert rows.recording_ids == sorted(some["recording_id"])
    expected = [features.of("mfcc", features.recording_ids.index(i)) for i in rows.recording_ids]
    np.testing.assert_array_equal(rows.with_arrays(["mfcc"]).arrays["mfcc"], np.concatenate(expected))


def test_rows_refuse_features_in_another_order(folds: pd.DataFrame, features: FeatureRows) -> None:
    rows = rows_of(folds, CLASSES, features)
    with pytest.raises(TrainingDataError, match="another order"):
        Rows(rows.table.iloc[::-1], CLASSES, rows.features)


def test_codes_follow_the_cohorts_class_order_not_the_alphabet(folds: pd.DataFrame) -> None:
    rows = rows_of(folds, CLASSES, None)
    assert [CLASSES[code] for code in rows.codes] == rows.table["label"].tolist()


def test_repeats_do_not_double_the_rows(folds: pd.DataFrame) -> None:
    assert len(rows_of(pd.concat([folds, folds.assign(repeat=1)]), CLASSES, None)) == len(folds)


def test_missing_features_are_counted_and_named(folds: pd.DataFrame, features: FeatureRows) -> None:
    part = rows_of(folds, CLASSES, features).take(folds["recording_id"].tolist()[1:]).features
    with pytest.raises(TrainingDataError, match=f"1 of 60 recordings have no features, first {folds.recording_id[0]}"):
        rows_of(folds, CLASSES, part)


def test_a_label_that_is_no_class_is_refused(folds: pd.DataFrame) -> None:
    with pytest.raises(TrainingDataError, match="labels burping, which are not among the classes"):
        rows_of(folds, CLASSES[:-1], None)


def test_a_recording_with_two_labels_is_refused(folds: pd.DataFrame) -> None:
    other = folds.assign(repeat=1)
    other.loc[5, "label"] = "hungry" if other.label[5] != "hungry" else "tired"
    with pytest.raises(TrainingDataError, match="two labels"):
        rows_of(pd.concat([folds, other]), CLASSES, None)


def test_a_fitted_model_is_not_shown_labels(folds: pd.DataFrame) -> None:
    assert list(rows_of(folds, CLASSES, None).without_labels().table.columns) == ["recording_id", "donor"]


def test_arrays_that_were_not_read_are_named(folds: pd.DataFrame, features: FeatureRows) -> None:
    del features.arrays["mel"]
    with pytest.raises(TrainingDataError, match="needs mel, not read"):
        rows_of(folds, CLASSES, features).with_arrays(["mfcc", "mel"])
    with pytest.raises(TrainingDataError, match="needs mfcc, mel, not read"):
        rows_of(folds, CLASSES, None).with_arrays(["mfcc", "mel"])
