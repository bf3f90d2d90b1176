"""The network sees a recording's columns and nothing else."""

import pytest
import torch

from cry_pipeline.catalog import LfebAttentionLstmSpec
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm, LocalFeatureBlock

SPEC = LfebAttentionLstmSpec.model_validate(
    {"kind": "lfeb_attention_lstm", "bins": 16, "channels": (4, 6, 6, 8), "heads": 2, "lstm_units": 8}
)


@pytest.fixture
def network() -> LfebAttentionLstm:
    """A network whose batch norms have statistics of their own, in eval mode."""
    torch.manual_seed(0)
    network = LfebAttentionLstm(5, SPEC)
    for _ in range(3):
        network(torch.randn(8, 3, 16, 40) * 2 + 1, torch.full((8,), 40))
    return network.eval()


@pytest.mark.parametrize("length", [2, 4, 7, 30, 33, 39])
def test_padding_in_a_batch_does_not_change_logits(network: LfebAttentionLstm, length: int) -> None:
    alone = torch.randn(1, 3, 16, length)
    padded = torch.randn(3, 3, 16, 40) * 100
    padded[1, :, :, :length] = alone[0]
    with torch.inference_mode():
        expected = network(alone, torch.tensor([length]))[0]
        found = network(padded, torch.tensor([40, length, 17]))[1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("column", [0, 13, 27])
def test_every_valid_column_reaches_the_logits(network: LfebAttentionLstm, column: int) -> None:
    images = torch.randn(1, 3, 16, 28)
    other = images.clone()
    other[..., column] += 5
    with torch.inference_mode():
        logits = network(torch.cat([images, other]), torch.tensor([28, 28]))
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_order_in_time_matters(network: LfebAttentionLstm) -> None:
    images = torch.randn(1, 3, 16, 40)
    with torch.inference_mode():
        logits = network(torch.cat([images, images.flip(-1)]), torch.tensor([40, 40]))
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_block_is_convolution_relu_dropout_norm_pool() -> None:
    torch.manual_seed(1)
    block = LocalFeatureBlock(3, 4, time_pool=2, dropout=0.5).eval()
    images = torch.randn(2, 3, 16, 20)
    found, lengths = block(images, torch.tensor([20, 20]))
    expected = torch.relu(
        torch.nn.functional.conv2d(images, block.convolution.weight, block.convolution.bias, padding=1)
    )
    # A fresh batch norm divides by sqrt(1 + eps) only.
    expected = torch.nn.functional.max_pool2d(expected / (1 + block.normalisation.eps) ** 0.5, 2)
    torch.testing.assert_close(found, expected)
    assert lengths.tolist() == [10, 10]


def test_attention_and_lstm_are_given_a_sequence() -> None:
    network = LfebAttentionLstm(2, LfebAttentionLstmSpec.model_validate({"kind": "lfeb_attention_lstm"}))
    seen = []
    network.lstm.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    logits = network(torch.randn(2, 3, 64, 110), torch.tensor([110, 90]))
    assert seen == [(2, 13, 64)]
    assert logits.shape == (2, 2)
