"""One traced member → the graph of all members of a run, each with its own weights, and what is made of them.

Belongs here: nodes and initializers of ONNX. Does not: tracing (export.py), whose time grows with what is traced; the
members of a run are of one spec, so one is traced and stands for all.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

    Names = Mapping[str, str]


def composed(body: "ModelProto", members: "Sequence[Mapping[str, np.ndarray]]", head: "ModelProto") -> "ModelProto":
    """Return a graph that runs ``body`` once for each of ``members`` and ``head`` on their answers, one below another.

    What does not depend on a member's weights is computed once for all.

    Args:
        body: with one output ``[1, values]``, as traced with the weights of any member.
        members: by name of an initializer of ``body``, the values that a member has there.
        head: with one input ``[members, values]``.

    Raises:
        ValueError: a node of ``body`` holds a graph of its own, which is not looked into.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(body)
    graph, traced, (answer,) = made.graph, body.graph, body.graph.output
    own = _depending(traced, members[0].keys())
    for field in (graph.node, graph.initializer, graph.output, graph.value_info):
        del field[:]
    graph.initializer.extend(one for one in traced.initializer if one.name not in own)
    graph.node.extend(node for node in traced.node if node.output[0] not in own)
    for number, values in enumerate(members):
        names = {name: f"{number}.{name}" for name in own}
        graph.initializer.extend(
            onnx.numpy_helper.from_array(values[one.name], names[one.name])
            for one in traced.initializer
            if one.name in own
        )
        graph.node.extend(_renamed(node, names) for node in traced.node if node.output[0] in own)
    answers = [f"{number}.{answer.name}" for number in range(len(members))]
    kept = {output.name for output in head.graph.output}
    inner = [*(one.name for one in head.graph.initializer), *(name for node in head.graph.node for name in node.output)]
    names = {name: f"head.{name}" for name in [head.graph.input[0].name, *inner] if name not in kept}
    graph.node.append(onnx.helper.make_node("Concat", answers, [names[head.graph.input[0].name]], axis=0))
    for one in head.graph.initializer:
        graph.initializer.add().CopyFrom(one)
        graph.initializer[-1].name = names[one.name]
    graph.node.extend(_renamed(node, names) for node in head.graph.node)
    graph.output.extend(head.graph.output)
    return made


def _depending(graph: "GraphProto", weights: "Collection[str]") -> set[str]:
    """Return the names in ``graph`` of ``weights``, and of all that is computed from them."""
    own = {one.name for one in graph.initializer if one.name in weights}
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ValueError(f"{node.name} ({node.op_type}) holds a graph, which cannot be repeated by member")
        if own.intersection(node.input):
            own.update(node.output)
    return own


def _renamed(node: "NodeProto", names: "Names") -> "NodeProto":
    import onnx

    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.name = ""
    made.input[:] = [names.get(name, name) for name in node.input]
    made.output[:] = [names.get(name, name) for name in node.output]
    return made
