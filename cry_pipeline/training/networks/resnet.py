"""ResNet-50 with multi-head attention over what its trunk leaves of the image.

Belongs here: the layers, putting ImageNet's weights into them, and that padding cannot be seen through them. Does not:
finding these weights (resolved.py), making hybrid images (features/hybrid.py), losses and softmax (classifier.py).

The trunk is He et al. 2016 (doi 10.1109/CVPR.2016.90) with the stride in the 3×3 convolution; its state-dict keys are
those of torchvision's and timm's ``resnet50``, so that either's weights load.
"""

import io
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from cry_pipeline.catalog.networks import ResNet50AttentionSpec
from cry_pipeline.training.networks.base import Network, is_valid
from cry_pipeline.training.resolved import IMAGENET, RANDOM, ResolutionError, StartingWeights

BLOCKS, WIDTHS, EXPANSION = (3, 4, 6, 3), (64, 128, 256, 512), 4


class Bottleneck(nn.Module):
    """1×1 → 3×3 → 1×1 convolutions, each batch-normalised, around which the input passes by."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.stride = stride
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map features and their valid columns; padding is zeroed where the 3×3 convolution would look at it."""
        past = x if self.downsample is None else self.downsample(x)
        x = masked(torch.relu(self.bn1(self.conv1(x))), lengths)
        x = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(x)))))
        return torch.relu(x + past), reduced(lengths, self.stride)


class ResNet50(nn.Module):
    """The trunk: ``[batch, planes, bins, columns]`` to ``[batch, 2048, bins / 32, columns / 32]``, rounded up."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(planes, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs = 64
        for number, (blocks, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), 1):
            layer = nn.ModuleList()
            for block in range(blocks):
                layer.append(Bottleneck(inputs, width, 2 if number > 1 and block == 0 else 1))
                inputs = width * EXPANSION
            setattr(self, f"layer{number}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and their valid columns."""
        x, lengths = torch.relu(self.bn1(self.conv1(images))), reduced(lengths, 2)
        # After a ReLU a zero never wins a maximum over a value that counts.
        x, lengths = self.maxpool(masked(x, lengths)), reduced(lengths, 2)
        for number in range(1, len(BLOCKS) + 1):
            for block in getattr(self, f"layer{number}"):
                x, lengths = block(x, lengths)
        return x, lengths


class ResNet50Attention(Network):
    """Trunk → linear → attention of one query, the mean, over all places → linear.

    Args:
        classes: number of logits.
        spec: planes, width and heads of the attention, dropout, and which weights to start from.
    """

    def __init__(self, classes: int, spec: ResNet50AttentionSpec) -> None:
        super().__init__()
        self.wants_imagenet = spec.weights == "imagenet"
        self.trunk = ResNet50(len(spec.planes))
        self.narrow = nn.Linear(WIDTHS[-1] * EXPANSION, spec.units)
        self.attention = nn.MultiheadAttention(spec.units, spec.heads, batch_first=True)
        self.norm = nn.LayerNorm(spec.units)
        self.dropout = nn.Dropout(spec.dropout)
        self.output = nn.Linear(spec.units, classes)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def start(self, weights: StartingWeights | None) -> str:
        """Load ImageNet's weights into the trunk where the spec wants them and the run found them."""
        if not self.wants_imagenet:
            return RANDOM
        if weights is None:
            raise ResolutionError(
                "The network starts from ImageNet's weights, and nobody looked for them: see resolve()."
            )
        if weights.path is None:
            return f"{RANDOM}: ImageNet's weights could not be had"
        try:
            given = torch.load(io.BytesIO(weights.read()), map_location="cpu", weights_only=True)
            self.trunk.load_state_dict({name: value for name, value in given.items() if not name.startswith("fc.")})
        except (RuntimeError, UnpicklingError, AttributeError, EOFError) as error:  # it would run code, or is none
            first = str(error).partition("\n")[0]
            raise ResolutionError(f"{weights.path} holds more than weights, or others ({first}): delete it.") from error
        return f"ImageNet: {IMAGENET}, sha256 {weights.sha256}"

    def forward(self, images: Tensor, lengths: Tensor) -> Tensor:
        """Return logits ``[batch, classes]``, float32.

        Args:
            images: standardised hybrid images ``[batch, planes, bins, columns]``, float32.
            lengths: columns of each recording ``[batch]``, int64, at least 1.
        """
        x = masked(images, lengths).contiguous(memory_format=torch.channels_last)
        x, lengths = self.trunk(x, lengths)
        valid = is_valid(lengths, x.shape[3])[:, None, :].expand(-1, x.shape[2], -1).flatten(start_dim=1)
        places = self.narrow(x.flatten(start_dim=2).transpose(1, 2))
        query = (places * valid[:, :, None]).sum(dim=1, keepdim=True) / valid.sum(dim=1)[:, None, None]
        attended, _ = self.attention(query, places, places, key_padding_mask=~valid, need_weights=False)
        return self.output(self.dropout(self.norm(query + attended)[:, 0]))


def masked(x: Tensor, lengths: Tensor) -> Tensor:
    """Return ``x [batch, channels, rows, columns]`` with zeros behind each recording's own columns."""
    return x * is_valid(lengths, x.shape[3])[:, None, None, :]


def reduced(lengths: Tensor, stride: int) -> Tensor:
    """Return the columns left by a convolution of this stride that is padded to keep the size."""
    return (lengths + stride - 1) // stride
