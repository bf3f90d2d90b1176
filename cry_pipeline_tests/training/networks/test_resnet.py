"""The trunk is ResNet-50, padding is not seen, and where ImageNet's weights came from is told."""

import hashlib
import os
from pathlib import Path

import pytest
import torch

from cry_pipeline.catalog import ResNet50AttentionSpec
from cry_pipeline.training.networks.resnet import ResNet50, ResNet50Attention
from cry_pipeline.training.resolved import ResolutionError, StartingWeights

SPEC = ResNet50AttentionSpec(kind="resnet50_attention", units=16, heads=2)


@pytest.fixture(scope="module")
def network() -> ResNet50Attention:
    """A network whose batch norms have statistics of their own, in eval mode."""
    torch.manual_seed(0)
    network = ResNet50Attention(2, SPEC)
    with torch.no_grad():
        network(torch.randn(4, 3, 32, 70), torch.full((4,), 70))
    return network.eval()


def test_keys_and_sizes_are_those_of_the_published_resnet50() -> None:
    trunk = ResNet50(3)
    state = trunk.state_dict()
    # 25,557,032 parameters, of which 2,049,000 in its classifier; 320 entries, of which two.
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 23_508_032
    assert len(state) == 318
    shapes = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer3.5.conv3.weight": (1024, 256, 1, 1),
        "layer4.2.bn3.num_batches_tracked": (),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


@pytest.mark.parametrize("length", [1, 33, 58])
def test_padding_in_a_batch_does_not_change_logits(network: ResNet50Attention, length: int) -> None:
    alone = torch.randn(1, 3, 32, length)
    padded = torch.randn(2, 3, 32, 70) * 100
    padded[1, :, :, :length] = alone[0]
    with torch.inference_mode():
        expected = network(alone, torch.tensor([length]))[0]
        found = network(padded, torch.tensor([70, length]))[1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_weights_that_could_not_be_had_are_noted_and_those_nobody_looked_for_are_an_error() -> None:
    wants = ResNet50Attention(2, SPEC.model_copy(update={"weights": "imagenet"}))
    assert wants.start(StartingWeights()) == "random: ImageNet's weights could not be had"
    with pytest.raises(ResolutionError, match="nobody looked for them"):
        wants.start(None)
    assert ResNet50Attention(2, SPEC).start(None) == "random"


def test_weights_that_can_be_had_fill_the_trunk(tmp_path: Path) -> None:
    given = {name: torch.full_like(value, 2) for name, value in ResNet50(3).state_dict().items()}
    given |= {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    torch.save(given, tmp_path / "weights.pth")
    sha256 = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    network = ResNet50Attention(2, SPEC.model_copy(update={"weights": "imagenet"}))
    assert network.start(StartingWeights(sha256, tmp_path / "weights.pth")).endswith(f"sha256 {sha256}")
    assert all((value == 2).all() for value in network.trunk.state_dict().values())


class _Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("content", ["code", "code beside weights", "no dictionary", "cut", "others"])
def test_a_file_of_weights_that_holds_code_or_no_weights_is_refused_and_nothing_of_it_is_run(
    tmp_path: Path, content: str
) -> None:
    """Even if its sha256 were right: somebody may have written both."""
    payload, weights = _Payload(tmp_path / "it ran"), tmp_path / "weights.pth"
    made = {
        "code": payload,
        "code beside weights": {**ResNet50(3).state_dict(), "fc.bias": payload},
        "no dictionary": [1],
        "cut": {"conv1.weight": torch.zeros(9)},
        "others": {"conv1.weight": torch.zeros(9)},
    }[content]
    torch.save(made, weights)
    if content == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    network = ResNet50Attention(2, SPEC.model_copy(update={"weights": "imagenet"}))
    with pytest.raises(ResolutionError, match=r"weights\.pth holds more than weights, or others .*: delete it"):
        network.start(StartingWeights(sha256, weights))
    assert not payload.folder.exists()


def test_imagenets_weights_are_for_three_planes() -> None:
    with pytest.raises(ValueError, match="planes: ImageNet's weights are for three planes"):
        ResNet50AttentionSpec(kind="resnet50_attention", weights="imagenet", planes=("mel",))
