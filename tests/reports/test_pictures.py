"""Matplotlib as pictures use it: alone, with its own settings whatever the user's are."""

import os
import subprocess
import sys
import threading

import pytest

from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.reports.pictures import Picture, matplotlib_alone, png, svg

DRAW = """
import sys
from tfdqn.reports.pictures import Picture, png
sys.stdout.buffer.write(png(Picture(lambda axes: axes.plot([1, 2], label="a"))))
"""


def line(axes):
    axes.plot([1, 2], label="a")


@pytest.mark.parametrize(
    "variables",
    [{"MPLBACKEND": "Qt4Agg"}, {"MPLBACKEND": "pdf"}, {"MATPLOTLIBRC": "settings"}],
    ids=["unknown backend", "other backend", "settings"],
)
def test_a_users_settings_change_no_picture_and_need_nothing_installed(tmp_path, variables):
    settings = "text.usetex: True\nfont.size: 30\nsavefig.bbox: tight\nbackend: qt4agg\n"
    (tmp_path / "settings").write_text(settings)
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, "-c", DRAW], cwd=tmp_path, env=environment, capture_output=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == png(Picture(line))


def draw_beside_settings(folder, **variables):
    """Draws in a process whose working directory is `folder`; its Matplotlib keeps no other settings."""
    environment = {**os.environ, "MPLCONFIGDIR": str(folder / "config"), **variables}
    command = [sys.executable, "-c", DRAW]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        ("settings", {"MATPLOTLIBRC": "settings"}),
        ("settings", {"MATPLOTLIBRC": "settings", "MPLBACKEND": "Qt4Agg"}),
        ("config/matplotlibrc", {}),
    ],
    ids=["named", "with an unknown backend", "usual place"],
)
def test_settings_that_are_not_utf_8_change_no_picture(tmp_path, file, variables):
    (tmp_path / "config").mkdir()
    (tmp_path / file).write_bytes("# größer\nfont.size: 30\n".encode("latin-1"))
    done = draw_beside_settings(tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == png(Picture(line))


def test_settings_in_the_working_directory_that_are_not_utf_8_are_named(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "matplotlibrc").write_bytes("# größer\n".encode("latin-1"))
    done = draw_beside_settings(tmp_path)
    said = f"UserError: {tmp_path / 'matplotlibrc'}, which Matplotlib reads, is not UTF-8: save it as UTF-8, or start"
    assert said in done.stderr.decode()
    assert "Cannot decode" not in done.stderr.decode()


def test_drawing_leaves_the_settings_of_the_process_as_they_were(monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "font.size", 31.0)
    monkeypatch.setitem(matplotlib.rcParams, "backend", "pdf")
    before = dict(matplotlib.rcParams)
    svg(Picture(line), "curves")
    assert dict(matplotlib.rcParams) == before


def test_one_thread_draws_at_a_time():
    drawing = threading.Event()

    def draw():
        with matplotlib_alone({}):
            drawing.set()

    with matplotlib_alone({"font.size": 31.0}) as matplotlib:
        other = threading.Thread(target=draw)
        other.start()
        assert not drawing.wait(0.1)
        assert matplotlib.rcParams["font.size"] == 31.0
    other.join(PATIENCE_SECONDS)
    assert drawing.is_set()


def test_a_dollar_begins_no_formula():
    texts = ["$a_{b$", "$x$", r"\$", "1 $"]

    def draw(axes):
        for row, text in enumerate(texts):
            axes.plot([1, 2], label=text)
            axes.annotate(text, (1, row))
        axes.set_ylim(-1, len(texts))

    shown = svg(Picture(draw), "curves")
    assert all(f">{text}</text>" in shown for text in texts)
    assert png(Picture(draw)).startswith(b"\x89PNG")
