"""The page of contradicted labels: every number is the list's own, no claim is made, names are shown as text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.digests import sha256_of
from cry_pipeline.evaluation.contradictions import Contradicted
from cry_pipeline.reports.contradicted_labels import CONTRADICTED_LABELS, LISTED, TablesError
from cry_pipeline.reports.figures import contradicted as plots
from cry_pipeline.reports.figures import style
from cry_pipeline.reports.material import Tables
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.figures.test_figures import is_small_png
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of
from cry_pipeline_tests.reports.test_manifest_page import HOSTILE, recording

CATALOG = load_catalog()
EXPERIMENT = "curation_svm_covariance_donor_grouped"
DRAWN = Contradicted("curation", ("svm",), {"not_cry": 3, "cry": 4}, ((0, 3), (1, 3)), pd.DataFrame())


@pytest.fixture(scope="module")
def material(evidence, run_of) -> Material:
    """One model that is above chance, every eleventh label turned round, one name that is not of this program."""
    rows = run_of(effect=6.0)
    labels = rows.labels.copy()
    labels[::11] = 1 - labels[::11]
    ids = np.array([sha256_of(str(number).encode()) for number in range(len(labels))])
    found = evidence(EXPERIMENT, effect=3.0, model="svm_covariance")
    manifest = pd.DataFrame([recording(number) for number in range(len(labels))])
    manifest.loc[0, "path"] = HOSTILE
    runs = {EXPERIMENT: replace(rows, recording_ids=ids, labels=labels)}
    return Material(CATALOG, [found], runs=runs, tables=Tables(manifest, pd.DataFrame(), "as it is"))


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


@pytest.mark.usefixtures("without_figures")
def test_page_and_table_hold_the_list(material) -> None:
    content = CONTRADICTED_LABELS.content(material)
    table = CONTRADICTED_LABELS.table(content)
    html = html_of(CONTRADICTED_LABELS, material)
    text = Page(html).text
    links_of(html)
    assert len(table) == 17
    assert (table["label"] != table["says"]).all()
    assert (table["models"] == 1).all()
    assert "1 model above chance, svm_covariance, say something else than the label of 17 of 180 recordings" in text
    assert "The list says nothing about who is right." in text
    assert "cry-pipeline review sample" in text
    for row in table.to_dict("records"):
        assert (
            f"{row['file']} donateacry_android, donor {row['donor'][:8]}, recording {row['recording_id'][:16]}" in text
        )
        label, says = row["label"].replace("_", " "), row["says"].replace("_", " ")
        assert f"{label} {says} {row['probability']:.3f} 1 of 1 1.0 s -20 dBFS" in text
    assert HOSTILE in text
    assert HOSTILE not in html


@pytest.mark.usefixtures("without_figures")
def test_of_a_long_list_the_page_shows_the_beginning_and_says_so(material) -> None:
    (one,) = CONTRADICTED_LABELS.content(material)
    rows = pd.concat([one.rows] * 7, ignore_index=True)
    values = CONTRADICTED_LABELS.page([replace(one, rows=rows)], material)
    _, counts, shown, _ = values["cohorts"][0]
    assert len(shown) == LISTED
    assert sum(some for some, _ in counts.values()) == len(rows) == 119


def test_where_no_model_is_above_chance_the_page_says_so() -> None:
    none = Material(CATALOG, [], tables=Tables(pd.DataFrame([recording(0)]), pd.DataFrame(), ""))
    assert "No model is above chance at telling cries of new donors" in Page(html_of(CONTRADICTED_LABELS, none)).text
    assert not len(CONTRADICTED_LABELS.table(CONTRADICTED_LABELS.content(none)))


def test_without_a_manifest_it_is_said_what_is_missing() -> None:
    with pytest.raises(TablesError, match="needs the manifest"):
        CONTRADICTED_LABELS.content(Material(CATALOG, []))


@pytest.mark.parametrize(("theme", "narrow"), [(style.LIGHT, False), (style.DARK, True)], ids=["light", "dark"])
def test_the_figure_is_small_and_repeatable(theme: style.Theme, narrow: bool) -> None:
    drawn = plots.by_probability(DRAWN, theme, narrow=narrow)
    assert is_small_png(drawn, theme)
    assert drawn == plots.by_probability(DRAWN, theme, narrow=narrow)
