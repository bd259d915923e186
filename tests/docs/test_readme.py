"""The README and docs/running.md are true: its Python runs, links lead somewhere, verbs and keys are the program's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNNING = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readmes_python_runs_as_it_stands(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    summary, scores, action = done.stdout.strip().splitlines()
    assert "exported policy" in summary
    assert len(scores.split()) == 3
    assert action in ("0", "1")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_heading_that_a_page_links_to_exists(page):
    text = page.read_text(encoding="utf-8")
    links = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    for link in links:
        if "://" not in link:
            name, _, anchor = link.partition("#")
            file = page.parent / name if name else page
            assert file.exists(), link
            assert not anchor or anchor in anchors_of(file), link


def test_what_the_pages_commands_write_is_no_news_to_git():
    """Else a folder or a picture that a reader makes turns up as an untracked file of the repository."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/runs/", "/launchers/*/", "/learning_curves.png", "/mlruns/"} <= set(ignored)
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))
    options = "run-dir|study-dir|output|html|csv|parquet|hub-layout|json"
    written = re.findall(rf"(?: -o|--(?:{options})|>)[ =]?(?!type=)(\w[\w./-]*|/[\w./-]+)", blocks)
    named = [file for file in written if not file.isupper()]
    assert len(named) > 10
    assert [file for file in named if not file.startswith(("runs/", "/tmp/"))] == []


def test_every_test_that_the_table_of_deaths_names_is_there():
    page = (ROOT / "docs" / "deaths.md").read_text(encoding="utf-8")
    files = re.findall(r"`(tests/system_tests/test_\w+\.py)`", page)
    tests = re.findall(r"^def test_(\w+)", "".join((ROOT / file).read_text() for file in files), re.MULTILINE)
    rows = re.findall(r"^\|.*\| ([^|]+) \|$", page.split("## ")[0], re.MULTILINE)
    named = [words for row in rows for words in re.findall(r"`([a-z ]+)`", row)]
    assert len(named) > 10
    assert [words for words in named if not any(words.replace(" ", "_") in name for name in tests)] == []


def test_every_verb_that_the_readme_names_is_one():
    from typer.main import get_command

    from tfdqn.cli.main import app

    verbs = set(get_command(app).commands)
    named = set(re.findall(r"^tfdqn (\w+)", README, flags=re.MULTILINE))
    assert named and named <= verbs


def test_what_may_change_on_resuming_is_what_the_page_says():
    from tfdqn.config.schema import keys

    (sentence,) = re.findall(r"On resuming, you can change (.*?)\. Any other", " ".join(RUNNING.split()))
    free = {key for key, fixed_in in keys().items() if "run" not in fixed_in}
    fixed_sections = {key.partition(".")[0] for key in keys().keys() - free}
    free_sections = {key.partition(".")[0] for key in free} - fixed_sections
    single = {key for key in free if key.partition(".")[0] in fixed_sections}
    learner = [key for key in keys() if key.startswith("learner.")]
    of_strategies = set(learner[learner.index("learner.strategy") + 1 : learner.index("learner.batch_size")])
    assert set(re.findall(r"`\[(\w+)\]`", sentence)) == free_sections
    assert set(re.findall(r"`(\w+\.\w+)`", sentence)) == single - of_strategies
    assert of_strategies < single and "`learner.strategy` with the strategies' own keys" in sentence
