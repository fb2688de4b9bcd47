"""Writes the backend cases of the `onnx` package for the operators that bittrue reads.

usage: collect.py FOLDER

A case becomes FOLDER/NAME/{model.onnx,input.npy,output.npy}. bittrue feeds one input to a network and
reads one output, so the first of each stay and the other inputs become initializers. The first axis of
a network's input is its batch: cases of operators that know no batch, with fewer than four axes, get
a batch of one before their sizes, which changes no value (Softmax only where it is over the first
axis). `cases.txt` lists the names in order.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

OPERATORS = """
Conv Gemm MatMul BatchNormalization Relu Clip LeakyRelu Sigmoid HardSigmoid HardSwish MaxPool
AveragePool GlobalAveragePool GlobalMaxPool ReduceMean Add Sub Mul Div Sum Concat Flatten Reshape
Squeeze Unsqueeze Transpose Pad Identity Dropout Softmax LRN QuantizeLinear DequantizeLinear
QLinearConv QLinearMatMul ConvInteger MatMulInteger
""".split()
# Operators whose cases may get a batch: elements are computed alike wherever they are, and an axis
# attribute moves with the axes.
BATCHED = """
Add Sub Mul Div Sum Clip Relu LeakyRelu Sigmoid HardSigmoid HardSwish Identity Dropout QuantizeLinear
DequantizeLinear Concat Softmax
""".split()
OPSETS = range(9, 22)


def array(value):
    """A test's value, some of which are kept as messages, in float32."""
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    return np.asarray(value).astype(np.float32)


def tensor(value, name):
    """The same as an initializer."""
    if isinstance(value, onnx.TensorProto):
        message = onnx.TensorProto()
        message.CopyFrom(value)
        message.name = name
        return message
    return numpy_helper.from_array(np.asarray(value), name)


def freeze(model, inputs):
    """All inputs but the first as initializers."""
    graph = model.graph
    kept = list(graph.input)[:1]
    for info, value in list(zip(graph.input, inputs))[1:]:
        graph.initializer.append(tensor(value, info.name))
    del graph.input[:]
    graph.input.extend(kept)


def sized(info, array):
    """States the sizes of an input or output."""
    shape = info.type.tensor_type.shape
    del shape.dim[:]
    for size in array.shape:
        shape.dim.add().dim_value = size


def batched(model, inputs, outputs):
    """The same case with a batch of one, where it has none."""
    node = model.graph.node[0]
    rank = np.ndim(inputs[0])
    scales = node.op_type.endswith("Linear") and len(inputs) > 1 and np.size(inputs[1]) > 1
    axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
    softened = node.op_type == "Softmax" and axis % max(rank, 1) != 0
    arrays = all(isinstance(value, (np.ndarray, np.generic)) for value in inputs)
    if node.op_type not in BATCHED or not arrays or rank > 3 or scales or softened:
        return inputs, outputs
    joined = node.op_type == "Concat"
    inputs = [np.asarray(v)[np.newaxis] if joined or index == 0 else v for index, v in enumerate(inputs)]
    outputs = [np.asarray(outputs[0])[np.newaxis]]
    for attribute in node.attribute:
        if attribute.name == "axis" and attribute.i >= 0:
            attribute.i += 1
    sized(model.graph.input[0], inputs[0])
    sized(model.graph.output[0], outputs[0])
    return inputs, outputs


def main(folder):
    names = []
    for case in collect_testcases(None):
        model = case.model
        operators = [node.op_type for node in model.graph.node]
        versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        if case.kind != "node" or len(operators) != 1 or operators[0] not in OPERATORS:
            continue
        # Later opsets changed none of these operators' meaning in the cases of one operator.
        if not versions or max(versions) not in OPSETS:
            for entry in model.opset_import:
                if entry.domain in ("", "ai.onnx"):
                    entry.version = OPSETS[-1]
        del model.graph.output[1:]
        inputs, outputs = batched(model, *case.data_sets[0])
        freeze(model, inputs)
        target = pathlib.Path(folder) / case.name
        target.mkdir(parents=True, exist_ok=True)
        onnx.save(model, target / "model.onnx")
        np.save(target / "input.npy", array(inputs[0]))
        np.save(target / "output.npy", array(outputs[0]))
        names.append(case.name)
    (pathlib.Path(folder) / "cases.txt").write_text("\n".join(names) + "\n")
    print(f"{len(names)} cases of onnx {onnx.__version__}")


if __name__ == "__main__":
    main(sys.argv[1])
