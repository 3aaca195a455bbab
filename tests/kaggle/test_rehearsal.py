"""The rehearsal: each notebook as somebody forks it, on an imitation of Kaggle's machine (``make kaggle-rehearsal``).

Alone, with nothing attached but the dataset and the competition; and all in one working folder. Both layouts of mounts;
one test study, and three times as many test as training studies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import kaggle_machine
import pandas as pd
import pytest
from kaggle_machine import Attached, Machine, Ran

from spinekit.artifacts import read_json
from spinekit.course import setup
from spinekit.course.profiles import profile_of
from spinekit.course.runs import outputs_root
from spinekit.io import cohort
from spinekit.kaggle import bundle, packages
from spinekit.kaggle.links import checkout
from spinekit.phantom import plan_cohort, write_cohort

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(kaggle_machine.not_possible()), reason=kaggle_machine.not_possible()),
]
STEPS = sorted(
    file.stem
    for file in (checkout() / "notebooks").glob("[0-9]*.ipynb")
    if file.stem[:2] <= "06" or file.stem[0] == "2"
)
# Studies of the training half, and of the test half.
COHORTS = {"one test study": (18, 1), "three times as many": (6, 18)}
SCENES = {"old": "one test study", "new": "three times as many"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle for this Python, with small notebooks: the one that SPINEKIT_BUNDLE names (made with ``--profile
    smoke``), or a new one, for which a network is needed."""
    if named := os.environ.get("SPINEKIT_BUNDLE"):
        return Path(named).resolve()
    out = tmp_path_factory.mktemp("bundle") / "kaggle"
    bundle.make(out, "someone", [packages.this_python()], profile="smoke")
    return out


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Phantoms in the place of the competition's data, without what only a phantom has."""
    drawn, smoke = outputs_root() / "cohort-smoke", profile_of("smoke")
    if not drawn.is_dir():
        write_cohort(
            drawn, plan_cohort(smoke.studies, smoke.seed, smoke.acquisition, test_fraction=setup.TEST_FRACTION)
        )
    folders = {}
    for name, (train, test) in COHORTS.items():
        folders[name] = tmp_path_factory.mktemp("competition") / "data"
        kaggle_machine.divide(drawn, folders[name], train, test)
    return folders


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine; its table of what ran is printed at the end."""
    home = tmp_path_factory.mktemp("machine")
    image = packages.read_image(checkout() / packages.IMAGE)
    names = kaggle_machine.image_packages(image, packages.dependencies(checkout()))
    machine = Machine(home, kaggle_machine.make_image(home / "image", names))
    own = kaggle_machine.mount_point()
    yield machine
    print("\nnotebook                    session                           layout        time   outcome")
    print("\n".join(machine.rows))
    if own:
        kaggle_machine.KAGGLE.rmdir()


def run(session: kaggle_machine.Session, step: str, made: Path, data: Path, layout: str, *more: Attached) -> Ran:
    """Run the notebook of a kernel's folder, with the dataset, the competition and what else is attached."""
    attached = [Attached("dataset", "spinekit", made / "dataset"), kaggle_machine.competition(data), *more]
    return session.run(made / "kernels" / step / f"{step}.ipynb", attached, layout)


def check(ran: Ran, data: Path) -> None:
    """It ran to its end on the attached studies, and a submission has every row that is asked for."""
    assert not ran.error, ran.error
    if ran.step[:2] in ("06", "20"):
        tables = [*ran.working.glob("submission.csv"), *ran.working.glob("outputs/*/06_submission/submission.csv")]
        table = pd.read_csv(tables[0])
        wanted = {f"{study}_" for study in cohort.load(data).studies("test")}
        assert len(table) == 25 * len(wanted)
        assert {row[: row.index("_") + 1] for row in table["row_id"]} == wanted
    else:
        manifests = [read_json(file) for file in ran.working.glob(f"outputs/**/{ran.step}/manifest.json")]
        assert [m["parameters"]["data_dir"] for m in manifests][0].startswith("/kaggle/input/")


@pytest.mark.parametrize("layout", list(SCENES))
@pytest.mark.parametrize("step", STEPS)
def test_notebook_alone(step: str, layout: str, machine: Machine, made: Path, cohorts: dict[str, Path]) -> None:
    data = cohorts[SCENES[layout]]
    check(run(machine.session(f"{step[:2]} alone, {SCENES[layout]}"), step, made, data, layout), data)


@pytest.mark.parametrize("layout", list(SCENES))
def test_all_in_one_folder(layout: str, machine: Machine, made: Path, cohorts: dict[str, Path]) -> None:
    data = cohorts[SCENES[layout]]
    session = machine.session(f"all, {SCENES[layout]}")
    for step in STEPS:
        check(run(session, step, made, data, layout), data)


@pytest.mark.parametrize("layout", list(SCENES))
def test_output_of_another_notebook_is_read(
    layout: str, machine: Machine, made: Path, cohorts: dict[str, Path]
) -> None:
    data = cohorts[SCENES[layout]]
    first, second = STEPS[0], next(step for step in STEPS if step.startswith("03"))
    before = run(machine.session(f"00 for 03, {layout}"), first, made, data, layout)
    check(before, data)
    output = Attached("notebook", "spinekit-00-start", before.working)
    after = run(machine.session(f"03 with 00, {layout}"), second, made, data, layout, output)
    check(after, data)
    assert not list(after.working.glob(f"outputs/*/{first}/manifest.json")), "made anew, though it was attached"


def test_without_the_dataset_one_line_says_what_to_do(machine: Machine, made: Path, cohorts: dict[str, Path]) -> None:
    step, data = STEPS[0], cohorts["one test study"]
    notebook = made / "kernels" / step / f"{step}.ipynb"
    ran = machine.session("without dataset").run(notebook, [kaggle_machine.competition(data)], "new")
    assert "No spinekit: attach the dataset" in ran.error
