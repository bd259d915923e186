"""Run by `benchmarks.gpu` with the Python of JAX or of PyTorch: the same updates, timed when it is told to.

    python benchmarks/gpu_peers.py jax|torch

Each line of stdin is a JSON object, and each answer a line of stdout. The first, {"network", "batch_size",
"updates_per_call", "precision", "actions"}, says what an update is, and makes a call of them; every other, {"seconds"},
repeats it and gives updates/s. Updates are DQN's, as in `benchmarks.updates`: squared loss, Adam, a hard copy to the
target every 50, batches drawn on the device from a table that is there. It imports nothing of tfdqn.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

TABLE_SIZE, PERIOD, RATE, DISCOUNT = 2_000, 50, 2.5e-4, 0.99
WIDTHS = {"mlp 120-84": (120, 84), "mlp 1024-1024": (1024, 1024)}
NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
SECTIONS = (16, 32, 32)


def main() -> None:
    make = {"jax": jax_updates, "torch": torch_updates}[sys.argv[1]]
    asked = json.loads(sys.stdin.readline())
    updates = make(**asked)
    began = time.perf_counter()
    updates()
    print(json.dumps({"first call: s": time.perf_counter() - began}), flush=True)
    for line in sys.stdin:
        seconds, calls, began = json.loads(line)["seconds"], 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            updates()
            calls += 1
        print(json.dumps({"updates/s": calls * asked["updates_per_call"] / elapsed}), flush=True)


def jax_parameters(network: str, actions: int) -> list[dict[str, Any]]:
    """Of each layer, from its input to its output."""
    import jax
    import jax.numpy as jnp

    keys = iter(jax.random.split(jax.random.key(0), 64))

    def layer(*shape: int) -> dict[str, Any]:
        return {"w": jax.random.normal(next(keys), shape) / prod(shape[:-1]) ** 0.5, "b": jnp.zeros(shape[-1])}

    if network in WIDTHS:
        return [layer(*pair) for pair in pairwise((4, *WIDTHS[network], actions))]
    if network == "nature_cnn":
        channels = (4, *(filters for filters, _, _ in NATURE))
        convolutions = [layer(size, size, channels[i], out) for i, (out, size, _) in enumerate(NATURE)]
        return [*convolutions, layer(7 * 7 * 64, 512), layer(512, actions)]
    channels = (4, *SECTIONS)
    convolutions = [
        layer(3, 3, channels[i] if j == 0 else out, out) for i, out in enumerate(SECTIONS) for j in range(5)
    ]
    return [*convolutions, layer(11 * 11 * 32, 256), layer(256, actions)]


def jax_q(network: str, precision: str) -> Callable[[Any, Any], Any]:
    """(parameters, observations) → Q."""
    import jax
    import jax.numpy as jnp

    dtype, relu = jnp.bfloat16 if precision == "bfloat16" else jnp.float32, jax.nn.relu

    def conv(weights: dict[str, Any], x: Any, stride: int = 1, padding: str = "SAME") -> Any:
        axes = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, weights["w"].astype(dtype), (stride,) * 2, padding, dimension_numbers=axes)
        return y + weights["b"].astype(dtype)

    def dense(weights: dict[str, Any], x: Any) -> Any:
        return x @ weights["w"].astype(dtype) + weights["b"].astype(dtype)

    def section(layers: Any, x: Any) -> Any:
        first, *blocks = layers
        x = jax.lax.reduce_window(conv(first, x), -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        for one, two in (blocks[:2], blocks[2:]):
            x = x + conv(two, relu(conv(one, relu(x))))
        return x

    def q(parameters: Any, x: Any) -> Any:
        x = x.astype(dtype) if network in WIDTHS else x.astype(dtype) / 255
        if network == "nature_cnn":
            for each, (_, _, stride) in zip(parameters, NATURE, strict=False):
                x = relu(conv(each, x, stride, "VALID"))
        elif network not in WIDTHS:
            for i in range(len(SECTIONS)):
                x = section(parameters[5 * i : 5 * i + 5], x)
            x = relu(x)
        hidden = parameters[:-1] if network in WIDTHS else parameters[-2:-1]
        x = x.reshape(len(x), -1)
        for each in hidden:
            x = relu(dense(each, x))
        return dense(parameters[-1], x).astype(jnp.float32)

    return q


def jax_updates(
    network: str, batch_size: int, updates_per_call: int, precision: str, actions: int
) -> Callable[[], None]:
    import jax
    import jax.numpy as jnp
    import optax

    q, parameters, shape = jax_q(network, precision), jax_parameters(network, actions), (84, 84, 4)
    keys = iter(jax.random.split(jax.random.key(1), 4))
    if network in WIDTHS:
        table = {name: jax.random.normal(next(keys), (TABLE_SIZE, 4)) for name in ("s", "t")}
    else:
        pictures = partial(jax.random.randint, shape=(TABLE_SIZE, *shape), minval=0, maxval=256, dtype=jnp.uint8)
        table = {name: pictures(next(keys)) for name in ("s", "t")}
    table["a"] = jax.random.randint(next(keys), (TABLE_SIZE,), 0, actions)
    optimizer = optax.adam(RATE)

    def update(carry: Any, batch: Any) -> tuple[Any, Any]:
        online, target, state, step = carry

        def loss(online: Any) -> Any:
            value = 1.0 + DISCOUNT * q(target, batch["t"]).max(axis=1)
            chosen = jnp.take_along_axis(q(online, batch["s"]), batch["a"][:, None], axis=1)[:, 0]
            return jnp.mean(0.5 * (value - chosen) ** 2)

        change, state = optimizer.update(jax.grad(loss)(online), state)
        online = optax.apply_updates(online, change)
        target = jax.tree.map(lambda new, old: jnp.where((step + 1) % PERIOD == 0, new, old), online, target)
        return (online, target, state, step + 1), None

    @partial(jax.jit, donate_argnums=0)
    def many(carry: Any, key: Any) -> Any:
        rows = jax.random.randint(key, (updates_per_call, batch_size), 0, TABLE_SIZE)
        return jax.lax.scan(update, carry, jax.tree.map(lambda each: each[rows], table))[0]

    copied = jax.tree.map(jnp.copy, parameters)
    kept = [(parameters, copied, optimizer.init(parameters), 0), jax.random.key(1)]

    def call() -> None:
        kept[1], key = jax.random.split(kept[1])
        kept[0] = jax.block_until_ready(many(kept[0], key))

    return call


def torch_network(network: str, actions: int) -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, channels: int):
            super().__init__()
            self.one, self.two = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

        def forward(self, x: Any) -> Any:
            return x + self.two(torch.relu(self.one(torch.relu(x))))

    if network in WIDTHS:
        one, two = WIDTHS[network]
        return nn.Sequential(nn.Linear(4, one), nn.ReLU(), nn.Linear(one, two), nn.ReLU(), nn.Linear(two, actions))
    layers: list[nn.Module] = []
    channels, features, width = 4, 7 * 7 * 64, 512
    if network == "nature_cnn":
        for filters, size, stride in NATURE:
            layers += [nn.Conv2d(channels, filters, size, stride), nn.ReLU()]
            channels = filters
    else:
        features, width = 11 * 11 * 32, 256
        for filters in SECTIONS:
            pool = nn.MaxPool2d(3, 2, padding=1)
            layers += [nn.Conv2d(channels, filters, 3, padding=1), pool, Block(filters), Block(filters)]
            channels = filters
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, width), nn.ReLU(), nn.Linear(width, actions))


def torch_updates(
    network: str, batch_size: int, updates_per_call: int, precision: str, actions: int
) -> Callable[[], None]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")  # TF32, as TensorFlow and JAX have it

    online, target = (torch_network(network, actions).to(device) for _ in range(2))
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), RATE, fused=device == "cuda")
    is_vector = network in WIDTHS
    size = (TABLE_SIZE, 4) if is_vector else (TABLE_SIZE, 4, 84, 84)
    s, t = (
        torch.randn(size, device=device) if is_vector else torch.randint(256, size, dtype=torch.uint8, device=device)
        for _ in range(2)
    )
    a = torch.randint(actions, (TABLE_SIZE, 1), device=device)

    def loss_of(s: Any, a: Any, t: Any) -> Any:
        if not is_vector:
            s, t = s.float() / 255, t.float() / 255
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            with torch.no_grad():
                value = 1.0 + DISCOUNT * target(t).float().amax(1)
            chosen = online(s).float().gather(1, a)[:, 0]
        return (0.5 * (value - chosen) ** 2).mean()

    loss = torch.compile(loss_of) if device == "cuda" else loss_of
    steps = 0

    def call() -> None:
        nonlocal steps
        for _ in range(updates_per_call):
            rows = torch.randint(TABLE_SIZE, (batch_size,), device=device)
            optimizer.zero_grad(set_to_none=True)
            loss(s[rows], a[rows], t[rows]).backward()
            optimizer.step()
            steps += 1
            if steps % PERIOD == 0:
                target.load_state_dict(online.state_dict())
        if device == "cuda":
            torch.cuda.synchronize()

    return call


if __name__ == "__main__":
    main()
