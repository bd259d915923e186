"""What is wrong with a file that isn't TOML: the place, and what to write instead where that is known."""

import pytest

from tfdqn.config.toml import decoded, from_mapping
from tfdqn.errors import ConfigError


def problem(line: str) -> str:
    with pytest.raises(ConfigError) as caught:
        decoded(f"[task]\n{line}\n".encode(), "a.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("id = my_envs", "my_envs"),
        ("id=CartPole-v1  # the task", "CartPole-v1"),
        ("id = my_envs:Maze-v0", "my_envs:Maze-v0"),
        ("id = ALE/Pong-v5", "ALE/Pong-v5"),
        ('id = CartPole-v1"', "CartPole-v1"),
        ("name = my first run", "my first run"),
        ("directory = /srv/models", "/srv/models"),
        ("directory = ../models", "../models"),
        ("id = nano_env", "nano_env"),
        ("id = infinite", "infinite"),
        ('action_names = ["left", right]', "right"),
        ("action_names = [nano, right]", "nano"),
        ("kwargs = { map_name = small }", "small"),
    ],
)
def test_text_without_quotes_is_shown_with_them(line: str, text: str) -> None:
    assert problem(line).endswith(f'; text needs quotes: "{text}"')


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("reward_sign = True", "; TOML writes it true"),
        ("reward_sign = FALSE  # no", "; TOML writes it false"),
        ("max_episode_steps = None", "; leave the key out"),
        ("max_episode_steps = null", "; leave the key out"),
    ],
)
def test_a_word_of_another_language_is_shown_as_toml_writes_it(line: str, hint: str) -> None:
    assert problem(line).endswith(hint)


@pytest.mark.parametrize(
    "line",
    [
        "num_envs = 100,000",
        "reward_clip = .5",
        "num_envs = 1e5k",
        "num_envs = 1 id = 2",
        "id",
        "[agent",
        "id = 'x",
        "x =",
    ],
)
def test_where_no_text_is_meant_nothing_is_said_of_quotes(line: str) -> None:
    assert "quotes" not in problem(line) and problem(line).startswith("a.toml: is not valid TOML: ")


@pytest.mark.parametrize("number", ["9" * 5_000, "0x" + "9" * 5_000])
def test_a_number_of_more_digits_than_python_reads_or_writes_is_refused_in_one_line(number: str) -> None:
    assert problem(f"num_envs = {number}") == "a.toml: is not valid TOML: a number in it has too many digits"
    with pytest.raises(ConfigError, match=r'^override: seed = "(0x)?9+\.\.\.: must be a whole number'):
        from_mapping({}, [f"seed={number}"])
