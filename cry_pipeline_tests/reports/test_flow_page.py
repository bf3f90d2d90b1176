"""From file to test: every file is counted once, and each step's numbers add up to those of the step before."""

from dataclasses import replace

import pytest

from cry_pipeline.catalog import CohortSpec, load_catalog
from cry_pipeline.reports.flow_page import FLOW_PAGE, FlowError, flows_of
from cry_pipeline.reports.material import Stored, StoredSet
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of
from cry_pipeline_tests.reports.test_manifest_page import recording, refusal, tables_of

SPEC = CohortSpec.model_validate(
    {
        "description": "Of <i>the</i> test.",
        "processing": "raw",
        "sources": ["donateacry_android"],
        "target": "reason",
        "labels": {"hungry": "hungry", "tired": "tired"},
        "classes": ["hungry", "tired"],
        "min_duration_s": 1.0,
    }
)
TABLES = tables_of(
    [
        recording(0, 1),
        recording(1, 1, reason="tired", reason_code="ti"),
        recording(2, 2),
        recording(3, 2, reason="lonely", reason_code="lo"),
        recording(4, 3, source="donateacry_ios"),
        recording(5, 3, processing="cleaned", source="donateacry_cleaned"),
        recording(6, 4, duration_s=0.5, samples=4000),
    ],
    [refusal("odd.caf"), refusal("again.caf", reason="duplicate")],
)
STORED = Stored([StoredSet("mel64_8k", "d" * 64, 7, 0, {"r0.3gp": "too short"}, 1, 1, 0, 0, 1)])


def material(**given) -> Material:
    catalog = load_catalog().model_copy(update={"cohorts": {"own": SPEC}})
    return replace(Material(catalog, [], tables=TABLES, stored=STORED), **given)


def test_every_file_is_counted_once_and_the_steps_add_up() -> None:
    (flow,) = flows_of(material())
    assert [(step.name, step.recordings, step.donors) for step in flow.steps] == [
        ("files", 9, None),
        ("recordings in the manifest", 7, 4),
        ("cohort own", 3, 2),
    ]
    for before, step in zip(flow.steps, flow.steps[1:], strict=False):
        assert before.recordings - sum(left.recordings for left in step.left) == step.recordings
    assert {left.why: left.recordings for left in flow.steps[2].left} == {
        "cleaned copy of an upload": 1,
        "from donateacry_ios": 1,
        "reason lonely: not among those asked about": 1,
        "shorter than 1 s": 1,
    }


def test_features_and_tests_are_those_of_the_evidence(evidence) -> None:
    found = evidence("forest")
    provenance = found.provenance.model_copy(update={"cohort": "own", "feature_set": "mel64_8k", "protocol": "folds"})
    tested = found.model_copy(update={"provenance": provenance, "recordings": 1, "donors": 1})
    (flow,) = flows_of(material(evidence=[tested, tested]))
    (features,), (tests,) = flow.steps[3:], flow.tests
    assert (features.name, features.recordings, features.left[0].recordings) == ("with features", 2, 1)
    assert (tests.name, tests.recordings, tests.donors) == ("folds (2 experiments)", 1, 1)
    assert features.recordings - sum(left.recordings for left in tests.left) == tests.recordings


def test_the_page_shows_each_number_and_text_as_text() -> None:
    html = html_of(FLOW_PAGE, material())
    text = Page(html).text
    links_of(html)
    assert "Of <i>the</i> test." in text
    assert "1 refused: the same bytes as another file, which is used" in text
    assert "1 reason lonely: not among those asked about (1 donor)" in text
    assert "cohort own 3 of 2 donors" in text


def test_the_table_has_what_is_left_and_what_is_left_out() -> None:
    table = FLOW_PAGE.table(flows_of(material()))
    assert len(table) == 3 + 2 + 4
    assert table.loc[table["left_out"].isna(), "recordings"].tolist() == [9, 7, 3]


def test_a_cohort_that_cannot_be_made_says_why() -> None:
    spec = SPEC.model_copy(update={"sources": ("inbox",)})
    shown = material(catalog=load_catalog().model_copy(update={"cohorts": {"own": spec}}))
    (flow,) = flows_of(shown)
    assert "the cohort is empty" in str(flow.fault)
    assert "It goes no further: the cohort is empty" in Page(html_of(FLOW_PAGE, shown)).text


def test_without_tables_there_is_nothing_to_count() -> None:
    with pytest.raises(FlowError, match="hand in the manifest"):
        flows_of(material(tables=None))
