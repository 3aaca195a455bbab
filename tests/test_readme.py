"""Every command of the README and of the guides: each one in a code block is run at a small size or, where that takes
minutes, planned.

A command that is new there has to be named in ``HOW``; one that has gone has to leave it.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import clusters
import launched_training
import numpy as np
import pandas as pd
import pytest
import test_unlabelled
import torch
import typer
from taught_run import NAME, Taught
from typer.testing import CliRunner

from spinekit import artifacts
from spinekit.__main__ import app
from spinekit.course import cluster, submission
from spinekit.course.runner import Job, Options, find_notebooks, plan
from spinekit.course.steps import Step
from spinekit.evaluation import sanity_checks
from spinekit.grading import crop_cache, training
from spinekit.grading.grader import SEQUENCE, load_grader
from spinekit.io import cohort
from spinekit.kaggle.kernels import kernel_id
from spinekit.learning import devices
from spinekit.localization import localizer

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "README.md", *sorted((ROOT / "notebooks" / "book").glob("*.md"))]
TEXT = "\n".join(file.read_text(encoding="utf-8") for file in GUIDES)
RUN_GUIDE = (ROOT / "notebooks" / "book" / "howto-run.md").read_text(encoding="utf-8")
PROGRAMS = ["spinekit", "dask", "kaggle", "make", "papermill", "pip", "python3", "jupyter"]
PROGRAMS += ["torchrun", "accelerate-launch"]
# Values that stand in for those of the README.
SMALL = {"--studies": "2", "--fresh": "2", "--limit": "1", "--profile": "smoke"}
FOR_FOLDS = {"plan": {"--studies": "6"}}  # five folds need as many studies

RUN = "run at a small size"
PLANNED = "planned: the notebooks that it names, with parameters that they have; tests of the notebooks run them"
UNLABELLED = "planned here, and run by test_unlabelled.py with the models of a tiny run"
DRY = "make -n: what make would do"
ADDRESS = "tcp://10.0.0.5:8786"
INSTALLED = "what it installs from is there; a machine's set-up installs with it"
REFRESHED = "run by test_commands.py on a small notebook"
KAGGLE = "needs an account, or changes the checkout: tests/kaggle runs what it runs"
BUNDLED = "run by the tests of spinekit.kaggle with small wheels"
GPU = "run where there is a GPU, else refused"
LAUNCHED = "run by two processes of the CPU: the first one here, the second one by learning/test_distributed.py"
CLUSTER = "run by a scheduler and workers of this machine, with their address in place of the guide's"
GPU_SETTINGS = "DASK_DISTRIBUTED__WORKER__DAEMON=False OMP_NUM_THREADS=8"
# Every command line of a code block, without its comment.
HOW = {
    "make course": DRY,
    "make test": DRY,
    "make book": DRY,
    "make bench": DRY,
    "spinekit plan --profile full --studies 1975": RUN,
    "spinekit doctor --profile full": RUN,
    "spinekit doctor --data-dir DIR --weights RUN": RUN,
    "jupyter lab notebooks": INSTALLED,
    "spinekit run 00 03 --profile demo --run localization -p slices=30000": PLANNED,
    "spinekit phantom data/no-motion --studies 200 --seed 911 --profile demo --shift-mm 0 --shift-deg 0": RUN,
    "spinekit evaluate localization data/no-motion --no-register": RUN,
    "spinekit run 00 --profile cpu": PLANNED,
    "OMP_NUM_THREADS=1 spinekit run 03 04 05 --profile cpu --fold 0,1,2": PLANNED,
    "spinekit run 06 --profile cpu --fold 0,1,2,3,4": PLANNED,
    "spinekit run 03 --profile cpu -p appearance=0.5 -p slices=3000": PLANNED,
    "spinekit run 04 05 --profile cpu": PLANNED,
    "spinekit run 05 --profile cpu --run cpu-seed1 -p seed=1": PLANNED,
    "spinekit run 05 --profile cpu --run cpu-seed2 -p seed=2": PLANNED,
    "spinekit run 06 --profile cpu -p also=cpu-seed1,cpu-seed2": PLANNED,
    "spinekit evaluate grading --fresh 1000 --run cpu": RUN,
    (
        "spinekit phantom data/easier --studies 1200 --seed 1 --profile cpu "
        "--no-lesion-forms --no-partial-visibility --no-patient-factors --no-reader-offset"
    ): RUN,
    "spinekit run 00 03 04 05 06 --profile cpu --data-dir data/easier --run easier": PLANNED,
    "spinekit evaluate grading --fresh 300 --run easier": RUN,
    "spinekit phantom data/fresh --studies 200 --seed 921 --profile cpu": RUN,
    "spinekit evaluate grading data/fresh --run cpu --limit 120": RUN,
    "spinekit phantom data/usual --studies 24 --seed 41 --profile demo": RUN,
    "spinekit phantom data/other --studies 24 --seed 41 --profile demo --other-scanner": RUN,
    "spinekit evaluate grading data/usual --run demo": RUN,
    "spinekit evaluate grading data/other --run demo": RUN,
    "spinekit phantom OUT --studies 40 --seed 1": RUN,
    "spinekit check DIR --weights RUN": RUN,
    "spinekit labels DIR": RUN,
    "spinekit evaluate localization COHORT --run demo": RUN,
    "spinekit evaluate grading COHORT --run demo": RUN,
    "spinekit evaluate grading --fresh 200 --run demo": RUN,
    "spinekit evaluate shortcuts --run demo": RUN,
    "spinekit evaluate realism COHORT REAL_FOLDER": RUN,
    "spinekit phantom data/full --studies 24 --seed 77 --profile full": RUN,
    "spinekit evaluate labels COHORT": RUN,
    "spinekit evaluate context": RUN,
    "spinekit evaluate reader-offset": RUN,
    "spinekit evaluate image-floor --run demo": RUN,
    "spinekit evaluate measurements COHORT": RUN,
    "spinekit score LABELS.csv SUBMISSION.csv": RUN,
    "spinekit blend LABELS.csv PREDICTIONS.csv...": RUN,
    "spinekit run 03 04 05 --fold 0,1 --profile demo": PLANNED,
    "spinekit run 10 11 --profile demo": PLANNED,
    "spinekit run 05 --profile demo --run curious -p seed=1": PLANNED,
    "spinekit refresh": REFRESHED,
    "spinekit refresh --figures demo": REFRESHED,
    "spinekit kaggle bundle dist/kaggle --owner YOU --weights demo": BUNDLED,
    "spinekit phantom data/few --studies 16 --seed 31 --profile full": RUN,
    "spinekit run 00 03 04 05 06 --profile full --data-dir data/few --run few -p slices=64": PLANNED,
    "spinekit run 00 03 04 05 06 --data-dir data/rsna2024 --run rsna --profile full --fold 0,1,2,3,4": PLANNED,
    "spinekit grade PATH --weights RUN --out results": RUN,
    "spinekit grade EXPORT --weights demo --out results": RUN,
    "spinekit grade EXPORT export.zip --weights demo --out results --jobs 2": RUN,
    "spinekit grade EXPORT --weights demo --out results --device cuda": GPU,
    "spinekit weights list": RUN,
    "spinekit weights show demo": RUN,
    "spinekit weights pack demo demo.zip": RUN,
    "spinekit weights unpack demo.zip models/demo": RUN,
    "spinekit check FOLDER --weights demo": RUN,
    "spinekit run 00 03 04 05 06 --data-dir data/mine --run mine --profile demo --weights demo": UNLABELLED,
    "spinekit kaggle bundle dist/kaggle --owner YOU": BUNDLED,
    "make kaggle OWNER=YOU": DRY,
    "kaggle datasets create -p dist/kaggle/dataset --dir-mode zip": KAGGLE,
    'kaggle datasets version -p dist/kaggle/dataset --dir-mode zip -m "What has changed"': KAGGLE,
    "kaggle kernels push -p dist/kaggle/kernels/00_start": KAGGLE,
    "kaggle kernels status YOU/spinekit-00-start": KAGGLE,
    "spinekit kaggle badges --repository https://github.com/YOU/spinekit": KAGGLE,
    "torchrun --nproc-per-node 2 train.py": LAUNCHED,
    "accelerate-launch --multi_gpu --num_processes 2 train.py": LAUNCHED,
    "dask scheduler --port 8786": CLUSTER,
    "dask worker tcp://10.0.0.5:8786 --nthreads 1 --nworkers 8": CLUSTER,
    f"{GPU_SETTINGS} dask worker tcp://10.0.0.5:8786 --nthreads 1 --resources GPU=1": CLUSTER,
    "spinekit grade EXPORT --weights demo --out results --scheduler tcp://10.0.0.5:8786": CLUSTER,
    "spinekit run 00 03 04 05 06 --profile full --fold 0,1,2,3,4 --scheduler tcp://10.0.0.5:8786": PLANNED,
    "spinekit run 07 13 --profile full --fold 0 --scheduler tcp://10.0.0.5:8786": PLANNED,
    ".venv/bin/pip install -e '.[cluster]'": INSTALLED,
    "python3 -m venv .venv": INSTALLED,
    ".venv/bin/pip install -c constraints/cpu.txt -e '.[dev]'": INSTALLED,
    ".venv/bin/pip install -e '.[dev]'": INSTALLED,
}
# What a command that is run has to print, and words added to keep it short.
SAYS = {
    "plan": "20_kaggle_inference",
    "doctor": "problems 0",
    "phantom": "2 studies in",
    "check": "studies",
    "labels": "studies",
    "evaluate localization": "landmark in plane",
    "evaluate grading": "phantom studies graded by",
    "evaluate shortcuts": "mean and spread of crops",
    "evaluate realism": "AUC of phantoms against real",
    "evaluate labels": "swapped_sides",
    "evaluate measurements": "disc_height",
    "evaluate context": "joint optimum",
    "evaluate reader-offset": "shifts beside them",
    "evaluate image-floor": "image-limited floor: at most",
    "score": "any_severe_spinal",
    "blend": "weights and both",
    "grade": "results: ",
    "weights list": NAME,
    "weights show": "sha256",
    "weights pack": "packed into",
    "weights unpack": "unpacked into",
}
EXAM_FILES = ("grades.json", "report.html", "report.pdf", "report.dcm")
# A command that needs what another one leaves, and that one.
AFTER = {"spinekit weights unpack demo.zip models/demo": "spinekit weights pack demo demo.zip"}
ADDED = {
    "spinekit evaluate localization COHORT --run demo": ["--limit", "1"],
    "spinekit evaluate context": ["--studies", "100"],
    "spinekit evaluate reader-offset": ["--studies", "100", "--repeats", "2"],
    "spinekit evaluate image-floor --run demo": ["--seeds", "1", "--no-transformer"],
}


def commands() -> list[str]:
    """The command lines of the code blocks, without their comments."""
    lines = [re.sub(r"\s+#.*", "", line.strip()) for line in TEXT.splitlines() if line.startswith("    ")]
    return [line for line in lines if words_of(line) and Path(words_of(line)[0]).name in PROGRAMS]


def words_of(line: str) -> list[str]:
    """The words of a command line, without the settings of environment variables before it."""
    words = shlex.split(line) if line.count("'") % 2 == 0 else line.split()
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    return words


def lines_that_are(how: str) -> list[str]:
    return [line for line in HOW if HOW[line] == how]


def invoke(words: Sequence[str]) -> str:
    """Run a command line of spinekit in this process; returns what it printed."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """Arguments and options of the command that the words name, checked; nothing is run."""
    command: Any = typer.main.get_command(app)
    rest = list(words[1:])
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    return command.make_context(words[0], rest).params


@cache
def planned(line: str) -> list[Job]:
    """The jobs of a `spinekit run` line."""
    given = parsed(words_of(line))
    folds = tuple(int(fold) for text in given["fold"] or () for fold in text.split(","))
    extra = dict(text.split("=") for text in given["parameter"] or ())
    options = Options(given["profile"], given["data_dir"], given["run_name"], given["weights"], folds, extra)
    return plan(find_notebooks(given["notebooks"] or ()), options)


def test_every_command_of_the_readme_and_the_guides_is_tried() -> None:
    assert sorted(set(commands())) == sorted(HOW)


@pytest.mark.parametrize("line", [*lines_that_are(PLANNED), *lines_that_are(UNLABELLED)])
def test_planned_jobs_are_the_named_notebooks_with_the_named_parameters(line: str) -> None:
    words, jobs = words_of(line), planned(line)
    numbers = [word for word in words if re.fullmatch(r"\d\d", word)]
    every = sorted(file.stem[:2] for file in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    folds = next((word.split(",") for word in words if re.fullmatch(r"\d(,\d)+", word)), ["0"])
    by_fold = [job for job in jobs if job.notebook.folded]
    assert sorted({job.notebook.step[:2] for job in jobs}) == (numbers or every)
    assert len(jobs) == len(by_fold) + len({job.notebook.step for job in jobs} - {j.notebook.step for j in by_fold})
    assert {str(job.parameters["fold"]) for job in by_fold} <= set(folds)
    assert len(by_fold) == len(folds) * len({job.notebook.step for job in by_fold})
    for name, option in (("profile", "--profile"), ("run_name", "--run")):
        wanted = words[words.index(option) + 1] if option in words else words[words.index("--profile") + 1]
        assert {job.parameters[name] for job in jobs} == {wanted}
    for pair in (word for word in words if "=" in word):
        name, value = pair.split("=")
        assert str(value) in {str(job.parameters.get(name)) for job in jobs}


def test_the_command_for_studies_without_labels_is_the_one_that_is_run() -> None:
    assert lines_that_are(UNLABELLED) == [test_unlabelled.COMMAND]


def test_make_would_run_what_the_readme_says() -> None:
    for line in lines_that_are(DRY):
        done = subprocess.run([*line.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=True)
        programs = ("pytest", "bin/spinekit ", "book/build.py", "tests/benchmarks")
        assert any(word in done.stdout for word in programs), line
        for run in re.findall(r"spinekit run .*", done.stdout):
            assert [job.notebook.step[:2] for job in planned(run)] == ["00", "01", "02", "03", "04", "05", "06"]
    for target in re.findall(r"`make (\w+)`", TEXT):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_what_is_pushed_to_kaggle_is_what_a_bundle_holds() -> None:
    # Below another make, as in `make test`, it would name the folder before and after.
    command = ["make", "-n", "--no-print-directory", "kaggle", "OWNER=YOU"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert parsed(words_of(made.stdout.strip().splitlines()[-1]))["out"] == Path("dist/kaggle")
    for line in lines_that_are(KAGGLE):
        if line.startswith("spinekit"):
            assert parsed(words_of(line))["repository"]
        elif "status" in line:
            assert words_of(line)[-1] in [kernel_id(step, "YOU") for step in Step]
        else:
            folder = Path(words_of(line)[words_of(line).index("-p") + 1]).relative_to("dist/kaggle")
            assert folder == Path("dataset") or (ROOT / "notebooks" / f"{folder.name}.ipynb").is_file()


def test_what_an_installation_reads_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    plain = ("venv", ".venv", "install", "lab", ".[dev]", ".[cluster]")
    for word in (word for line in lines_that_are(INSTALLED) for word in words_of(line)[1:]):
        assert word.startswith("-") or word in plain or (ROOT / word).exists()
    assert {"dev", "cluster"} <= extras.keys() and (ROOT / "notebooks").is_dir()


def test_refresh_would_run_every_notebook() -> None:
    assert lines_that_are(REFRESHED) == ["spinekit refresh", "spinekit refresh --figures demo"]
    files = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [job.notebook.file for job in plan(find_notebooks(map(str, files)), Options())] == files


@pytest.mark.parametrize("text", sorted(set(re.findall(r"`((?:spinekit|papermill) [^`]+)`", TEXT))))
def test_a_command_within_a_sentence_has_its_options_and_notebooks(text: str) -> None:
    words = words_of(text)
    if words[0] == "papermill":
        declared = find_notebooks([words[1]])[0].defaults
        assert (ROOT / words[1]).is_file() and words[words.index("-p") + 1] in declared
    elif words[1] == "run":
        assert planned(text)
    else:  # `spinekit evaluate localization` names a command, without its arguments
        named = [word for word in words[1:] if word.islower() and not word.startswith("-")]
        shown = invoke([*named, "--help"])
        assert "Usage" in shown and all(word in shown for word in words if word.startswith("--"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, taught_once: Taught) -> Path:
    """Where the README's folders come to lie, with predictions and the sheet of grades that they are scored by."""
    home = tmp_path_factory.mktemp("readme")
    shutil.copy(taught_once.cohort / "train.csv", home / "LABELS.csv")
    studies = pd.read_csv(home / "LABELS.csv")["study_id"]
    rng = np.random.default_rng(0)
    for name in ("SUBMISSION.csv", "PREDICTIONS.csv", "MORE.csv"):
        p = rng.dirichlet([4, 2, 1], (len(studies), 25))
        p[:, 5 if name == "MORE.csv" else 25 :] = np.nan  # as notebook 06's axial.csv, which knows the canal alone
        submission.write_probabilities(home / name, studies, p)
    write_export(taught_once.cohort, home / "EXPORT", home / "export.zip")
    (home / "REAL_FOLDER").symlink_to(taught_once.cohort)
    return home


