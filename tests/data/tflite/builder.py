"""Builds TFLite models operator by operator, with the packages `flatbuffers` and `tflite`."""

import flatbuffers
import numpy as np
import tflite

TYPES = {
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.uint8): tflite.TensorType.UINT8,
}
PADDING = {"SAME": tflite.Padding.SAME, "VALID": tflite.Padding.VALID}
ACTIVATION = {
    "NONE": tflite.ActivationFunctionType.NONE,
    "RELU": tflite.ActivationFunctionType.RELU,
    "RELU6": tflite.ActivationFunctionType.RELU6,
    "RELU_N1_TO_1": tflite.ActivationFunctionType.RELU_N1_TO_1,
}


class Graph:
    """A model of one subgraph. Tensors are numbers; operators are added in order."""

    def __init__(self):
        self.tensors = []
        self.operators = []

    def tensor(self, shape, dtype, scale=None, zero=0, data=None, axis=0, name=None, batch=False):
        """A tensor; with `data` a constant. Several scales are by channel of `axis`. With `batch`
        the first dimension is dynamic."""
        scales = None if scale is None else np.atleast_1d(np.float32(scale))
        zeros = None if scale is None else np.broadcast_to(np.int64(zero), scales.shape)
        name = name or f"t{len(self.tensors)}"
        self.tensors.append((list(shape), np.dtype(dtype), scales, zeros, data, axis, name, batch))
        return len(self.tensors) - 1

    def constant(self, data, scale=None, zero=0, axis=0, name=None):
        """A constant tensor."""
        data = np.asarray(data)
        return self.tensor(data.shape, data.dtype, scale, zero, data, axis, name)

    def operator(self, code, inputs, output, options=None, version=1, **fields):
        """An operator; `fields` are those of its options table."""
        self.operators.append((code, inputs, output, options, version, fields))
        return output

    def write(self, inputs, outputs):
        """The bytes of the model."""
        b = flatbuffers.Builder(1024)
        codes = sorted({(code, version) for code, _, _, _, version, _ in self.operators})
        buffers = [None] + [t[4] for t in self.tensors if t[4] is not None]
        buffer_offsets = []
        for data in buffers:
            vector = b.CreateNumpyVector(np.frombuffer(data.tobytes(), np.uint8)) if data is not None else None
            tflite.BufferStart(b)
            if vector is not None:
                tflite.BufferAddData(b, vector)
            buffer_offsets.append(tflite.BufferEnd(b))
        tensors, used = [], 0
        for shape, dtype, scales, zeros, data, axis, name, batch in self.tensors:
            used += data is not None
            tensors.append(self._tensor(b, shape, dtype, scales, zeros, axis, name, batch,
                                        used if data is not None else 0))
        operators = [self._operator(b, codes, *operator) for operator in self.operators]
        vectors = [
            self._offsets(b, tflite.SubGraphStartTensorsVector, tensors),
            b.CreateNumpyVector(np.int32(inputs)),
            b.CreateNumpyVector(np.int32(outputs)),
            self._offsets(b, tflite.SubGraphStartOperatorsVector, operators),
            b.CreateString("main"),
        ]
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, vectors[0])
        tflite.SubGraphAddInputs(b, vectors[1])
        tflite.SubGraphAddOutputs(b, vectors[2])
        tflite.SubGraphAddOperators(b, vectors[3])
        tflite.SubGraphAddName(b, vectors[4])
        subgraph = tflite.SubGraphEnd(b)
        code_offsets = []
        for code, version in codes:
            number = getattr(tflite.BuiltinOperator, code)
            tflite.OperatorCodeStart(b)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
            tflite.OperatorCodeAddBuiltinCode(b, number)
            tflite.OperatorCodeAddVersion(b, version)
            code_offsets.append(tflite.OperatorCodeEnd(b))
        description = b.CreateString("bittrue test")
        code_vector = self._offsets(b, tflite.ModelStartOperatorCodesVector, code_offsets)
        subgraphs = self._offsets(b, tflite.ModelStartSubgraphsVector, [subgraph])
        buffer_vector = self._offsets(b, tflite.ModelStartBuffersVector, buffer_offsets)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, code_vector)
        tflite.ModelAddSubgraphs(b, subgraphs)
        tflite.ModelAddDescription(b, description)
        tflite.ModelAddBuffers(b, buffer_vector)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    @staticmethod
    def _offsets(b, start, offsets):
        start(b, len(offsets))
        for offset in reversed(offsets):
            b.PrependUOffsetTRelative(offset)
        return b.EndVector()

    @staticmethod
    def _tensor(b, shape, dtype, scales, zeros, axis, name, batch, buffer):
        text = b.CreateString(name)
        dims = b.CreateNumpyVector(np.int32(shape))
        signature = b.CreateNumpyVector(np.int32([-1] + shape[1:])) if batch else None
        quantization = None
        if scales is not None:
            scale, zero = b.CreateNumpyVector(scales), b.CreateNumpyVector(np.int64(zeros))
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scale)
            tflite.QuantizationParametersAddZeroPoint(b, zero)
            tflite.QuantizationParametersAddQuantizedDimension(b, axis)
            quantization = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, dims)
        tflite.TensorAddType(b, TYPES[dtype])
        tflite.TensorAddBuffer(b, buffer)
        tflite.TensorAddName(b, text)
        if quantization is not None:
            tflite.TensorAddQuantization(b, quantization)
        if signature is not None:
            tflite.TensorAddShapeSignature(b, signature)
        return tflite.TensorEnd(b)

    @staticmethod
    def _operator(b, codes, code, inputs, output, options, version, fields):
        table = None
        if options:
            vectors = {k: b.CreateNumpyVector(np.int32(v)) for k, v in fields.items() if isinstance(v, list)}
            getattr(tflite, f"{options}Start")(b)
            for key, value in fields.items():
                getattr(tflite, f"{options}Add{key}")(b, vectors.get(key, value))
            table = getattr(tflite, f"{options}End")(b)
        read, written = b.CreateNumpyVector(np.int32(inputs)), b.CreateNumpyVector(np.int32([output]))
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, codes.index((code, version)))
        tflite.OperatorAddInputs(b, read)
        tflite.OperatorAddOutputs(b, written)
        if table is not None:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, options))
            tflite.OperatorAddBuiltinOptions(b, table)
        return tflite.OperatorEnd(b)


def run(model, images):
    """The outputs of LiteRT's reference kernels, image by image."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0].copy())
    return np.stack(outputs)
