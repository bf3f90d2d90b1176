"""What a network of this project is.

Belongs here: the interface. Does not: any layers.
"""

import torch
from torch import Tensor, nn

from cry_pipeline.training.resolved import RANDOM, StartingWeights


class Network(nn.Module):
    """Maps ``images [batch, planes, bins, columns]`` and ``lengths [batch]`` to logits ``[batch, classes]``."""

    def start(self, weights: StartingWeights | None) -> str:
        """Set the weights that training starts from, ``weights`` if the network asks for any; return which these are.

        Raises:
            ResolutionError: the network asks for weights, and nobody found out which there are; or they are gone.
        """
        return RANDOM

    def forward(self, images: Tensor, lengths: Tensor) -> Tensor:
        """Return logits ``[batch, classes]``; what lies in columns behind a recording's own must not matter."""
        raise NotImplementedError


def is_valid(lengths: Tensor, columns: int) -> Tensor:
    """Return bool ``[batch, columns]``: whether a column belongs to the recording."""
    return torch.arange(columns, device=lengths.device) < lengths[:, None]
