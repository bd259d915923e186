"""`read`: turns a nested mapping into a `Config`, checking each key; every mistake is one line.

The types of `Config` are the rules. We walk them ourselves, instead of having msgspec do it, so that a message can name
the key, its value and what is allowed, and suggest what was meant.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

import msgspec
from msgspec import Struct, inspect

from tfdqn.config.checks import contradiction, unused_keys, without
from tfdqn.config.fields import kinds, takes_own_kinds
from tfdqn.config.foreign_names import instead_of, meant_by
from tfdqn.config.own_code import is_of_own_module, is_own, mistaken_keys, mistaken_tag, without_annotation
from tfdqn.config.problems import Problems
from tfdqn.config.schema import Config
from tfdqn.config.user_modules import import_user_module
from tfdqn.config.values import as_toml, corrected, meaning_of_none, unwritable
from tfdqn.config.wording import described, did_you_mean, in_one_line, keys_in, nearest, shown
from tfdqn.errors import ConfigError


def read(
    values: Mapping[str, Any],
    origin: str,
    overridden: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
    unused: MutableMapping[str, str] | None = None,
    problems: Problems | None = None,
) -> Config:
    """Reads and checks a configuration.

    If a kind is overridden, the keys of `origin` that the new kind doesn't have are left out, and `say` is told; so are
    keys that an override of another key leaves without effect.

    Args:
      values: the configuration, with its overrides applied.
      origin: a file's path, say; error messages begin with it.
      overridden: the keys that were overridden, each with what the user gave it by, such as "override" or "--set", with
        which error messages about it begin.
      unused: receives, by key, a line about each other key that nothing reads; these keys get their defaults. None:
        they are refused.
      problems: what was found wrong before, with which all wrong keys are reported.

    Raises ConfigError, in a line for each wrong key; only where each key is valid on its own, it is about keys without
    effect, and only where there are none, about the first contradiction.
    """
    reader = _Reader(origin, overridden or {}, say, problems)
    config: Config = reader.without_unused_keys(reader.whole(values), unused)
    if problem := contradiction(config):
        reader.fail_together(problem, values)
    return config


def read_alone(values: Mapping[str, Any], origin: str) -> Config:
    """Reads a few keys as `read` does, without checking them against others."""
    return _Reader(origin, {}, lambda line: None).whole(values)


def built_in(by_kind: Mapping[str, type[Struct]]) -> list[str]:
    """The package's own kinds, without those of modules that happen to be imported."""
    return [kind for kind, struct in by_kind.items() if not is_own(struct)]


def literals(key_type: Any) -> tuple[str, ...]:
    """The values of a Literal, perhaps an annotated one, in order; empty for any other type."""
    allowed = get_args(key_type)[0] if get_origin(key_type) is Annotated else key_type
    return get_args(allowed) if get_origin(allowed) is Literal else ()


def bare_type(key_type: Any) -> tuple[Any, Mapping[str, Any]]:
    """A key's type, as msgspec describes it, without marks; and what these hold in `Meta.extra`."""
    found = inspect.type_info(key_type)
    return (found.type, found.extra or {}) if isinstance(found, inspect.Metadata) else (found, {})


