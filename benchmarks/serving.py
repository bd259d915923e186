"""`tfdqn serve` under load: requests/s and latency by number of clients, beside the policy's own call.

python -m benchmarks.serving [--clients 1 8 32] [--seconds 5]
"""

import argparse
import http.client
import json
import multiprocessing
import multiprocessing.connection
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import tfdqn  # noqa: F401  (quiets TensorFlow before it is imported)
from benchmarks.measure import rate, report
from tfdqn.config import MLP, Config
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.versions import DEFAULT_SIGNATURE
from tfdqn.networks.factory import q_network
from tfdqn.serving.model import Model
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

_SPEC = TaskSpec(
    id="CartPole-v1", observation={"observation": ArraySpec(shape=(4,), dtype="float32")}, actions=discrete(2)
)
_START_SECONDS = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exports = Path(folder) / "cartpole"
        network = q_network(Config(network=MLP(hidden_units=(128, 128))), _SPEC, seed=0)
        network.create_variables()
        call = Model(export_policy(_SPEC, network, exports, {}), 1).signatures[DEFAULT_SIGNATURE].call
        results = {
            f"the policy's own call on {rows} rows: ms": 1000
            / rate(lambda rows=rows: call({"observation": np.zeros((rows, 4), np.float32)}), 1).per_second
            for rows in (1, 32)
        }
        command = [sys.executable, "-m", "tfdqn", "serve", str(exports), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as server:
            try:
                port = _port(server)
                for clients in options.clients:
                    results |= _load(port, clients, options.seconds)
            finally:
                server.terminate()
    report("serving", {"network": "128, 128", "seconds": options.seconds}, results)


def _port(server: "subprocess.Popen[str]") -> int:
    """Where the server says that it listens."""
    assert server.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(server.stdout.readline()), daemon=True).start()
    found = re.search(r"127\.0\.0\.1:(\d+)", lines.get(timeout=_START_SECONDS))
    if found is None:
        raise SystemExit("the server did not start")
    return int(found[1])


def _load(port: int, clients: int, seconds: float) -> dict[str, float]:
    """Each client asks again as soon as it is answered; all in one process, which is not the server's."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_ask, args=(theirs, port, clients, seconds), daemon=True)
    process.start()
    if not ours.poll(seconds + _START_SECONDS):
        raise SystemExit(f"{clients} clients did not end")
    latencies, elapsed = ours.recv()
    process.join()
    cuts = statistics.quantiles(latencies, n=100)
    return {
        f"{clients} clients: requests/s": len(latencies) / elapsed,
        f"{clients} clients: p50 ms": 1000 * cuts[49],
        f"{clients} clients: p99 ms": 1000 * cuts[98],
    }


def _ask(pipe: "multiprocessing.connection.Connection", port: int, clients: int, seconds: float) -> None:
    latencies: list[float] = []
    ready = threading.Barrier(clients + 1)
    body = json.dumps({"instances": [[0.0, 0.1, 0.02, -0.1]]})

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        ready.wait()
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            connection.request("POST", "/v1/models/cartpole:predict", body)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            latencies.append(time.perf_counter() - begun)
        connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    pipe.send((latencies, time.perf_counter() - begun))


if __name__ == "__main__":
    main()
