"""Memory of every process of a run against environment steps: when it is warm, and at its end.

    python -m benchmarks.memory {train,launch} CONFIG [--env-steps 1000000] [KEY=VALUE ...]

`tfdqn launch` has a process for each role, `tfdqn train` one for all; `acting.actors=2` and the like say how many.
Nothing but the number of environment steps ends the run. It counts as warm at a fifth of them: replay is full then,
and evaluations and checkpoints have been made. Anonymous memory is what a process has allocated; resident memory has
the libraries' pages besides, which other processes share.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import argument_parser, report
from tfdqn.storage.json_lines import read_last_line
from tfdqn.storage.run_directory import RunDir

PROJECT = Path(__file__).parent.parent
WARM = 0.2  # of the run
_PART = 0.03  # of the samples, over which medians are taken
_SAMPLE_SECONDS = 0.25
_MEBIBYTE_KB = 1024
_ROOTS = {"train": "train", "launch": "supervisor"}  # what a command's own process is
_ROLES = {"ps": "parameter_server"}  # what TensorFlow calls otherwise


class Sample(NamedTuple):
    """One process at one time, as the run then stood."""

    env_steps: int
    resident_mib: float
    anonymous_mib: float


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("verb", choices=("train", "launch"))
    parser.add_argument("config", type=Path, help="a TOML file")
    parser.add_argument("--env-steps", type=int, default=1_000_000)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = sampled(options.verb, options.config, options.env_steps, options.overrides, Path(folder))
    settings = {
        "command": f"tfdqn {options.verb} {options.config.name} {' '.join(options.overrides)}".strip(),
        "env_steps": options.env_steps,
    }
    grown = {name: growth(each) if each else "was started again" for name, each in sorted(samples.items())}
    report("memory", settings, grown)


def sampled(verb: str, config: Path, env_steps: int, overrides: Sequence[str], folder: Path) -> dict[str, list[Sample]]:
    """Runs `tfdqn VERB CONFIG` in `folder` for so many steps.

    Returns the samples of each process by its name, from when the run is warm until it trains no more; none of one
    that was started again. Raises RuntimeError where the run fails.
    """
    settings = [
        *(f"stop.env_steps={env_steps}", "stop.return_at_least=1e9", "checkpoint.interval_seconds=5"),
        "health.dead_after_seconds=60",  # nobody is started again because the machine is busy
    ]
    command = [sys.executable, "-m", "tfdqn", verb, str(config.resolve()), *settings, *overrides]
    run, said = RunDir(folder / "run"), folder / "said"
    samples: dict[tuple[str, int], list[Sample]] = {}
    with said.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--run-dir", str(run.path)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                _sample({process.pid: _ROOTS[verb]}, _env_steps(run.metrics_file), samples)
                time.sleep(_SAMPLE_SECONDS)
        finally:
            process.terminate()
            process.wait()  # no limit: it saves first, however large its replay is
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{said.read_text(encoding='utf-8')}")
    last = _env_steps(run.metrics_file)
    # From the last line of metrics on it trains no more: it evaluates for the last time, draws and exports.
    found: dict[str, list[Sample]] = {name: [] for name, _ in samples}
    for (name, _), each in samples.items():
        if each[0].env_steps <= WARM * last and each[-1].env_steps == last:
            found[name] = [sample for sample in each if WARM * last <= sample.env_steps < last]
    return found


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """Memory at first and at last, medians over a part of the run, in MiB; and the difference in percent."""
    part = max(int(_PART * len(samples)), 1)
    first, final = _median(samples[:part]), _median(samples[-part:])
    found: dict[str, float] = {}
    for kind, before, after in (
        ("resident", first.resident_mib, final.resident_mib),
        ("anonymous", first.anonymous_mib, final.anonymous_mib),
    ):
        found |= {f"{kind}_mib_when_warm": before, f"{kind}_mib_at_the_end": after}
        found |= {f"{kind}_growth_percent": 100 * (after / before - 1)}
    return found


def _median(samples: Sequence[Sample]) -> Sample:
    return Sample(*(statistics.median(values) for values in zip(*samples, strict=True)))


def _sample(root: dict[int, str], env_steps: int, samples: dict[tuple[str, int], list[Sample]]) -> None:
    """Adds a sample of the root, whose name is given, and of its descendants that have a part in the run."""
    for process in _family(root):
        try:
            name = root.get(process) or _name(process)
            text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue  # has ended meanwhile
        kilobytes = {kind: int(size) for kind, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
        if name is not None and kilobytes:  # of one that has just ended there are none
            sizes = kilobytes["Rss"] / _MEBIBYTE_KB, kilobytes["Anonymous"] / _MEBIBYTE_KB
            samples.setdefault((name, process), []).append(Sample(env_steps, *sizes))


def _family(root: Iterable[int]) -> list[int]:
    """Processes and their descendants."""
    found = list(root)
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text(encoding="utf-8").split()]
            except OSError:
                continue
    return found


def _name(process: int) -> str | None:
    """Its role and index in the job, by which its log is named; None of one that has no log of its own."""
    log = Path(os.readlink(f"/proc/{process}/fd/1"))
    if log.suffix != ".log" or os.getsid(process) != process:  # what it starts has the same log
        return None
    role, _, index = log.stem.rpartition("-")
    return f"{_ROLES.get(role, role)} {index}"


def _env_steps(metrics: Path) -> int:
    """As the last whole line says; 0 where there is none."""
    line = read_last_line(metrics)
    return 0 if line is None else int(line["env_steps"])


if __name__ == "__main__":
    main()
