"""Folds: what they promise, and what they refuse."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.artefacts import write_table
from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.folds.splitting import (
    FoldError,
    absent_classes,
    inner_split,
    keep_folds,
    leaking_donors,
    make_folds,
    read_folds,
    summarise_folds,
)
from cry_pipeline.tables import TableError

GROUPED = ProtocolSpec(kind="donor_grouped", folds=5, repeats=2)
ONCE = GROUPED.model_copy(update={"repeats": 1})
CLIPS = ProtocolSpec(kind="clip_stratified", folds=10, repeats=1)


def cohort(donors: dict[str, int], clips: int = 2) -> pd.DataFrame:
    """A cohort with the given donors per class and ``clips`` recordings of each donor."""
    rows = [
        (f"{label}-{donor}-{clip}", f"{label}{donor}", label)
        for label, count in donors.items()
        for donor in range(count)
        for clip in range(clips)
    ]
    return pd.DataFrame(rows, columns=["recording_id", "donor", "label"])


def random_cohort(seed: int) -> pd.DataFrame:
    """Few donors with several labels each: hard to stratify by donor."""
    rng = np.random.default_rng(seed)
    donors = [donor for donor in range(rng.integers(8, 16)) for _ in range(rng.integers(1, 4))]
    rows = [(f"{row:04}", f"d{donor}", rng.choice(["a", "b"])) for row, donor in enumerate(donors)]
    return pd.DataFrame(rows, columns=["recording_id", "donor", "label"])


@pytest.mark.parametrize("protocol", [GROUPED, CLIPS], ids=lambda spec: spec.kind)
def test_the_order_of_rows_changes_nothing(protocol: ProtocolSpec) -> None:
    rows = cohort({"hungry": 30, "tired": 12, "burping": 6})
    shuffled = rows.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(make_folds(rows, protocol), make_folds(shuffled, protocol))


@pytest.mark.parametrize("protocol", [GROUPED, CLIPS], ids=lambda spec: spec.kind)
def test_each_recording_is_tested_once_per_repeat(protocol: ProtocolSpec) -> None:
    rows = cohort({"hungry": 30, "tired": 12, "burping": 6})
    folds = make_folds(rows, protocol)
    for _, repeat in folds.groupby("repeat"):
        assert repeat["recording_id"].tolist() == sorted(rows["recording_id"])
        assert set(repeat["fold"]) == set(range(protocol.folds))
    assert folds["repeat"].nunique() == protocol.repeats


def test_repeats_and_seeds_differ() -> None:
    rows = cohort({"hungry": 30, "tired": 12})
    folds = make_folds(rows, GROUPED)
    first, second = (folds.loc[folds["repeat"] == repeat, "fold"].to_numpy() for repeat in (0, 1))
    assert (first != second).any()
    again = make_folds(rows, GROUPED.model_copy(update={"seed": 1}))
    assert (again.loc[again["repeat"] == 0, "fold"].to_numpy() == second).all(), "repeat n uses seed + n"


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_grouped_folds_keep_donors_apart_and_classes_on_both_sides_or_are_refused(seed: int) -> None:
    try:
        folds = make_folds(random_cohort(seed), GROUPED)
    except FoldError:
        return
    assert leaking_donors(folds) == []
    assert absent_classes(folds) == []
    for _, repeat in folds.groupby("repeat"):
        for fold in range(GROUPED.folds):
            assert set(repeat.loc[repeat["fold"] != fold, "label"]) == set(repeat["label"])


def test_further_seeds_are_tried_and_the_one_used_is_recorded() -> None:
    rows = random_cohort(11)
    folds = make_folds(rows, ONCE)
    assert folds.attrs["seeds"] == [1000]
    direct = make_folds(rows, ONCE.model_copy(update={"seed": 1000}))
    pd.testing.assert_frame_equal(folds, direct)


def test_a_class_with_fewer_donors_than_folds_is_named_with_its_donors() -> None:
    with pytest.raises(FoldError, match=r"5 donors of each class.*burping \(4\).*fewer folds"):
        make_folds(cohort({"hungry": 30, "burping": 4}, clips=9), GROUPED)


def test_classes_no_seed_can_place_are_named_with_their_donors() -> None:
    with pytest.raises(FoldError, match=r"50 seeds .*lost: a \(5 donors\), b \(5 donors\)"):
        make_folds(random_cohort(57), GROUPED)


def test_clip_folds_report_the_classes_that_test_folds_lack() -> None:
    rows = cohort({"hungry": 40, "burping": 4})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = make_folds(rows, CLIPS)
    (sentence,) = absent_classes(folds)
    assert sentence.startswith("2 of 10 test folds hold no burping (8 recordings): 0-")


def test_clip_folds_leak_donors_and_the_check_says_which() -> None:
    rows = cohort({"hungry": 20, "tired": 20}, clips=3)
    folds = make_folds(rows, CLIPS)
    leaks = leaking_donors(folds)
    for donor, own in folds.groupby("donor"):
        assert (donor in leaks) == (len(set(own["fold"])) > 1)
    assert leaks == sorted(leaks) != []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (cohort({"hungry": 30, "burping": 1}, clips=1), r"2 recordings of each class.*burping \(1\)"),
        (cohort({"hungry": 6, "burping": 6}, clips=1), "No class has more than 6 recordings"),
        (cohort({"hungry": 30}), "at least two classes"),
        (cohort({}), "no recordings"),
        (cohort({"hungry": 30, "tired": 9}).drop(columns="donor"), "donor missing"),
        (cohort({"hungry": 30, "tired": 9}).assign(donor=None), "78 recordings have no donor"),
        (cohort({"hungry": 30, "tired": 9}).assign(recording_id="same"), "77 recording ids come more than once"),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_sentence(rows: pd.DataFrame, message: str) -> None:
    with pytest.raises(FoldError, match=message):
        make_folds(rows, CLIPS)


def test_summary_counts_what_each_fold_tests() -> None:
    rows = cohort({"hungry": 10, "tired": 5}, clips=2)
    summary = summarise_folds(make_folds(rows, GROUPED))
    assert list(summary.columns) == ["repeat", "fold", "recordings", "donors", "hungry", "tired"]
    assert len(summary) == 10
    assert (summary["hungry"] == 4).all()
    assert (summary["tired"] == 2).all()
    assert (summary["recordings"] == 6).all()
    assert (summary["donors"] == 3).all()


def test_folds_survive_a_file_with_the_seeds_they_were_made_with(tmp_path: Path) -> None:
    rows, path = cohort({"hungry": 30, "tired": 9}), tmp_path / "folds" / "a.parquet"
    kept, reused = keep_folds(rows, GROUPED, path)
    assert not reused
    pd.testing.assert_frame_equal(kept, make_folds(rows, GROUPED))
    assert kept.attrs == {"seeds": [0, 1]}
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.parquet"]


def test_folds_are_made_again_only_for_another_cohort_or_protocol(tmp_path: Path) -> None:
    rows, path = cohort({"hungry": 30, "tired": 9}), tmp_path / "a.parquet"
    keep_folds(rows, GROUPED, path)
    assert keep_folds(rows.iloc[::-1], GROUPED, path)[1]
    for other, protocol in [(rows.iloc[1:], GROUPED), (rows, ONCE)]:
        assert not keep_folds(other, protocol, path)[1]
        assert keep_folds(other, protocol, path)[1]


@pytest.mark.parametrize("fault", ["row missing", "row twice", "fold below -1", "extra column"])
def test_a_broken_table_of_folds_is_refused(fault: str, tmp_path: Path) -> None:
    folds = make_folds(cohort({"hungry": 30, "tired": 9}), GROUPED)
    broken = {
        "row missing": folds.iloc[1:],
        "row twice": pd.concat([folds, folds.iloc[:1]], ignore_index=True),
        "fold below -1": folds.assign(fold=folds["fold"] - 2),
        "extra column": folds.assign(extra=1),
    }[fault]
    path = tmp_path / "a.parquet"
    write_table(path, broken, "digest")
    with pytest.raises(TableError):
        read_folds(path)


@given(seed=st.integers(0, 10_000), fraction=st.sampled_from([0.1, 0.2, 0.7]))
@settings(max_examples=40, deadline=None)
def test_inner_split_keeps_donors_whole_and_every_class_to_fit_on(seed: int, fraction: float) -> None:
    rows = random_cohort(seed)
    fit, validation = inner_split(rows, seed, fraction)
    assert sorted(fit + validation) == rows["recording_id"].tolist()
    donor, label = (rows.set_index("recording_id")[column] for column in ("donor", "label"))
    assert not set(donor[fit]) & set(donor[validation])
    assert set(label[fit]) == set(label)


def test_inner_split_gives_each_class_its_share() -> None:
    rows = cohort({"hungry": 60, "tired": 20, "burping": 5})
    _, validation = inner_split(rows, 0, 0.2)
    label = rows.set_index("recording_id")["label"]
    assert label[validation].value_counts().to_dict() == {"hungry": 24, "tired": 8, "burping": 2}


def test_inner_split_depends_on_seed_and_ids_alone() -> None:
    rows = cohort({"hungry": 60, "tired": 20})
    assert inner_split(rows, 4) == inner_split(rows.sample(frac=1, random_state=1), 4)
    assert inner_split(rows, 4) != inner_split(rows, 5)


def test_inner_split_never_validates_on_the_only_donor_of_a_class() -> None:
    rows = cohort({"hungry": 30, "burping": 1})
    for seed in range(20):
        fit, _ = inner_split(rows, seed, fraction=0.7)
        assert {"burping-0-0", "burping-0-1"} <= set(fit)


def test_inner_split_refuses_when_no_donor_can_be_spared() -> None:
    with pytest.raises(FoldError, match="2 donors in the training rows leave none to validate on"):
        inner_split(cohort({"hungry": 1, "burping": 1}), 0)
    with pytest.raises(FoldError, match="between 0 and 1, not at 1"):
        inner_split(cohort({"hungry": 9, "burping": 9}), 0, fraction=1)


def test_folds_of_the_real_corpus(corpus: Path) -> None:
    cleaned = corpus / "donateacry_corpus_cleaned_and_updated_data"
    paths = sorted(cleaned.glob("*/*.wav"))
    rows = pd.DataFrame(
        {
            "recording_id": [path.name for path in paths],
            "donor": [path.name[:36].lower() for path in paths],
            "label": [path.parent.name for path in paths],
        }
    )
    grouped = make_folds(rows, GROUPED)
    assert grouped.attrs["seeds"] == [0, 1]
    assert absent_classes(grouped) == leaking_donors(grouped) == []
    clips = make_folds(rows, CLIPS)
    (sentence,) = absent_classes(clips)
    assert sentence.startswith("2 of 10 test folds hold no burping (8 recordings)")
    assert len(leaking_donors(clips)) > 50
