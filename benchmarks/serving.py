"""`tfdqn serve` under load: requests/s and latency by number of clients and rows, beside the policy's own call.

python -m benchmarks.serving [--clients 1 8 32 128] [--rows 1 64 1024] [--rates 1000 2000 4000] [--seconds 5] [--table]

If each client asks again as soon as it is answered, there are always as many requests under way as clients. The mean
latency is then clients ÷ requests/s (Little's law): it says how fast the server is, not how long an occasional client
waits. `--rates` measures that, by requests at even intervals on 32 connections.
"""

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import argument_parser, print_table, rate, report
from benchmarks.random_transitions import CARTPOLE
from tfdqn.config import MLP, Config
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.versions import DEFAULT_SIGNATURE
from tfdqn.networks.factory import q_network
from tfdqn.serving.model import Model
from tfdqn.types import Arrays

_OBSERVATION = [0.0, 0.1, 0.02, -0.1]
_PATH = "/v1/models/cartpole:predict"
_CLIENTS_AT_A_RATE = 32
_PATIENCE_SECONDS = 300.0


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64, 1024], help="of a request")
    parser.add_argument("--rates", type=float, nargs="*", default=[1000, 2000, 4000], help="requests/s of one row each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--table", action="store_true", help="print a table in place of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exports = Path(folder) / "cartpole"
        network = q_network(Config(network=MLP(hidden_units=(128, 128))), CARTPOLE, seed=0)
        network.create_variables()
        call = Model(export_policy(CARTPOLE, network, exports, {}), 1).signatures[DEFAULT_SIGNATURE].call
        results = {f"the policy's own call, {rows} rows": _own_call(call, rows) for rows in options.rows}
        command = [sys.executable, "-m", "tfdqn", "serve", str(exports), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as server:
            try:
                port = _port(server)
                _load(server, port, 32, 1, 1.0)  # which warms both up
                for rows in options.rows:
                    for clients in options.clients:
                        name = f"{clients} clients, {rows} rows"
                        results[name] = _load(server, port, clients, rows, options.seconds)
                for per_second in options.rates:
                    name = f"{per_second:,.0f} requests/s, 1 row"
                    results[name] = _load(server, port, _CLIENTS_AT_A_RATE, 1, options.seconds, per_second)
            finally:
                server.terminate()
    if options.table:
        print_table("", results)
    else:
        report("serving", {"network": "128, 128", "seconds": options.seconds, "load": os.getloadavg()}, results)


def _own_call(call: Callable[[Arrays], Arrays], rows: int) -> dict[str, float]:
    inputs = {"observation": np.zeros((rows, 4), np.float32)}
    calls = rate(lambda: call(inputs), 1).per_second
    return {"requests/s": calls, "mean ms": 1000 / calls, "rows/s": calls * rows}


def _port(server: "subprocess.Popen[str]") -> int:
    """Where the server says that it listens."""
    output = server.stdout
    assert output is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
    found = re.search(r"127\.0\.0\.1:(\d+)", lines.get(timeout=_PATIENCE_SECONDS))
    if found is None:
        raise SystemExit("the server did not start")
    return int(found[1])


def _load(
    server: "subprocess.Popen[str]", port: int, clients: int, rows: int, seconds: float, per_second: float | None = None
) -> dict[str, float]:
    """Runs clients in a process of their own, and adds what the server used meanwhile."""
    command = [sys.executable, "-m", "benchmarks.serving_clients", str(port), _PATH, str(clients), str(seconds)]
    command += [] if per_second is None else ["--rate", str(per_second)]
    body, used = json.dumps({"instances": [_OBSERVATION] * rows}), _cpu_seconds(server.pid)
    done = subprocess.run(
        command, input=body.encode(), stdout=subprocess.PIPE, check=True, timeout=seconds + _PATIENCE_SECONDS
    )
    used = _cpu_seconds(server.pid) - used
    found = json.loads(done.stdout)
    used_by_one = used / found.pop("requests")
    return found | {"CPU of a request, server: µs": 1e6 * used_by_one, "rows/s": found["requests/s"] * rows}


def _cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
