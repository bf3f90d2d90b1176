"""What a network of this project is.

Belongs here: the interface. Does not: any layers.
"""

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Maps ``images [batch, planes, bins, columns]`` and ``lengths [batch]`` to logits ``[batch, classes]``."""

    def start(self) -> str:
        """Set the weights that training starts from; return, for the provenance, which these are."""
        return "random"

    def forward(self, images: Tensor, lengths: Tensor) -> Tensor:
        """Return logits ``[batch, classes]``; what lies in columns behind a recording's own must not matter."""
        raise NotImplementedError


def is_valid(lengths: Tensor, columns: int) -> Tensor:
    """Return bool ``[batch, columns]``: whether a column belongs to the recording."""
    return torch.arange(columns, device=lengths.device) < lengths[:, None]
