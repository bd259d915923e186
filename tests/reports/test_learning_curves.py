"""Learning curves: what is drawn is what the runs recorded, torn lines and resumptions included."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.reported_runs import tuned
from tests.support.tiny_runs import tiny
from tfdqn.config import toml
from tfdqn.errors import RunDirError, UserError
from tfdqn.reports import learning_curves


def make_run(path, seed=1, returns=(10.0, 20.0), overrides=()):
    path.mkdir()
    (path / "config.toml").write_text(toml.dump(tiny(f"seed={seed}", *overrides)))
    rows = [{"env_steps": 100 * (i + 1), "mean_return": value} for i, value in enumerate(returns)]
    (path / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn_by(monkeypatch):
    """The names of the curves, as they are drawn."""
    names, draw = [], learning_curves.draw_range

    def drawn(axes, curves, colour, **style):
        names.append(style["label"])
        return draw(axes, curves, colour, **style)

    monkeypatch.setattr(learning_curves, "draw_range", drawn)
    return names


def test_runs_that_differ_in_the_seed_alone_are_drawn_as_one_with_its_range(tmp_path, monkeypatch):
    import matplotlib.axes

    drawn, bands = {}, []
    plot, fill = matplotlib.axes.Axes.plot, matplotlib.axes.Axes.fill_between
    monkeypatch.setattr(
        matplotlib.axes.Axes,
        "plot",
        lambda self, x, y, **style: drawn.update({style["label"]: y}) or plot(self, x, y, **style),
    )
    monkeypatch.setattr(
        matplotlib.axes.Axes,
        "fill_between",
        lambda self, x, low, high, **style: bands.append((low, high)) or fill(self, x, low, high, **style),
    )
    runs = [
        make_run(tmp_path / "a", seed=1, returns=(10.0, 20.0)),
        make_run(tmp_path / "b", seed=2, returns=(30.0, 60.0)),
        make_run(tmp_path / "c", returns=(1.0, 2.0), overrides=["agent.n_step=3"]),
    ]
    picture = learning_curves.plot([*runs, tmp_path / "c" / ".." / "a"], tmp_path / "curves.png")  # one is named twice
    assert picture.read_bytes().startswith(b"\x89PNG")
    by_seeds = next(y for label, y in drawn.items() if "range of 2 seeds" in label)
    np.testing.assert_array_equal(by_seeds, [20, 40])
    ((low, high),) = bands
    np.testing.assert_array_equal(low, [10, 20])
    np.testing.assert_array_equal(high, [30, 60])
    assert any("agent.n_step=3" in label for label in drawn)


def test_runs_of_different_tasks_are_not_drawn_on_one_axis(tmp_path):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", overrides=["task.id=Acrobot-v1"])]
    which = r"give runs of only one of these: CartPole-v1 \(.*/a\); Acrobot-v1 \(.*/b\)"
    with pytest.raises(UserError, match=f"different tasks, whose returns can't be compared; {which}"):
        learning_curves.plot(runs, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_curves_of_one_point_are_seen(tmp_path, monkeypatch):
    import matplotlib.axes

    markers, plot = [], matplotlib.axes.Axes.plot
    monkeypatch.setattr(
        matplotlib.axes.Axes,
        "plot",
        lambda self, x, y, **style: markers.append(style["marker"]) or plot(self, x, y, **style),
    )
    run = make_run(tmp_path / "run", returns=(10.0,))
    (run / "metrics.jsonl").write_text('{"env_steps": 90, "episode_return": 8.0}\n')
    learning_curves.plot([run, make_run(tmp_path / "longer", overrides=["agent.n_step=3"])])
    assert [bool(each) for each in markers] == [True, True, False]


def test_returns_while_exploring_are_drawn_as_means_and_evaluations_one_by_one(tmp_path, monkeypatch):
    import matplotlib.axes

    drawn, plot = [], matplotlib.axes.Axes.plot
    monkeypatch.setattr(
        matplotlib.axes.Axes, "plot", lambda self, x, y, **style: drawn.append(len(x)) or plot(self, x, y, **style)
    )
    run = make_run(tmp_path / "run", returns=range(300))
    (run / "metrics.jsonl").write_text("".join(f'{{"env_steps": {i}, "episode_return": {i}}}\n' for i in range(5_000)))
    learning_curves.plot([run])
    assert drawn == [300, 100]


def test_a_run_without_data_is_a_clear_error(tmp_path):
    run = make_run(tmp_path / "run", returns=())
    with pytest.raises(RunDirError, match="nothing to draw yet"):
        learning_curves.plot([run])
    assert not (run / "learning_curve.png").exists()


def test_by_default_the_picture_lies_in_the_first_run(tmp_path):
    run = make_run(tmp_path / "run")
    assert learning_curves.plot([run]) == run / "learning_curve.png"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (".", "is a directory: give a file such as learning_curves.png"),
        ("curve.pdf", "is not a PNG's name: give a file such as"),
        ("curve", "is not a PNG's name: give a file such as"),
        ("run/config.toml/curve.png", "couldn't be written: "),
        ("/proc/curve.png", "/proc/curve.png couldn't be written: No such file or directory"),
    ],
)
def test_a_picture_that_cant_be_written_is_one_line(tmp_path, output, said):
    run = make_run(tmp_path / "run")
    with pytest.raises(UserError, match=said):
        learning_curves.plot([run], tmp_path / output)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["config.toml", "evaluations.jsonl", "run"]


def test_a_picture_that_fails_leaves_the_one_before_and_nothing_else(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    before = learning_curves.plot([run]).read_bytes()
    names = sorted(each.name for each in run.iterdir())

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunDirError, match="couldn't be written: No space left on device"):
        learning_curves.plot([run])
    assert (run / "learning_curve.png").read_bytes() == before
    assert sorted(each.name for each in run.iterdir()) == names


def test_where_no_cache_can_be_kept_matplotlib_says_nothing(tmp_path):
    run = make_run(tmp_path / "run")
    code = f"from tfdqn.reports import learning_curves; learning_curves.plot([{str(run)!r}])"
    home = {"HOME": "/proc", "MPLCONFIGDIR": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | home, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_of_seeds_is_drawn_as_its_runs_that_have_something_to_draw(tmp_path, monkeypatch):
    import matplotlib.axes

    labels = []
    plot = matplotlib.axes.Axes.plot
    monkeypatch.setattr(
        matplotlib.axes.Axes,
        "plot",
        lambda self, x, y, **style: labels.append(style["label"]) or plot(self, x, y, **style),
    )
    folder = tmp_path / "seeds"
    folder.mkdir()
    make_run(folder / "seed-1", seed=1, returns=())
    with pytest.raises(RunDirError, match="seeds has nothing to draw yet"):
        learning_curves.plot([folder], tmp_path / "curves.png")
    make_run(folder / "seed-2", seed=2)
    make_run(folder / "seed-10", seed=10)
    other = make_run(tmp_path / "other", overrides=["agent.n_step=3"])
    learning_curves.plot([folder, other], tmp_path / "curves.png")
    assert [("of 2 seeds" in label, "n_step=3" in label) for label in labels] == [(True, False), (False, True)]


LONG = (
    *("agent.n_step=3", "agent.discount=0.987654", "learner.batch_size=64", "agent.gradient_clip_norm=1.5"),
    *("optimizer.learning_rate=0.00123456", "network.hidden_units=[8]"),
)


@pytest.mark.parametrize(
    "keys", [(), LONG[:1], LONG, (f"network.hidden_units={[8] * 60}",)], ids=["0", "1", "6", "long"]
)
def test_whatever_a_legend_says_is_in_the_picture_and_the_curves_keep_their_size(tmp_path, monkeypatch, keys):
    import matplotlib.figure

    boxes, sizes, save = [], [], matplotlib.figure.Figure.savefig

    def measured(figure, *arguments, **options):
        save(figure, *arguments, **options)
        (axes,) = figure.axes
        (legend,) = [each for each in (*figure.legends, axes.get_legend()) if each is not None]
        boxes.append((legend.get_window_extent(), figure.bbox))
        sizes.append(axes.get_window_extent().size / figure.dpi)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", measured)
    runs = [make_run(tmp_path / f"a{seed}", seed=seed, returns=(10.0, 20.0)) for seed in (1, 2)]
    if keys:
        runs.append(make_run(tmp_path / "b", returns=(1.0, 2.0), overrides=keys))
    learning_curves.plot(runs, tmp_path / "curves.png")
    ((box, page),) = boxes
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    ((width, height),) = sizes
    assert 7.2 < width < 7.6 and 3.8 < height < 4.1


def test_a_folder_of_runs_is_drawn_without_those_that_have_nothing_to_draw_yet(tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        make_run(folder / name)
    (folder / "c" / "evaluations.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    drawn = drawn_by(monkeypatch)
    assert learning_curves.plot(["runs"], "runs/learning_curve.png").exists()
    assert drawn == ["CartPole-v1 dqn: greedy, mean and range of 2 seeds"]
    for name in ("a", "b"):
        (folder / name / "evaluations.jsonl").write_text("")
    with pytest.raises(RunDirError, match=r"^runs has nothing to draw yet: "):
        learning_curves.plot(["runs"], "curves.png")


def test_a_trial_is_not_drawn_with_the_fresh_seeds_of_its_configuration(tmp_path, monkeypatch):
    study, said = tuned(tmp_path / "study"), []
    drawn = drawn_by(monkeypatch)
    learning_curves.plot([study], tmp_path / "curves.png", said.append)
    assert sorted(drawn) == [
        "CartPole-v1 dqn, agent.n_step=2: greedy",
        "CartPole-v1 dqn, agent.n_step=3: greedy, mean and range of 2 seeds",
    ]
    assert [line.partition(" is a trial")[0] for line in said] == [f"left out: {study / 'trials' / '001'}"]


def test_a_damaged_run_says_why_alone_and_is_named_where_others_are_drawn(tmp_path, monkeypatch):
    folder, said = tmp_path / "runs", []
    folder.mkdir()
    damaged = make_run(folder / "a")
    (damaged / "config.toml").write_text("seed = [")
    for path in (str(damaged), damaged, folder):
        with pytest.raises(UserError, match=r"a/config\.toml"):
            learning_curves.plot([path], tmp_path / "curves.png")
    make_run(folder / "b")
    closed, whole = folder / "closed", Path.iterdir
    closed.mkdir()

    def iterdir(path):
        if path == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    learning_curves.plot([folder], tmp_path / "curves.png", said.append)
    (line,) = said
    assert line.startswith(f"left out: {closed} can't be read: Permission denied; ") and "a/config.toml" in line


def test_a_name_that_begins_with_an_underscore_is_in_the_legend(tmp_path, monkeypatch):
    import matplotlib.axes

    names, legend = [], matplotlib.axes.Axes.legend

    def seen(axes, **options):
        made = legend(axes, **options)
        names.extend(text.get_text() for text in made.get_texts())
        return made

    monkeypatch.setattr(matplotlib.axes.Axes, "legend", seen)
    learning_curves.plot([make_run(tmp_path / "run", overrides=["task.id=_envs:Foo-v0"])], tmp_path / "curves.png")
    assert names == [" _envs:Foo-v0 dqn: greedy"]


def test_a_dollar_in_a_value_begins_no_formula(tmp_path):
    keys = ["task.kwargs={s='$a_{b$'}", "task.kwargs={s='$x$ $\\\\frac{1$'}"]
    runs = [make_run(tmp_path / str(number), overrides=[each]) for number, each in enumerate(keys)]
    assert learning_curves.plot(runs, tmp_path / "curves.png").exists()
