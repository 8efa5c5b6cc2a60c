"""Forward passes of a network in PyTorch eager (ResNet-50) and onnxruntime, on request: the other sides of
bench/inference.ts.

Reads lines "SIDE PASSES" (torch or onnx) from standard input and answers each with the processor time that they took, seconds.
Needs torch and onnxruntime.
"""
import sys
import time

import numpy as np
import onnxruntime
import torch
from resnet50 import resnet50


def main():
    batch, side = (int(word) for word in sys.argv[1:3])
    torch.set_num_threads(1)
    model = resnet50(1000).eval().to(memory_format=torch.channels_last)
    model[-1] = torch.nn.Identity()
    images = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[3], options, providers=["CPUExecutionProvider"])
    pixels = np.random.rand(batch, 3, side, side).astype(np.float32)
    name = session.get_inputs()[0].name
    print(f"ready {torch.__version__} {onnxruntime.__version__}", flush=True)
    for line in sys.stdin:
        which, passes = line.split()
        began = time.process_time()
        with torch.inference_mode():
            for _ in range(int(passes)):
                model(images) if which == "torch" else session.run(None, {name: pixels})
        print(time.process_time() - began, flush=True)


main()
