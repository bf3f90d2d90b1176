"""A temperature is applied by one formula, whoever asks."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax

from cry_pipeline.evaluation import calibration as evaluation
from cry_pipeline.evaluation.predictions import out_of_fold
from cry_pipeline.inference import candidates
from cry_pipeline.training.calibration import MOST, SMALLEST, calibrated, fit_temperature, log_calibrated


def test_a_temperature_divides_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 7, 4))
    warmth = np.random.default_rng(1).uniform(0.3, 4, size=(2, 7))
    expected = log_softmax(logits / warmth[..., None], axis=-1)
    np.testing.assert_allclose(log_calibrated(softmax(logits, axis=-1), warmth), expected)
    np.testing.assert_allclose(calibrated(softmax(logits, axis=-1), warmth), np.exp(expected))


def test_what_is_at_temperature_1_stays_as_it_is() -> None:
    given = np.array([[1.0, 0.0], [0.1, 0.9]])
    np.testing.assert_array_equal(calibrated(given, 1.0), given)
    np.testing.assert_array_equal(calibrated(given, np.array([1.0, 2.0]))[0], given[0])


@pytest.mark.parametrize("least", [0.0, 1e-300, 1e-30, 1e-13, 1e-9, 0.3])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.5, MOST])
def test_all_who_apply_a_temperature_say_the_same(least: float, temperature: float) -> None:
    export = pytest.importorskip("cry_pipeline.inference.scorers")
    probabilities = np.array([[1 - least, least], [least, 1 - least]])
    expected = calibrated(probabilities, temperature)
    assert np.isfinite(expected).all()
    table = pd.DataFrame(
        {"recording_id": ["a", "b"], "donor": ["c", "d"], "label": ["x", "y"], "repeat": 0, "fold": [0, 0]}
    ).assign(p_x=probabilities[:, 0], p_y=probabilities[:, 1], temperature=temperature)
    np.testing.assert_array_equal(candidates.calibrated(table, ["x", "y"]), expected)
    rows = evaluation.calibrated(out_of_fold(table, table, ("x", "y"), "a run"))
    np.testing.assert_array_equal(rows.probabilities[0], expected)
    np.testing.assert_allclose(np.exp(log_calibrated(probabilities, temperature)), expected, atol=1e-11)
    with np.errstate(divide="ignore"):
        logits = torch.from_numpy(np.log(probabilities))
    exported = (export.bounded(logits) / temperature).softmax(dim=1)
    np.testing.assert_allclose(exported.numpy(), expected, atol=1e-11)


def test_one_certain_mistake_does_not_decide_a_temperature_alone() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.6, 0.99, 400)
    codes = (rng.random(400) > truth).astype(np.int64)
    probabilities = np.column_stack([truth, 1 - truth])
    fitted = fit_temperature(probabilities, codes)
    assert fitted == pytest.approx(1, abs=0.2)
    probabilities[0] = [0.0, 1.0] if codes[0] == 0 else [1.0, 0.0]
    assert fit_temperature(probabilities, codes) < 2
    assert np.finfo(np.float64).tiny < SMALLEST
