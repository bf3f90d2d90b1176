"""The article's two-level network: local feature extraction blocks, then attention and an LSTM.

Belongs here: the layers, and that padding cannot be seen through them. Does not: making hybrid images
(features/hybrid.py), losses, optimisers and softmax (trainer.py).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cry_pipeline.catalog.networks import LfebAttentionLstmSpec
from cry_pipeline.training.networks.base import Network, is_valid
from cry_pipeline.training.networks.covariance import LogCovariance


class LocalFeatureBlock(nn.Module):
    """LFEB: Conv 3×3 → ReLU → dropout (of whole channels) → batch norm → max pool.

    Dropping whole channels (``Dropout2d``) instead of single values costs a random number per channel, not
    per value; on a CPU that is a quarter of the training time.
    """

    def __init__(self, inputs: int, outputs: int, time_pool: int, dropout: float) -> None:
        super().__init__()
        self.time_pool = time_pool
        self.convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        self.normalisation = nn.BatchNorm2d(outputs)
        self.pool = nn.MaxPool2d((2, time_pool))

    def forward(self, images: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``images [batch, inputs, rows, columns]`` to ``[batch, outputs, rows // 2, columns // time_pool]``.

        ``lengths [batch]`` counts the columns that are not padding, before and (second result) after pooling.
        A last column that does not fill a pool is dropped whether padding follows it or not, and what the
        convolution and the bias leaked into the padding is zeroed, as the next convolution's own border is.
        """
        x = torch.relu(self.convolution(images))
        x = self.pool(self.normalisation(self.dropout(x)))
        lengths = lengths // self.time_pool
        return x * is_valid(lengths, x.shape[-1])[:, None, None, :], lengths


class LfebAttentionLstm(Network):
    """Four LFEBs → linear over rows and channels → multi-head attention → LSTM → mean over time → linear.

    The blocks leave a sixteenth of the rows; a linear map of all rows and channels of a column pools them away.
    The attention is residual and layer-normalised. Two choices are measured (AUC of the cry target on donors held
    out of training folds; 3 folds × 2 seeds, frame_pool 8, dropout 0.1; .893 without either): the mean of the
    LSTM's outputs over a recording's own columns instead of its last output, as a cry may lie anywhere (.909), and
    the linear map instead of a mean over the rows (.904; both .915).

    Args:
        classes: number of logits.
        spec: channels and time pools of the blocks, heads, LSTM units and dropout.
    """

    def __init__(self, classes: int, spec: LfebAttentionLstmSpec) -> None:
        super().__init__()
        self.shortest = math.prod(spec.time_pools)
        inputs = (len(spec.planes), *spec.channels[:-1])
        self.blocks = nn.ModuleList(
            LocalFeatureBlock(*sizes, spec.dropout)
            for sizes in zip(inputs, spec.channels, spec.time_pools, strict=True)
        )
        units = spec.channels[-1]
        self.rows = nn.Linear(units * (spec.bins // 2 ** len(spec.channels)), units)
        self.attention = nn.MultiheadAttention(units, spec.heads, batch_first=True)
        self.attention_norm = nn.LayerNorm(units)
        self.lstm = nn.LSTM(units, spec.lstm_units, batch_first=True)
        self.dropout = nn.Dropout(spec.dropout)
        self.output = nn.Linear(spec.lstm_units, classes)
        self.covariance = None
        if spec.covariance_bands:
            self.plane = spec.planes.index("mel")
            self.covariance = LogCovariance(spec.bins, spec.covariance_bands, spec.covariance_ridge)
            self.covariance_norm = nn.BatchNorm1d(self.covariance.outputs, affine=False)
            self.covariance_output = nn.Linear(self.covariance.outputs, classes)
        # Channels-last convolutions take about two thirds of the time on a CPU; values and keys are the same.
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, images: Tensor, lengths: Tensor) -> Tensor:
        """Return logits ``[batch, classes]``, float32.

        Args:
            images: standardised hybrid images ``[batch, planes, bins, columns]``, float32; the content of padding
                columns does not matter.
            lengths: columns of each recording ``[batch]``, int64, at least 1. A recording too short to leave
                a column after pooling (under 8 columns by default, half a second) is taken as if
                followed by columns of the training mean.
        """
        together = 0.0 if self.covariance is None else self._together(self.covariance, images, lengths)
        images = images * is_valid(lengths, images.shape[-1])[:, None, None, :]
        images = functional.pad(images, (0, max(self.shortest - images.shape[-1], 0)))
        x = images.contiguous(memory_format=torch.channels_last)
        lengths = lengths.clamp(min=self.shortest)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        x = self.rows(x.flatten(start_dim=1, end_dim=2).transpose(1, 2))
        x = self._attend(x, ~is_valid(lengths, x.shape[1]))
        # The LSTM runs forward only, so that its outputs at valid columns have seen no padding.
        steps, _ = self.lstm(x)
        mean = (steps * is_valid(lengths, steps.shape[1])[:, :, None]).sum(dim=1) / lengths[:, None]
        return self.output(self.dropout(mean)) + together

    def _together(self, covariance: LogCovariance, images: Tensor, lengths: Tensor) -> Tensor:
        """Return what the covariance of the mel plane adds to the logits ``[batch, classes]``."""
        values = self.covariance_norm(covariance(images[:, self.plane], lengths))
        # Over the root of their number, as there are thousands: else these weights would be learned in a few steps.
        return self.covariance_output(self.dropout(values) / values.shape[1] ** 0.5)

    def _attend(self, x: Tensor, padding: Tensor) -> Tensor:
        """softmax(QKᵀ/√d)·V over the columns of ``x [batch, columns, channels]`` that are not ``padding``."""
        attended, _ = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)
        return self.attention_norm(x + attended)