class _Reader:
    def __init__(
        self, origin: str, overridden: Mapping[str, str], say: Callable[[str], None], problems: Problems | None = None
    ):
        self._origin = origin
        self._problems = Problems() if problems is None else problems
        self._overridden = overridden
        self._say = say

    def fail(self, path: str, problem: str) -> NoReturn:
        raise ConfigError(self._line(path, problem))

    def fail_together(self, problem: str, values: Mapping[str, Any]) -> NoReturn:
        """Raises ConfigError for keys that contradict each other; the line begins with what gave them.

        Keys at their defaults are neither overridden nor in `values`.
        """
        named = keys_in(problem)
        overridden = [key for key in named if self._is_overridden(key)]
        if not overridden:
            self.fail("", problem)
        is_in_file = any(_has(values, key) for key in named if key not in overridden)
        givers = " and ".join(dict.fromkeys(map(self._given_by, overridden)))
        also = f" ({' and '.join(overridden)}) and {self._origin}" if is_in_file else ""
        raise ConfigError(in_one_line(f"{givers}{also}: {problem}"))

    def _line(self, path: str, problem: str) -> str:
        return in_one_line(f"{self._given_by(path) or self._origin}: {problem}")

    def _given_by(self, path: str) -> str:
        """What overrides the key at `path`, or a key that contains it or is contained in it; "": nothing does."""
        whole = f"{path}."
        found = (key for key in self._overridden if f"{key}.".startswith(whole) or whole.startswith(f"{key}."))
        return next((self._overridden[key] for key in found), "")

    def _is_overridden(self, path: str) -> bool:
        return self._given_by(path) != ""

    def without_unused_keys(self, config: Config, unused: MutableMapping[str, str] | None) -> Config:
        """`config`, with the defaults for keys that nothing reads."""
        for each in list(unused_keys(config)):
            if not self._is_overridden(each.path) and any(map(self._is_overridden, each.needs.keys)):
                self._say(f"{each.line}: left out of what {self._origin} says")
            elif unused is None:
                with self._problems.kept():
                    self.fail(each.path, each.line)
            else:
                unused[each.path] = self._line(each.path, each.line)
            config = without(config, each)
        self._problems.require_none()
        return config

    def whole(self, values: Mapping[str, Any]) -> Config:
        """Reads all sections. Raises ConfigError, in a line for each wrong key."""
        config: Config = self.section(Config, values, "")
        self._problems.require_none()
        return config

    def section(self, struct: type[Struct], values: Any, path: str, kind: str = "") -> Any:
        """Reads one section; wrong keys are kept, and make it None. `kind`: of a section with several, resolved."""
        fields = {field.name: field for field in msgspec.structs.fields(struct)}
        checked: dict[str, Any] = {}
        for key, value in values.items():
            key_path = f"{path}.{key}" if path else str(key)
            if kind and key == "kind":
                continue
            with self._problems.kept():
                if key not in fields:
                    allowed = [*(["kind"] if kind else []), *fields]
                    self._fail_unknown(key_path, key, value, allowed, without_annotation(struct, key))
                checked[key] = self._value(fields[key], value, key_path)
        for key, problem in mistaken_keys(struct, values).items():
            with self._problems.kept():
                self.fail(f"{path}.{key}", f"{path}.{key}{problem}")
        return struct(**checked) if self._problems.are_none else None  # a user's kind may have keys without a default

    def _value(self, field: msgspec.structs.FieldInfo, value: Any, path: str) -> Any:
        by_kind = kinds(field.type)
        if not by_kind:
            return self._leaf(field.type, value, path)
        if not isinstance(value, Mapping):
            self.fail(path, f"{path} = {shown(value)}: must be a table, [{path}]")
        if "" in by_kind:
            return self.section(by_kind[""], value, path)
        default = str(field.default_factory.__struct_config__.tag)
        kind = value.get("kind", default)
        takes_own = takes_own_kinds(field.type)
        is_own = takes_own and is_of_own_module(kind)
        if is_own:
            self._import_kind(f"{path}.kind", kind)
            by_kind = kinds(field.type)
        if not isinstance(kind, str) or kind not in by_kind:
            with self._problems.kept():
                self._fail_kind(path, kind, by_kind, takes_own)
            if not is_own:  # which may have any keys
                self._judge_without_kind(path, kind, value, by_kind)
            return None
        others = self._keys_of_another_kind(path, kind, value, by_kind)
        if left_out := [key for key in others if self._is_left_out(path, key)]:
            names = ", ".join(f"{path}.{key}" for key in left_out)
            self._say(f"{path}.kind = {shown(kind)} has no {names}: left out of what {self._origin} says")
        kept = {key: each for key, each in value.items() if key not in others}
        return self.section(by_kind[kind], kept, path, kind)

    def _fail_kind(self, path: str, kind: Any, by_kind: dict[str, type[Struct]], takes_own: bool) -> NoReturn:
        if not (takes_own and is_of_own_module(kind)):
            self._fail_literal(
                f"{path}.kind", kind, built_in(by_kind), ', or one of your own, "my_module:name"' * takes_own
            )
        # Its module has been imported by now.
        if tag := mistaken_tag(kind, by_kind):
            self.fail(f"{path}.kind", f"{path}.kind = {shown(kind)}: {tag}")
        untagged = f", or the tag of a class in {kind.rpartition(':')[0]}, which has none of this tag"
        self._fail_literal(f"{path}.kind", kind, by_kind, "" if did_you_mean(kind, by_kind) else untagged)

    def _judge_without_kind(
        self, path: str, kind: Any, values: Mapping[str, Any], by_kind: dict[str, type[Struct]]
    ) -> None:
        """Keeps among the problems the keys that no kind has, and those whose value is wrong in each that has them.

        What is wrong with a value is said by the kind that may have been meant, if that has the key.
        """
        kinds_of_ours = built_in(by_kind)
        likeliest_first = dict.fromkeys([*nearest(str(kind), kinds_of_ours), *kinds_of_ours])
        fields = [msgspec.structs.fields(by_kind[each]) for each in likeliest_first]
        names = dict.fromkeys(["kind", *(field.name for each in fields for field in each)])
        of_own_kinds = {key for struct in by_kind.values() for key in struct.__struct_fields__} - {*names}
        for key, value in values.items():
            if key == "kind" or key in of_own_kinds:
                continue
            own, wrong = f"{path}.{key}", []
            having = [field for each in fields for field in each if field.name == key]
            for field in having:
                try:
                    self._value(field, value, own)
                except ConfigError as error:
                    wrong.append(error)
            with self._problems.kept():
                if not having:
                    self._fail_unknown(own, key, value, list(names), of_any_kind=True)
                if len(wrong) == len(having):
                    raise wrong[0]

    def _is_left_out(self, path: str, key: str) -> bool:
        """Whether a key that the section's kind doesn't have is left out: the kind was overridden, and the key not."""
        return f"{path}.kind" in self._overridden and f"{path}.{key}" not in self._overridden

    def _import_kind(self, path: str, kind: str) -> None:
        """Imports the user's module that defines a kind such as "my_package.my_module:name"."""
        try:
            import_user_module(kind.rpartition(":")[0], f"{path} = {shown(kind)}", ConfigError)
        except ConfigError as error:
            self.fail(path, str(error))

    def _keys_of_another_kind(
        self, path: str, kind: str, values: Mapping[str, Any], by_kind: dict[str, type[Struct]]
    ) -> list[str]:
        """The keys that only other kinds have. Those that aren't left out are kept among the problems."""
        others = []
        for key, value in values.items():
            owners = [name for name, struct in by_kind.items() if key in struct.__struct_fields__]
            if owners and kind not in owners:
                others.append(key)
                if not self._is_left_out(path, key):
                    with self._problems.kept():
                        self._fail_of_another_kind(path, key, value, owners, by_kind[kind])
        return others

    def _fail_of_another_kind(
        self, path: str, key: str, value: Any, owners: list[str], struct: type[Struct]
    ) -> NoReturn:
        own = f"{path}.{key}"
        if why := without_annotation(struct, key):
            self._fail_unknown(own, key, value, [], why)
        allowed = ", ".join(struct.__struct_fields__)
        quoted = " or ".join(f'"{owner}"' for owner in owners)
        self.fail(
            own,
            f"{own} = {shown(value)} is a key of {path}.kind = {quoted}, and "
            f'{path}.kind is "{struct.__struct_config__.tag}", whose keys are: {allowed}',
        )

    def _leaf(self, leaf_type: Any, value: Any, path: str) -> Any:
        allowed, extra = bare_type(leaf_type)
        if problem := unwritable(value, path):
            self.fail(path, problem)
        if value is None:
            value = meaning_of_none(allowed)
        if isinstance(allowed, inspect.LiteralType) and value not in allowed.values:
            self._fail_literal(path, value, literals(leaf_type))
        try:
            return msgspec.convert(as_toml(value), leaf_type)
        except msgspec.ValidationError:
            if "names" in extra:
                self._fail_literal(path, value, extra["names"], f', or one of your own, "{extra["example"]}"')
            needed = f"{described(allowed, value)}{corrected(leaf_type, value)}"
            self.fail(path, f"{path} = {shown(value)}: must be {needed}")

    def _fail_literal(self, path: str, value: Any, allowed: Iterable[str], or_else: str = "") -> NoReturn:
        choices = ", ".join(f'"{each}"' for each in allowed)
        meant = did_you_mean(str(value), allowed)
        self.fail(path, f"{path} = {shown(value)}: must be one of {choices}{or_else}{meant}")

    def _fail_unknown(
        self, path: str, key: Any, value: Any, allowed: list[str], why: str = "", of_any_kind: bool = False
    ) -> NoReturn:
        """Raises ConfigError for a key that there is not. `of_any_kind`: `allowed` are those of all kinds together."""
        if why := why or instead_of(str(key), allowed):
            self.fail(path, f"{path} is not a key: {why}")
        section = path.removesuffix(str(key)).rstrip(".")  # a key in quotes may hold dots
        meant = meant_by(str(key), value, section, allowed)
        if of_any_kind:
            self.fail(path, f"{path} is not a key of any {section}.kind{meant}")
        where = f"the keys of [{section}] are" if section else "the keys and sections are"
        self.fail(path, f"{path} is not a key{meant}; {where}: {', '.join(allowed)}")


def _has(values: Mapping[str, Any], path: str) -> bool:
    """Whether a nested mapping has the key at a dotted path."""
    section, _, key = path.rpartition(".")
    table = values.get(section)
    return isinstance(table, Mapping) and key in table
