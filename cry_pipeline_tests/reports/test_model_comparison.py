"""Model comparison: the right runs side by side, the right baseline, and words that Holm's correction allows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cry_pipeline.catalog import Catalog, ExperimentSpec, ProtocolSpec, load_catalog
from cry_pipeline.catalog.models import with_members
from cry_pipeline.evaluation.comparisons import compare, holm
from cry_pipeline.evaluation.contests import Contestant, contest_names, contests
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.predictions import OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS
from cry_pipeline.reports.figures import comparisons as comparison_plots
from cry_pipeline.reports.model_comparison import MODEL_COMPARISON
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

REASONS = ("hungry", "tired", "burping")
COMMON = {"cohort": "cleaned", "feature_set": "mel64_8k"}
EFFECTS = {"majority": 0.0, "svm": 1.0, "forest": 0.6, "network": 0.2, "together": 3.0, "clips": 3.0}
Made = dict[str, tuple[Evidence, OutOfFold]]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    packaged = load_catalog().models
    models: dict[str, Any] = {
        "majority": packaged["majority"],
        "svm": packaged["svm"],
        "forest": packaged["random_forest"],
        "network": packaged["lfeb_mel"],
        "together": packaged["lfeb_and_svm_covariance"].model_copy(update={"members": ("network", "svm")}),
    }
    made_of = {name: (name, "donor_grouped") for name in models} | {"clips": ("network", "clip_stratified")}
    return Catalog.model_construct(
        models=with_members(models),
        protocols={
            kind: ProtocolSpec(kind=kind, repeats=FEWEST_TRAININGS) for kind in ("donor_grouped", "clip_stratified")
        },
        experiments={
            name: ExperimentSpec.model_validate(COMMON | {"model": model, "protocol": protocol})
            for name, (model, protocol) in made_of.items()
        },
        cohorts={},
        feature_sets={},
    )


@pytest.fixture(scope="module")
def made(catalog: Catalog, predict: Callable, provenance: Callable) -> Made:
    found = {}
    for name, effect in EFFECTS.items():
        of = catalog.experiments[name]
        predictions, folds = predict(REASONS, effect=effect, donors=30, repeats=FEWEST_TRAININGS)
        apart = catalog.protocols[of.protocol].keeps_donors_apart
        given = provenance(name, **COMMON, model=of.model, protocol=of.protocol, keeps_donors_apart=apart)
        evidence = evaluate(predictions, REASONS, "reason", folds=folds, provenance=given, resamples=100)
        found[name] = evidence, out_of_fold(predictions, folds, REASONS, name)
    return found


@pytest.fixture
def evidence_found(made: Made) -> list[Evidence]:
    return [evidence for evidence, _ in made.values()]


@pytest.fixture
def runs(made: Made) -> dict[str, OutOfFold]:
    return {name: rows for name, (_, rows) in made.items()}


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_plots, "png", lambda made: bytes(24))


def test_models_that_listen_are_held_against_the_best_without_a_network(catalog, evidence_found, runs) -> None:
    assert contest_names(catalog) == ["forest", "network", "svm", "together"]
    (found,) = contests(catalog, evidence_found, runs)
    assert [each.found.provenance.model for each in found.contestants][:2] == ["together", "svm"], "the best first"
    assert found.baseline.found.provenance.model == "svm"
    assert {each.found.provenance.model for each in found.contestants if each.has_network} == {"network", "together"}


def test_differences_are_paired_and_corrected_over_the_table(catalog, evidence_found, runs) -> None:
    (found,) = contests(catalog, evidence_found, runs)
    held = {each.found.provenance.model: each for each in found.contestants}
    others = [each.found.provenance.model for each in found.contestants if each.comparison]
    golden = holm([compare(runs[name], runs["svm"], metric="uar") for name in others])
    assert [held[name].comparison for name in others] == golden
    assert held["together"].words == "better", "planted: it knows three times as much"
    assert held["network"].words == "worse"
    assert found.sentence == "Models with a network that are better than the best baseline, svm: together."
    table = MODEL_COMPARISON.table([found]).set_index("model")
    assert table.loc["together", "difference"] == golden[others.index("together")].difference
    assert table.loc["svm", "words"] == "the best baseline"
    assert table["difference"].isna().sum() == 1


def test_without_a_better_network_nothing_is_claimed(catalog, evidence_found, runs) -> None:
    (found,) = contests(catalog, [one for one in evidence_found if one.provenance.model != "together"], runs)
    assert found.sentence.endswith("is shown to be better than the best baseline, svm.")
    baselines = [one for one in evidence_found if one.provenance.model in ("svm", "forest")]
    (found,) = contests(catalog, baselines, runs)
    assert found.sentence == "No network was run on these folds; the best baseline is svm."
    assert contests(catalog, baselines[:1], runs) == []


def test_of_models_trained_once_only_those_without_a_network_are_told_apart(catalog, evidence_found, runs) -> None:
    once = [found.model_copy(update={"repeats": 1}) for found in evidence_found]
    first = {
        name: replace(rows, folds=rows.folds[:1], probabilities=rows.probabilities[:1]) for name, rows in runs.items()
    }
    (found,) = contests(catalog, once, first)
    said = {each.model: each.words for each in found.contestants}
    assert said["together"] == said["network"] == "not said: trained once, 5 times are needed"
    assert said["forest"] in ("worse", "no difference shown")
    assert found.sentence.startswith("Whether a network is better than the best baseline, svm, is not said")
    words = Page(html_of(MODEL_COMPARISON, Material(catalog, once, runs=first))).text
    assert "of differences are 1.4 times as wide as donors alone make them" in words


def test_of_ways_of_guessing_none_is_said_to_be_better(catalog, evidence_found, runs) -> None:
    guessing = [found.model_copy(update={"verdict": "not distinguishable from chance"}) for found in evidence_found]
    (found,) = contests(catalog, guessing, runs)
    assert {each.words for each in found.contestants if each.comparison} == {"not said: neither is above chance"}
    assert found.sentence.startswith("Neither the best baseline, svm, nor any network is above chance")


def test_no_difference_is_claimed_that_holm_takes_back(evidence_found) -> None:
    values = {"difference": 0.1, "low": 0.01, "high": 0.2, "p_value": 0.04, "p_adjusted": 0.12, "trainings": 5}
    held = Comparison.model_validate({"first": "a", "second": "b", "metric": "uar", "resamples": 100, **values})
    assert Contestant(evidence_found[0], True, held).words == "no difference shown"
    assert Contestant(evidence_found[0], True, held.model_copy(update={"p_adjusted": 0.04})).words == "better"


@pytest.mark.usefixtures("without_figures")
def test_page_holds_every_run_and_is_made_once(catalog, evidence_found, runs, tmp_path: Path) -> None:
    material = Material(catalog, evidence_found, runs=runs)
    report = MODEL_COMPARISON.write(material, tmp_path)
    text = report.page.read_text()
    (found,) = contests(catalog, evidence_found, runs)
    words = Page(text).text
    for each in found.contestants:
        assert f"experiments/{each.found.provenance.experiment}.html" in links_of(text)
        if each.comparison:
            at = each.comparison
            assert f"{at.difference:+.3f} {at.low:+.3f} to {at.high:+.3f}" in words
    assert "experiments/clips.html" not in links_of(text)
    assert MODEL_COMPARISON.write(material, tmp_path).reused
    report.page.write_text("changed by hand")
    assert not MODEL_COMPARISON.write(material, tmp_path).reused
    empty = MODEL_COMPARISON.write(Material(catalog, []), tmp_path)
    assert "Nothing to compare" in empty.page.read_text()
    assert empty.table is not None
    assert list(empty.table.columns) == list(MODEL_COMPARISON.table([found]).columns)
