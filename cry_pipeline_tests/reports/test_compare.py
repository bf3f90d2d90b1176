"""The page that compares: every pair is in its data with the numbers of a comparison, and no name does anything."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.comparisons import compare
from cry_pipeline.evaluation.kept_runs import KeptRun
from cry_pipeline.reports.compare import COMPARE
from cry_pipeline.reports.material import Kept
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, links_of

NEW, OLD, OTHER = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture(scope="module")
def material(kept_in: Callable[[Path], Callable[..., KeptRun]], tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A run of now with one before it, and one with another feature set, whose name is not to be trusted."""
    kept = kept_in(tmp_path_factory.mktemp("kept"))
    wide = {"feature_set": "mel<b>wide</b>", "feature_digest": "1" * 64}
    runs = [
        kept("lr", NEW, effect=1.5),
        kept("lr", OLD, effect=0.2, parts={"C": 2.0}, started_at="2025-01-01T00:00:00+00:00"),
        kept("lr_wide", OTHER, effect=0.5, names=wide),
    ]
    now = [run.evidence for run in runs if run.digest != OLD]
    return Material(Catalog.model_construct(), now, kept=Kept(runs))


def data_of(text: str) -> dict[str, Any]:
    """Return what the page's script reads."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_every_pair_is_there_with_the_numbers_of_a_comparison(material: Material, tmp_path: Path) -> None:
    written = COMPARE.write(material, tmp_path)
    text = written.page.read_text()
    assert links_of(text) >= {"experiments/lr.html"}
    (group,) = data_of(text)["groups"]
    assert [run["name"] for run in group["runs"]] == ["lr", "lr@bbbbbbbb", "lr_wide"], "the best first, earlier behind"
    assert [run["now"] for run in group["runs"]] == [True, False, True]
    assert material.kept is not None
    new, old, _ = material.kept.runs
    metrics = [metric["name"] for metric in group["metrics"]]
    for name, key in (("AUC", "auc"), ("log-loss", "log_loss")):
        found = compare(new.rows(), old.rows(), metric=key)
        numbers = [found.difference, found.low, found.high, found.p_value]
        assert group["pairs"][0]["numbers"][metrics.index(name)] == pytest.approx(numbers, abs=1e-6)
    assert group["pairs"][0]["changes"] == [["model.C", "", "2.0"]]
    assert len(group["pairs"]) == 3
    assert [len(row) for row in group["holm"]] == [2, 2, 2]
    assert written.table is not None
    assert written.table[["first", "second"]].to_numpy().tolist() == [
        ["lr", "lr@bbbbbbbb"],
        ["lr", "lr_wide"],
        ["lr@bbbbbbbb", "lr_wide"],
    ]


def test_what_changed_and_feature_sets_are_shown_without_a_script(material: Material, tmp_path: Path) -> None:
    text = COMPARE.write(material, tmp_path).page.read_text()
    words = Page(text).text
    assert "model.C 2.0 → –" in words
    assert "now is better" in words
    assert "before: bbbbbbbb, 2025-01-01" in words
    assert "mel64_8k and mel<b>wide</b>" in words
    assert "<b>wide" not in text, "a name is text, in the data as on the page"


def test_the_page_is_made_again_only_for_other_runs(material: Material, tmp_path: Path) -> None:
    assert COMPARE.write(material, tmp_path).computed
    assert COMPARE.write(material, tmp_path).reused
    assert material.kept is not None
    fewer = Material(material.catalog, material.evidence, kept=Kept(material.kept.runs[:2]))
    assert COMPARE.write(fewer, tmp_path).computed


def test_with_nothing_to_compare_it_says_so(material: Material, tmp_path: Path) -> None:
    assert material.kept is not None
    alone = Material(material.catalog, material.evidence[:1], kept=Kept(material.kept.runs[:1]))
    text = COMPARE.write(alone, tmp_path).page.read_text()
    links_of(text)
    assert "Nothing to compare" in text
    with pytest.raises(ValueError, match="give its Material `kept`"):
        COMPARE.write(Material(material.catalog, []), tmp_path)
