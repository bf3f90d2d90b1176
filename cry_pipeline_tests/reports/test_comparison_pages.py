"""Ladder and ablation: the right rungs and variants, the same numbers as the evidence, and what is missing is said."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from cry_pipeline.catalog import Catalog, ExperimentSpec, LfebAttentionLstmSpec, MajoritySpec, ProtocolSpec
from cry_pipeline.evaluation.ablation import HYBRID, Variant, ablation_names, ablations
from cry_pipeline.evaluation.comparisons import compare, holm
from cry_pipeline.evaluation.evidence import EvidenceError, evaluate
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.ladder import ladder_names, ladders, step
from cry_pipeline.evaluation.predictions import OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS
from cry_pipeline.reports.figures import comparisons as comparison_plots
from cry_pipeline.reports.hybrid_ablation import HYBRID_ABLATION
from cry_pipeline.reports.leakage_ladder import LEAKAGE_LADDER
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

REASONS = ("hungry", "tired", "burping")
COMMON = {"cohort": "cleaned", "feature_set": "mel64_8k"}
EFFECTS = {
    "lfeb_split_late": 3.0,
    "lfeb_clips": 1.0,
    "lfeb_grouped": 0.3,
    "lfeb_grouped_6x5": 0.2,
    "forest_clips": 2.0,
    "mel_grouped": 0.3,
    "spectrogram_grouped": 3.0,
}


class Planed(LfebAttentionLstmSpec):
    kind: Literal["lfeb_attention_lstm"] = "lfeb_attention_lstm"
    planes: tuple[str, ...] = ("spectrogram", "mel", "mfcc")  # type: ignore[assignment]


class Forest(MajoritySpec):
    kind: Literal["random_forest"] = "random_forest"  # type: ignore[assignment]


class Multiplied(ProtocolSpec):
    kind: Literal["augment_then_split"] = "augment_then_split"  # type: ignore[assignment]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    models = {
        "lfeb": Planed(),
        "spectrogram_only": Planed(planes=("spectrogram",)),
        "mel_only": Planed(planes=("mel",)),
        "mfcc_only": Planed(planes=("mfcc",)),
        "mel_only_wider": Planed(planes=("mel",), lstm_units=128),
        "forest": Forest(),
    }
    protocols = {
        "donor_grouped": ProtocolSpec(kind="donor_grouped", repeats=FEWEST_TRAININGS),
        "donor_grouped_6x5": ProtocolSpec(kind="donor_grouped", repeats=6),
        "clip_stratified": ProtocolSpec(kind="clip_stratified"),
        "augment_then_split": Multiplied.model_construct(),
    }
    made_of = {
        "lfeb_split_late": ("lfeb", "augment_then_split"),
        "lfeb_clips": ("lfeb", "clip_stratified"),
        "lfeb_grouped": ("lfeb", "donor_grouped"),
        "lfeb_grouped_6x5": ("lfeb", "donor_grouped_6x5"),
        "forest_clips": ("forest", "clip_stratified"),
        "forest_grouped": ("forest", "donor_grouped"),
        "spectrogram_grouped": ("spectrogram_only", "donor_grouped"),
        "mel_grouped": ("mel_only", "donor_grouped"),
        "mfcc_grouped": ("mfcc_only", "donor_grouped"),
        "wider_grouped": ("mel_only_wider", "donor_grouped"),
        "mel_clips": ("mel_only", "clip_stratified"),
    }
    experiments = {
        name: ExperimentSpec.model_validate(COMMON | {"model": model, "protocol": protocol})
        for name, (model, protocol) in made_of.items()
    }
    return Catalog.model_construct(
        models=models, protocols=protocols, experiments=experiments, cohorts={}, feature_sets={}
    )


@pytest.fixture(scope="module")
def made(catalog: Catalog, predict: Callable, provenance: Callable) -> dict[str, tuple[Evidence, OutOfFold]]:
    """Evidence and predictions of some experiments: what has fewer donors in common is worse."""
    found = {}
    for name, effect in EFFECTS.items():
        of = catalog.experiments[name]
        protocol = catalog.protocols[of.protocol]
        predictions, folds = predict(REASONS, effect=effect, donors=30, repeats=protocol.repeats)
        if not protocol.keeps_donors_apart:
            for table in (predictions, folds):
                table["fold"] = table.index % 5
        given = provenance(
            name, **COMMON, model=of.model, protocol=of.protocol, keeps_donors_apart=protocol.keeps_donors_apart
        )
        evidence = evaluate(predictions, REASONS, "reason", folds=folds, provenance=given, resamples=100)
        found[name] = evidence, out_of_fold(predictions, folds, REASONS, name)
    return found


@pytest.fixture(scope="module")
def evidence_found(made: dict[str, tuple[Evidence, OutOfFold]]) -> list[Evidence]:
    return [evidence for evidence, _ in made.values()]


@pytest.fixture(scope="module")
def runs(made: dict[str, tuple[Evidence, OutOfFold]]) -> dict[str, OutOfFold]:
    return {name: rows for name, (_, rows) in made.items()}


@pytest.fixture(scope="module")
def material(catalog: Catalog, evidence_found: list[Evidence], runs: dict[str, OutOfFold]) -> Material:
    return Material(catalog, evidence_found, runs=runs)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_plots, "png", lambda made: bytes(24))


def test_ladder_has_a_rung_for_each_protocol_of_one_model(catalog, evidence_found, runs) -> None:
    table = LEAKAGE_LADDER.table(ladders(catalog, evidence_found, runs))
    picked = table[["model", "protocol", "experiment", "status"]].to_numpy().tolist()
    assert picked == [
        ["lfeb", "augment_then_split", "lfeb_split_late", "run"],
        ["lfeb", "clip_stratified", "lfeb_clips", "run"],
        ["lfeb", "donor_grouped", "lfeb_grouped_6x5", "run"],
        ["mel_only", "augment_then_split", "", "not in the catalog"],
        ["mel_only", "clip_stratified", "mel_clips", "not run"],
        ["mel_only", "donor_grouped", "mel_grouped", "run"],
        ["forest", "augment_then_split", "", "not in the catalog"],
        ["forest", "clip_stratified", "forest_clips", "run"],
        ["forest", "donor_grouped", "forest_grouped", "not run"],
    ], "of two donor-grouped ones that of more repeats; a model without a leaking protocol has no ladder"
    assert set(ladder_names(catalog)) >= set(table["experiment"]) - {""}


def test_a_rung_that_was_run_stands_for_one_that_was_not(catalog, evidence_found, runs) -> None:
    without = [found for found in evidence_found if found.provenance.experiment != "lfeb_grouped_6x5"]
    table = LEAKAGE_LADDER.table(ladders(catalog, without, runs))
    assert table["experiment"].tolist()[2] == "lfeb_grouped"


def test_numbers_of_the_ladder_are_those_of_the_evidence(catalog, evidence_found, runs, made) -> None:
    table = LEAKAGE_LADDER.table(ladders(catalog, evidence_found, runs)).set_index("experiment")
    for name in ("lfeb_split_late", "lfeb_clips", "lfeb_grouped_6x5", "forest_clips"):
        found, row = made[name][0], table.loc[name]
        assert (row["value"], row["low"], row["high"]) == tuple(found.headline.model_dump().values())
        assert (row["accuracy"], row["majority_rate"]) == (found.metrics["accuracy"].value, found.majority_rate)
    honest = made["lfeb_grouped_6x5"][0].headline.value
    assert table.loc["lfeb_clips", "step"] == pytest.approx(made["lfeb_clips"][0].headline.value - honest)
    low, value, high = table.loc["lfeb_clips", ["step_low", "step", "step_high"]].to_numpy(float)
    assert low < value < high
    assert table.loc[["lfeb_grouped_6x5", "forest_clips"], "step"].isna().all(), "honest itself, and without a twin"


def test_a_step_between_equal_folds_is_the_paired_comparison(runs) -> None:
    first, second = runs["lfeb_grouped"], runs["mel_grouped"]
    found, golden = step(first, second, "uar"), compare(first, second, metric="uar", between="models")
    assert (found.value, found.low, found.high) == pytest.approx((golden.difference, golden.low, golden.high))


def test_a_step_between_other_donors_is_refused(predict, runs) -> None:
    predictions, folds = predict(REASONS, donors=33)
    with pytest.raises(EvidenceError, match="other donors"):
        step(runs["lfeb_clips"], out_of_fold(predictions, folds, REASONS, "others"), "uar")


def test_ladder_page_says_what_is_missing_and_qualifies_what_leaks(material: Material) -> None:
    text = html_of(LEAKAGE_LADDER, material)
    page = Page(text)
    shown = {"lfeb_split_late", "lfeb_clips", "lfeb_grouped_6x5", "forest_clips", "mel_grouped"}
    assert {f"experiments/{name}.html" for name in shown} <= links_of(text)
    assert page.text.count("donors on both sides of the split: not evidence about new babies") == 3
    assert "donor-grouped twin not run" in page.text
    for name in ("forest_grouped", "mel_clips"):
        assert f"{name} not run" in page.text
    assert sum(tag == "picture" for tag, _ in page.attributes) == 1
    dark, light = (
        next(a[key] for tag, a in page.attributes if tag == t) for t, key in (("source", "srcset"), ("img", "src"))
    )
    assert dark != light


@pytest.mark.usefixtures("without_figures")
def test_ladder_without_any_evidence_is_a_page_that_says_so(catalog, tmp_path: Path) -> None:
    report = LEAKAGE_LADDER.write(Material(catalog, []), tmp_path)
    assert "No rung has been run yet." in report.page.read_text()
    assert report.table is not None
    assert set(report.table["status"]) == {"not run", "not in the catalog"}
    bare = catalog.model_copy(update={"experiments": {}})
    text = Page(html_of(LEAKAGE_LADDER, Material(bare, []))).text
    assert "no leaking experiment with a lfeb_attention_lstm model" in text
    assert "no leaking experiment with a random_forest model" in text


def test_ablation_compares_what_differs_in_planes_only(catalog, evidence_found, runs) -> None:
    (found,) = ablations(catalog, evidence_found, runs)
    assert [(each.plane, each.experiment) for each in found.variants] == [
        (HYBRID, "lfeb_grouped"),
        ("spectrogram", "spectrogram_grouped"),
        ("mel", "mel_grouped"),
        ("mfcc", "mfcc_grouped"),
    ], "neither the wider network nor the clip-level run"
    assert found.variants[3].found is None
    assert "mfcc_grouped" in ablation_names(catalog)


def test_ablations_comparisons_are_those_of_evaluation(catalog, evidence_found, runs) -> None:
    (found,) = ablations(catalog, evidence_found, runs)
    golden = holm(
        [compare(runs["lfeb_grouped"], runs[f"{plane}_grouped"], metric="uar") for plane in ("spectrogram", "mel")]
    )
    assert found.comparisons == golden
    table = HYBRID_ABLATION.table([found]).set_index("plane")
    assert table.loc["spectrogram", "difference"] == golden[0].difference
    assert table.loc["mel", "p_adjusted"] == golden[1].p_adjusted
    assert table.loc["mfcc", "status"] == "not run"
    assert table.loc["spectrogram", "words"] == "the hybrid is worse", "planted: the spectrogram alone knows more"
    assert table.loc["mel", "words"] == "not said: neither is above chance"
    assert found.sentence == (
        "The hybrid image is worse than spectrogram alone; no difference from mel alone is shown."
    )


def test_nothing_is_said_of_networks_trained_once(catalog, evidence_found, runs) -> None:
    once = [found.model_copy(update={"repeats": 1}) for found in evidence_found]
    first = {
        name: replace(rows, folds=rows.folds[:1], probabilities=rows.probabilities[:1]) for name, rows in runs.items()
    }
    (found,) = ablations(catalog, once, first)
    assert found.trainings == 1
    assert {each.plane: each.words for each in found.variants if each.comparison} == {
        "spectrogram": "not said: trained once, 5 times are needed",
        "mel": "not said: neither is above chance",
    }
    assert found.sentence.startswith("Whether the hybrid image helps is not said")
    words = Page(html_of(HYBRID_ABLATION, Material(catalog, once, runs=first))).text
    assert found.sentence in words
    assert "Each model was trained once." in words


def test_no_difference_is_claimed_that_holm_takes_back() -> None:
    values = {"difference": 0.1, "low": 0.01, "high": 0.2, "p_value": 0.04, "p_adjusted": 0.12, "trainings": 5}
    held = Comparison.model_validate({"first": "a", "second": "b", "metric": "uar", "resamples": 100, **values})
    assert Variant("mel", "b", None, held).words == "no difference shown"
    assert Variant("mel", "b", None, held.model_copy(update={"p_adjusted": 0.04})).words == "the hybrid is better"


def test_ablation_page_holds_intervals_and_what_was_not_run(
    material, catalog, evidence_found, runs, tmp_path: Path
) -> None:
    report = HYBRID_ABLATION.write(material, tmp_path)
    text = report.page.read_text()
    (found,) = HYBRID_ABLATION.content(material)
    words = Page(text).text
    for each in found.comparisons:
        assert f"{each.difference:+.3f} {each.low:+.3f} to {each.high:+.3f}" in words
        assert f"{each.p_adjusted:.3f}" in words
    assert "mfcc only not run" in words
    assert "mfcc_grouped not run" in words
    assert "experiments/lfeb_grouped.html" in links_of(text)
    assert HYBRID_ABLATION.write(material, tmp_path).reused
    assert not HYBRID_ABLATION.write(replace(material, evidence=material.evidence[:-1]), tmp_path).reused


def test_ablation_without_variants_says_so(catalog) -> None:
    bare = Material(catalog.model_copy(update={"experiments": {}}), [])
    text = Page(html_of(HYBRID_ABLATION, bare)).text
    assert "The catalog has no experiment on folds that keep donors apart" in text
