"""The requantizer on the accumulators of golden vectors: each output word must be the model's."""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import Timer


def frac(format):
    return int(format[format.index("f") + 1 :])


@cocotb.test()
async def golden_words(dut):
    golden = Path(os.environ["GOLDEN"])
    manifest = json.loads((golden / "manifest.json").read_text())
    words = 0
    for layer in manifest["layers"]:
        if not layer.get("mac"):
            continue
        chain = layer["mac"]["chain"]
        output = chain["output"]["format"]
        memories = {memory["memory"]: memory["npy"]["path"] for memory in layer["memories"]}
        accumulators = np.load(golden / memories["accumulator"]).ravel()
        expected = np.load(golden / memories["ofmap"]).ravel()
        dut.drop.value = frac(chain["accumulator"]["format"]) - frac(output)
        dut.is_signed.value = int(output.startswith("s"))
        dut.relu.value = int(chain.get("clamp") is not None)
        for index, (accumulator, word) in enumerate(zip(accumulators, expected)):
            dut.value.value = int(accumulator)
            await Timer(1, "step")
            actual = int(dut.word.value)
            assert actual == int(word) & 0xFF, f"{layer['name']}, word {index}: {actual:02x}"
            words += 1
    cocotb.log.info("%d words equal", words)
    assert words
