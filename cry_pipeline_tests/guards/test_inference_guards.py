"""What a bundle holds changes only with the revision of its stage.

Values are our own, as they were when the revision was set: a change is no error by itself, but under an old revision
the champion would pass for current and not be exported again.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from cry_pipeline import keys
from cry_pipeline.catalog import CohortSpec, FeatureSetSpec, LfebAttentionLstmSpec
from cry_pipeline.catalog.models import SvmSpec
from cry_pipeline.features.hybrid import RowStandardiser
from cry_pipeline.inference import building
from cry_pipeline.inference.candidates import STAGE, Candidate, bundle_spec
from cry_pipeline.inference.export import OPSET, FoldEnsemble
from cry_pipeline.training.calibration import Recalibration
from cry_pipeline.training.checkpoints import Checkpoint
from cry_pipeline.training.fitted_network import FittedNetwork
from cry_pipeline.training.models import FittedModel
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm
from cry_pipeline.training.registry import implementation

REVISION = 5
CHANGED = "what a bundle holds has changed: raise the revision of 'bundle' in keys.py (and here), or say why not"
FEATURES = FeatureSetSpec(
    sample_rate_hz=8000, n_fft=256, window_samples=256, hop_samples=128, mels=64, fmin_hz=50, fmax_hz=4000
)
COHORT = CohortSpec(
    processing="raw", sources=("inbox",), target="cry", labels={"hungry": "hungry"}, classes=("not_cry", "cry")
)


def network() -> FittedModel:
    """A network whose weights are drawn by NumPy, which draws the same for ever."""
    spec = LfebAttentionLstmSpec.model_validate(
        {"kind": "lfeb_attention_lstm", "bins": 16, "channels": (4, 4, 4, 4), "heads": 2, "lstm_units": 4}
    )
    rng, made = np.random.default_rng(0), LfebAttentionLstm(2, spec)
    state = {
        name: torch.from_numpy(rng.uniform(0.2, 0.8, tuple(values.shape)).astype(np.float32)).to(values.dtype)
        for name, values in sorted(made.state_dict().items())
    }
    made.load_state_dict(state)
    standardiser = RowStandardiser(torch.full((3, 16), -60.0), torch.full((3, 16), 10.0))
    return FittedNetwork(made, standardiser, COHORT.classes, spec)


def machine() -> FittedModel:
    """A support vector machine of three made-up vectors."""
    spec = SvmSpec.model_validate({"kind": "svm", "pool": "covariance", "bands": 8, "change_frames": 2})
    rng, width = np.random.default_rng(1), 16 * 17 // 2
    tensors = {
        "means": rng.normal(0, 1, width),
        "scales": rng.uniform(1, 2, width),
        "support": rng.normal(0, 1, (3, width)).astype(np.float32),
        "weights": np.array([[3.0, -2.0, 1.5]]),
        "intercepts": np.array([0.3]),
        "calibration.slope": np.array([1.0]),
        "calibration.intercepts": np.array([0.0, 0.0]),
    }
    checkpoint = Checkpoint("svm", COHORT.classes, spec.model_dump(mode="json"), tensors)
    return implementation("svm").restore(checkpoint)


def samples() -> torch.Tensor:
    """A second and a bit of a made-up cry."""
    time = np.arange(9000) / FEATURES.sample_rate_hz
    wave = 0.3 * np.sin(2 * np.pi * 450 * time + 3 * np.sin(30 * time)) * np.abs(np.sin(4 * time))
    return torch.from_numpy((wave + np.random.default_rng(2).normal(0, 0.01, len(time))).astype(np.float32))[None]


@pytest.mark.parametrize(("make", "expected"), [(network, 0.400718), (machine, 0.798425)])
def test_the_graph_computes_what_it_did(make, expected: float) -> None:
    with torch.inference_mode():
        mean, members = FoldEnsemble(
            FEATURES, [make(), make()], [Recalibration(2.0, (0.0, 0.2)), Recalibration(0.5, (0.0, -0.1))]
        )(samples())
    assert mean.shape == (1, 2)
    assert members.shape == (2, 2)
    assert float(mean[0, 1]) == pytest.approx(expected, abs=2e-5), CHANGED


def test_the_rules_beside_the_graph_are_what_they_were() -> None:
    assert (building.THRESHOLD, building.METHOD, OPSET) == (
        0.5, "softmax(slope * log p + intercepts) of each fold model's probabilities p, mean over the fold models", 20,
    ), CHANGED  # fmt: skip
    predictions = pd.DataFrame(
        {"recording_id": list("abcd"), "repeat": 0, "fold": [0, 0, 1, 1], "label": ["cry", "cry", "not_cry", "cry"]}
        | {"p_not_cry": [0.1, 0.6, 0.45, 0.3], "p_cry": [0.9, 0.4, 0.55, 0.7], "slope": [1.0, 1.0, 0.5, 0.5]}
        | {"intercept_not_cry": 0.0, "intercept_cry": [0.0, 0.0, -0.2, -0.2]}
    )
    evidence = cast("Any", SimpleNamespace(calibrated="where there is anything to calibrate"))
    candidate = Candidate("x", COHORT, FEATURES, Path(), predictions, evidence)
    assert building.operating_point(candidate) == {"recall": 0.6667, "specificity": 1.0, "precision": 1.0}, CHANGED


def test_the_key_holds_what_it_did() -> None:
    assert keys.STAGES[STAGE].revision == REVISION, "set the revision here, too, and the values above to what they are"
    assert keys.STAGES[STAGE].libraries == ("onnx", "onnxscript", "torch"), CHANGED
    spec = {"target": "cry", "classes": ["not_cry", "cry"], "min_duration_s": 1.0}
    assert json.loads(json.dumps(bundle_spec(COHORT))) == spec, CHANGED
