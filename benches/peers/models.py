"""Networks of random weights, quantized by ONNX Runtime's own quantizer to QLinear operators.

python models.py DIR: writes DIR/resnet50.onnx and DIR/mobilenet_v2.onnx, u8 activations and s8
weights per output channel, and DIR/input.npy, a batch of one. Weights are drawn as He et al. (2015)
initialise them, activations calibrated on four random images.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime.quantization as quantization
from onnx import TensorProto, helper, numpy_helper


class Graph:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def constant(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, op, inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, inputs, outputs, kernel, stride=1, groups=1, gain=2.0):
        fan = inputs // groups * kernel * kernel
        shape = (outputs, inputs // groups, kernel, kernel)
        weight = self.random.normal(0, np.sqrt(gain / fan), shape)
        bias = self.random.normal(0, 0.05, outputs)
        return self.node(
            "Conv",
            [x, self.constant(weight), self.constant(bias)],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
            group=groups,
        )

    def classify(self, x, features):
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        weight = self.random.normal(0, np.sqrt(1 / features), (features, 1000))
        return self.node("Gemm", [x, self.constant(weight), self.constant(np.zeros(1000))])

    def save(self, output, path):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [value("input", TensorProto.FLOAT, [1, 3, 224, 224])],
            [value(output, TensorProto.FLOAT, [1, 1000])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        onnx.save(onnx.shape_inference.infer_shapes(model), path)


def resnet50(path):
    """He et al., arXiv:1512.03385, Table 1; the stride in the 3×3 convolution."""
    g = Graph(1)
    x = g.node("Relu", [g.conv("input", 3, 64, 7, 2)])
    x = g.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    inputs = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        inner = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            y = g.node("Relu", [g.conv(x, inputs, inner, 1)])
            y = g.node("Relu", [g.conv(y, inner, inner, 3, stride)])
            y = g.conv(y, inner, 4 * inner, 1, gain=0.5)
            if block == 0:
                x = g.conv(x, inputs, 4 * inner, 1, stride, gain=1.0)
            x = g.node("Relu", [g.node("Add", [x, y])])
            inputs = 4 * inner
    g.save(g.classify(x, inputs), path)


def mobilenet_v2(path):
    """Sandler et al., arXiv:1801.04381, Table 2."""
    g = Graph(2)

    def relu6(x):
        low, high = g.constant(np.float32(0)), g.constant(np.float32(6))
        return g.node("Clip", [x, low, high])

    x, inputs = relu6(g.conv("input", 3, 32, 3, 2)), 32
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outputs, blocks, first in stages:
        for block in range(blocks):
            stride = first if block == 0 else 1
            inner = inputs * expansion
            y = relu6(g.conv(x, inputs, inner, 1)) if expansion > 1 else x
            y = relu6(g.conv(y, inner, inner, 3, stride, groups=inner))
            y = g.conv(y, inner, outputs, 1, gain=1.0)
            x = g.node("Add", [x, y]) if stride == 1 and inputs == outputs else y
            inputs = outputs
    x = relu6(g.conv(x, inputs, 1280, 1))
    g.save(g.classify(x, 1280), path)


class Images(quantization.CalibrationDataReader):
    def __init__(self, count):
        random = np.random.default_rng(3)
        self.images = [random.normal(0, 1, (1, 3, 224, 224)).astype(np.float32) for _ in range(count)]
        self.left = iter(self.images)

    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"input": image}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    images = Images(4)
    for make in [resnet50, mobilenet_v2]:
        path = folder / f"{make.__name__}.onnx"
        floats = folder / f"{make.__name__}_float.onnx"
        make(floats)
        images.left = iter(images.images)
        quantization.quantize_static(
            floats,
            path,
            images,
            quant_format=quantization.QuantFormat.QOperator,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
        floats.unlink()
    np.save(folder / "input.npy", images.images[0])


main()
