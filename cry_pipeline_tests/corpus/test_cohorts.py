"""A cohort is exactly what its spec selects, and says so when that is nothing."""

import pandas as pd
import pytest

from cry_pipeline.catalog import CohortSpec, load_catalog
from cry_pipeline.corpus.cohorts import CohortError, cohort_digest, select_cohort


def spec(**changes) -> CohortSpec:
    """A cohort of two classes."""
    return CohortSpec.model_validate(
        {
            "processing": "raw",
            "sources": ["donateacry_android", "inbox"],
            "target": "reason",
            "labels": {"hungry": "hungry", "cold_hot": "discomfort", "discomfort": "discomfort"},
            "classes": ["hungry", "discomfort"],
        }
        | changes
    )


@pytest.fixture
def recordings() -> pd.DataFrame:
    """Ten recordings: six in the cohort, four out of it for one reason each."""
    rows = [
        # id, processing, source, reason, duration, kept
        ("i", "raw", "donateacry_android", "hungry", 7.0, True),
        ("h", "raw", "donateacry_android", "hungry", 1.0, False),
        ("g", "raw", "donateacry_android", "cold_hot", 7.0, False),
        ("f", "raw", "donateacry_android", "discomfort", 7.0, True),
        ("e", "raw", "donateacry_android", "hungry", 7.0, True),
        ("d", "raw", "inbox", "hungry", 7.0, None),
        ("c", "cleaned", "donateacry_android", "hungry", 7.0, None),
        ("b", "raw", "synthetic", "hungry", 7.0, True),
        ("a", "raw", "donateacry_android", "tired", 7.0, True),
        ("j", "raw", "donateacry_android", "hungry", 0.99, True),
    ]
    columns = ["recording_id", "processing", "source", "reason", "duration_s", "kept"]
    table = pd.DataFrame(rows, columns=columns).astype({"kept": "boolean"})
    moment = pd.Timestamp("2015-05-01", tz="UTC")
    return table.assign(
        donor="someone",
        donation_id="someone:1",
        platform="ios",
        gender=None,
        age_band=None,
        recorded_at=moment,
        samples_digest=[letter * 64 for letter in table["recording_id"]],
        peak=0.5,
    )


def test_all_rules_select_and_rows_are_sorted(recordings):
    assert select_cohort(recordings, spec())["recording_id"].tolist() == list("defghi")


def test_reasons_become_classes(recordings):
    cohort = select_cohort(recordings, spec())
    assert dict(zip(cohort["recording_id"], cohort["label"], strict=True)) == {
        "d": "hungry",
        "e": "hungry",
        "f": "discomfort",
        "g": "discomfort",
        "h": "hungry",
        "i": "hungry",
    }


def test_columns_are_those_of_a_cohort(recordings):
    assert list(select_cohort(recordings, spec())) == [
        "recording_id",
        "donor",
        "donation_id",
        "label",
        "source",
        "platform",
        "gender",
        "age_band",
        "recorded_at",
        "duration_s",
    ]


def test_row_order_does_not_matter(recordings):
    shuffled = recordings.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(select_cohort(shuffled, spec()), select_cohort(recordings, spec()))


def test_cry_is_what_the_curators_kept(recordings):
    cry = spec(target="cry", classes=["not_cry", "cry"], sources=["donateacry_android"])
    cohort = select_cohort(recordings, cry)
    assert dict(zip(cohort["recording_id"], cohort["label"], strict=True)) == {
        "e": "cry",
        "f": "cry",
        "g": "not_cry",
        "h": "not_cry",
        "i": "cry",
    }


def test_recordings_nobody_judged_are_not_taken_for_no_cries(recordings):
    with pytest.raises(CohortError, match=r"judgement on 1 recordings is not known \(inbox hungry\)"):
        select_cohort(recordings, spec(target="cry", classes=["not_cry", "cry"]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"processing": "cleaned", "sources": ["inbox"]}, "none of 1 recordings has source inbox"),
        ({"sources": ["donateacry_ios"]}, "none of 9 recordings has source donateacry_ios"),
        ({"labels": {"lonely": "hungry", "scared": "discomfort"}}, "has reason lonely, scared"),
        ({"min_duration_s": 8.0}, "none of 7 recordings has duration_s at least 8.0"),
    ],
)
def test_empty_cohort_says_which_rule_left_nothing(recordings, changes, said):
    with pytest.raises(CohortError, match=said):
        select_cohort(recordings, spec(**changes))


def test_no_recordings_at_all_is_an_empty_cohort(recordings):
    with pytest.raises(CohortError, match="none of 0 recordings"):
        select_cohort(recordings.iloc[:0], spec())


def test_absent_class_is_named(recordings):
    labels = {"hungry": "hungry", "burping": "burping", "belly_pain": "belly_pain"}
    with pytest.raises(CohortError, match="of class burping, belly_pain"):
        select_cohort(recordings, spec(labels=labels, classes=["hungry", "burping", "belly_pain"]))


def test_digest_of_a_cohort_knows_its_rows_and_neither_their_order_nor_their_neighbours(recordings):
    own = cohort_digest(recordings, spec())
    outside = recordings["recording_id"].isin(list("abcj"))
    assert cohort_digest(recordings.sample(frac=1, random_state=1), spec()) == own
    assert cohort_digest(recordings[~outside], spec()) == own
    assert cohort_digest(recordings.assign(samples_digest=recordings["samples_digest"].where(~outside)), spec()) == own
    assert cohort_digest(recordings.assign(peak=0.7)[~outside], spec()) == own


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("recording_id", "dd"),
        ("donor", "another"),
        ("reason", "cold_hot"),
        ("recorded_at", pd.Timestamp("2015-05-01", tz="UTC") + pd.Timedelta(1, "ns")),
        ("samples_digest", "0" * 64),
        ("gender", "male"),
        ("platform", "android"),
        ("duration_s", 9.0),
        ("processing", "cleaned"),
    ],
)
def test_digest_of_a_cohort_changes_with_each_of_what_it_is_made_of(recordings, column, value):
    changed = recordings.copy()
    changed = changed.assign(
        recorded_at=changed["recorded_at"].dt.as_unit("ns"), gender=changed["gender"].astype("str")
    )
    changed.loc[changed["recording_id"] == "d", column] = value
    assert cohort_digest(changed, spec()) != cohort_digest(recordings, spec())


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "donors", "classes"),
    [
        ("cleaned", 221, {"hungry": 382, "discomfort": 27, "tired": 24, "belly_pain": 16, "burping": 8}),
        ("uploads", 286, {"hungry": 594, "tired": 46, "discomfort": 40, "belly_pain": 24, "burping": 14}),
        ("curation", 286, {"cry": 360, "not_cry": 358}),
    ],
)
def test_cohorts_of_the_corpus_are_those_of_the_article(real_manifest, name, donors, classes):
    cohort = select_cohort(real_manifest.recordings, load_catalog().cohorts[name])
    assert cohort["label"].value_counts().to_dict() == classes
    assert cohort["donor"].nunique() == donors
