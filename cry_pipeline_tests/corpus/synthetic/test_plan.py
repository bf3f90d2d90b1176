"""A synthetic corpus is planned so that every protocol can be tried on it, and so that nothing but sound tells."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from cry_pipeline.corpus.synthetic.files import TINY
from cry_pipeline.corpus.synthetic.plan import LABELS, Plan, PlanError, Upload, plan_uploads

DEMO: dict[str, Any] = {
    "donors": 32,
    "donors_per_reason": 6,
    "kept_per_reason": 2,
    "hungry_share": 0.6,
    "kept_share": 0.7,
    "clip_s": (6.5, 7.1),
}


def planned(size: Any = DEMO, **changes: Any) -> list[Upload]:
    """The uploads of a plan of ``size`` with some arguments changed."""
    return plan_uploads(Plan(**({"seed": 0, "effect": 0.0, "surprises": False} | dict(size) | changes)))


def donors_by_label(uploads: list[Upload]) -> dict[str, set[int]]:
    """Label -> donors with a cleaned recording of it."""
    donors = defaultdict(set)
    for upload in uploads:
        if upload.kept:
            donors[LABELS[upload.code]].add(upload.donor.index)
    return donors


@pytest.mark.parametrize("size", [DEMO, TINY, TINY | {"donors": 6}, TINY | {"donors": 5, "donors_per_reason": 5}])
def test_every_class_has_enough_donors_for_five_folds(size: dict[str, Any]) -> None:
    donors = donors_by_label(planned(size))
    assert set(donors) == {"hungry", "burping", "belly_pain", "discomfort", "tired"}
    assert min(map(len, donors.values())) >= size["donors_per_reason"]
    assert len({upload.donor.index for upload in planned(size) if upload.code in LABELS and not upload.kept}) >= 5


@pytest.mark.parametrize("donors", range(6, 30))
def test_the_donors_of_one_rare_reason_have_the_same_rare_reasons(donors: int) -> None:
    """Otherwise some numbers of donors cannot be split so that each of five folds has every class."""
    by_label = donors_by_label(planned(TINY | {"donors": donors}))
    del by_label["hungry"]
    for mine in by_label.values():
        assert all(mine == other or not mine & other for other in by_label.values())


def test_hungry_is_the_majority_and_about_as_many_are_kept_as_asked_for() -> None:
    uploads = planned()
    kept = Counter(LABELS[upload.code] for upload in uploads if upload.kept)
    assert kept["hungry"] / kept.total() == pytest.approx(0.6, abs=0.02)
    assert kept.total() / sum(upload.code in LABELS for upload in uploads) == pytest.approx(0.7, abs=0.02)
    assert 150 <= len(uploads) <= 200


def test_each_reason_has_both_platforms_so_that_the_platform_does_not_tell_it() -> None:
    platforms = defaultdict(set)
    for upload in planned():
        platforms[LABELS.get(upload.code)].add((upload.donor.platform, upload.donor.index))
    for donors in platforms.values():
        ios = sum(platform == "ios" for platform, _ in donors) / len(donors)
        assert 0.3 <= ios <= 0.5


def test_some_donors_have_more_than_one_reason() -> None:
    donors = donors_by_label(planned())
    of_two = [donor for donor in range(32) if sum(donor in mine for mine in donors.values()) > 1]
    assert 4 <= len(of_two) <= 16


def test_only_cries_of_the_five_reasons_are_kept() -> None:
    for upload in planned(surprises=True):
        assert not upload.kept or (upload.sound == "cry" and upload.code in LABELS)
    dropped = [upload for upload in planned() if not upload.kept]
    assert any(upload.sound == "cry" and upload.code not in LABELS for upload in dropped)
    assert all(upload.sound != "cry" for upload in dropped if upload.code in LABELS)
    assert LABELS["ch"] == "discomfort"


def test_file_names_follow_the_convention_of_each_platform() -> None:
    android = next(upload for upload in planned() if upload.donor.platform == "android")
    ios = next(upload for upload in planned() if upload.donor.platform == "ios")
    assert android.stem.split("-")[5] == str(android.recorded_at_ms)
    assert ios.stem.split("-")[5] == str(ios.recorded_at_ms // 1000)
    assert android.stem[:36].islower()
    assert ios.stem[:36].isupper()
    assert android.stem.endswith(f"-{android.gender}-{android.age}-{android.code}")


def test_no_two_uploads_share_a_name() -> None:
    uploads = planned(surprises=True)
    assert len({upload.stem for upload in uploads}) == len(uploads)


def test_surprises_are_those_of_the_corpus_and_add_to_the_ordinary_uploads() -> None:
    ordinary, uploads = planned(), planned(surprises=True)
    odd = uploads[len(ordinary) :]
    assert [upload.take for upload in uploads[: len(ordinary)]] == [upload.take for upload in ordinary]
    assert sum(upload.odd_name is not None for upload in odd) == 2
    assert sum(upload.duration_s < 1 for upload in odd) == 3
    assert sorted(upload.arrived for upload in odd)[:3] == [0.0, 0.6, 1.0]
    assert Counter((upload.donor.index, upload.take) for upload in odd).most_common(1)[0][1] == 2
    assert not any(upload.kept for upload in odd)
    genders, ages = defaultdict(set), defaultdict(set)
    for upload in uploads[: len(ordinary)]:
        genders[upload.donor.index].add(upload.gender)
        ages[upload.donor.index].add(upload.age)
    assert sum(len(known) > 1 for known in genders.values()) == 1
    assert sum(len(known) > 1 for known in ages.values()) == 1


def test_a_plan_depends_on_its_seed_alone() -> None:
    assert planned(seed=4) == planned(seed=4)
    assert {upload.donor.uuid for upload in planned(seed=4)}.isdisjoint(upload.donor.uuid for upload in planned(seed=5))


def test_the_effect_changes_no_name() -> None:
    assert planned(effect=1.0) == planned(effect=0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"donors_per_reason": 4}, "donors_per_reason is 4: five donor-grouped folds need at least 5 donors"),
        ({"donors": 5}, "donors is 5: 6 donors of every reason need at least as many donors"),
        ({"kept_per_reason": 0}, "kept_per_reason is 0"),
        ({"hungry_share": 1.0}, "hungry_share is 1.0"),
        ({"kept_share": 0.0}, "kept_share is 0.0"),
        ({"seed": -1}, "seed is -1"),
        ({"effect": -0.1}, "effect is -0.1"),
        ({"effect": 2.5}, "effect is 2.5"),
        ({"clip_s": (1.0, 2.0)}, "clip_s is"),
        ({"clip_s": (3.0, 2.0)}, "clip_s is"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_the_argument_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        planned(**change)


def test_all_faults_of_a_plan_are_said_at_once() -> None:
    with pytest.raises(PlanError, match=r"donors is 3.*effect is 9"):
        planned(donors=3, effect=9)
