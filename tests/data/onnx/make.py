"""Writes small ONNX models, and what ONNX Runtime computes of them.

usage: make.py FOLDER [SEED...]

Needs onnx 1.23.2, onnxruntime 1.32.0 and numpy 2.4.6. The models of this folder: `make.py . 0`. A case is
NAME.onnx and NAME_output.npy, the outputs with graph optimizations off for the four images of
NETWORK_input.npy, where NAME is NETWORK or NETWORK-KIND. Float networks (NETWORK-float) have the opset that
stands with them; `onnxruntime.quantization.quantize_static` quantizes them, to operators or to pairs, with words
of several types. The other networks are written in quantized operators by hand.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

IMAGES = 4
ort.set_default_logger_severity(4)


class Graph:
    """A graph of nodes in a row, with random weights."""

    def __init__(self, seed, opset, *shape):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.opset, self.shape = [], [], opset, shape

    def op(self, kind, *inputs, domain="", **attributes):
        name = f"{kind.lower()}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return name

    def const(self, value, kind=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def numbers(self, kind, x, since, attribute, values, number=np.int64, **attributes):
        """An operator that takes `values` as an attribute, and as an input since an opset."""
        if self.opset < since:
            return self.op(kind, x, **{attribute: values}, **attributes)
        return self.op(kind, x, self.const(values, number), **attributes)

    def squeeze(self, x, *axes):
        return self.numbers("Squeeze", x, 13, "axes", axes)

    def unsqueeze(self, x, *axes):
        return self.numbers("Unsqueeze", x, 13, "axes", axes)

    def pad(self, x, *pads):
        return self.numbers("Pad", x, 11, "pads", pads)

    def mean(self, x, *axes):
        return self.numbers("ReduceMean", x, 18, "axes", axes, keepdims=0)

    def clip(self, x, low, high):
        if self.opset < 11:
            bounds = {"min": low, "max": high}
            return self.op("Clip", x, **{k: v for k, v in bounds.items() if v is not None})
        return self.op("Clip", x, *("" if v is None else self.const(v) for v in (low, high)))

    def normal(self, *sizes, scale=1.0):
        return self.const(self.random.normal(0, scale, sizes))

    def conv(self, x, inputs, outputs, kernel, bias=True, **attributes):
        group = attributes.get("group", 1)
        fan = inputs // group * int(np.prod(kernel))
        weights = self.normal(outputs, inputs // group, *kernel, scale=fan**-0.5)
        return self.op("Conv", x, weights, *([self.normal(outputs, scale=0.3)] * bias), **attributes)

    def gemm(self, x, inputs, outputs, transposed=1):
        sizes = (outputs, inputs) if transposed else (inputs, outputs)
        weights = self.normal(*sizes, scale=inputs**-0.5)
        return self.op("Gemm", x, weights, self.normal(outputs, scale=0.3), transB=transposed)

    def model(self, kind=TensorProto.FLOAT, to=TensorProto.FLOAT, batch="N"):
        self.nodes[-1].output[0] = "y"
        x = helper.make_tensor_value_info("x", kind, [batch, *self.shape])
        y = helper.make_tensor_value_info("y", to, None)
        graph = helper.make_graph(self.nodes, "graph", [x], [y], self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def line(seed, opset):
    """One spatial axis."""
    g = Graph(seed, opset, 3, 21)
    y = g.op("Relu", g.conv("x", 3, 6, [3], pads=[2, 1]))
    y = g.op("MaxPool", y, kernel_shape=[3], strides=[2], pads=[1, 0])
    y = g.conv(y, 6, 6, [2], dilations=[2], group=3, strides=[2])
    y = g.op("AveragePool", y, kernel_shape=[3], strides=[1])
    return g, g.gemm(g.op("Flatten", y), 18, 5)


def paddings(seed, opset):
    """Every way to pad."""
    g = Graph(seed, opset, 2, 9, 8)
    y = g.op("Relu", g.conv("x", 2, 5, [3, 2], auto_pad="SAME_UPPER", strides=[2, 2]))
    y = g.pad(y, 0, 0, 1, 0, 0, 0, 2, 1)
    y = g.op("Relu", g.conv(y, 5, 4, [3, 3], auto_pad="SAME_LOWER", strides=[2, 1]))
    y = g.op("MaxPool", y, kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    y = g.conv(y, 4, 4, [2, 2], auto_pad="VALID")
    y = g.conv(y, 4, 4, [2, 3], pads=[0, 1, 1, 0], auto_pad="NOTSET")
    return g, g.op("AveragePool", y, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2],
                   count_include_pad=1)


def branches(seed, opset):
    """Concatenations, sums, products."""
    g = Graph(seed, opset, 3, 6, 7)
    x = g.op("Relu", g.conv("x", 3, 4, [3, 3], pads=[1] * 4))
    a = g.op("LeakyRelu", g.conv(x, 4, 3, [1, 1]), alpha=0.2)
    b = g.op("Sigmoid", g.conv(x, 4, 2, [3, 3], pads=[1] * 4))
    c = g.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
    y = g.op("Concat", a, b, c, axis=1)
    z = g.conv(y, 9, 9, [1, 1], bias=False)
    y = g.op("Relu", g.op("Add", y, z))
    s = g.op("Sigmoid", g.conv(g.op("GlobalAveragePool", y), 9, 9, [1, 1]))
    y = g.op("Mul", y, s)
    y = g.squeeze(g.op("GlobalAveragePool", y), 2, 3)
    y = g.op("MatMul", y, g.normal(9, 6))
    return g, g.op("Softmax", g.op("Add", y, g.normal(6)), axis=1)


def clips(seed, opset):
    """Clips of any bounds, between depthwise convolutions."""
    g = Graph(seed, opset, 3, 7, 6)
    y = g.clip(g.conv("x", 3, 8, [1, 1]), 0.0, 6.0)
    y = g.clip(g.conv(y, 8, 8, [3, 3], group=8, pads=[1] * 4), -0.7, 1.3)
    y = g.clip(g.conv(y, 8, 6, [1, 1]), 0.25, 0.8)
    y = g.clip(g.conv(y, 6, 12, [2, 2], group=2, strides=[2, 2]), None, 0.5)
    y = g.op("Reshape", g.op("GlobalAveragePool", y), g.ints(0, -1))
    return g, g.gemm(y, 12, 7, transposed=0)


def channels_last(seed, opset):
    """A channels-last input, flattened in channels-last order."""
    g = Graph(seed, opset, 5, 6, 3)
    y = g.op("Relu", g.conv(g.op("Transpose", "x", perm=[0, 3, 1, 2]), 3, 4, [2, 2]))
    y = g.op("Transpose", y, perm=[0, 2, 3, 1])
    return g, g.gemm(g.op("Reshape", y, g.ints(-1, 80)), 80, 5)


def axes(seed, opset):
    """Axes of size 1 that come and go, sizes computed from shapes."""
    g = Graph(seed, opset, 4, 15)
    y = g.conv(g.unsqueeze("x", 2), 4, 6, [1, 3])
    y = g.conv(g.op("Relu", g.squeeze(y, 2)), 6, 4, [3], strides=[2])
    batch = g.op("Gather", g.op("Shape", y), g.const(0, np.int64), axis=0)
    sizes = g.op("Concat", g.unsqueeze(batch, 0), g.ints(-1), axis=0)
    return g, g.gemm(g.op("Reshape", y, sizes), 24, 6)


def norms(seed, opset):
    """Batch normalization after a convolution, alone, and before one; a mean over space."""
    g = Graph(seed, opset, 3, 6, 5)

    def norm(x, channels):
        positive = lambda: g.const(np.exp(g.random.normal(0, 0.3, channels)))
        centre = lambda: g.normal(channels, scale=0.3)
        return g.op("BatchNormalization", x, positive(), centre(), centre(), positive(), epsilon=1e-3)

    y = g.op("Relu", norm(g.conv("x", 3, 4, [3, 3], bias=False), 4))
    y = g.op("Add", y, norm(g.op("Identity", y), 4))
    y = g.op("HardSigmoid", g.conv(g.op("Relu", y), 4, 6, [2, 2]), alpha=0.3, beta=0.4)
    return g, g.gemm(g.mean(y, 2, 3), 6, 4)


# Opset of each float network; quantized ones are of 13 at least, as scales by channel need.
FLOAT = {line: 9, paddings: 9, branches: 13, clips: 17, channels_last: 13, axes: 21, norms: 9}
OTHERS = {line: 21, paddings: 17, clips: 9, axes: 9, norms: 21}
# Kinds that add little to others.
LEFT_OUT = {branches: ["pairs-s8s8"], axes: ["u8u8", "pairs-s8s8"], norms: ["u8u8", "pairs-s8s8"]}
OPERATORS, PAIRS = QuantFormat.QOperator, QuantFormat.QDQ
# Form, types of activations and weights, scales by channel, further options.
KINDS = {
    "u8s8": (OPERATORS, QuantType.QUInt8, QuantType.QInt8, False, {}),
    "u8u8": (OPERATORS, QuantType.QUInt8, QuantType.QUInt8, False, {}),
    "s8s8c": (OPERATORS, QuantType.QInt8, QuantType.QInt8, True, {}),
    "pairs-u8s8c": (PAIRS, QuantType.QUInt8, QuantType.QInt8, True, {}),
    "pairs-s8s8": (PAIRS, QuantType.QInt8, QuantType.QInt8, False, {}),
    "pairs-s16s8c": (PAIRS, QuantType.QInt16, QuantType.QInt8, True, {}),
    "pairs-float-bias": (PAIRS, QuantType.QUInt8, QuantType.QUInt8, False, {"QuantizeBias": False}),
}


def scale(g):
    return g.const(np.exp(g.random.uniform(-4, -3)))


def constants(seed):
    """Sums and products of words with constants of words; pooling; a product that stays float."""
    g = Graph(seed, 13, 4, 5, 6)
    ms = "com.microsoft"
    word = lambda *sizes: g.const(g.random.integers(0, 256, sizes), np.uint8)
    zero = lambda: g.const(g.random.integers(100, 156), np.uint8)
    x = [g.op("QuantizeLinear", "x", *(q := [scale(g), zero()])), *q]
    def then(kind, *inputs, **attributes):
        q = [scale(g), zero()]
        return [g.op(kind, *inputs, *q, domain=ms, **attributes), *q]
    y = then("QLinearAdd", *x, word(4, 5, 6), scale(g), zero())
    z = then("QLinearMul", word(4, 1, 1), scale(g), zero(), *y)
    z = then("QLinearMul", *z, word(), scale(g), zero())
    y = then("QLinearAdd", *y, *z)
    y = then("QLinearLeakyRelu", *y, alpha=0.3)
    q = [scale(g), zero()]
    y = [g.op("QLinearConcat", *q, *y, *z, domain=ms, axis=1), *q]
    y = then("QLinearAveragePool", *y, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 1, 0, 1])
    y = then("QLinearGlobalAveragePool", *y)
    flat = g.op("Flatten", y[0])
    weights = [word(8, 5), scale(g), zero()]
    bias = g.const(g.random.integers(-5000, 5000, 5), np.int32)
    g.op("QGemm", flat, *y[1:], *weights, bias, domain=ms)
    return g.model()


def integers(seed):
    """Words in, accumulators out, with zero points; scaled afterwards."""
    g = Graph(seed, 12, 3, 6, 5)
    word = lambda *sizes: g.const(g.random.integers(0, 256, sizes), np.uint8)
    y = g.op("MaxPool", "x", kernel_shape=[2, 2])
    y = g.op("ConvInteger", y, word(4, 3, 3, 2), g.const(120, np.uint8), g.const(131, np.uint8))
    g.op("Mul", g.op("Cast", y, to=TensorProto.FLOAT), g.const(1 / 4096))
    return g.model(kind=TensorProto.UINT8)


def matrix(seed):
    """A product of words, with a zero point."""
    g = Graph(seed, 10, 36)
    weights = g.const(g.random.integers(-128, 128, (36, 6)), np.int8)
    y = g.op("MatMulInteger", "x", weights, g.const(13, np.uint8))
    g.op("Cast", y, to=TensorProto.FLOAT)
    return g.model(kind=TensorProto.UINT8)


def convolutions(seed):
    """Unsigned weights with zero points, words in and out; a fixed batch."""
    g = Graph(seed, 10, 4, 7, 6)
    q = [g.const(0.5), g.const(9, np.uint8)]
    def conv(x, q, inputs, outputs, kernel, group=1, **attributes):
        sizes = (outputs, inputs // group, *kernel)
        weights = g.const(g.random.integers(0, 256, sizes), np.uint8)
        to = [g.const(0.4), g.const(128, np.uint8)]
        scales = [g.const(0.01), g.const(117, np.uint8)]
        bias = g.const(g.random.integers(-500, 500, outputs), np.int32)
        return g.op("QLinearConv", x, *q, weights, *scales, *to, bias, group=group, **attributes), to
    y, q = conv("x", q, 4, 6, [3, 3], pads=[1, 0, 1, 2])
    y, q = conv(y, q, 6, 6, [2, 2], group=6, strides=[2, 1])
    conv(y, q, 6, 4, [2, 3], group=2, dilations=[1, 2])
    return g.model(kind=TensorProto.UINT8, to=TensorProto.UINT8, batch=1)


DIRECT = [constants, integers, matrix, convolutions]


class Reader(CalibrationDataReader):
    def __init__(self, images):
        self.images = iter([{"x": image[np.newaxis]} for image in images])

    def get_next(self):
        return next(self.images, None)


def save(folder, name, model, images):
    path = folder / f"{name}.onnx"
    del model.graph.value_info[:]
    onnx.save(model, path)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs = [session.run(None, {"x": image[np.newaxis]})[0] for image in images]
    np.save(folder / f"{name}_output.npy", np.concatenate(outputs).astype(np.float32))


def quantized(folder, graph, kind, images):
    """The quantizer's model of a float network."""
    source, target = folder / "float.tmp.onnx", folder / "quantized.tmp.onnx"
    onnx.save(graph.model(), source)
    form, activations, weights, channels, options = KINDS[kind]
    quantize_static(source, target, Reader(images), quant_format=form, per_channel=channels,
                    activation_type=activations, weight_type=weights, extra_options=options)
    model = onnx.load(target)
    source.unlink()
    target.unlink()
    return model


