"""`Model`: one version of a SavedModel in memory, with its signatures; `ModelVersions`: those that are served."""

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tfdqn.errors import UserError, first_line
from tfdqn.exporting.policy_inputs import PolicyInputs, check_finite, state_size_of
from tfdqn.exporting.saved_model import signature_defs
from tfdqn.exporting.versions import DEFAULT_SIGNATURE, EXTRA, TASK_SPEC_FILE, complete_versions
from tfdqn.networks.eager_tensor_leak import mend_eager_tensors
from tfdqn.serving.inputs import Input, Reader
from tfdqn.serving.options import LATEST, VersionPolicy
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Arrays

_LONGEST_PROBLEM = 300  # characters


@dataclass(frozen=True, eq=False)
class Signature:
    """One function of a SavedModel."""

    call: Callable[[Arrays], Arrays]
    inputs: Mapping[str, Input]
    is_batched: bool  # whether every input and output has a first axis of any length, along which requests are joined
    check: Callable[[Arrays], None] = check_finite  # raises UserError for inputs for which an answer is meaningless
    outputs: Mapping[str, Input] = field(default_factory=dict)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row's inputs; inputs of any length are not counted."""
        return sum((each.row_numbers or 0) * each.dtype.itemsize for each in self.inputs.values())

    @cached_property
    def reader(self) -> Reader:
        """The reader of its inputs' JSON."""
        return Reader(self.inputs, self.is_batched)


class Model:
    """A loaded version. TensorFlow may raise any Exception for a damaged one.

    Attributes:
      version: its number.
      signatures: by name.
      policy_inputs: the observations that the task can give, if tfdqn exported the policy; else None.
      signature_defs: the signatures as the SavedModel's own protocol buffers, as JSON.
    """

    def __init__(self, path: Path, version: int):
        mend_eager_tensors()  # each request makes some
        self.version = version
        module = tf.saved_model.load(str(path), tags="serve")
        self.policy_inputs = _policy_inputs(path, module)
        self.signatures = {
            name: _signature(module, each, self.policy_inputs) for name, each in module.signatures.items()
        }
        self.signature_defs = _signature_defs(path)
        for name, signature in self.signatures.items():
            if (rows := self.example(name)) is not None:
                # The first call is slow, so make it before a client does; and never serve a version that can't answer.
                check_finite(signature.call(rows))

    def example(self, signature: str) -> Arrays | None:
        """One row that a signature takes; None if its shape is open."""
        served = self.signatures[signature]
        if not served.is_batched:
            return None
        if self.policy_inputs is not None and served.check == self.policy_inputs.check:
            return self.policy_inputs.example(1)
        rows = {name: (each.row_shape, each.dtype) for name, each in served.inputs.items()}
        zeros = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in rows.items() if shape is not None}
        return zeros if len(zeros) == len(rows) else None


def _policy_inputs(path: Path, module: Any) -> PolicyInputs | None:
    """The inputs of a policy that tfdqn exported; None for any other SavedModel."""
    file = path / EXTRA / TASK_SPEC_FILE
    if not file.is_file():
        return None
    task_spec, served = TaskSpec.from_json(file.read_bytes()), module.signatures.get(DEFAULT_SIGNATURE)
    takes = {} if served is None else served.structured_input_signature[1]
    return PolicyInputs(task_spec, state_size_of(takes, task_spec))


def _signature(module: Any, function: Any, policy_inputs: PolicyInputs | None) -> Signature:
    def call(inputs: Arrays, _kept: Any = module) -> Arrays:  # a function holds its module's variables weakly
        outputs = function(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: outputs[name].numpy() for name in sorted(outputs)}  # a SavedModel has them in any order

    inputs, outputs = _described(function.structured_input_signature[1]), _described(function.structured_outputs)
    is_batched = all(each.shape and each.shape[0] is None for each in (*inputs.values(), *outputs.values()))
    check: Callable[[Arrays], None] = check_finite
    if policy_inputs is not None and policy_inputs.names == inputs.keys():
        check = policy_inputs.check
    return Signature(call, inputs, is_batched, check, outputs)


