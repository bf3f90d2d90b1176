"""Running an exported graph with onnxruntime.

Belongs here: opening a graph that stands alone, and giving it samples. Does not: making the graph (export.py), and what
follows from its probabilities (predict.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnxruntime

TOLERANCE = 1e-4
"""Largest difference of a probability between a graph, torch, and the stored predictions."""
SAMPLES, PROBABILITIES, MEMBERS = "samples", "probabilities", "members"
"""Names of a graph's input and outputs."""
_HOLDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""By message of onnx.proto, its fields that hold, at whatever depth, nodes and tensors."""
_DOMAIN, _ELSEWHERE = 7, (13, 14)
"""A node's field that says whose operator it is; a tensor's that say which other file holds its values."""
_STANDARD = (b"", b"ai.onnx")


class GraphError(ValueError):
    """A graph cannot be run, or does not stand alone; the message says why."""


def open_graph(model: Path | bytes, where: Path | str = "the graph") -> "onnxruntime.InferenceSession":
    """Return a session of the graph in a file, or in a file's content, which ``where`` says where it is from.

    One thread: a graph takes some ms, threads would mostly wait for each other, and sums stay in one order.

    Raises:
        GraphError: it is none, takes values from another file, or has an operator that is not of ONNX itself.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states  # pyright: ignore[reportAttributeAccessIssue]

    content = model if isinstance(model, bytes) else model.read_bytes()
    check_stands_alone(content, where)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    refusals = (states.Fail, states.InvalidGraph, states.InvalidProtobuf, states.InvalidArgument, states.NotImplemented)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (*refusals, RuntimeError) as error:
        raise GraphError(f"{where} cannot be run: {str(error).splitlines()[0]}") from error


def check_stands_alone(model: bytes, where: Path | str = "the graph") -> None:
    """Raise unless a graph holds all its values, and only operators of ONNX itself.

    onnxruntime reads the values of a tensor from any file that the graph names. The base has no package ``onnx``, so
    the fields are looked at by their numbers.

    Raises:
        GraphError: says what it holds.
    """
    from google.protobuf.message import DecodeError

    try:
        for message, fields in _messages(model):
            if message == "tensor" and any(fields.get(number, 0) for number in _ELSEWHERE):
                raise GraphError(f"{where} takes values from another file, which no graph of ours does: do not use it")
            if message == "node" and (domain := fields.get(_DOMAIN, b"")) not in _STANDARD:
                raise GraphError(f"{where} has an operator of {domain!r}, which is not of ONNX itself: do not use it")
    except DecodeError as error:
        raise GraphError(f"{where} is no ONNX: make it again") from error


def _messages(model: bytes) -> Iterator[tuple[str, dict[int, Any]]]:
    """Yield each message in a graph that may hold nodes or tensors, with the last value of each of its fields."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.unknown_fields import UnknownFieldSet

    waiting = [("model", model)]
    while waiting:
        message, content = waiting.pop()
        fields: list[Any] = [*UnknownFieldSet(Empty.FromString(content))]  # pyright: ignore[reportGeneralTypeIssues]
        yield message, {field.field_number: field.data for field in fields}
        held = _HOLDS[message]
        waiting += [
            (held[field.field_number], field.data)
            for field in fields
            if field.field_number in held and isinstance(field.data, bytes)
        ]


def run_graph(graph: "onnxruntime.InferenceSession", samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean probabilities ``[1, classes]`` and those of each member ``[members, classes]``, float32.

    Args:
        graph: from :func:`open_graph`.
        samples: float32 ``[samples]`` at the rate of the bundle's feature set.
    """
    probabilities, members = graph.run([PROBABILITIES, MEMBERS], {SAMPLES: samples[None]})
    return np.asarray(probabilities), np.asarray(members)
