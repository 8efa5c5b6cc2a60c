"""Plays n copies of a Gymnasium environment for gym-environment.ts, which starts this program.

Frames on standard input and output: uint32 (little-endian) length of the payload, one byte kind, payload.

    O  JSON {id, n, maxSteps, atari}        -> o  JSON {observation, action, clipped}
    R  JSON {copies: [{seed, episode, actions}]}
                                            -> b  observations: starts each copy's episode and plays the actions
    S  actions, int32 or float32            -> s  observations, rewards (float32), terminated, truncated (uint8),
                                                  the rewards of the game (float32) where they are clipped,
                                                  the last observations of the ended copies
    any                                     -> e  JSON {kind, message}; the program then ends

All observations are [n, ...shape] in the space's dtype; pictures [H, W, C] of Gymnasium come as [C, H, W]. Episode 0 of a copy is
seeded with its seed, the following ones with a mix of seed and episode, so that seed, episode and actions are all that is needed to get
back to a point. It ends when its input does.
"""

import importlib.util
import json
import os
import signal
import struct
import sys
import traceback

# What environments print must not get between the frames.
OUT = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)


class Failure(Exception):
    """What the user is told; kind: missing (a package), unknown (the environment), environment (its own fault)."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


try:
    import numpy as np
except ImportError:
    np = None


def send(kind, *parts):
    OUT.write(struct.pack("<Ic", sum(len(part) for part in parts), kind))
    for part in parts:
        OUT.write(part)
    OUT.flush()


def receive():
    """The next frame; None at the end of the input."""
    source = sys.stdin.buffer
    header = source.read(5)
    if len(header) < 5:
        return None
    length, kind = struct.unpack("<Ic", header)
    return kind, source.read(length)


def from_file(path, name):
    """The class of a Python file; it need not know Gymnasium, only act like it."""
    spec = importlib.util.spec_from_file_location("environment_file", path)
    if spec is None or not os.path.exists(path):
        raise Failure("unknown", f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise Failure("unknown", f"{path} has no class {name}")
    return getattr(module, name)


def import_gymnasium():
    try:
        import gymnasium
    except ImportError as error:
        raise Failure("missing", "gymnasium") from error
    try:
        import ale_py
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        gymnasium.register_envs(ale_py)
    except ImportError:
        pass
    return gymnasium


def is_atari(gymnasium, name):
    return "ale_py" in str(gymnasium.spec(name).entry_point)


def atari(gymnasium, name, options):
    """The standard preprocessing (Mnih et al. 2015, Machado et al. 2018): 84x84 grey, 4 frames, frame skip, max-pooling."""
    try:
        import cv2
    except ImportError as error:
        raise Failure("missing", "opencv-python-headless") from error
    cv2.setNumThreads(1)
    sticky = {} if options["stickyActions"] is None else {"repeat_action_probability": options["stickyActions"]}
    env = gymnasium.make(name, frameskip=1, disable_env_checker=True, **sticky)
    env = gymnasium.wrappers.AtariPreprocessing(
        env, noop_max=options["noopMax"], frame_skip=4, terminal_on_life_loss=options["terminalOnLifeLoss"]
    )
    return gymnasium.wrappers.FrameStackObservation(env, 4)


def from_gymnasium(name, options):
    """A function that makes one copy, and whether it is an Atari game."""
    gymnasium = import_gymnasium()
    try:
        preprocess = is_atari(gymnasium, name)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        hint = ""
        if name.startswith("ALE/") and importlib.util.find_spec("ale_py") is None:
            hint = "; Atari games need `pip install ale-py`"
        raise Failure("unknown", f"{error}{hint}") from error

    def make():
        try:
            if preprocess:
                return atari(gymnasium, name, options)
            env = gymnasium.make(name, disable_env_checker=True)
        except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
            raise Failure("missing", str(error)) from error
        if not isinstance(env.observation_space, gymnasium.spaces.Box):
            env = gymnasium.wrappers.FlattenObservation(env)
        return ChannelsFirst(env) if is_camera(env.observation_space) else env

    return make, preprocess


def bound(values):
    """One number if all are equal; None stands for infinity."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    numbers = [float(value) if np.isfinite(value) else None for value in flat]
    return numbers[0] if numbers and all(number == numbers[0] for number in numbers) else numbers


def describe_box(space, dtype):
    return {"kind": "box", "shape": list(space.shape), "dtype": dtype, "low": bound(space.low), "high": bound(space.high)}


class ChannelsFirst:
    """An environment whose pictures [H, W, C], as cameras give them, come as [C, H, W]."""

    def __init__(self, env):
        space = env.observation_space
        self.env = env
        self.action_space = env.action_space
        self.observation_space = type(space)(
            low=np.moveaxis(space.low, -1, 0), high=np.moveaxis(space.high, -1, 0), dtype=space.dtype
        )

    def reset(self, **options):
        observation, *rest = self.env.reset(**options)
        return (np.moveaxis(np.asarray(observation), -1, 0), *rest)

    def step(self, action):
        observation, *rest = self.env.step(action)
        return (np.moveaxis(np.asarray(observation), -1, 0), *rest)


