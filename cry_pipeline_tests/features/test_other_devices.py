"""On whichever device they are, transforms and networks use no constant that stayed on the CPU.

Without a GPU torch's device `meta` tells: it computes nothing, and refuses to mix with tensors that are elsewhere. What
a GPU computes, and how fast, is not tested here.
"""

import pytest
import torch

from cry_pipeline.catalog import LfebAttentionLstmSpec, load_catalog
from cry_pipeline.features.computing import FeatureTransform

ELSEWHERE = torch.device("meta")
FEATURE_SETS = load_catalog().feature_sets


class _Forgetful(torch.nn.Module):
    constant = torch.ones(3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.constant


def test_a_constant_that_stayed_behind_would_be_noticed() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        _Forgetful().to(ELSEWHERE)(torch.ones(3, device=ELSEWHERE))


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_features_are_computed_where_the_samples_are(name: str) -> None:
    spec = FEATURE_SETS[name]
    samples = torch.empty(2, 2 * spec.sample_rate_hz, device=ELSEWHERE)
    lengths = torch.empty(2, dtype=torch.int64, device=ELSEWHERE)
    found = FeatureTransform(spec).to(ELSEWHERE).in_blocks(samples, lengths, None)
    assert {values.device.type for values in found.values()} == {"meta"}
    frames = spec.frames(samples.shape[1])
    assert {values.shape[:2] for values in found.values()} == {(2, frames)}


def test_the_network_learns_where_its_images_are() -> None:
    from cry_pipeline.training.networks.lfeb import LfebAttentionLstm

    spec = LfebAttentionLstmSpec.model_validate(
        {"kind": "lfeb_attention_lstm", "bins": 16, "channels": (4, 6, 6, 8), "heads": 2, "lstm_units": 8}
    )
    network = LfebAttentionLstm(5, spec).to(ELSEWHERE)
    images = torch.empty(4, 3, 16, 40, device=ELSEWHERE)
    logits = network(images, torch.empty(4, dtype=torch.int64, device=ELSEWHERE))
    logits.sum().backward()
    assert {parameter.grad.device.type for parameter in network.parameters() if parameter.grad is not None} == {"meta"}


def test_bfloat16_changes_logits_by_its_rounding_alone() -> None:
    """What `bf16-mixed` asks a GPU for, by the CPU's own bfloat16."""
    from cry_pipeline.training.networks.lfeb import LfebAttentionLstm

    spec = LfebAttentionLstmSpec.model_validate(
        {"kind": "lfeb_attention_lstm", "bins": 16, "channels": (4, 6, 6, 8), "heads": 2, "lstm_units": 8}
    )
    torch.manual_seed(0)
    network = LfebAttentionLstm(5, spec).eval()
    images, lengths = torch.randn(8, 3, 16, 40), torch.full((8,), 40)
    with torch.inference_mode():
        exact = network(images, lengths)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = network(images, lengths).float()
    assert not torch.equal(exact, mixed)
    torch.testing.assert_close(exact.softmax(1), mixed.softmax(1), atol=0.02, rtol=0)
