"""Subgroups: the same metric on part of the recordings, no number of few donors, differences found where planted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.evaluation import subgroups
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.subgroups import COLUMNS, FEWEST_DONORS, subgroups_of


def told_of(rows: OutOfFold, **columns: object) -> pd.DataFrame:
    """Tell the same of all recordings but for ``columns``."""
    same = dict.fromkeys(COLUMNS, "all")
    return pd.DataFrame(same | columns, index=pd.Index(rows.recording_ids))


@pytest.fixture(scope="module")
def rows(run_of) -> OutOfFold:
    return run_of(effect=1.0, donors=100)


def halves(rows: OutOfFold) -> np.ndarray:
    """Return for each recording one of two halves of the donors, with as many donors of each class."""
    first: dict[str, int] = {}
    for code in (0, 1):
        names = np.unique(rows.donors[rows.labels == code])
        first |= {name: place % 2 for place, name in enumerate(names)}
    return np.array([first[donor] for donor in rows.donors])


def test_the_number_is_the_metric_of_the_groups_own_recordings(rows) -> None:
    half = halves(rows)
    found = {
        (one.of, one.name): one
        for one in subgroups_of(
            rows, told_of(rows, platform=np.where(half, "ios", "android")), "auc", resamples=100, seed=0
        )
    }
    inside = half == 1
    own = replace(
        rows,
        labels=rows.labels[inside],
        donors=rows.donors[inside],
        folds=rows.folds[:, inside],
        probabilities=rows.probabilities[:, inside],
    )
    ios, android = found["platform", "ios"], found["platform", "android"]
    assert ios.recordings == inside.sum()
    assert ios.donors == len(set(rows.donors[inside]))
    assert ios.headline
    assert ios.headline.value == pytest.approx(measure(own, None, ("auc",))["auc"])
    assert android.headline
    assert ios.difference
    assert ios.difference.value == pytest.approx(ios.headline.value - android.headline.value)
    assert ios.p_adjusted is not None
    assert not ios.differs
    everybody = found["gender", "all"]
    assert everybody.headline
    assert everybody.difference is None, "there are no others"


def test_of_few_donors_there_is_no_number(rows) -> None:
    few = set(np.unique(rows.donors[rows.labels == 1])[: FEWEST_DONORS - 1])
    version = [
        "2.0" if donor in few or label == 0 else "1.0" for donor, label in zip(rows.donors, rows.labels, strict=True)
    ]
    small, large = sorted(
        (
            one
            for one in subgroups_of(rows, told_of(rows, app_version=version), "auc", resamples=100, seed=0)
            if one.of == "app_version"
        ),
        key=lambda one: one.by_class[1],
    )[:2]
    assert FEWEST_DONORS - 1 in (small.by_class[1], large.by_class[1])
    assert small.headline is None
    assert small.difference is None
    assert small.p_adjusted is None


def test_what_is_not_told_is_in_no_group_and_among_no_others(rows) -> None:
    half = halves(rows)
    gender = [None if at < 9 else ("male" if one else "female") for at, one in enumerate(half)]
    found = [
        one
        for one in subgroups_of(rows, told_of(rows, gender=gender), "auc", resamples=100, seed=0)
        if one.of == "gender"
    ]
    assert {one.name for one in found} == {"male", "female"}
    assert sum(one.recordings for one in found) == len(half) - 9


def test_a_group_that_fares_worse_is_found(run_of) -> None:
    rows = run_of(effect=2.0, donors=160)
    half = halves(rows) == 1
    blind = rows.probabilities.copy()
    blind[:, half] = 0.5
    found = subgroups_of(
        replace(rows, probabilities=blind),
        told_of(rows, platform=np.where(half, "ios", "android")),
        "auc",
        resamples=200,
        seed=0,
    )
    ios = next(one for one in found if one.name == "ios")
    assert ios.headline
    assert ios.headline.value == 0.5
    assert ios.differs
    assert not any(one.differs for one in found if one.of != "platform")


def test_p_values_are_corrected_over_all_groups(rows, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(subgroups, "holm_adjusted", lambda values: asked.append(len(values)) or [1.0] * len(values))
    half = halves(rows)
    groups = {name: np.where(half, "a", "b") for name in ("platform", "gender")}
    subgroups_of(rows, told_of(rows, **groups), "auc", resamples=100, seed=0)
    assert asked == [4]
