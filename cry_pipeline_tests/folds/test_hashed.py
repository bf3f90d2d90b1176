"""Folds by a hash of the donor: what stays when donors come and go, and what has to move."""

import hashlib
from collections.abc import Hashable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.folds.splitting import FoldError, absent_classes, leaking_donors, make_folds
from cry_pipeline_tests.folds.test_splitting import cohort, random_cohort

HASHED = ProtocolSpec(kind="donor_hashed", folds=5)


def by_hash(donor: str, seed: int = 0, folds: int = 5) -> int:
    """What the protocol's description says, written once more."""
    digest = hashlib.sha256(f"{seed}\0{donor}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds


def homes(rows: pd.DataFrame, protocol: ProtocolSpec = HASHED) -> dict[Hashable, int]:
    """The fold of each donor in repeat 0."""
    folds = make_folds(rows, protocol)
    return folds[folds["repeat"] == 0].groupby("donor")["fold"].first().to_dict()


def moved(rows: pd.DataFrame) -> set[Hashable]:
    """Donors who are not where their hash puts them."""
    return {donor for donor, fold in homes(rows).items() if fold != by_hash(str(donor))}


def test_without_need_of_repair_a_fold_is_the_hash() -> None:
    rows = cohort({"cry": 60, "not_cry": 60})
    assert moved(rows) == set()
    assert homes(rows, HASHED.model_copy(update={"seed": 7})) == {d: by_hash(d, 7) for d in set(rows["donor"])}


def test_repeat_n_uses_seed_plus_n_and_the_order_of_rows_changes_nothing() -> None:
    rows, twice = cohort({"cry": 60, "not_cry": 60}), HASHED.model_copy(update={"repeats": 2})
    folds = make_folds(rows, twice)
    assert folds.attrs["seeds"] == [0, 1]
    second = folds[folds["repeat"] == 1].groupby("donor")["fold"].first().to_dict()
    assert second == {donor: by_hash(donor, 1) for donor in set(rows["donor"])}
    pd.testing.assert_frame_equal(folds, make_folds(rows.sample(frac=1, random_state=3), twice))


def test_who_comes_or_goes_moves_nobody_and_recordings_count_for_nothing() -> None:
    rows = cohort({"cry": 60, "not_cry": 60}, clips=3)
    few = rows.groupby("donor").head(1)
    assert homes(few) == homes(rows)
    for gone in sorted(set(rows["donor"]))[:12]:
        fewer = homes(rows[rows["donor"] != gone])
        assert fewer == {donor: fold for donor, fold in homes(rows).items() if donor != gone}


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_hard_cohorts_are_whole_or_refused_and_only_repairs_move_anyone(seed: int) -> None:
    rows = random_cohort(seed)
    gone = rows["donor"].iloc[0]
    try:
        before, after = homes(rows), homes(rows[rows["donor"] != gone])
    except FoldError:
        return
    folds = make_folds(rows, HASHED)
    assert leaking_donors(folds) == []
    assert absent_classes(folds) == []
    for fold in range(HASHED.folds):
        assert set(folds.loc[folds["fold"] != fold, "label"]) == set(rows["label"])
    changed = {donor for donor, fold in after.items() if before[donor] != fold}
    assert changed <= moved(rows) | moved(rows[rows["donor"] != gone])


def test_each_fold_that_lacks_a_class_is_given_one_donor_and_no_more() -> None:
    rows = cohort({"hungry": 100, "burping": 5})
    lacking = set(range(5)) - {by_hash(f"burping{number}") for number in range(5)}
    assert lacking, "the example has to need repairs"
    assert len(moved(rows)) == len(lacking)
    assert all(str(donor).startswith("burping") for donor in moved(rows))


def test_growing_from_few_donors_moves_fewer_than_one_of_them_for_each_that_comes() -> None:
    """Rare classes need repairs as long as they are rare; afterwards nobody moves any more."""
    rng, names = np.random.default_rng(0), [f"donor-{number}" for number in range(160)]
    labels = rng.choice(["hungry", "tired", "burping"], len(names), p=[0.8, 0.14, 0.06])
    labels[:15] = ["hungry", "tired", "burping"] * 5
    rows = pd.DataFrame({"recording_id": names, "donor": names, "label": labels})
    before, changes = homes(rows[:15]), []
    for count in range(16, len(rows) + 1):
        now = homes(rows[:count])
        changes.append(sum(now[donor] != fold for donor, fold in before.items()))
        before = now
    assert sum(changes) / len(changes) < 0.1
    assert sum(changes[80:]) == 0


def test_what_cannot_be_placed_is_named() -> None:
    with pytest.raises(FoldError, match=r"5 donor_hashed folds need at least 5 donors of each class.*burping \(4\)"):
        make_folds(cohort({"hungry": 30, "burping": 4}), HASHED)
    # Of c only two donors share a fold, and each is the only one there of a class as rare: neither can be spared.
    holds = ["a"] * 4 + ["b"] * 4 + ["c"] * 3 + ["ac", "bc"]
    refused = []
    for attempt in range(200):
        rows = [(f"{attempt} {n} {label}", f"{attempt} {n}", label) for n, own in enumerate(holds) for label in own]
        try:
            make_folds(pd.DataFrame(rows, columns=["recording_id", "donor", "label"]), HASHED)
        except FoldError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 100
    assert all("has no c, and no donor of it can be moved" in said for said in refused)
