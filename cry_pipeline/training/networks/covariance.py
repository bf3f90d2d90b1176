"""How rows of an image vary together over its columns, as a layer: the logarithm of their covariance.

Belongs here: the layer; asked, it takes matrix products only, so that it is exported everywhere. Does not: the same of
stored features in NumPy (training/covariances.py).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cry_pipeline.training.networks.base import is_valid

ITERATIONS = (22, 14, 10, 8, 7)
"""Newton-Schulz steps for each of the square roots taken one after the other, which come ever closer to the identity:
log A ≈ 2ⁿ · (R − R⁻¹) / 2 with R = A^(1/2ⁿ), to 2 % at a ratio of 10⁴."""
ROOTS = len(ITERATIONS)
EXACTLY = (*ITERATIONS, 6, 6), 5
"""Iterations and terms of :func:`logarithm` that give it, in float64, to 1e-8 at a ratio of 10⁵."""
ASINH = (1.0, -1 / 6, 3 / 40, -15 / 336, 105 / 3456)
"""asinh x ≈ x − x³ / 6 + 3 x⁵ / 40 − …"""


class LogCovariance(nn.Module):
    """``[batch, rows, columns]`` to the upper triangle of log(C + ridge · I), ``[batch, d · (d + 1) / 2]``.

    C is the covariance, over a recording's own columns, of ``bands`` means of neighbouring rows and of their change
    x[t + 1] − x[t − 1] (0 at the ends): d is twice ``bands``. Off the diagonal the values are multiplied by √2. What
    is constant over a recording, as its loudness, does not matter.
    """

    upper: Tensor
    weights: Tensor

    def __init__(self, rows: int, bands: int, ridge: float) -> None:
        super().__init__()
        if rows % bands:
            raise ValueError(f"{bands} bands do not divide {rows} rows")
        self.bands, self.ridge = bands, ridge
        self.width = 2 * bands
        upper = torch.triu_indices(self.width, self.width)
        self.register_buffer("upper", upper[0] * self.width + upper[1], persistent=False)
        self.register_buffer("weights", torch.where(upper[0] == upper[1], 1.0, 2**0.5), persistent=False)
        self.outputs = len(upper[0])

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the values of each recording; ``lengths [batch]`` are its own columns, padding does not matter."""
        valid = is_valid(lengths, x.shape[2])[:, None, :]
        levels = x.unflatten(1, (self.bands, -1)).mean(dim=2) * valid
        inner = valid[..., 2:] & valid[..., :-2]
        change = nn.functional.pad((levels[..., 2:] - levels[..., :-2]) * inner, (1, 1))
        levels = torch.cat([levels, change], dim=1)
        count = lengths[:, None, None].to(levels.dtype)
        levels = (levels - levels.sum(dim=2, keepdim=True) / count) * valid
        covariance = levels @ levels.transpose(1, 2) / count
        covariance = covariance + self.ridge * torch.eye(self.width, device=x.device, dtype=levels.dtype)
        # In training by eigenvalues, which takes a fifth of the time but is not to be had in ONNX.
        logarithms = logarithm_by_eigenvalues(covariance) if self.training else logarithm(covariance)
        return logarithms.flatten(start_dim=1)[:, self.upper] * self.weights


def logarithm(matrices: Tensor, iterations: Sequence[int] = ITERATIONS, terms: int = 1) -> Tensor:
    """Return the logarithms of symmetric positive definite ``matrices [batch, d, d]``, by matrix products only.

    With R the root that is left after as many square roots as there are ``iterations``, n, log A = 2ⁿ · asinh S with
    S = (R − R⁻¹) / 2, of whose series the first ``terms`` are taken; see :data:`EXACTLY` for more than the default's.
    """
    identity = torch.eye(matrices.shape[1], device=matrices.device, dtype=matrices.dtype)
    # The largest eigenvalue is at most the largest row sum; taken out, and put back as its logarithm.
    scale = matrices.abs().sum(dim=2).amax(dim=1)[:, None, None]
    root, inverse = matrices / scale, identity
    for steps in iterations:
        root, inverse = _square_roots(root, identity, steps)
    sine = (root - inverse) / 2
    square, power, series = sine @ sine, sine, sine
    for factor in ASINH[1:terms]:
        power = power @ square
        series = series + factor * power
    return 2 ** len(iterations) * series + scale.log() * identity


def logarithm_by_eigenvalues(matrices: Tensor) -> Tensor:
    """Return what :func:`logarithm` does, its approximation included, to rounding."""
    scale = matrices.abs().sum(dim=2).amax(dim=1)[:, None]
    values, vectors = torch.linalg.eigh(matrices)
    # Rounding may take an eigenvalue near the ridge below 0.
    roots = (values / scale).clamp(min=torch.finfo(values.dtype).eps) ** 2.0**-ROOTS
    logs = 2 ** (ROOTS - 1) * (roots - 1 / roots) + scale.log()
    return (vectors * logs[:, None, :]) @ vectors.transpose(1, 2)


def _square_roots(matrices: Tensor, identity: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return square roots of matrices with eigenvalues in (0, 1], and their inverses, by coupled Newton-Schulz."""
    root, inverse = matrices, identity.expand_as(matrices)
    for _ in range(steps):
        step = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ step, step @ inverse
    return root, inverse
