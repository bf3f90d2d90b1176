"""A bundle is read whole and unchanged, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from cry_pipeline.inference.bundle import BundleError, read_bundle
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.inference.card import model_card
from cry_pipeline.training.checkpoints import read_checkpoint
from cry_pipeline_tests.inference.conftest import Made


def test_bundle_tells_what_it_was_made_of(bundle: Callable[..., Path], made: Made) -> None:
    folder = bundle(reason="not distinguishable from chance")
    read = read_bundle(folder)
    assert list(read.targets) == ["cry", "reason"]
    assert read.targets["cry"].labels.classes == ("not_cry", "cry")
    assert read.targets["cry"].rule.temperatures == (0.5, 2.0)
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


@pytest.mark.parametrize("inside", [r'"\ud800"', "[" * 900 + "]" * 900, "[" * 300 + "]" * 300, "[" * 99_999], ids=len)
def test_a_manifest_that_could_not_have_been_written_is_an_error(inside: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(f'{{"format": 1, "digest": "0", "files": {{}}, "about": {inside}}}')
    with pytest.raises(BundleError, match=r"manifest\.json (cannot be read|is not what was written)"):
        read_bundle(tmp_path)
