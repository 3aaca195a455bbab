"""What ``pip install`` of the wheel alone is enough for, outside the project: its commands, in the current folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from taught_run import Taught

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, and the dependencies of this one (its .pth files, such as that of an
    installation of the checkout, are not read)."""
    home = tmp_path_factory.mktemp("wheel")
    copied = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in copied.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():  # building in the checkout would leave files there
            (home / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            (home / "src" / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", home / "src", "--no-deps", "--no-build-isolation", "-q", "-w", home], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "env"], check=True)
    packages = next((home / "env" / "lib").glob("python3*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run([*pip, "install", "--no-deps", "-q", "--target", packages, *home.glob("*.whl")], check=True)
    (home / "env" / "share" / "jupyter").mkdir(parents=True)  # nbconvert's templates lie beside the packages
    (home / "env" / "share" / "jupyter" / "nbconvert").symlink_to(Path(sys.prefix, "share", "jupyter", "nbconvert"))
    return home / "env" / "bin" / "python"


def test_the_wheel_alone_is_enough(python: Path, taught: Taught, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SPINEKIT_", "PYTHONPATH"))}

    def run(*words: object, status: int | None = 0) -> str:
        command = [python, "-m", "spinekit", *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == status or (status is None and done.returncode in (0, 3)), done.stderr
        return done.stdout + done.stderr

    where = [python, "-c", "import spinekit; print(spinekit.__file__)"]
    place = subprocess.run(where, cwd=tmp_path, env=clean, capture_output=True, text=True, check=True).stdout
    assert str(python.parents[1]) in place
    assert f"no trained models in {tmp_path / 'outputs'}" in run("grade", taught.cohort, status=1)
    run("phantom", "ph", "--studies", 8, "--no-traps")
    assert "errors 0" in run("check", "ph", "--headers-only")
    assert "total" in run("score", "ph/truth/grades.csv", "ph/sample_submission.csv", "--allow-missing")
    run("run", "00", "--run", "wheel", "--data-dir", tmp_path / "ph")
    assert (tmp_path / "outputs" / "wheel" / "00_start" / "manifest.json").is_file()
    run("weights", "pack", taught.outputs / "tiny", "tiny.zip")
    # Hardly trained models may detect no lumbar spine: such studies are named, and the status says so.
    graded = run("grade", "ph/test_images", "--weights", "tiny.zip", "--out", "graded", status=None)
    assert "TRAINED ON PHANTOMS" in graded
    assert (tmp_path / "graded" / "index.html").is_file()
    assert list((tmp_path / "graded").glob("*/grades.json")) and list((tmp_path / "graded").glob("*/report.pdf"))
