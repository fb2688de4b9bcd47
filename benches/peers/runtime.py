"""ONNX Runtime as a peer: python runtime.py MODEL INPUT.npy OUTPUT.npy THREADS.

Writes the network's output for the input, then answers each line `N` of standard input with the
seconds that N runs took.
"""

import sys
import time

import numpy as np
import onnxruntime

model, source, target, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: np.load(source)}
np.save(target, session.run(None, feed)[0])
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(int(line)):
        session.run(None, feed)
    print(time.perf_counter() - start, flush=True)
