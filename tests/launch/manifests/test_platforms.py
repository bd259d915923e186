"""What `tfdqn manifest` says in the end: the command of docs/deploy.md that starts the job, for where the files are."""

import re
from pathlib import Path

import pytest

from tests.support.rendered_manifests import CONFIG, COUNTS, ROOT, rendered, wanted
from tfdqn.cli import main
from tfdqn.config import toml
from tfdqn.launch.manifests.platforms import Platform

NAME = CONFIG.stem


def command_of_the_page(platform: Platform) -> str:
    """The first command of the platform's own section that starts a job, in the folder of its files."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    block = page.partition(f"cd launchers/{NAME}/{platform}\n")[2].partition("```")[0]
    (line, *_) = re.findall(r"^(?:.* )?(?:docker compose up|kubectl apply|gcloud ai|sbatch) .*$", block, re.MULTILINE)
    line = re.sub(r" +# not run here$", "", line)
    return re.sub(r"^RUN_DIR=\S+ ", "", line).replace("--display-name=cartpole ", f"--display-name={NAME} ")


@pytest.mark.parametrize("platform", Platform)
def test_the_command_that_starts_a_job_is_that_of_the_page(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = "my files" if platform is Platform.COMPOSE else "files"
    assert main.main(["manifest", platform, str(CONFIG), *COUNTS, "--output", folder]) == 0
    written = capsys.readouterr()
    heading, command = written.err.splitlines()
    assert heading.startswith("To start it") and heading.endswith(" (docs/deploy.md):")
    assert {Path(each).parts[0] for each in written.out.splitlines()} == {folder}  # nothing but the files
    here = command.replace(" --file 'my files/compose.yaml'", "").replace("files/", "").replace(" files", " .")
    assert here == command_of_the_page(platform)


def test_a_job_whose_name_is_not_the_file_s_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_grid.toml").write_bytes(CONFIG.read_bytes())
    assert main.main(["manifest", "slurm", "my_grid.toml"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == "the job is named my-grid"


@pytest.mark.parametrize("platform", Platform)
def test_what_breaks_lines_for_yaml_but_not_for_toml_is_escaped(platform: Platform) -> None:
    breaks = "a\x85b\u2028c\u2029d"
    texts = "".join(rendered(platform, f"tracking.name={breaks}").values())
    assert r'name = "a\u0085b\u2028c\u2029d"' in texts
    assert not set(breaks) & set(texts) - set("abcd")
    config = wanted(f"tracking.name={breaks}").config
    assert toml.parse(toml.dump(config).encode()) == config
