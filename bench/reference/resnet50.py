"""ResNet-50 training steps in PyTorch, eager or compiled by inductor, on request: the other sides of bench/resnet-step.ts.

Reads lines "SIDE PRECISION STEPS" (eager or compile) from standard input and answers each with the seconds that the steps took,
or with what keeps it from compiling. Needs torch only, and a C++ compiler to compile.
"""
import sys
import time

import torch
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if stride != 1 or inputs != 4 * width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        identity = x if self.shortcut is None else self.shortcut(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + identity)


def resnet50(classes):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        width = 64 * 2**stage
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if block == 0 and stage > 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def main():
    batch, pixels, classes = (int(word) for word in sys.argv[1:4])
    device = sys.argv[4]
    torch.manual_seed(0)
    model = resnet50(classes).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True)
    images = torch.rand(batch, 3, pixels, pixels).to(device, memory_format=torch.channels_last)
    targets = torch.randint(0, classes, (batch,)).to(device)
    print(f"ready {torch.__version__} threads {torch.get_num_threads()}", flush=True)
    sides = {"eager": model, "compile": torch.compile(model)}
    for line in sys.stdin:
        side, precision, steps = line.split()
        began = time.perf_counter()
        try:
            for _ in range(int(steps)):
                with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                    loss = nn.functional.cross_entropy(sides[side](images), targets)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            loss.item()  # a GPU may be behind
            print(time.perf_counter() - began, flush=True)
        except Exception as error:
            if side == "eager":
                raise
            print(f"{type(error).__name__}: {error}".split("\n")[0], flush=True)


if __name__ == "__main__":
    main()
