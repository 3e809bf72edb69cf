"""Several trainings of one model as one graph, which answers with the mean of their logits.

Trainings that differ in their seeds err in different texts (deep ensembles, Lakshminarayanan et al. 2017). The graph
costs as much as all of them; nothing that runs it need know.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx.compose import add_prefix

from training.drift import ExportError

MOST_BYTES = 2**31 - 1  # of a graph in one file of Protocol Buffers
SEPARATOR = "/"  # after the member's number, before the name that a weight has in its own graph


def merged(graphs: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """One graph of them all, on the same inputs; every output is the mean of theirs.

    Args:
        graphs: of the same inputs and outputs, without functions. Names within the first begin with `1/`, of the
            second with `2/`, …

    Raises:
        ExportError: together they are larger than a graph can be.
    """
    size = sum(graph.ByteSize() for graph in graphs)
    if size > MOST_BYTES:
        raise ExportError(
            f"expected members of at most {MOST_BYTES / 1e9:.1f} GB together in float32, found {size / 1e9:.1f} GB in "
            f"{len(graphs)}; average fewer, or smaller ones"
        )
    if any(graph.functions for graph in graphs):  # which are not renamed
        raise ValueError("expected graphs without functions, found some")
    members = [add_prefix(graph, f"{at}{SEPARATOR}", rename_inputs=False) for at, graph in enumerate(graphs, 1)]
    whole = members[0]
    for member in members[1:]:
        whole.graph.node.extend(member.graph.node)
        whole.graph.initializer.extend(member.graph.initializer)
        whole.graph.value_info.extend(member.graph.value_info)
    del whole.graph.output[:]
    for output in graphs[0].graph.output:
        theirs = [f"{at}{SEPARATOR}{output.name}" for at in range(1, len(graphs) + 1)]
        whole.graph.node.append(onnx.helper.make_node("Mean", theirs, [output.name], name=f"mean of {output.name}"))
        whole.graph.output.append(output)
    return whole


def own_name(name: str) -> str:
    """The name that a weight of a merged graph, or of one alone, has in its own."""
    return name.rpartition(SEPARATOR)[2]
