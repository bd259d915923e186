"""A module of the user's that ends the program when it is imported, or whose operations fail in TensorFlow's graph."""

import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tfdqn.config import Linear
from tfdqn.config.toml import from_mapping
from tfdqn.config.user_modules import import_user_module, own_failures_as_own_code_error, own_updates_as_own_code_error
from tfdqn.errors import ConfigError, OwnCodeError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tfdqn.config.user_modules._packages", set())  # the tests themselves may be in it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("ends_saying", "import sys\nsys.exit('no licence')", "ended the program at {file}:2: SystemExit: no licence"),
        ("ends", "exit()", "ended the program at {file}:1: SystemExit: None"),
        ("refused", "from tfdqn.errors import UserError\nraise UserError('a b')", "failed at {file}:2: a b"),
    ],
)
def test_an_import_that_ends_the_program_is_one_line(folder: Path, name: str, source: str, said: str) -> None:
    file = folder / f"users_module_that_{name}.py"
    file.write_text(source)
    with pytest.raises(ConfigError) as caught:
        import_user_module(file.stem, 'agent.kind = "x"', ConfigError)
    assert str(caught.value) == f'agent.kind = "x": importing {file.stem} {said.format(file=file)}'


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "users_missing.py",
            'there is no module "users_missing" in {folder} or among the installed ones; if it is elsewhere, add its '
            "folder to PYTHONPATH",
        ),
        (
            "users_there.py",
            'there is no module "users_there.py" in {folder} or among the installed ones; as a module it is '
            '"users_there"',
        ),
    ],
)
def test_a_files_name_is_answered_with_the_modules_unless_that_is_what_is_missing(
    folder: Path, name: str, said: str
) -> None:
    (folder / "users_there.py").touch()
    with pytest.raises(ConfigError) as caught:
        import_user_module(name, 'agent.kind = "x"', ConfigError)
    assert str(caught.value) == f'agent.kind = "x": {said.format(folder=folder)}'