def outside(folder, name, images):
    """A model that is there, its weights in a file of their own."""
    model = onnx.load(folder / f"{name}.onnx")
    path, data = folder / "data.onnx", "data.bin"
    (folder / data).unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=data, size_threshold=0)
    outputs = (folder / f"{name}_output.npy").read_bytes()
    (folder / "data_output.npy").write_bytes(outputs)
    np.save(folder / "data_input.npy", images)


def main(folder, seeds):
    folder = pathlib.Path(folder)
    for seed in seeds:
        suffix = f"_{seed}" if seed else ""
        random = lambda: np.random.default_rng(1000 + seed)
        for network, opset in FLOAT.items():
            base = network.__name__ + suffix
            graph, _ = network(seed, opset)
            images = random().normal(0, 1, (IMAGES, *graph.shape)).astype(np.float32)
            np.save(folder / f"{base}_input.npy", images)
            save(folder, f"{base}-float", graph.model(), images)
            if network in OTHERS:
                graph, _ = network(seed, OTHERS[network])
                save(folder, f"{base}-float-other", graph.model(), images)
            for kind in (kind for kind in KINDS if kind not in LEFT_OUT.get(network, [])):
                graph, _ = network(seed, max(opset, OTHERS.get(network, 13), 13))
                save(folder, f"{base}-{kind}", quantized(folder, graph, kind, images), images)
        for network in DIRECT:
            base = network.__name__ + suffix
            model = network(seed)
            kind = model.graph.input[0].type.tensor_type
            sizes = (IMAGES, *(dim.dim_value for dim in kind.shape.dim[1:]))
            images = random().normal(0, 1, sizes).astype(np.float32)
            if kind.elem_type == TensorProto.UINT8:
                images = random().integers(0, 256, sizes).astype(np.uint8)
            np.save(folder / f"{base}_input.npy", images)
            save(folder, base, model, images)
        images = np.load(folder / f"line{suffix}_input.npy")
        outside(folder, f"line{suffix}-u8s8", images)


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
