"""docs/serving.md against the program: its commands are run as they stand, its examples and limits are true."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import PROJECT
from tests.support.prediction_service import prediction_service
from tests.support.serving_client import server
from tfdqn.cli import main
from tfdqn.serving import batching, connections, endpoints, limits, open_inference, options, payload
from tfdqn.serving.inputs import Input
from tfdqn.serving.model import Signature
from tfdqn.serving.payload import answer, parse

PAGE = (PROJECT / "docs" / "serving.md").read_text(encoding="utf-8")
TINY = (
    *("task.num_envs=4", "network.hidden_units=[16]", "learner.batch_size=32", "learner.updates_per_call=10"),
    *("learner.xla=off", "replay.block_size=4", "replay.capacity=1000", "replay.min_size=100"),
    *("stop.env_steps=600", "logging.tensorboard=false", "evaluation.interval_env_steps=500"),
    *("evaluation.episodes=1", "evaluation.confirm_episodes=0", "evaluation.final_episodes=1"),
)


@pytest.mark.long
def test_its_commands_lead_from_a_run_to_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, serve, *others, curl, infer, rest, grpc = _commands()
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    monkeypatch.chdir(tmp_path)
    for command in (first, *others):
        quick = command.replace("--min-return 475", "--min-return 5")
        program, verb, *arguments = shlex.split(quick)
        assert (program, verb in ("train", "export")) == ("tfdqn", True)
        assert main.main([verb, *arguments, *(TINY if verb == "train" else ())]) == 0
    shown_by_all = capsys.readouterr().out.splitlines()
    assert [line for line in shown_by_all if re.search("exported the best .*: runs/served/exports/1", line)]
    one, *converted = (Path(line) for line in shown_by_all if line.startswith("runs/cartpole-seed1/exports/"))
    assert (one / "model_card.md").is_file()
    assert [file.name for file in converted if file.is_file()] == ["policy.onnx", "policy.tflite"]
    verb, *arguments = shlex.split(serve)[1:]
    assert verb == "serve"
    with server(tmp_path, *arguments) as client:
        done, inferred = (_asked(each, client.port) for each in (curl, infer))
        clients = [_client(rest, ":8501", f":{client.port}")]
    with prediction_service(Path(*arguments).name, tmp_path / Path(*arguments) / "exports" / "1") as address:
        clients.append(_client(grpc, "127.0.0.1:8500", address))
    (example,) = re.findall(r"^An answer looks like `(\{.*?\})`", PAGE, flags=re.MULTILINE)
    (found,), (shown,) = (json.loads(each)["predictions"] for each in (done, example))
    assert found.keys() == shown.keys()
    assert len(found["q_values"]) == len(shown["q_values"])
    (shown_too,) = re.findall(r"^`(\{\"model_name.*\})`$", PAGE, flags=re.MULTILINE)
    real, kind = (json.loads(each) for each in (inferred, shown_too))
    tensors = [
        {each["name"]: np.reshape(each.pop("data"), each["shape"]) for each in of["outputs"]} for of in (real, kind)
    ]
    assert real.pop("model_version").isdecimal() and kind.pop("model_version").isdecimal()
    assert real == kind
    clients.append(tensors[0])
    for answered in clients:
        assert answered["action"] == [found["action"]]
        np.testing.assert_allclose(answered["q_values"], [found["q_values"]], rtol=1e-5)
    assert found["action"] == np.argmax(found["q_values"]) and shown["action"] == np.argmax(shown["q_values"])


def _commands() -> list[str]:
    """Those that are run here: what starts the run and what serves it first, those that ask last."""
    lines = "".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)).splitlines()
    found = [line for line in lines if not line.endswith("# not run here")]
    return sorted(found, key=lambda line: line.startswith(("curl ", "python ")))


def _asked(command: str, port: int) -> bytes:
    """What curl prints."""
    real = command.replace(":8501/", f":{port}/")
    assert real != command
    return subprocess.run(["bash", "-c", real], capture_output=True, timeout=240, check=True).stdout


def _client(command: str, place: str, real: str) -> Any:
    """What a client prints, in JSON, for a command of the page."""
    program, *arguments = shlex.split(command.replace(place, real))
    assert program == "python" and real in command.replace(place, real)
    done = subprocess.run([sys.executable, *arguments], cwd=PROJECT, capture_output=True, timeout=240, check=True)
    return json.loads(done.stdout)


def test_its_examples_of_several_inputs_are_taken() -> None:
    floats = np.dtype("float32")
    inputs = {"position": Input(floats, (None, 2)), "speed": Input(floats, (None, 1))}

    class Model:
        signatures = {"serving_default": Signature(lambda arrays: arrays, inputs, is_batched=True)}  # noqa: RUF012

    examples = re.findall(r"`(\{\"in[^`]*position.*?\})`", PAGE)
    assert len(examples) == 2
    rows, columns = (parse(each.encode(), Model) for each in examples)  # type: ignore[arg-type]
    assert answer(rows.inputs, False) == answer(columns.inputs, False)


def test_its_options_and_limits_are_the_programs() -> None:
    from typer.main import get_command

    verbs = [get_command(main.app).commands[name] for name in ("serve", "export", "train")]  # type: ignore[attr-defined]
    verb, (named_options, *others) = (
        verbs[0],
        [{name for param in each.params for name in param.opts if name.startswith("--")} for each in verbs],
    )
    run_here = "".join(line for line in PAGE.splitlines() if not line.endswith("# not run here"))
    named = set(re.findall(r"(--[a-z][a-z-]+)(?!\w)", run_here))
    assert named_options <= named <= named_options.union(*others)
    defaults = {param.name: param.default for param in verb.params}
    assert (defaults["port"], defaults["max_batch_size"]) == (8501, options.MOST_ROWS_OF_CALL)
    assert options.read_policy(defaults["versions"]) == options.LATEST
    text = " ".join(PAGE.split())
    for shown in (
        f"more than {endpoints.MOST_BODY_BYTES // 2**20} MiB",
        f"or more than {payload.MOST_ROWS:,} rows",
        f"longer than {endpoints._SHORT_BYTES // 2**10} KiB is read outside",
        f"of more than {endpoints._SHORT_ROWS} rows is written",
        f"first {limits.UNCOUNTED_BYTES // 2**10} KiB of a request",
        f"{limits.MOST_BYTES // 2**20} MiB, each from its first byte",
        f"hold {limits.MOST_BYTES // 2**20} MiB already",
        f"{limits._MOST_CONNECTIONS} connections are open",
        f"body takes more than {endpoints._BODY_SECONDS:.0f} seconds",
        f"{connections.CLIENT_SECONDS:.0f} seconds for a request's head",
        f"head has {connections._MOST_HEAD_BYTES // 2**10} KiB at most",
        f"on which more than {connections._MOST_WAITING} requests wait",
        f"a request may have {open_inference._MOST_BYTES_BESIDE // 2**10} KiB",
        f"no answer within {batching._PATIENCE_SECONDS:.0f} seconds",
        f"of {options.MOST_ROWS_OF_CALL:,} rows and {batching._MOST_BYTES // 2**20} MiB at most",
    ):
        assert shown in text
