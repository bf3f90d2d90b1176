"""What a bundle says of made-up sounds that are no cries: a test of robustness beside the headline, never in it.

Belongs here: asking a graph, and the file of a bundle that holds the answers. Does not: the sounds
(corpus/synthetic/confusers.py), the card's words (card.py), and the page (reports).
"""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from cry_pipeline.corpus.synthetic.confusers import CONTROL, KINDS, REVISION, heard
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.inference.bundle import BundleError
from cry_pipeline.inference.graphs import open_graph, run_graph

LOG = logging.getLogger("cry_pipeline")
CONFUSERS = "confusers.json"
"""A file of the part ``cry`` of a bundle; of before, or where the catalog asks for none, it is not there."""


class Asked(BaseModel):
    """``confusers.json``: of each kind of sound, by name, the probability of a cry for each of its sounds."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    revision: int
    threshold: float
    probabilities: dict[str, tuple[float, ...]]

    def share(self, kind: str) -> Interval:
        """Return which share of a kind's sounds is called a cry, with Wilson's 95 % interval.

        The interval says how well so many sounds of this formula tell its own share. It says nothing about real ones.
        """
        from scipy.stats import binomtest

        said = np.asarray(self.probabilities[kind])
        called = int((said >= self.threshold).sum())
        between = binomtest(called, len(said)).proportion_ci(method="wilson")
        return Interval(value=called / len(said), low=float(between.low), high=float(between.high))

    def confusing(self, usual: float) -> list[str]:
        """Return the kinds of no cries that are clearly called one more often than ``usual``, the worst first.

        Args:
            usual: share of the corpus' own recordings without a cry that is called one.
        """
        shares = {kind: self.share(kind) for kind in self.probabilities if kind != CONTROL}
        clearly = [kind for kind, share in shares.items() if share.low > usual]
        return sorted(clearly, key=lambda kind: -shares[kind].value)


def asked_spec(sounds: int) -> dict[str, Any]:
    """Return what of this enters a bundle's key: how many sounds of each kind are asked, and which these are."""
    return {"sounds": sounds, "revision": REVISION} if sounds else {}


def made(sounds: int, sample_rate_hz: int) -> dict[str, list[np.ndarray]]:
    """Return ``sounds`` of each kind, float32 ``[samples]`` at ``sample_rate_hz``: as the apps would have sent them.

    Raises:
        EncodingError: the installed libav lacks an encoder.
    """
    LOG.info("Making %d sounds of each of %d kinds that may be taken for a cry", sounds, len(KINDS))
    names = [(kind, number) for kind in KINDS for number in range(sounds)]
    with ThreadPoolExecutor() as threads:
        all_of_them = list(threads.map(lambda name: heard(name[0], name[1], sample_rate_hz), names))
    return {kind: all_of_them[place * sounds : (place + 1) * sounds] for place, kind in enumerate(KINDS)}


def ask(model: Path, threshold: float, sounds: Mapping[str, list[np.ndarray]]) -> Asked:
    """Return what the graph at ``model``, of the part ``cry`` of a bundle, says of ``sounds`` by kind.

    Raises:
        GraphError: it cannot be run.
    """
    graph = open_graph(model.read_bytes(), model)
    said = {
        kind: tuple(float(run_graph(graph, samples)[0][0, 1]) for samples in of_kind)
        for kind, of_kind in sounds.items()
    }
    return Asked(revision=REVISION, threshold=threshold, probabilities=said)


def write_asked(folder: Path, asked: Asked) -> None:
    """Write ``asked`` into ``folder``, of the part ``cry`` of a bundle that has no manifest yet."""
    (folder / CONFUSERS).write_text(json.dumps(asked.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def read_asked(folder: Path) -> Asked | None:
    """Return what the bundle in ``folder``, which was verified, was asked; None where it was asked nothing.

    Raises:
        BundleError: the file is none of ours.
    """
    path = folder / "cry" / CONFUSERS
    if not path.exists():
        return None
    try:
        return Asked.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise BundleError(f"{path} does not say what was asked of the bundle: {error}") from error
