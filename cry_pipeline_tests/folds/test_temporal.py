"""The split by time and donor: nobody is on both sides, and what fits neither is counted."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.artefacts import write_table
from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.folds.splitting import (
    FoldError,
    absent_classes,
    keep_folds,
    leaking_donors,
    make_folds,
    read_folds,
    summarise_folds,
)
from cry_pipeline.tables import TableError

MAY = date(2015, 5, 1)
BY_DATE = ProtocolSpec(kind="temporal", folds=1, before=MAY)


def cohort(*donors: tuple[str, str, str]) -> pd.DataFrame:
    """One donor for each (name, label, days of April (-) or May (+) on which it records)."""
    rows = [
        (f"{name}{number}", name, label, pd.Timestamp(2015, 4 if day.startswith("-") else 5, int(day[1:]), tz="UTC"))
        for name, label, days in donors
        for number, day in enumerate(days.split())
    ]
    return pd.DataFrame(rows, columns=["recording_id", "donor", "label", "recorded_at"])


ROWS = cohort(
    ("early", "hungry", "-1 -2"),
    ("early_too", "tired", "-3"),
    ("late", "hungry", "+2"),
    ("late_too", "tired", "+1 +9"),
    ("rather_early", "hungry", "-5 -6 +1"),
    ("rather_late", "tired", "-7 +3 +4"),
    ("both", "hungry", "-9 +5"),
)


def random_cohort(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    donors = rng.integers(0, 30, size=90)
    return pd.DataFrame(
        {
            "recording_id": [f"{row:03}" for row in range(90)],
            "donor": [f"d{donor}" for donor in donors],
            "label": rng.choice(["hungry", "tired"], size=90),
            "recorded_at": pd.Timestamp("2015-03-01", tz="UTC")
            + pd.to_timedelta(donors * 2 + rng.integers(0, 10, size=90), unit="D"),
        }
    )


def test_early_rows_are_trained_on_and_late_rows_of_other_donors_tested() -> None:
    folds = make_folds(ROWS, BY_DATE).set_index("recording_id")["fold"]
    assert set(folds.index[folds == 0]) == {"late0", "late_too0", "late_too1", "rather_late1", "rather_late2"}
    assert set(folds.index[folds == -1]) == {
        "early0",
        "early1",
        "early_too0",
        "rather_early0",
        "rather_early1",
        "both0",
    }


def test_rows_that_fit_neither_side_are_left_out_and_counted() -> None:
    attrs = make_folds(ROWS, BY_DATE).attrs
    assert attrs["left_out"] == {"early": 1, "late": 2}  # of rather_late; of rather_early and both
    assert attrs["moment"] == "2015-05-01T00:00:00+00:00"


@pytest.mark.parametrize("seed", range(5))
def test_no_donor_is_on_both_sides_and_nothing_tested_is_older_than_what_is_trained_on(seed: int) -> None:
    rows = random_cohort(seed)
    folds = make_folds(rows, ProtocolSpec(kind="temporal", folds=1, quantile=0.6))
    assert leaking_donors(folds) == []
    sides = folds.merge(rows[["recording_id", "recorded_at"]]).groupby("fold")["recorded_at"]
    assert sides.max()[-1] < sides.min()[0]
    assert len(folds) + sum(folds.attrs["left_out"].values()) == len(rows)
    late = (rows["recorded_at"] >= pd.Timestamp(folds.attrs["moment"])).mean()
    assert 0.35 < late < 0.5


def test_donor_put_on_both_sides_is_found() -> None:
    folds = make_folds(ROWS, BY_DATE)
    folds.loc[folds["recording_id"] == "rather_late1", "donor"] = "early"
    assert leaking_donors(folds) == ["early"]


def test_order_of_rows_changes_nothing_and_a_moved_recording_does() -> None:
    protocol = ProtocolSpec(kind="temporal", folds=1, quantile=0.5)
    shuffled = ROWS.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(make_folds(ROWS, protocol), make_folds(shuffled, protocol))


def test_folds_are_made_again_where_a_recording_has_another_time(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    keep_folds(ROWS, BY_DATE, path)
    assert keep_folds(ROWS, BY_DATE, path)[1]
    moved = ROWS.assign(recorded_at=ROWS["recorded_at"] + pd.Timedelta(days=1))
    again, reused = keep_folds(moved, BY_DATE, path)
    assert not reused
    assert again.attrs["left_out"] == {"early": 1, "late": 2}


def test_only_what_is_tested_is_summarised_and_an_absent_class_is_said() -> None:
    rows = pd.concat([ROWS, cohort(("early_three", "burping", "-1"))])
    folds = make_folds(rows, BY_DATE)
    (summary,) = summarise_folds(folds).to_dict("records")
    assert summary == {
        "repeat": 0, "fold": 0, "recordings": 5, "donors": 3, "burping": 0, "hungry": 1, "tired": 4,
    }  # fmt: skip
    assert absent_classes(folds) == ["1 of 1 test folds hold no burping (1 recordings): 0-0"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (pd.concat([ROWS, cohort(("x", "burping", "+1"))]), "Before 2015-05-01 00:00 no recording of burping"),
        (cohort(("a", "hungry", "-1"), ("b", "tired", "-1"), ("c", "tired", "+1")), "recordings of tired only"),
        (cohort(("a", "hungry", "-1"), ("b", "tired", "-1")), "recordings of no class"),
        (ROWS.drop(columns="recorded_at"), "recorded_at missing"),
        (ROWS.assign(recorded_at=None), "have no recorded_at"),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_sentence(rows: pd.DataFrame, said: str) -> None:
    with pytest.raises(FoldError, match=said):
        make_folds(rows, BY_DATE)


def test_a_table_with_a_fold_below_train_only_is_refused(tmp_path) -> None:
    folds = make_folds(ROWS, BY_DATE)
    write_table(tmp_path / "a.parquet", folds.assign(fold=folds["fold"] - 1), "digest")
    with pytest.raises(TableError):
        read_folds(tmp_path / "a.parquet")