def write_export(cohort_folder: Path, folder: Path, archive: Path) -> None:
    """Two unlabelled studies as a scanner exports them: one flat in a folder, one in a zip, names that say nothing."""
    flat, deep = sorted((cohort_folder / "test_images").iterdir())[:2]
    folder.mkdir()
    for number, file in enumerate(sorted(flat.rglob("*.dcm"))):
        shutil.copy(file, folder / f"IM{number:05}")
    shutil.make_archive(str(archive.with_suffix("")), "zip", deep)


def small(line: str, home: Path) -> list[str]:
    """The words of a command with small sizes, the tiny run and the folders of the tests in place of the README's."""
    own = ("LABELS.csv", "SUBMISSION.csv", "OUT", "EXPORT", "export.zip", "results", "demo.zip", "models/demo")
    own += ("REAL_FOLDER",)
    stands_for = {name: home / name for name in own} | {"PATH": home / "EXPORT", "FOLDER": home / "EXPORT"}
    stands_for |= {"COHORT": home / "no-motion", "DIR": home / "no-motion", "RUN": NAME, "demo": NAME}
    words = words_of(line)[1:]
    values = SMALL | FOR_FOLDS.get(words[0], {})
    for before, i in zip(words, range(1, len(words)), strict=False):
        words[i] = values.get(before, NAME if before == "--run" else words[i])
    words += ADDED.get(line, [])
    words = [str(stands_for.get(word, re.sub("^data", str(home), word))) for word in words]
    if "PREDICTIONS.csv..." in words:
        words[-1:] = [str(home / "PREDICTIONS.csv"), str(home / "MORE.csv")]
    return words


