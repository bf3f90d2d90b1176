"""A cohort is exactly what its spec selects, and says so when that is nothing."""

import pandas as pd
import pytest

from cry_pipeline.catalog import CohortSpec, load_catalog
from cry_pipeline.corpus.cohorts import CohortError, cohort_digest, left_out, select_cohort


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
        judgement=None,
        consent_scope=None,
    )


def test_all_rules_select_and_rows_are_sorted(recordings):
    assert select_cohort(recordings, spec())["recording_id"].tolist() == list("defghi")


def test_each_recording_is_selected_or_left_out_by_one_rule(recordings):
    donated = recordings[recordings["recording_id"] == "d"]
    judged = donated.assign(recording_id="k", judgement="unusable")
    cry = {"target": "cry", "classes": ["not_cry", "cry"]}
    for changes, table in (({}, recordings), (cry, pd.concat([recordings, judged], ignore_index=True))):
        gone = left_out(table, spec(**changes))
        ids = [name for rule in gone for name in rule.recordings["recording_id"]]
        assert sorted([*ids, *select_cohort(table, spec(**changes))["recording_id"]]) == sorted(table["recording_id"])
        by_rule = {rule.column: "".join(sorted(rule.recordings["recording_id"])) for rule in gone}
        expected = {"processing": "c", "consent_scope": "", "source": "b", "reason": "a", "duration_s": "j"}
        assert by_rule == (expected | {"judgement": "dk"} if changes else expected)


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


CRY = {"target": "cry", "classes": ["not_cry", "cry"]}


def test_uploads_of_unknown_curation_are_not_taken_for_no_cries(recordings):
    unknown = recordings.assign(kept=recordings["kept"].mask(recordings["recording_id"] == "e"))
    with pytest.raises(CohortError, match=r"judgement on 1 recordings is not known \(donateacry_android hungry\)"):
        select_cohort(unknown, spec(**CRY))


@pytest.mark.parametrize(
    ("judgement", "label"), [(None, None), ("unusable", None), ("cry", "cry"), ("not_cry", "not_cry")]
)
def test_a_donation_is_what_people_heard_and_without_a_judgement_it_is_left_out(recordings, judgement, label):
    heard = recordings.assign(judgement=recordings["judgement"].mask(recordings["source"] == "inbox", judgement))
    cohort = select_cohort(heard, spec(**CRY)).set_index("recording_id")["label"]
    assert cohort.get("d") == label
    assert len(cohort) == 5 + (label is not None)


def test_where_a_recording_lies_is_nothing_to_a_cohort(recordings):
    moved = recordings.assign(root="archive", path="ab/abc", name="other.wav")
    assert cohort_digest(moved, spec()) == cohort_digest(recordings.assign(root="inbox", path="x.wav"), spec())


@pytest.mark.parametrize("changes", [{}, CRY])
@pytest.mark.parametrize(("scope", "taken"), [("training", True), ("evaluation", False), ("archive", False)])
def test_only_what_may_be_trained_on_enters_a_cohort(recordings, scope, taken, changes):
    donated = recordings["source"] == "inbox"
    scoped = recordings.assign(
        consent_scope=recordings["consent_scope"].mask(donated, scope),
        judgement=recordings["judgement"].mask(donated, "cry"),
    )
    assert ("d" in set(select_cohort(scoped, spec(**changes))["recording_id"])) == taken


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
