"""Seconds of ResNet-50's convolutions alone, in evaluation: libtorch's kernels with prepared filters, bias and ReLU, one thread.

What `--only inference` cannot go below with these kernels. Needs torch only: python bench/reference/convolutions.py [images]
"""
import sys
import time
from collections import Counter

import torch


def convolutions():
    """Input and output channels, kernel, stride, padding, and the input's side."""
    yield 3, 64, 7, 2, 3, 224
    inputs, side = 64, 56
    for width, blocks, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for block in range(blocks):
            step = stride if block == 0 else 1
            yield inputs, width, 1, 1, 0, side
            yield width, width, 3, step, 1, side
            yield width, 4 * width, 1, 1, 0, side // step
            if block == 0:
                yield inputs, 4 * width, 1, step, 0, side
            inputs, side = 4 * width, side // step


def main():
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    torch.set_num_threads(1)
    ops = torch.ops.mkldnn
    total = 0.0
    with torch.inference_mode():
        for (inputs, outputs, kernel, stride, padding, side), count in Counter(convolutions()).items():
            x = torch.randn(images, inputs, side, side).to(memory_format=torch.channels_last)
            weight = torch.randn(outputs, inputs, kernel, kernel).to(memory_format=torch.channels_last)
            bias = torch.zeros(outputs)
            about = [padding] * 2, [stride] * 2, [1, 1], 1
            prepared = ops._reorder_convolution_weight(weight, *about, list(x.shape))
            times = []
            for _ in range(8):
                began = time.perf_counter()
                ops._convolution_pointwise(x, prepared, bias, *about, "relu", [], "")
                times.append(time.perf_counter() - began)
            total += count * min(times)
    print(f"{total:.3f} s for the convolutions of {images} images")


if __name__ == "__main__":
    main()