def _described(specs: Mapping[str, Any]) -> dict[str, Input]:
    return {
        name: Input(np.dtype(spec.dtype.as_numpy_dtype), None if spec.shape.rank is None else tuple(spec.shape))
        for name, spec in sorted(specs.items())
    }


def _signature_defs(path: Path) -> dict[str, Any]:
    return {
        name: json_format.MessageToDict(each, preserving_proto_field_name=True, including_default_value_fields=True)
        for name, each in signature_defs(path).items()
    }


class VersionState(NamedTuple):
    """The state of one version, in TensorFlow Serving's words."""

    state: str  # LOADING, AVAILABLE or END
    problem: str = ""


class ModelVersions:
    """The served versions among `exports/1`, `exports/2`, …

    A broken version is reported once, and tried again when its files change, since it may still be being copied.

    Attributes:
      states: of every version seen so far.
    """

    def __init__(
        self,
        directory: Path,
        say: Callable[[str], None],
        policy: VersionPolicy = LATEST,
        labels: Mapping[str, int] = {},
    ):
        """Loads the versions that the policy chooses. Raises UserError if none of them can be loaded."""
        self.states: dict[int, VersionState] = {}
        self._directory = directory
        self._say = say
        self._policy, self._labels = policy, labels
        self._broken: dict[int, tuple[object, ...]] = {}
        self._models: dict[int, Model] = {}  # newest first; never changed, but replaced: another thread reads it
        self.refresh()
        if not self._models:
            raise UserError(f"{directory}: no version can be loaded")

    @property
    def current(self) -> Model:
        """The newest served version."""
        return next(iter(self._models.values()))

    @property
    def served(self) -> list[int]:
        """The numbers of the served versions, newest first."""
        return list(self._models)

    def find(self, version: int) -> Model | None:
        """A version's model; None if it is not served."""
        return self._models.get(version)

    def refresh(self) -> None:
        """Loads the versions that the policy now chooses, and only then unloads the others.

        If a version is gone or can't be loaded, an older one takes its place. If all are gone, nothing changes.
        """
        before, kept = self._models, list[int]()
        for version in self._policy.chosen(complete_versions(self._directory)):
            if len(kept) == self._policy.most:
                break
            if version in self._models or self._load(version):
                kept.append(version)
        if not kept or kept == list(before):
            return
        for version in self._models.keys() - kept:
            self.states[version] = VersionState("END")
        self._models = {version: self._models[version] for version in kept}
        if before:
            self._tell(before)

    def _tell(self, before: dict[int, Model]) -> None:
        new, old = sorted(self._models.keys() - before.keys()), sorted(before.keys() - self._models.keys())
        if new:
            instead = f" in place of {_listed(old)}" if old else ""
            line = f"{_named(new)} served{instead}."
        else:
            line = f"{_named(old)} served no more."
        lost = [f"{name}={version}" for name, version in self._labels.items() if version in old]
        self._say(line + (f" No longer answered: --label {', '.join(lost)}." if lost else ""))

    def _load(self, version: int) -> bool:
        path = self._directory / str(version)
        fingerprint = _fingerprint(path)
        if self._broken.get(version) == fingerprint:
            return False
        self.states[version] = VersionState("LOADING")
        try:
            model = Model(path, version)
        except Exception as error:  # TensorFlow raises many types for a damaged model
            self._broken[version] = fingerprint
            problem = _in_short(error)
            self.states[version] = VersionState("END", problem)
            stays = f"; version {self.current.version} stays" if self._models else ""
            self._say(f"Version {version} can't be loaded{stays}: {problem}")
            return False
        self._models = dict(sorted({**self._models, version: model}.items(), reverse=True))
        self.states[version] = VersionState("AVAILABLE")
        return True


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))


def _named(versions: list[int]) -> str:
    return f"Version {versions[0]} is" if len(versions) == 1 else f"Versions {_listed(versions)} are"


def _in_short(error: Exception) -> str:
    """TensorFlow's message without its advice for programmers, and with paths as people write them."""
    found = re.sub(r"\bb('[^']*')", r"\1", first_line(error))
    return textwrap.shorten(found, _LONGEST_PROBLEM, placeholder=" …")


def _fingerprint(path: Path) -> tuple[object, ...]:
    """A value that changes when a file does."""
    try:
        return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(path.rglob("*")))
    except OSError:
        return ()
