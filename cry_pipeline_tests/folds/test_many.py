"""Folds of many labellings at once are those that the library makes of each, or none where it makes none."""

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog.specs import ProtocolSpec
from cry_pipeline.folds.many import grouped_folds
from cry_pipeline.folds.splitting import make_folds
from cry_pipeline.folds.words import FoldError

CLASSES = ("belly", "burp", "cold", "hungry", "tired")


def labellings(rng: np.random.Generator, count: int, donors: np.ndarray, classes: int) -> np.ndarray:
    """Return labels that mostly go with donors, ``[count, recordings]``; of a rare class some have too little."""
    shares = rng.dirichlet(np.full(classes, 1.0))
    of_donors = rng.choice(classes, size=(count, donors.max() + 1), p=shares)
    own = rng.choice(classes, size=(count, len(donors)), p=shares)
    return np.where(rng.random(own.shape) < 0.8, of_donors[:, donors], own)


def by_the_library(codes: np.ndarray, donors: np.ndarray, protocol: ProtocolSpec) -> np.ndarray | None:
    names = [f"donor {donor:03}" for donor in donors]
    ids = [f"{place:05}" for place in range(len(donors))]
    table = pd.DataFrame({"recording_id": ids, "donor": names, "label": [CLASSES[code] for code in codes]})
    try:
        folds = make_folds(table, protocol)
    except FoldError:
        return None
    return folds["fold"].to_numpy().reshape(protocol.repeats, -1)


@pytest.mark.parametrize("case", range(12))
def test_folds_of_many_labellings_are_those_the_library_makes_of_each(case: int) -> None:
    rng = np.random.default_rng(case)
    donors = rng.integers(0, rng.integers(25, 90), size=rng.integers(120, 300))
    donors = np.unique(donors, return_inverse=True)[1]
    protocol = ProtocolSpec.model_validate(
        {"kind": "donor_grouped", "folds": (2, 3, 5)[case % 3], "repeats": 1 + case % 2, "seed": 7 * case}
    )
    codes = labellings(rng, 8, donors, 2 + case % 4)
    folds, made = grouped_folds(codes, np.array([f"donor {donor:03}" for donor in donors]), protocol)
    expected = [by_the_library(labels, donors, protocol) for labels in codes]
    assert made.tolist() == [found is not None for found in expected]
    for of_ours, found in zip(folds, expected, strict=True):
        if found is not None:
            np.testing.assert_array_equal(of_ours, found)


def test_the_cases_tried_have_labellings_with_folds_and_without() -> None:
    """Else the test above would hold whatever is made of either."""
    rng = np.random.default_rng(3)
    donors = np.repeat(np.arange(12), 4)
    protocol = ProtocolSpec.model_validate({"kind": "donor_grouped", "folds": 5, "repeats": 1, "seed": 0})
    codes = np.stack([np.repeat(np.arange(12) % 2, 4), np.repeat(np.arange(12) == 3, 4).astype(int), np.zeros(48, int)])
    made = grouped_folds(codes, rng.permutation(12)[donors].astype(str), protocol)[1]
    assert made.tolist() == [True, False, False]
