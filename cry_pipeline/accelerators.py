"""Whether there is a GPU, found out without loading torch where that can be.

Belongs here: the one look that features and networks take. Does not: what either makes of a setting
(features/extraction.py, training/resolved.py).
"""

from functools import cache
from importlib.metadata import version


@cache
def finds_gpu() -> bool:
    """Return whether torch finds an NVIDIA GPU. A build for CPUs alone says so in its version, and is not loaded."""
    if version("torch").endswith("+cpu"):
        return False
    import torch

    return torch.cuda.is_available()
