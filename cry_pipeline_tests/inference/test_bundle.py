"""A bundle is read whole and unchanged, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from cry_pipeline.evaluation.findings import Decisions, Interval, RecallPoint, Subgroup
from cry_pipeline.inference.bundle import AnswerRule, BundleError, read_bundle
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.inference.card import model_card
from cry_pipeline.training.checkpoints import read_checkpoint
from cry_pipeline_tests.inference.conftest import RECALIBRATIONS, Made


def test_bundle_tells_what_it_was_made_of(bundle: Callable[..., Path], made: Made) -> None:
    folder = bundle(reason="not distinguishable from chance")
    read = read_bundle(folder)
    assert list(read.targets) == ["cry", "reason"]
    assert read.targets["cry"].labels.classes == ("not_cry", "cry")
    assert read.targets["cry"].rule.recalibrations == RECALIBRATIONS
    assert not any(own.fitted for own in read.targets["reason"].rule.recalibrations), "chance is not calibrated"
    assert read.targets["reason"].evidence.verdict == "not distinguishable from chance"
    weights = load_file(folder / "cry" / "weights.safetensors")
    for fold in range(2):
        for name, values in read_checkpoint(made.root / f"{fold}.safetensors").tensors.items():
            assert (weights[f"fold-{fold}/{name}"] == values).all()


def test_a_changed_byte_of_any_file_is_an_error(bundle: Callable[..., Path]) -> None:
    folder = bundle()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 9
    for path in files:
        content = path.read_bytes()
        for position in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            with pytest.raises(BundleError):
                read_bundle(folder)
        path.write_bytes(content)
    read_bundle(folder)


def test_a_missing_and_an_extra_file_are_errors(bundle: Callable[..., Path]) -> None:
    folder = bundle()
    (folder / "extra").write_text("")
    with pytest.raises(BundleError, match="extra is not in the manifest"):
        read_bundle(folder)
    (folder / "extra").unlink()
    (folder / "cry" / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors is missing"):
        read_bundle(folder)
    with pytest.raises(BundleError, match="holds no bundle"):
        read_bundle(folder / "nowhere")


def test_card_has_the_usual_headings_and_says_what_it_is_not_for(bundle: Callable[..., Path]) -> None:
    card = (bundle(reason="not distinguishable from chance") / "MODEL_CARD.md").read_text()
    headings = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]
    assert "Not for diagnosis" in card
    assert "**Verdict: not distinguishable from chance.**" in card
    assert "abstains from reasons" in card
    assert "95 % interval" in card
    assert "donor-0" not in card


def test_card_shows_other_models_on_unseen_donors_the_best_first(candidate: Callable[..., Candidate]) -> None:
    own = candidate("cry")
    assert "Beside other models" not in model_card({"cry": own}, {"cry": {}}, "d" * 64)
    others = []
    for model, auc, apart in (("weaker", 0.6, True), ("stronger", 0.99, True), ("leaking", 0.999, False)):
        of = own.evidence.provenance.model_copy(
            update={"model": model, "experiment": model, "keeps_donors_apart": apart}
        )
        auc = own.evidence.headline.model_copy(update={"value": auc})
        metrics = own.evidence.metrics | {"auc": auc}
        others.append(own.evidence.model_copy(update={"provenance": of, "metrics": metrics}))
    middle = own.evidence.headline.model_copy(update={"value": 0.8})
    evidence = own.evidence.model_copy(update={"metrics": own.evidence.metrics | {"auc": middle}})
    card = model_card({"cry": replace(own, evidence=evidence, others=tuple(others))}, {"cry": {}}, "d" * 64)
    rows = [line.split(" | ")[0] for line in card.splitlines() if "| donor_grouped |" in line]
    assert rows == ["| stronger", "| **network**, in this bundle", "| weaker"]
    assert "leaking" not in card


def test_card_says_what_a_recall_takes_and_how_groups_fare_whatever_they_are_called(
    candidate: Callable[..., Candidate],
) -> None:
    own = candidate("cry")
    at = Interval(value=0.75, low=0.5, high=0.9)
    worse = Subgroup(
        of="app_version",
        name="1|`<b>",
        recordings=90,
        donors=60,
        by_class=(30, 30),
        headline=at,
        difference=Interval(value=-0.2, low=-0.3, high=-0.1),
        p_adjusted=0.01,
    )
    few = worse.model_copy(update={"name": "few", "headline": None, "difference": None, "p_adjusted": None})
    point = RecallPoint(recall=0.95, specificity=at, unheard=Interval(value=0.4, low=0.3, high=0.5))
    decisions = Decisions(positive="cry", share=0.5, at_recall=(point,), curve=())
    found = own.evidence.model_copy(update={"subgroups": (worse, few), "decisions": decisions})
    card = model_card({"cry": replace(own, evidence=found)}, {"cry": {}}, "d" * 64)
    assert "| specificity at 95 % recall | 0.750 | 0.500 to 0.900 |" in card
    assert "| recordings that nobody has to hear at 95 % recall | 0.400 | 0.300 to 0.500 |" in card
    assert "Shown to fare otherwise than the others, by Holm: app version `1??<b>`." in card
    assert "| app version `1??<b>` | 60 | 0.750 | 0.500 to 0.900 |" in card
    assert "few" not in card.split("## Factors")[1].split("## Metrics")[0]
    without = model_card({"cry": replace(own, evidence=found.model_copy(update={"subgroups": ()}))}, {"cry": {}}, "d")
    assert "no group has at least 20 donors of every class" in without


def test_card_has_the_losses_of_the_probabilities_that_the_bundle_gives(candidate: Callable[..., Candidate]) -> None:
    for verdict in ("above chance", "not distinguishable from chance"):
        own = candidate("cry", verdict=verdict)
        held, before = own.evidence.calibrated, own.evidence.calibration.as_predicted
        assert (held is None) == (verdict != "above chance")
        given, words = (held, "Calibrated by slopes 2.00, 0.50 and intercepts +0.30, -0.40.") if held else (before, "")
        truth = own.predictions.sort_values("recording_id")["label"].to_numpy() == "cry"
        assert given.brier.value == pytest.approx(((own.probabilities[:, 1] - truth) ** 2).mean())
        card = model_card({"cry": own}, {"cry": {}}, "d" * 64)
        assert f"| Brier score | {given.brier.value:.3f} | {given.brier.low:.3f} to {given.brier.high:.3f} |" in card
        assert f"| log-loss | {given.log_loss.value:.3f} |" in card
        assert (words or "Probabilities are not calibrated.") in card
        assert f"mean probability of cry {given.said.value:.3f}, share that is true {truth.mean():.3f}" in card


def test_a_temperature_of_format_1_is_the_inverse_of_a_slope() -> None:
    given = {"method": "softmax", "temperatures": [0.5, 2.0], "threshold": 0.5}
    assert AnswerRule.model_validate(given).recalibrations == [(2.0, (0.0,)), (0.5, (0.0,))]
    for temperatures in ([0.5, 0.0], None, ["warm"], [[1.0]]):
        with pytest.raises(ValueError, match="not all are numbers above 0"):
            AnswerRule.model_validate(given | {"temperatures": temperatures})
    with pytest.raises(ValueError, match="1 slopes, but intercepts of 2"):
        AnswerRule.model_validate({"method": "", "slopes": [1.0], "intercepts": [[0.0], [0.0]], "threshold": 0.5})


@pytest.mark.parametrize("inside", [r'"\ud800"', "[" * 900 + "]" * 900, "[" * 300 + "]" * 300, "[" * 99_999], ids=len)
def test_a_manifest_that_could_not_have_been_written_is_an_error(inside: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(f'{{"format": 1, "digest": "0", "files": {{}}, "about": {inside}}}')
    with pytest.raises(BundleError, match=r"manifest\.json (cannot be read|is not what was written)"):
        read_bundle(tmp_path)