def code_blocks(guide: str) -> list[str]:
    """The code blocks of a guide."""
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", guide, re.MULTILINE)]


def code_of_guide(first: str) -> str:
    """The code block of the guide to running that begins with this line."""
    (block,) = (block for block in code_blocks(RUN_GUIDE) if block.strip().startswith(first))
    return block


def test_the_script_for_several_gpus_runs(tmp_path: Path, taught: Taught) -> None:
    command, _ = lines_that_are(LAUNCHED)
    assert tuple(lines_that_are(LAUNCHED)) == launched_training.COMMANDS
    (tmp_path / "train.py").write_text(code_of_guide("# train.py"))
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "demo").symlink_to(taught.outputs / NAME)
    (tmp_path / "outputs" / "cohort-demo").symlink_to(taught.cohort)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", *command.split()[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), devices.VARIABLE: "cpu"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert load_grader(tmp_path / "outputs" / "transformer").kind == SEQUENCE


def test_the_line_for_several_gpus_runs(tmp_path: Path, taught: Taught, capfd: pytest.CaptureFixture[str]) -> None:
    """Its names are those of notebook 05; its models are tiny."""
    before = taught.outputs / NAME / "fold0" / "04_crop_classification" / "crops"
    data = cohort.load(taught.cohort)
    split = cohort.split_studies(data, pd.read_csv(taught.outputs / NAME / "00_start" / "folds.csv"), 0)
    fold_data = training.fold_data(crop_cache.load(before), split, data.grades)
    names = {"training": training, "fold_data": fold_data, "start": load_grader(before), "source": tmp_path, "seed": 0}
    exec(code_of_guide("from spinekit.learning.distributed"), names)
    assert load_grader(tmp_path).kind == SEQUENCE
    assert re.search(r"^sequence: step \d+ of \d+, loss \d", capfd.readouterr().out, re.MULTILINE)
    for call in re.findall(r"`launch\((.*?), processes=2\)` \|", RUN_GUIDE):
        function, *arguments = call.split(", ")
        notebook = ROOT / "notebooks" / ("03_unet_localization" if "localizer" in call else "04_crop_classification")
        source = notebook.with_suffix(".ipynb").read_text(encoding="utf-8")
        owner: Any = {"localizer": localizer, "training": training}[function.split(".")[0]]
        inspect.signature(getattr(owner, function.split(".")[1])).bind(*arguments)
        for name in arguments:
            assert re.split(r"[\[.(]", name)[0] in source


