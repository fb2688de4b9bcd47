"""Writes the backend cases of the `onnx` package for the operators that bittrue reads.

usage: collect.py FOLDER

A case becomes FOLDER/NAME/{model.onnx,input.npy,output.npy}. bittrue feeds one input to a network, so
the first input stays one and the others become initializers; batches stay batches. `cases.txt` lists
the names in order.
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
        inputs, outputs = case.data_sets[0]
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
