"""What `make` installs is found wherever Python is started."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.commands import PROJECT


def test_the_package_is_found_beside_a_clone_of_its_name(tmp_path: Path) -> None:
    clone = tmp_path / "tfdqn"
    (clone / "tfdqn").mkdir(parents=True)
    for file in (
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tfdqn/__init__.py",
        "tfdqn/system/__init__.py",
        "tfdqn/system/before_tensorflow.py",
    ):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, clone / file)
    build = "from setuptools.build_meta import build_editable; build_editable('..')"
    subprocess.run([sys.executable, "-c", build], cwd=clone, capture_output=True, timeout=240, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import site; site.addsitedir('site'); import tfdqn; print(tfdqn.__file__)"
    done = subprocess.run(
        [sys.executable, "-ISc", f"import sys; sys.path.insert(0, ''); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout.strip() == str(clone / "tfdqn" / "__init__.py"), done.stderr