def test_a_gpu_is_used_or_refused(home: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, "")
    (line,) = lines_that_are(GPU)
    if torch.cuda.is_available():
        assert SAYS["grade"] in invoke(small(line, home))
    else:
        with pytest.raises(devices.NoDevice, match="Use --device cpu"):
            invoke(small(line, home))


def test_the_commands_of_a_cluster_run(home: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, "")
    scheduler, worker, gpu_worker, grade = lines_that_are(CLUSTER)
    with clusters.started(f"{scheduler.replace('8786', '0')} --host 127.0.0.1 --no-dashboard") as (_, address):
        here = [
            line.replace(ADDRESS, address)
            for line in (worker.replace("--nworkers 8", "--nworkers 2"), gpu_worker, grade)
        ]
        with clusters.started(f"{here[0]} --no-dashboard"), clusters.started(f"{here[1]} --no-dashboard"):
            assert SAYS["grade"] in invoke([*small(here[2], home), "--force"])
            with cluster.pool(address, 1) as everyone, cluster.pool(address, 1, trains=True) as with_gpu:
                assert (everyone.size, with_gpu.size) == (3, 1)


def test_the_scripts_for_clusters_that_are_not_here_can_be_read() -> None:
    """Slurm and Kubernetes are not here; that these scripts work there is not tested, and the guide says so."""
    guide = (ROOT / "notebooks" / "book" / "howto-cluster.md").read_text(encoding="utf-8")
    for name in ("slurm.py", "kubernetes.py"):
        (block,) = (text for text in code_blocks(guide) if text.strip().startswith(f"# {name}"))
        ast.parse(block)
    assert guide.count("was not run on") == 2


@pytest.mark.parametrize("line", lines_that_are(RUN))
def test_the_command_runs(line: str, home: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity_checks, "MIN_STUDIES", 5)  # so few tell nothing, but the command runs
    words = small(line, home)
    for other in (small(line, home) for line in lines_that_are(RUN)):
        if other[0] == "phantom" and other != words and other[1] in words:  # it writes the cohort that is read here
            invoke(other)
    if line in AFTER:
        invoke(small(AFTER[line], home))
    name = next(name for name in SAYS if words[: len(name.split())] == name.split())
    assert SAYS[name] in invoke(words)
    if name == "grade":
        folders = [file.parent for file in (home / "results").rglob("grades.json")]
        assert folders and all((folder / kind).stat().st_size > 1000 for folder in folders for kind in EXAM_FILES)
        assert (home / "results" / "index.html").is_file()
    if name == "phantom":
        assert len(cohort.load(words[1]).studies()) == 2
    if name == "evaluate localization":
        suffix = "-headers" if "--no-register" in words else ""
        assert artifacts.read_json(taught.outputs / NAME / "fold0" / f"localization-no-motion{suffix}.json")["studies"]
