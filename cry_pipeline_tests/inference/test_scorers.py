"""Each kind of exported model says what the fitted model says of the store's features."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from cry_pipeline.catalog import load_catalog
from cry_pipeline.catalog.models import EnsembleSpec, SvmSpec
from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.features.computing import FeatureTransform
from cry_pipeline.inference.export import Request, export_run
from cry_pipeline.inference.graphs import open_graph, run_graph
from cry_pipeline.inference.scorers import EnsembleScorer, ExportError, Heard, scorer_of
from cry_pipeline.training.calibration import Recalibration
from cry_pipeline.training.checkpoints import Checkpoint
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.ensemble import FittedEnsemble
from cry_pipeline.training.fitted_network import FittedNetwork
from cry_pipeline.training.models import FitSettings, FittedModel
from cry_pipeline.training.registry import implementation
from cry_pipeline_tests.inference.conftest import CLASSES, FEATURES, NETWORK, Made

SVM = SvmSpec.model_validate({"kind": "svm", "pool": "covariance", "change_frames": 3, "bands": 20, "width": 0.3})
TOLERANCE = 1e-5


def machine(made: Made, spec: SvmSpec = SVM, rows: Rows | None = None) -> FittedModel:
    """A machine fitted to the sixteen sounds."""
    return implementation("svm").fit(spec, made.rows if rows is None else rows, FitSettings())


def ensemble(made: Made, average: str) -> FittedEnsemble:
    """Of a network and, twice, a machine, each with a slope of its own."""
    content = {"kind": "ensemble", "members": ["net", "machine", "machine"], "average": average}
    spec = EnsembleSpec.model_validate(content).model_copy(update={"specs": (NETWORK, SVM, SVM)})
    first, second = machine(made), machine(made)
    own = made.members[0]
    network = FittedNetwork(
        own.network, own.standardiser, own.classes, own.spec, recalibration=Recalibration(1.4, (0.0, 3.0))
    )
    return FittedEnsemble(spec, CLASSES["cry"], [network, first, second])


def said(fitted: FittedModel, made: Made) -> np.ndarray:
    """What the module of ``fitted`` says of each file, as probabilities ``[recordings, classes]``."""
    scorer, transform, answers = scorer_of(fitted).eval(), FeatureTransform(FEATURES), []
    for recording in made.rows.recording_ids:
        samples = torch.from_numpy(load_samples(made.files[recording], FEATURES.sample_rate_hz))[None]
        features = transform(samples, torch.tensor([samples.shape[1]]))
        with torch.inference_mode():
            logits = scorer(Heard(features, torch.tensor([features.mel.shape[1]])))
        assert logits.dtype == torch.float64
        answers.append(logits.softmax(dim=1)[0].numpy())
    return np.stack(answers)


@pytest.mark.parametrize("average", ["logit", "probability"])
def test_an_ensembles_module_says_what_the_ensemble_says(average: str, made: Made) -> None:
    fitted = ensemble(made, average)
    expected = fitted.predict_probabilities(made.rows)
    assert np.ptp(expected[:, 0]) > 1000 * TOLERANCE
    np.testing.assert_allclose(said(fitted, made), expected, atol=TOLERANCE)
    module = scorer_of(fitted)
    assert isinstance(module, EnsembleScorer)
    assert len(module.members) == 2
    assert module.shares.flatten().tolist() == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


@pytest.mark.parametrize("changes", [{}, {"change_frames": 0}, {"bands": 64, "ridge": 0.5}])
def test_a_machines_module_says_what_the_machine_says(changes: dict[str, float], made: Made) -> None:
    fitted = machine(made, SVM.model_copy(update=changes))
    expected = fitted.predict_probabilities(made.rows)
    assert np.ptp(expected[:, 0]) > 1000 * TOLERANCE
    np.testing.assert_allclose(said(fitted, made), expected, atol=TOLERANCE)


def test_a_machine_for_more_than_two_classes_keeps_their_order(made: Made) -> None:
    table = made.rows.table.assign(label=["abc"[number % 3] for number in range(len(made.rows))])
    rows = Rows(table, ("a", "b", "c"), made.rows.features)
    fitted = machine(made, rows=rows)
    expected = fitted.predict_probabilities(rows)
    assert (expected.argmax(axis=1) == rows.codes).mean() > 0.8
    np.testing.assert_allclose(said(fitted, made), expected, atol=TOLERANCE)


def test_what_a_recording_holds_is_computed_once_for_all_models(made: Made) -> None:
    samples = torch.zeros(1, 8000)
    heard = Heard(FeatureTransform(FEATURES)(samples, torch.tensor([8000])), torch.tensor([126]))
    images = [heard.image(NETWORK)[0] for _ in range(2)]
    covariances = [heard.log_covariances(SVM) for _ in range(2)]
    assert all(one is other for made in (images, covariances) for one, other in pairwise(made))
    assert heard.log_covariances(SVM.model_copy(update={"bands": 5})) is not covariances[0]


def test_an_exported_ensemble_says_of_audio_files_what_it_says_of_stored_features(made: Made, tmp_path: Path) -> None:
    fitted = ensemble(made, "logit")
    fitted.save(tmp_path / "0.safetensors")
    graph = tmp_path / "model.onnx"
    request = Request(
        [str(tmp_path / "0.safetensors")], [Recalibration.none(2)], FEATURES.model_dump(mode="json"), 1.0, str(graph)
    )
    assert export_run(request) < 1e-4
    session = open_graph(graph)
    found = [
        run_graph(session, load_samples(made.files[recording], FEATURES.sample_rate_hz))[0][0]
        for recording in made.rows.recording_ids
    ]
    np.testing.assert_allclose(found, fitted.predict_probabilities(made.rows), atol=TOLERANCE)


def test_what_the_catalog_calls_exportable_is_what_can_be_exported() -> None:
    models = load_catalog().models
    assert {name for name, spec in models.items() if spec.exportable} == {
        "lfeb_attention_lstm",
        "lfeb_spectrogram",
        "lfeb_mel",
        "lfeb_mfcc",
        "lfeb_augmented",
        "lfeb_covariance",
        "resnet50_attention",
        "svm_covariance",
        "lfeb_and_svm_covariance",
    }
    for name in ("majority", "svm"):
        checkpoint = Checkpoint(models[name].kind, CLASSES["cry"], models[name].model_dump(mode="json"), {})
        with pytest.raises(ExportError, match=r"cannot be exported|on covariances only"):
            scorer_of(implementation(models[name].kind).restore(checkpoint))
