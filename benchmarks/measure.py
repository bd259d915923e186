"""What benchmarks share: medians over rounds, wall and CPU time, the machine beside the figures, and JSON."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.networks.factory import q_network
from tfdqn.system.addresses import free_addresses
from tfdqn.task_spec import TaskSpec


class Rate(NamedTuple):
    """Units of work per second of wall time and per second of this process's CPU time: medians over rounds."""

    per_second: float
    per_cpu_second: float


def rate(work: Callable[[], object], units_per_call: float, *, seconds: float = 1.0, rounds: int = 5) -> Rate:
    """Repeats `work` for about `seconds` in each of `rounds` rounds, after one call to warm up."""
    work()
    return _median([_round(work, units_per_call, seconds) for _ in range(rounds)])


def rates_in_turn(
    works: Mapping[str, tuple[Callable[[], object], float]], *, seconds: float = 1.0, rounds: int = 5
) -> dict[str, Rate]:
    """`rate` of several (work, units per call), round by round in turn, so that a noisy machine spoils none alone."""
    for work, _ in works.values():
        work()
    measured: dict[str, list[Rate]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, units_per_call) in works.items():
            measured[name].append(_round(work, units_per_call, seconds))
    return {name: _median(rates) for name, rates in measured.items()}


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A benchmark's, whose help shows its module's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def use_one_thread() -> None:
    """TensorFlow on one core, as a single process of tfdqn trains small networks."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)


def free_address() -> str:
    """On loopback, with a port that nobody has just now."""
    return free_addresses(1)[0]


def new_weights(config: Config, task_spec: TaskSpec) -> dict[str, np.ndarray]:
    """Of a new network, by name."""
    network = q_network(config, task_spec, seed=0)
    network.create_variables()
    return {name: weight.numpy() for name, weight in network.named_weights().items()}


def machine() -> dict[str, Any]:
    """What the figures are of."""
    return {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def report(benchmark: str, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Prints one JSON object."""
    rounded = json.loads(json.dumps(results), parse_float=lambda text: float(f"{float(text):.4g}"))
    print(json.dumps({"benchmark": benchmark, "machine": machine(), **settings, "results": rounded}, indent=2))


def print_table(first: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Prints rows as Markdown, by four figures, under the headings that any of them has; `first` heads their names."""
    headings = list(dict.fromkeys(heading for row in rows.values() for heading in row))
    print("|", " | ".join([first, *headings]), "|")
    print("|", " | ".join("---" for _ in (first, *headings)), "|")
    for name, row in rows.items():
        cells = (f"{float(f'{row[each]:.4g}'):,.10g}" if each in row else "" for each in headings)
        print("|", " | ".join([name, *cells]), "|")


def _round(work: Callable[[], object], units_per_call: float, seconds: float) -> Rate:
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - wall) < seconds:
        work()
        calls += 1
    elapsed, used = time.perf_counter() - wall, time.process_time() - cpu
    return Rate(calls * units_per_call / elapsed, calls * units_per_call / max(used, 1e-9))


def _median(rates: list[Rate]) -> Rate:
    return Rate(*(statistics.median(values) for values in zip(*rates, strict=True)))


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()
