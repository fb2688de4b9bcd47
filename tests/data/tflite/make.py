"""Makes the models of this folder, their inputs, and the outputs of LiteRT's reference kernels.

    pip install ai-edge-litert==2.3.0 flatbuffers==25.12.19 tflite==2.18.0 numpy
    python make.py

Weights and inputs are seeded random words. `name_input.npy` is [images, height, width, channels] (or
[images, features]), `name_output.npy` what the resolver BUILTIN_REF gives for each image.
"""

import pathlib
import zlib

import numpy as np
import tflite
from builder import ACTIVATION, PADDING, Graph, run

HERE = pathlib.Path(__file__).parent
LOWEST = {"int8": -128, "uint8": 0}


class Net:
    """A graph whose words have one type; the last tensor is what the next operator reads."""

    def __init__(self, name, dtype):
        self.dtype = dtype
        self.rng = np.random.default_rng(zlib.crc32(f"{name} {dtype}".encode()))
        self.graph = Graph()

    def words(self, shape):
        low = LOWEST[self.dtype]
        return self.rng.integers(low, low + 256, shape).astype(self.dtype)

    def zero(self):
        return int(self.rng.integers(-20, 20)) + LOWEST[self.dtype] + 128

    def map(self, shape, scale, zero=None, dtype=None):
        """A feature map: tensor, sizes, scale and zero point."""
        zero = self.zero() if zero is None else zero
        index = self.graph.tensor([1, *shape], dtype or self.dtype, scale, zero, batch=True)
        return index, shape, np.float32(scale), zero

    def weights(self, shape, axis, scale=None):
        """Constant weights; of int8 by channel and symmetric, of uint8 with a zero point."""
        if self.dtype == "int8":
            scales = np.exp2(self.rng.uniform(-10, -8, shape[axis])).astype(np.float32)
            scales = scales if scale is None else np.float32([scale])
            return self.graph.constant(self.words(shape), scales, 0, axis), scales
        scales = np.float32([scale or 0.0023])
        return self.graph.constant(self.words(shape), scales, int(self.rng.integers(100, 156))), scales

    def multiply(self, code, options, x, weights, scales, outputs, terms, shape, scale=None, fine=1,
                 **fields):
        """A layer with weights and biases whose output words spread over their range."""
        bias = self.graph.constant(
            self.rng.integers(-2000, 2000, outputs).astype(np.int32), np.float32(x[2] * scales)
        )
        spread = x[2] * np.float32(scales.mean()) * np.sqrt(terms) * 74 * 74 / 50 / fine
        y = self.map(shape, spread if scale is None else scale)
        version = 3 if self.dtype == "int8" and code != "FULLY_CONNECTED" else 1
        version = 4 if code == "FULLY_CONNECTED" else version
        self.graph.operator(code, [x[0], weights, bias], y[0], options, version, **fields)
        return y

    def conv(self, x, outputs, kernel, stride=1, dilation=1, padding="SAME", act="NONE", groups=1, fine=1):
        weights, scales = self.weights((outputs, kernel, kernel, x[1][2] // groups), 0)
        shape = slide(x, kernel, stride, dilation, padding) + (outputs,)
        terms = kernel * kernel * x[1][2] // groups
        return self.multiply(
            "CONV_2D", "Conv2DOptions", x, weights, scales, outputs, terms, shape, fine=fine,
            Padding=PADDING[padding], StrideH=stride, StrideW=stride, DilationHFactor=dilation,
            DilationWFactor=dilation, FusedActivationFunction=ACTIVATION[act],
        )

    def depthwise(self, x, multiplier, kernel, stride=1, dilation=1, padding="SAME", act="NONE", fine=1):
        outputs = x[1][2] * multiplier
        weights, scales = self.weights((1, kernel, kernel, outputs), 3)
        shape = slide(x, kernel, stride, dilation, padding) + (outputs,)
        return self.multiply(
            "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", x, weights, scales, outputs,
            kernel * kernel, shape, fine=fine, Padding=PADDING[padding], StrideH=stride, StrideW=stride,
            DepthMultiplier=multiplier, DilationHFactor=dilation, DilationWFactor=dilation,
            FusedActivationFunction=ACTIVATION[act],
        )

    def dense(self, x, outputs, act="NONE", weight_scale=None, scale=None):
        inputs = int(np.prod(x[1]))
        weights, scales = self.weights((outputs, inputs), 0, weight_scale)
        return self.multiply(
            "FULLY_CONNECTED", "FullyConnectedOptions", x, weights, scales, outputs, inputs,
            (outputs,), scale, FusedActivationFunction=ACTIVATION[act],
        )

    def pool(self, code, x, kernel, stride, padding, act="NONE"):
        y = self.map(slide(x, kernel, stride, 1, padding) + (x[1][2],), x[2], x[3])
        self.graph.operator(
            code, [x[0]], y[0], "Pool2DOptions", 2, Padding=PADDING[padding], StrideH=stride,
            StrideW=stride, FilterHeight=kernel, FilterWidth=kernel,
            FusedActivationFunction=ACTIVATION[act],
        )
        return y

    def binary(self, code, a, b, scale, act="NONE"):
        y = self.map(max(a[1], b[1], key=np.prod), scale)
        options = f"{code.capitalize()}Options"
        self.graph.operator(code, [a[0], b[0]], y[0], options, 2, FusedActivationFunction=ACTIVATION[act])
        return y

    def constant(self, shape, scale):
        zero = self.zero()
        return self.graph.constant(self.words((1, *shape)), scale, zero), shape, np.float32(scale), zero

    def concat(self, parts, scale, zero):
        shape = parts[0][1][:-1] + (sum(part[1][-1] for part in parts),)
        y = self.map(shape, scale, zero)
        self.graph.operator("CONCATENATION", [part[0] for part in parts], y[0], "ConcatenationOptions", 2,
                            Axis=-1)
        return y

    def unary(self, code, x, shape=None, scale=None, zero=None, options=None, extra=(), version=2, **fields):
        """An operator of one feature map, whose encoding its output keeps if no scale is given."""
        scale, zero = (x[2], x[3]) if scale is None else (scale, zero)
        y = self.map(shape or x[1], scale, zero)
        inputs = [x[0]] + [self.graph.constant(np.int32(value)) for value in extra]
        self.graph.operator(code, inputs, y[0], options, version, **fields)
        return y


def slide(x, kernel, stride, dilation, padding):
    """Height and width under a window."""
    span = dilation * (kernel - 1) + 1
    along = lambda size: -(-size // stride) if padding == "SAME" else (size - span) // stride + 1
    return along(x[1][0]), along(x[1][1])


def convolutions(net):
    x = net.map((7, 9, 4), 0.02)
    y = net.conv(x, 6, 3, stride=2, act="RELU6")
    y = net.depthwise(y, 2, 3, act="RELU_N1_TO_1")
    y = net.conv(y, 4, 1, fine=3)
    y = net.depthwise(y, 1, 2, padding="VALID", act="RELU", fine=2)
    y = net.conv(y, 6, 2, dilation=2, groups=2, padding="VALID", fine=2)
    return x, net.depthwise(y, 2, 2, fine=2)


def classifier(net):
    x = net.map((2, 3, 4), 0.02)
    y = net.dense(x, 9, act="RELU6")
    z = net.dense(y, 7)
    return x, net.unary("SOFTMAX", z, scale=1 / 256, zero=LOWEST[net.dtype], options="SoftmaxOptions", Beta=1.0)


def halves(net):
    x = net.map((5,), 2.0**-4)
    return x, net.dense(x, 8, weight_scale=2.0**-7, scale=2.0**-1)


def pools(net):
    x = net.map((7, 6, 3), 0.012)
    y = net.unary("PAD", x, shape=(8, 9, 3), options="PadOptions", extra=[[[0, 0], [1, 0], [2, 1], [0, 0]]])
    y = net.pool("MAX_POOL_2D", y, 3, 2, "SAME", act="RELU_N1_TO_1")
    y = net.pool("AVERAGE_POOL_2D", y, 3, 1, "SAME")
    y = net.pool("AVERAGE_POOL_2D", y, 2, 1, "VALID", act="RELU")
    y = net.pool("MAX_POOL_2D", y, 2, 2, "VALID")
    y = net.unary("RESHAPE", y, shape=(int(np.prod(y[1])),), extra=[[1, -1]], version=1)
    y = net.unary("EXPAND_DIMS", y, shape=(1,) + y[1], extra=[1], version=1)
    return x, net.unary("SQUEEZE", y, shape=y[1][1:], options="SqueezeOptions", version=1, SqueezeDims=[1])


def branches(net):
    x = net.map((4, 5, 4), 0.05)
    y = net.conv(x, 4, 1)
    y = net.binary("ADD", x, y, 0.09, act="RELU")
    y = net.binary("ADD", y, net.constant((4, 5, 4), 0.02), 0.08)
    gate = net.unary("MEAN", y, shape=(1, 1, 4), scale=0.021, options="ReducerOptions", extra=[[1, 2]], KeepDims=True)
    gate = net.conv(gate, 4, 1)
    gate = net.unary("LOGISTIC", gate, scale=1 / 256, zero=LOWEST[net.dtype])
    y = net.binary("MUL", y, gate, 0.04, act="RELU6")
    z = net.binary("MUL", x, net.constant((4, 5, 4), 0.02), 0.05)
    z = net.binary("ADD", net.constant((4,), 0.02), z, 0.06)
    z = net.binary("ADD", z, net.constant((1, 1, 1), 0.02), 0.07)
    z = net.binary("MUL", net.constant((1, 1, 4), 0.01), z, 0.07)
    z = net.binary("MUL", z, net.constant((1,), 0.007), 0.04)
    if net.dtype == "int8":
        # The kernel of int8 does not rescale.
        z = net.unary("QUANTIZE", z, scale=y[2], zero=y[3], options="QuantizeOptions")
        y = net.concat([y, z], y[2], y[3])
    else:
        y = net.concat([y, z], 0.045, net.zero())
    return x, net.unary("MEAN", y, shape=(8,), scale=0.013, options="ReducerOptions", extra=[[1, 2]])


def reshapes(net):
    """A vector as a map; a mean as a map by arithmetic on its shape."""
    x = net.map((30,), 0.02)
    y = net.unary("RESHAPE", x, shape=(2, 3, 5), extra=[[1, 2, 3, 5]], version=1)
    y = net.conv(y, 4, 2)
    y = net.unary("MEAN", y, shape=(4,), scale=y[2] / 2, zero=y[3], options="ReducerOptions", extra=[[1, 2]])
    g = net.graph
    shape, batch, sizes = g.tensor([2], np.int32), g.tensor([], np.int32), g.tensor([4], np.int32)
    one, four = g.constant(np.int32(1)), g.constant(np.int32(4))
    bounds = [g.constant(np.int32([bound])) for bound in (0, 1, 1)]
    g.operator("SHAPE", [y[0]], shape, "ShapeOptions", OutType=tflite.TensorType.INT32)
    g.operator("STRIDED_SLICE", [shape, *bounds], batch, "StridedSliceOptions", ShrinkAxisMask=1)
    g.operator("PACK", [batch, one, one, four], sizes, "PackOptions", ValuesCount=4)
    z = net.map((1, 1, 4), y[2], y[3])
    g.operator("RESHAPE", [y[0], sizes], z[0])
    return x, net.conv(z, 6, 1)


def functions(net):
    x = net.map((64,), 0.06)
    to = {"scale": 0.05, "zero": net.zero()}
    parts = [
        net.unary("LEAKY_RELU", x, **to, options="LeakyReluOptions", Alpha=0.3),
        net.unary("HARD_SWISH", x, **to, version=1),
        net.unary("RELU", x, **to),
        net.unary("RELU6", x, **to),
        net.unary("RELU_N1_TO_1", x, **to, version=1),
        net.unary("QUANTIZE", x, **to, options="QuantizeOptions"),
    ]
    return x, net.concat(parts, to["scale"], to["zero"])


def softmax(net):
    x = net.map((2, 3, 9), 0.02)
    return x, net.unary("SOFTMAX", x, scale=1 / 256, zero=LOWEST[net.dtype], options="SoftmaxOptions", Beta=1.0)


def logistic(net):
    x = net.map((2, 64), 0.03)
    return x, net.unary("LOGISTIC", x, scale=1 / 256, zero=LOWEST[net.dtype])


def float_ends(net):
    x = (net.graph.tensor([1, 3, 3, 2], np.float32, batch=True), (3, 3, 2), None, None)
    q = net.map((3, 3, 2), 0.25)
    net.graph.operator("QUANTIZE", [x[0]], q[0], "QuantizeOptions")
    y = net.conv(q, 3, 2)
    z = (net.graph.tensor([1, *y[1]], np.float32, batch=True), y[1], None, None)
    net.graph.operator("DEQUANTIZE", [y[0]], z[0], "DequantizeOptions")
    return x, z


def other_ends(net):
    """Words of the other type at the input and the output."""
    other = "uint8" if net.dtype == "int8" else "int8"
    low = LOWEST[other] - LOWEST[net.dtype]
    x = net.map((3, 3, 2), 0.05, net.zero() + low, other)
    y = net.map((3, 3, 2), 0.05, x[3] - low)
    net.graph.operator("QUANTIZE", [x[0]], y[0], "QuantizeOptions", 2)
    y = net.conv(y, 3, 2)
    z = net.map(y[1], y[2] * 1.1, net.zero() + low, other)
    net.graph.operator("QUANTIZE", [y[0]], z[0], "QuantizeOptions", 2)
    return x, z


MODELS = [
    convolutions, classifier, halves, pools, branches, reshapes, functions, softmax, logistic, float_ends, other_ends,
]
IMAGES = 8


def main():
    for model in MODELS:
        for dtype in LOWEST:
            net = Net(model.__name__, dtype)
            x, y = model(net)
            shape = (IMAGES, *x[1])
            if model is float_ends:
                # Quarters of a step of the input's words: halves occur.
                images = (net.rng.integers(-600, 600, shape) / 16).astype(np.float32)
            elif model is other_ends:
                images = net.rng.integers(0, 256, shape).astype(np.uint8)
                images = images if dtype == "int8" else (images.astype(int) - 128).astype(np.int8)
            else:
                images = net.words(shape)
            content = net.graph.write([x[0]], [y[0]])
            stem = HERE / f"{model.__name__}_{dtype}"
            stem.with_suffix(".tflite").write_bytes(content)
            outputs = run(content, images)
            np.save(f"{stem}_input.npy", images)
            np.save(f"{stem}_output.npy", outputs)
            spread = len(np.unique(outputs))
            print(f"{stem.name}: {len(content)} bytes, outputs {outputs.shape}, {spread} values")


if __name__ == "__main__":
    main()
