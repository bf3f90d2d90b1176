"""What this machine makes of what a run asks for: where networks are trained, how precisely, from which weights.

Belongs here: finding it out, once for all folds of a run and before its digest is made, which holds it. Does not:
training (trainer.py), and putting weights into a network (networks/).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cry_pipeline.accelerators import finds_gpu
from cry_pipeline.artefacts import read_plain, write_atomically
from cry_pipeline.catalog.networks import NetworkSpec, ResNet50AttentionSpec
from cry_pipeline.digests import sha256_of

LOG = logging.getLogger("cry_pipeline")
Accelerator = Literal["cpu", "gpu", "mps"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
IMAGENET = "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"
"""torchvision's IMAGENET1K_V2; the digits are the start of the file's sha256."""
PATIENCE_S = (10, 60)
"""How long to wait for a connection, and for the next bytes."""
RANDOM = "random"


class ResolutionError(RuntimeError):
    """What a run asks for cannot be had here; the message says what to change."""


@dataclass(frozen=True)
class StartingWeights:
    """Published weights: the sha256 of the file at ``path``, or ``random`` where there is none."""

    sha256: str = RANDOM
    path: Path | None = None

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            ResolutionError: it is gone, or no more the file that was found when the run began.
        """
        if self.path is None:
            raise ResolutionError("Random weights are in no file.")
        try:
            content = read_plain(self.path)
        except OSError as error:
            raise ResolutionError(f"{self.path}, which the run started from, cannot be read: {error}") from error
        if sha256_of(content) != self.sha256:
            raise ResolutionError(f"{self.path} is no more the file that the run started from; train it again.")
        return content


@dataclass(frozen=True)
class Resolved:
    """Where networks are trained (the class of machine, not which), in which precision, and what they start from.

    ``weights`` are None where no network asks for any.
    """

    accelerator: Accelerator = "cpu"
    precision: Precision = "32-true"
    weights: StartingWeights | None = None

    @property
    def parts(self) -> dict[str, str]:
        """What of it enters a run's digest."""
        machine = {"accelerator": self.accelerator, "precision": self.precision}
        return machine if self.weights is None else {**machine, "weights": self.weights.sha256}


ON_A_CPU = Resolved()


def resolve(networks: Sequence[NetworkSpec], accelerator: str, device: int = 0) -> Resolved | None:
    """Return what ``networks`` are trained with on this machine; None where there are none.

    Raises:
        ResolutionError: a GPU is asked for that torch does not find.
    """
    if not networks:
        return None
    where = accelerator_of(accelerator)
    wants = any(isinstance(spec, ResNet50AttentionSpec) and spec.weights == "imagenet" for spec in networks)
    return Resolved(where, precision_of(where, device), imagenet() if wants else None)


def accelerator_of(asked: str) -> Accelerator:
    """Return what ``asked`` (auto, cpu, gpu or mps) stands for on this machine.

    ``auto`` is an NVIDIA GPU where there is one, else the CPU: Apple's MPS gives other numbers, and is taken only where
    it is asked for.

    Raises:
        ResolutionError: torch does not find what is asked for.
    """
    if asked == "cpu":
        return "cpu"
    if asked == "mps":
        import torch

        if not torch.backends.mps.is_available():
            raise ResolutionError(
                "CRY_PIPELINE_ACCELERATOR is mps, but torch finds no MPS here; set it to auto or cpu."
            )
        return "mps"
    if finds_gpu():
        return "gpu"
    if asked == "gpu":
        raise ResolutionError("CRY_PIPELINE_ACCELERATOR is gpu, but torch finds no GPU here; set it to auto or cpu.")
    return "cpu"


def precision_of(accelerator: Accelerator, device: int = 0) -> Precision:
    """Return how networks are trained: in mixed precision on an NVIDIA GPU, in float32 elsewhere.

    On a GPU that knows bfloat16 its range makes the scaling of losses needless; older ones take float16.
    """
    if accelerator != "gpu":
        return "32-true"
    import torch

    with torch.cuda.device(device):
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def imagenet() -> StartingWeights:
    """Return ImageNet's weights, fetched into torch's folder of them if need be; random where they cannot be had.

    Which of these it is enters the run's digest: should they be had the next time, that is another run.
    """
    import requests
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET.rpartition("/")[2]
    try:
        if path.exists():
            return StartingWeights(_checked(read_plain(path), path), path)
        return _fetched(path)
    except (OSError, requests.RequestException, ResolutionError) as error:
        LOG.warning("ImageNet's weights cannot be had (%s); this run starts from random ones, and says so.", error)
        return StartingWeights()


def _fetched(path: Path) -> StartingWeights:
    import requests

    with requests.get(IMAGENET, timeout=PATIENCE_S) as answer:
        answer.raise_for_status()
        sha256 = _checked(answer.content, IMAGENET)
        write_atomically(path, lambda temporary: temporary.write_bytes(answer.content))
    return StartingWeights(sha256, path)


def _checked(content: bytes, where: Any) -> str:
    """Return the sha256 of the weights; other bytes than the published ones are an error."""
    sha256 = sha256_of(content)
    wanted = Path(IMAGENET).stem.rpartition("-")[2]
    if not sha256.startswith(wanted):
        raise ResolutionError(f"{where} has the sha256 {sha256[:8]}…, not {wanted}…; delete it if it is a file")
    return sha256