def test_ctrl_c_during_an_import_is_ctrl_c(folder: Path) -> None:
    (folder / "users_module_that_takes_long.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    with pytest.raises(KeyboardInterrupt):
        import_user_module("users_module_that_takes_long", 'agent.kind = "x"', ConfigError)


PROGRAM = "import sys\n\n\ndef ends():\n    sys.exit(3)\n"


def failed_operation(*stack: tuple[object, int, str]) -> tf.errors.OpError:
    """An error as TensorFlow raises it, with the stack of where the operation was made."""
    lines = [f'  File "{path}", line {line}, in {name}' for path, line, name in stack]
    text = ["Graph execution error:", "Detected at node a defined at (most recent call last):", *lines, "too", "large"]
    return tf.errors.InvalidArgumentError(None, None, "\n".join(text))


def test_an_operation_that_fails_in_the_graph_is_named_by_where_it_was_made(folder: Path) -> None:
    file = folder / "users_loss.py"
    file.write_text(PROGRAM)
    import_user_module("users_loss", "", ConfigError)
    for path in (file, str(file)[1:]):  # XLA leaves out a path's beginning
        error = failed_operation(("/packages/tfdqn/agents/dqn.py", 1, "_output"), (path, 2, "loss"), (path, 4, "ends"))
        with pytest.raises(OwnCodeError) as caught, own_failures_as_own_code_error():
            raise error
        assert str(caught.value) == f"ends failed at {file}:4: InvalidArgumentError: too large"
        assert "Graph execution error" in caught.value.traceback


def test_what_xla_cannot_compile_is_named_by_where_it_was_made(folder: Path) -> None:
    file = folder / "users_python.py"
    file.write_text("import tensorflow as tf\ndef own(x):\n    return tf.numpy_function(abs, [x], tf.float32)\n")
    import_user_module("users_python", "", ConfigError)
    own = sys.modules["users_python"].own
    call = tf.function(lambda x: own(x), jit_compile=True, autograph=False)
    said = (
        rf"^own failed at {file}:3: InvalidArgumentError: XLA can't compile the operation PyFunc; .* learner\.xla=off$"
    )
    with pytest.raises(OwnCodeError, match=said), own_failures_as_own_code_error():
        call(tf.constant(2.0))


def test_an_operation_of_this_package_in_the_users_own_program_is_not_the_users(folder: Path) -> None:
    """The stack of every operation begins in the program that trains, which may be in the user's module."""
    file = folder / "users_program.py"
    file.write_text(PROGRAM)
    import_user_module("users_program", "", ConfigError)
    error = failed_operation((file, 9, "<module>"), (file, 8, "main"), ("/packages/tfdqn/train.py", 1, "train"))
    with pytest.raises(tf.errors.InvalidArgumentError), own_failures_as_own_code_error():
        raise error


def test_sys_exit_of_the_users_function_is_one_line(folder: Path) -> None:
    file = folder / "users_exit.py"
    file.write_text(PROGRAM)
    import_user_module("users_exit", "", ConfigError)
    with (
        pytest.raises(OwnCodeError, match=rf"^ends failed at {file}:\d+: SystemExit: 3$"),
        own_failures_as_own_code_error(),
    ):
        sys.modules["users_exit"].ends()


def test_sys_exit_of_another_function_ends_the_program() -> None:
    with pytest.raises(SystemExit), own_failures_as_own_code_error():
        sys.exit(3)


OWN = "loss at /home/me/losses.py:7"
STEP = ("/packages/tfdqn/learning/train_step.py", 154, "gradients")


@pytest.fixture
def in_gradient() -> tf.errors.OpError:
    """An operation's error that TensorFlow has made for a gradient, as it comes from another process."""
    text = failed_operation(STEP).message.replace("node a", "node gradient_tape/while/q/MatMul_1")
    rest = '\n\t [[{{node gradient_tape/while/q/MatMul_1}}]]\nAdditional GRPC error information from remote\n:{"a":1}'
    return tf.errors.InvalidArgumentError(None, None, text + rest)


def test_an_operation_of_the_gradient_that_fails_is_that_of_the_users_parts(in_gradient: tf.errors.OpError) -> None:
    with pytest.raises(OwnCodeError) as caught, own_updates_as_own_code_error(OWN):
        raise in_gradient
    assert str(caught.value) == f"the gradient of {OWN} failed: InvalidArgumentError: too large"
    assert "Graph execution error" in caught.value.traceback


def test_an_operation_of_an_update_is_named_by_where_it_was_made_even_in_another_process(folder: Path) -> None:
    file = folder / "users_gradient.py"
    file.write_text(PROGRAM)
    import_user_module("users_gradient", "", ConfigError)
    with pytest.raises(OwnCodeError, match=f"^grad failed at {file}:4: Inv"), own_updates_as_own_code_error(OWN):
        raise failed_operation(STEP, (file, 4, "grad"))


@pytest.mark.parametrize("error", [ValueError("Dimensions"), TypeError("dtype"), LookupError("no gradient"), None])
def test_an_update_that_cannot_be_traced_names_the_users_parts(
    error: Exception | None, in_gradient: tf.errors.OpError
) -> None:
    raised = error or in_gradient
    with pytest.raises(OwnCodeError) as caught, own_updates_as_own_code_error(OWN, is_tracing=True):
        raise raised
    said = f"updates can't be made of {OWN}: " if error else f"the gradient of {OWN} failed: "
    assert str(caught.value).startswith(f"{said}{type(raised).__name__}: ")


def test_other_errors_of_updates_are_raised_unchanged(in_gradient: tf.errors.OpError) -> None:
    lost = tf.errors.UnavailableError(None, None, in_gradient.message)
    with pytest.raises(tf.errors.UnavailableError), own_updates_as_own_code_error(OWN, is_tracing=True):
        raise lost
    for own, error in ((OWN, ValueError("x")), (OWN, failed_operation(STEP)), ("", in_gradient)):
        with pytest.raises(type(error)), own_updates_as_own_code_error(own):
            raise error


def test_an_overridden_kind_of_ones_own_leaves_out_its_keys(folder: Path) -> None:
    (folder / "replaced_network.py").write_text(
        "from typing import Annotated\n"
        "from tfdqn.config.fields import doc\n"
        "from tfdqn.config.network import MLP\n"
        'class Wide(MLP, frozen=True, kw_only=True, tag_field="kind", tag="replaced_network:wide"):\n'
        '    breadth: Annotated[int, doc("units of the widest layer")] = 3\n'
    )
    said: list[str] = []
    given = {"network": {"kind": "replaced_network:wide", "breadth": 9}}
    assert from_mapping(given, ["network.kind=linear"], "wide.toml", said.append).network == Linear()
    assert said == ['network.kind = "linear" has no network.breadth: left out of what wide.toml says']
    with pytest.raises(ConfigError, match=r"network\.depth is not a key"):  # nothing can say whose it was
        from_mapping({"network": {"kind": "no_such_module:wide", "depth": 9}}, ["network.kind=linear"])


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("raise ValueError('x')", "importing halfway_{} failed at {}:1: ValueError: x"),
        ("import no_such_package_at_all", 'halfway_{} needs "no_such_package_at_all", which is not installed'),
    ],
)
def test_a_replaced_module_that_fails_while_it_is_imported_is_said_in_one_line(
    folder: Path, source: str, why: str
) -> None:
    name = len(source)  # a module for each
    file = folder / f"halfway_{name}.py"
    file.write_text(source)
    said: list[str] = []
    given = {"network": {"kind": f"halfway_{name}:wide"}}
    assert from_mapping(given, ["network.kind=linear"], "wide.toml", said.append).network == Linear()
    line = (
        f'warning: network.kind = "halfway_{name}:wide": {why.format(name, file)}; '
        "keys that only this kind has can't be left out"
    )
    assert said == [line]
    with pytest.raises(ConfigError, match=rf"halfway_{name}"):  # which is still needed
        from_mapping(given, [f"network.kind=halfway_{name}:narrow"], "wide.toml", said.append)
    assert said == [line]
