"""Running an exported graph with onnxruntime.

Belongs here: opening a graph and giving it samples. Does not: making the graph (export.py), and what follows from
its probabilities (predict.py).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime

TOLERANCE = 1e-4
"""Largest difference of a probability between a graph, torch, and the stored predictions."""
SAMPLES, PROBABILITIES, MEMBERS = "samples", "probabilities", "members"
"""Names of a graph's input and outputs."""


def open_graph(model: Path | bytes) -> "onnxruntime.InferenceSession":
    """Return a session of the graph in a file, or in a file's content.

    One thread: a graph takes some ms, threads would mostly wait for each other, and sums stay in one order.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run_graph(graph: "onnxruntime.InferenceSession", samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean probabilities ``[1, classes]`` and those of each member ``[members, classes]``, float32.

    Args:
        graph: from :func:`open_graph`.
        samples: float32 ``[samples]`` at the rate of the bundle's feature set.
    """
    probabilities, members = graph.run([PROBABILITIES, MEMBERS], {SAMPLES: samples[None]})
    return np.asarray(probabilities), np.asarray(members)