def is_camera(space):
    """Whether observations are pictures [H, W, C] of bytes."""
    shape = getattr(space, "shape", ())
    return len(shape) == 3 and shape[2] in (1, 3, 4) and min(shape[:2]) > 4 and np.dtype(space.dtype) == np.uint8


def is_box(space):
    return all(hasattr(space, name) for name in ("shape", "low", "high"))


def describe_observation(space):
    if not is_box(space):
        raise Failure("environment", f"its observation space is {space}, which is no Box of numbers")
    return describe_box(space, "uint8" if np.dtype(space.dtype) in (np.uint8, np.bool_) else "float32")


def describe_action(space):
    if getattr(space, "shape", ()) == () and hasattr(space, "n"):
        return {"kind": "discrete", "n": int(space.n)}
    if is_box(space):
        return describe_box(space, "float32")
    raise Failure("environment", f"its action space is {space}; only Discrete and Box can be played")


class Copy:
    def __init__(self, env, max_steps):
        self.env = env
        self.shape = tuple(env.observation_space.shape)
        self.max_steps = max_steps
        self.seed, self.episode, self.steps = 0, 0, 0

    def start(self, seed, episode):
        """The first observation of an episode."""
        self.seed, self.episode, self.steps = seed, episode, 0
        mixed = int(np.random.SeedSequence([seed, episode]).generate_state(1)[0] & 0x7FFFFFFF)
        answer = self.env.reset(seed=seed if episode == 0 else mixed)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise Failure("environment", "reset must return two values: observation, info")
        return self.checked(answer[0])

    def step(self, action):
        answer = self.env.step(action)
        if not isinstance(answer, tuple) or len(answer) != 5:
            raise Failure("environment", "step must return five values: observation, reward, terminated, truncated, info")
        observation, reward, terminated, truncated, _ = answer
        self.steps += 1
        truncated = bool(truncated) or self.max_steps is not None and self.steps >= self.max_steps
        return self.checked(observation), float(reward), bool(terminated), truncated

    def checked(self, observation):
        array = np.asarray(observation)
        if array.shape == self.shape and array.dtype.kind in "biuf":
            return array
        found = f"shape {list(array.shape)}, dtype {array.dtype}"
        raise Failure("environment", f"an observation has {found}; its space says shape {list(self.shape)}")


class Server:
    def open(self, request):
        name, options = request["id"], request["atari"]
        path, _, cls = name.rpartition(":")
        make, is_game = (from_file(path, cls), False) if path.endswith(".py") else from_gymnasium(name, options)
        self.clip = is_game if options["clipRewards"] is None else options["clipRewards"]
        self.copies = [Copy(make(), request["maxSteps"]) for _ in range(request["n"])]
        env = self.copies[0].env
        observation, action = describe_observation(env.observation_space), describe_action(env.action_space)
        self.action = action
        self.first_action = int(getattr(env.action_space, "start", 0))
        self.observations = np.zeros((len(self.copies), *observation["shape"]), observation["dtype"])
        send(b"o", json.dumps({"observation": observation, "action": action, "clipped": self.clip}).encode())

    def to_action(self, values):
        """One copy's action as its environment wants it."""
        if self.action["kind"] == "discrete":
            return int(values) + self.first_action
        return np.asarray(values, dtype=np.float32).reshape(self.action["shape"])

    def reset(self, request):
        for i, (copy, wanted) in enumerate(zip(self.copies, request["copies"])):
            self.observations[i] = copy.start(wanted["seed"], wanted["episode"])
            for action in wanted["actions"]:
                self.observations[i] = copy.step(self.to_action(action))[0]
        send(b"b", self.observations.tobytes())

    def step(self, payload):
        count = len(self.copies)
        dtype = np.int32 if self.action["kind"] == "discrete" else np.float32
        actions = np.frombuffer(payload, dtype).reshape(count, -1)
        rewards = np.zeros(count, np.float32)
        ends = np.zeros((2, count), np.uint8)
        finals = []
        for i, copy in enumerate(self.copies):
            action = actions[i, 0] if self.action["kind"] == "discrete" else actions[i]
            observation, reward, *ended = copy.step(self.to_action(action))
            self.observations[i] = observation
            rewards[i] = reward
            ends[:, i] = ended
            if any(ended):
                finals.append(self.observations[i].tobytes())
                self.observations[i] = copy.start(copy.seed, copy.episode + 1)
        whole = [rewards.tobytes()] if self.clip else []
        rewards = np.sign(rewards) if self.clip else rewards
        send(b"s", self.observations.tobytes(), rewards.tobytes(), ends.tobytes(), *whole, *finals)

    def handle(self, kind, payload):
        if np is None:
            raise Failure("missing", "numpy")
        if kind == b"S":
            self.step(payload)
        else:
            {b"O": self.open, b"R": self.reset}[kind](json.loads(payload))


def failure_of(error):
    if isinstance(error, Failure):
        return {"kind": error.kind, "message": str(error)}
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"
    return {"kind": "environment", "message": f"{type(error).__name__}: {error} ({where})"}


def main():
    # They reach the whole process group; the program that started this one decides what they mean, and ends its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = Server()
    while (frame := receive()) is not None:
        try:
            server.handle(*frame)
        except BaseException as error:
            send(b"e", json.dumps(failure_of(error)).encode())
            return


main()
