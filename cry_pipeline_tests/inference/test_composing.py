"""A graph that is composed of one traced member gives what each member and what stands behind them give."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cry_pipeline.inference.composing import composed

OPSET = [helper.make_opsetid("", 20)]


def model(
    nodes: list[onnx.NodeProto], inputs: dict, outputs: dict, initializers: dict[str, np.ndarray]
) -> onnx.ModelProto:
    described = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
        for values in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in initializers.items()]
    graph = helper.make_graph(nodes, "made_up", *described, initializer=tensors)
    return helper.make_model(graph, opset_imports=OPSET, ir_version=10)


def body_of(weight: np.ndarray) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["doubled"], name="shared"),
        helper.make_node("MatMul", ["doubled", "member.weight"], ["sums"], name="own"),
        helper.make_node("Add", ["sums", "two"], ["answer"], name="behind own"),
    ]
    values = {"two": np.array([2], np.float32), "member.weight": weight}
    return model(nodes, {"x": [1, 3]}, {"answer": [1, 2]}, values)


def head_of(members: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Mul", ["answer", "two"], ["each"]),
        helper.make_node("ReduceMean", ["each", "axes"], ["mean"], keepdims=1),
    ]
    values = {"two": np.array([0.5], np.float32), "axes": np.array([0], np.int64)}
    return model(nodes, {"answer": [members, 2]}, {"mean": [1, 2], "each": [members, 2]}, values)


def test_each_member_has_its_weights_and_what_is_of_none_is_computed_once() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(3, 2)).astype(np.float32) for _ in range(3)]
    made = composed(body_of(weights[0]), [{"member.weight": weight} for weight in weights], head_of(3))
    onnx.checker.check_model(made)
    assert [node.op_type for node in made.graph.node].count("MatMul") == 3
    # Once in the body, once in the head: names that both have are not confused.
    assert [node.op_type for node in made.graph.node].count("Mul") == 2
    x = rng.normal(size=(1, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    mean, each = map(np.asarray, session.run(["mean", "each"], {"x": x}))
    expected = np.concatenate([2 * x @ weight + 2 for weight in weights]) * 0.5
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    np.testing.assert_allclose(mean, expected.mean(axis=0, keepdims=True), rtol=1e-6)


def test_a_body_with_a_graph_in_it_is_refused() -> None:
    inner = helper.make_graph([], "then", [], [helper.make_tensor_value_info("two", TensorProto.FLOAT, [1])])
    body = body_of(np.ones((3, 2), np.float32))
    body.graph.node.append(helper.make_node("If", ["x"], ["chosen"], then_branch=inner, else_branch=inner))
    with pytest.raises(ValueError, match="holds a graph"):
        composed(body, [{"member.weight": np.ones((3, 2), np.float32)}], head_of(1))
