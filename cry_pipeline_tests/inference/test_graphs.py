"""A graph that takes anything from outside of itself is not run, wherever that stands; nor is what is no graph."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cry_pipeline.inference.graphs import GraphError, check_stands_alone, open_graph, run_graph
from cry_pipeline_tests.inference.conftest import Made

SAMPLES = helper.make_tensor_value_info("samples", TensorProto.FLOAT, [1, "n"])
OUTPUTS = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("probabilities", "members")]


def graph_of(*nodes: onnx.NodeProto, initializers: list[TensorProto] | None = None) -> bytes:
    graph = helper.make_graph(list(nodes), "g", [SAMPLES], OUTPUTS, initializer=initializers or [])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def sums(name: str = "w") -> list[onnx.NodeProto]:
    return [helper.make_node("Add", ["samples", name], [output.name]) for output in OUTPUTS]


@pytest.fixture
def elsewhere(tmp_path: Path) -> TensorProto:
    """A tensor whose values are the bytes of somebody's file."""
    secret = tmp_path / "secret"
    secret.write_bytes(np.array([1, 2], np.float32).tobytes())
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(secret))
    return tensor


def test_graph_that_stands_alone_is_run(made: Made) -> None:
    check_stands_alone(made.graph.read_bytes())
    own = graph_of(*sums(), initializers=[numpy_helper.from_array(np.ones(2, np.float32), "w")])
    mean, members = run_graph(open_graph(own), np.zeros(2, np.float32))
    assert mean.tolist() == members.tolist() == [[1, 1]]


@pytest.mark.parametrize("place", ["initializer", "constant", "inner graph", "sparse", "without its location"])
def test_values_in_another_file_are_refused_wherever_they_are_named(elsewhere: TensorProto, place: str) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=elsewhere)
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [2])])
    sparse = onnx.SparseTensorProto(values=elsewhere, dims=[2])
    if place == "without its location":
        elsewhere.data_location = TensorProto.DEFAULT
    made = {
        "initializer": lambda: graph_of(*sums(), initializers=[elsewhere]),
        "without its location": lambda: graph_of(*sums(), initializers=[elsewhere]),
        "constant": lambda: graph_of(constant, *sums()),
        "inner graph": lambda: graph_of(
            helper.make_node("If", ["c"], ["w"], then_branch=inner, else_branch=inner), *sums()
        ),
        "sparse": lambda: graph_of(helper.make_node("Constant", [], ["w"], sparse_value=sparse), *sums()),
    }[place]()
    with pytest.raises(GraphError, match="takes values from another file"):
        open_graph(made)


@pytest.mark.parametrize("domain", ["com.microsoft", "of.somebody"])
def test_operators_that_are_not_of_onnx_itself_are_refused(domain: str) -> None:
    with pytest.raises(GraphError, match=f"an operator of b'{domain}'"):
        open_graph(graph_of(helper.make_node("Gelu", ["samples"], ["probabilities"], domain=domain)))


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\x0b" * 10_000, b"PK\x03\x04", b"\xff" * 9])
def test_what_is_no_graph_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(GraphError, match=r"is no ONNX|cannot be run"):
        open_graph(content)


def test_an_operator_that_nobody_knows_ends_in_a_sentence() -> None:
    with pytest.raises(GraphError, match="cannot be run"):
        open_graph(graph_of(helper.make_node("Nonsense", ["samples"], ["probabilities"])))
