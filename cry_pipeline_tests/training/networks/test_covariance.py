"""The log-covariance layer against SciPy, and what must not matter to it."""

import numpy as np
import pytest
import torch
from scipy.linalg import logm

from cry_pipeline.catalog import LfebAttentionLstmSpec
from cry_pipeline.training.networks.covariance import EXACTLY, LogCovariance, logarithm, logarithm_by_eigenvalues
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm


def test_the_logarithm_is_near_scipys() -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    matrix = rotation @ np.diag(np.logspace(-2.5, 1.5, 12)) @ rotation.T
    expected = logm(matrix)
    found = logarithm(torch.from_numpy(matrix)[None].float())[0].numpy()
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    exact = logarithm(torch.from_numpy(matrix)[None])[0].numpy()
    np.testing.assert_allclose(found, exact, atol=2e-3)
    wide = rotation @ np.diag(np.logspace(-1, 4, 12)) @ rotation.T
    found = logarithm(torch.from_numpy(wide)[None], *EXACTLY)[0].numpy()
    np.testing.assert_allclose(found, logm(wide), atol=1e-8)


def test_what_training_sees_is_what_predicting_and_the_exported_graph_see() -> None:
    layer = LogCovariance(64, bands=32, ridge=0.003)
    images, lengths = torch.randn(4, 64, 110).cumsum(dim=1) / 5, torch.tensor([110, 80, 40, 12])
    torch.testing.assert_close(layer.train()(images, lengths), layer.eval()(images, lengths), atol=5e-3, rtol=1e-3)
    spread = torch.diag(torch.logspace(-3, 1, 8, dtype=torch.float64))[None]
    torch.testing.assert_close(logarithm_by_eigenvalues(spread), logarithm(spread), atol=1e-6, rtol=1e-6)


def test_padding_and_loudness_do_not_matter_and_columns_do() -> None:
    layer = LogCovariance(16, bands=8, ridge=0.01)
    image = torch.randn(1, 16, 30)
    padded = torch.cat([image + 5, torch.randn(1, 16, 9) * 100], dim=2)
    expected = layer(image, torch.tensor([30]))
    torch.testing.assert_close(layer(padded, torch.tensor([30])), expected, atol=2e-3, rtol=1e-3)
    assert (layer(image[..., :20], torch.tensor([20])) - expected).abs().max() > 0.1
    assert expected.shape == (1, layer.outputs) == (1, 136)


@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_recordings_have_finite_values(length: int) -> None:
    layer = LogCovariance(16, bands=8, ridge=0.01)
    assert layer(torch.randn(1, 16, 5), torch.tensor([length])).isfinite().all()


def test_the_branch_adds_to_the_logits_of_the_network_without_it() -> None:
    fields = {"kind": "lfeb_attention_lstm", "bins": 16, "channels": (4, 4, 4, 4), "heads": 2, "lstm_units": 4}
    spec = LfebAttentionLstmSpec.model_validate({**fields, "covariance_bands": 8})
    torch.manual_seed(0)
    network = LfebAttentionLstm(2, spec).eval()
    plain = LfebAttentionLstm(2, spec.model_copy(update={"covariance_bands": 0})).eval()
    plain.load_state_dict(network.state_dict(), strict=False)
    images, lengths = torch.randn(3, 3, 16, 40), torch.tensor([40, 31, 22])
    with torch.inference_mode():
        added = network(images, lengths) - plain(images, lengths)
        values = network.covariance_norm(LogCovariance(16, 8, spec.covariance_ridge)(images[:, 1], lengths))
        torch.testing.assert_close(added, network.covariance_output(values / 136**0.5), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fields", [{"covariance_bands": 5}, {"covariance_bands": 8, "planes": ["mfcc"]}])
def test_bands_that_do_not_fit_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"covariance_bands: \d must divide bins, 64, and needs the plane mel"):
        LfebAttentionLstmSpec.model_validate({"kind": "lfeb_attention_lstm", **fields})
