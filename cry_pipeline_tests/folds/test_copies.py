"""Copies in folds: how many, what they are called, and that the mistake is the mistake."""

import pandas as pd
import pytest

from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.folds.copies import parse_copy, recordings_of, with_copies
from cry_pipeline.folds.splitting import make_folds

ROWS = pd.DataFrame(
    {
        "recording_id": [f"{index:02x}" for index in range(24)],
        "donor": [f"d{index // 2}" for index in range(24)],
        "label": ["hungry"] * 14 + ["tired"] * 6 + ["burping"] * 4,
    }
)
ONE_EACH = ProtocolSpec(kind="augment_then_split", folds=4, copies=1)
BALANCED = ProtocolSpec(kind="augment_then_split", folds=4, oversample=True)


def test_each_recording_is_there_with_its_copies() -> None:
    rows = with_copies(ROWS, ONE_EACH)
    assert sorted(rows["recording_id"]) == sorted(
        [*ROWS["recording_id"], *(f"{own}+1" for own in ROWS["recording_id"])]
    )
    assert rows["recording_id"].tolist() == sorted(rows["recording_id"])
    own = ROWS.set_index("recording_id")
    for row in rows.itertuples():
        recording, _ = parse_copy(str(row.recording_id))
        assert (row.donor, row.label) == (own["donor"][recording], own["label"][recording])


@pytest.mark.parametrize(("copies", "size"), [(0, 14), (2, 42)])
def test_oversampling_brings_each_class_to_the_size_of_the_largest_evenly(copies: int, size: int) -> None:
    rows = with_copies(ROWS, BALANCED.model_copy(update={"copies": copies}))
    assert dict(rows["label"].value_counts()) == dict.fromkeys(("hungry", "tired", "burping"), size)
    assert rows["recording_id"].is_unique
    times = rows.assign(own=[parse_copy(name)[0] for name in rows["recording_id"]]).groupby(["label", "own"]).size()
    assert (times.groupby("label").max() - times.groupby("label").min()).max() <= 1


def test_protocols_without_copies_leave_the_rows_alone() -> None:
    pd.testing.assert_frame_equal(with_copies(ROWS, ProtocolSpec(kind="clip_stratified", folds=4)), ROWS)


def test_copies_of_what_is_tested_are_trained_on() -> None:
    folds = make_folds(ROWS, ONE_EACH)
    assert len(folds) == 48
    homes = folds.assign(own=[parse_copy(name)[0] for name in folds["recording_id"]]).groupby("own")["fold"].nunique()
    assert (homes > 1).mean() > 0.5


def test_recordings_are_found_behind_their_copies() -> None:
    assert recordings_of(["0b+2", "0a", "0b+1", "0a+1"]) == ["0a", "0b"]
    assert parse_copy("0b+12") == ("0b", 12)
    assert parse_copy("0b") == ("0b", 0)
