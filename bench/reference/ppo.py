"""PPO in PyTorch eager, on request: the other side of bench/rl-ppo.ts.

The same algorithm, network, sizes and environments: CartPole as vectorised numpy, and a grid of random bits in the shape of
MinAtar's observations, whose play costs nothing. Written as CleanRL's ppo.py is. Reads lines "ENVIRONMENT UPDATES" from
standard input and answers each with the seconds that these updates took, play included. Needs torch and numpy.
"""
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical


class CartPole:
    actions, shape = 2, (4, 1, 1)

    def __init__(self, n):
        self.random = np.random.default_rng(0)
        self.state = self.random.uniform(-0.05, 0.05, (n, 4))
        self.steps = np.zeros(n, int)

    def observe(self):
        return self.state.astype(np.float32).reshape(-1, *self.shape)

    def step(self, action):
        x, x_dot, theta, theta_dot = self.state.T
        cos, sin = np.cos(theta), np.sin(theta)
        push = (np.where(action == 1, 10.0, -10.0) + 0.05 * theta_dot**2 * sin) / 1.1
        theta_acc = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        x_acc = push - 0.05 * theta_acc * cos / 1.1
        self.state = np.stack(
            [x + 0.02 * x_dot, x_dot + 0.02 * x_acc, theta + 0.02 * theta_dot, theta_dot + 0.02 * theta_acc], 1
        )
        self.steps += 1
        terminated = (np.abs(self.state[:, 0]) > 2.4) | (np.abs(self.state[:, 2]) > 12 * 2 * np.pi / 360)
        truncated = self.steps >= 500
        final = self.observe()
        ended = terminated | truncated
        self.state[ended] = self.random.uniform(-0.05, 0.05, (ended.sum(), 4))
        self.steps[ended] = 0
        return np.ones(len(ended), np.float32), terminated, truncated, final


class Bits:
    actions, shape = 6, (4, 10, 10)

    def __init__(self, n):
        self.random = np.random.default_rng(0)
        self.pool = (self.random.random((64, n, *self.shape)) < 0.05).astype(np.float32)
        self.at = 0

    def observe(self):
        return self.pool[self.at]

    def step(self, action):
        self.at = (self.at + 1) % 64
        n = len(action)
        return (action == self.at % 6).astype(np.float32), np.full(n, self.at % 32 == 0), np.zeros(n, bool), None


class Network(nn.Module):
    def __init__(self, shape, actions):
        super().__init__()
        if shape[1] == 1:
            trunk = [nn.Flatten(), nn.Linear(shape[0], 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
            width = 64
        else:
            trunk = [nn.Conv2d(shape[0], 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU()]
            width = 128
        self.trunk, self.head = nn.Sequential(*trunk), nn.Linear(width, actions + 1)

    def forward(self, x):
        outputs = self.head(self.trunk(x))
        return outputs[:, :-1], outputs[:, -1]


class Ppo:
    def __init__(self, environment, n, T, epochs, minibatches):
        self.environment, self.n, self.T, self.epochs, self.minibatches = environment, n, T, epochs, minibatches
        self.network = Network(environment.shape, environment.actions)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, eps=1e-5, fused=True)

    def update(self):
        T, n, gamma, lam = self.T, self.n, 0.99, 0.95
        observations = torch.zeros(T, n, *self.environment.shape)
        actions = torch.zeros(T, n, dtype=torch.long)
        log_probs, values, following, rewards, ends = (torch.zeros(T, n) for _ in range(5))
        for t in range(T):
            x = torch.from_numpy(self.environment.observe())
            observations[t] = x
            with torch.inference_mode():
                logits, value = self.network(x)
                policy = Categorical(logits=logits, validate_args=False)
                actions[t] = policy.sample()
                log_probs[t] = policy.log_prob(actions[t])
                values[t] = value
            reward, terminated, truncated, final = self.environment.step(actions[t].numpy())
            rewards[t] = torch.from_numpy(reward)
            ends[t] = torch.from_numpy((terminated | truncated).astype(np.float32))
            if t > 0:
                following[t - 1] = torch.where(ends[t - 1] > 0, following[t - 1], values[t])
            if truncated.any():
                with torch.inference_mode():
                    _, cut = self.network(torch.from_numpy(final))
                following[t] = torch.where(torch.from_numpy(truncated & ~terminated), cut, following[t])
        with torch.inference_mode():
            _, last = self.network(torch.from_numpy(self.environment.observe()))
        following[-1] = torch.where(ends[-1] > 0, following[-1], last)
        advantages = torch.zeros(T, n)
        running = torch.zeros(n)
        for t in reversed(range(T)):
            delta = rewards[t] + gamma * following[t] - values[t]
            running = delta + gamma * lam * (1 - ends[t]) * running
            advantages[t] = running
        self.learn(*(v.flatten(0, 1) for v in (observations, actions, log_probs, advantages, advantages + values)))

    def learn(self, observations, actions, log_probs, advantages, returns):
        rows = len(actions)
        for _ in range(self.epochs):
            for index in torch.randperm(rows).split(rows // self.minibatches):
                logits, value = self.network(observations[index])
                policy = Categorical(logits=logits, validate_args=False)
                advantage = advantages[index]
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                ratio = (policy.log_prob(actions[index]) - log_probs[index]).exp()
                gain = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
                loss = -gain + 0.5 * 0.5 * (value - returns[index]).square().mean() - 0.01 * policy.entropy().mean()
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)


def main():
    n, T, epochs, minibatches, threads = (int(word) for word in sys.argv[1:6])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    learners = {
        "cartpole": Ppo(CartPole(n), n, T, epochs, minibatches),
        "bits": Ppo(Bits(n), n, T, epochs, minibatches),
    }
    print(f"ready {torch.__version__}", flush=True)
    for line in sys.stdin:
        name, updates = line.split()
        began = time.perf_counter()
        for _ in range(int(updates)):
            learners[name].update()
        print(time.perf_counter() - began, flush=True)


main()
