"""The headline of a run: studies that are drawn for it alone, graded and scored (`spinekit evaluate grading --fresh`).

The patients are of another seed than those of the run's cohort, and nobody has chosen a recipe or a blend by looking at
them; at the test half of the run's own cohort notebooks 06, 07 and 12 to 14 have looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spinekit import artifacts
from spinekit.course import runs
from spinekit.course.profiles import profile_of
from spinekit.evaluation.grading import Report, evaluate
from spinekit.evaluation.trained_runs import SeenStudies, find_submission, report_folder
from spinekit.phantom import Recipe, plan_cohort, truth, write_cohort

SEED = 912  # no profile's cohort has it


def evaluate_fresh(
    studies: int,
    seed: int = SEED,
    folder: Path | None = None,
    run: str = "",
    folds: Sequence[int] = (),
    limit: int = 0,
) -> Report:
    """Draw a cohort of so many studies, as those of the run's own cohort but with all irregularities, and evaluate the
    run on it as ``grading.evaluate_run`` does; the report is kept as ``grading-fresh-<studies>-seed<seed>.json``. A run
    on patients that were not drawn gets those of its profile.

    The cohort is drawn into ``folder``, where it stays and is found again, or into a temporary one.

    Raises: `SeenStudies` for the seed of the run's own cohort, whose patients are the same; `TruthError` where that
    cohort is gone, has lost part of its truth, or is of another version; as ``find_submission``, ``write_cohort`` and
    ``evaluate``.
    """
    step = find_submission(run)
    parameters = artifacts.read_json(step / runs.MANIFEST)["parameters"]
    recipe, training_seed = _training_cohort(parameters)
    if seed == training_seed:
        raise SeenStudies(
            f"Run {step.parent.name} was trained on a cohort of seed {seed}, and cohorts of one seed begin with the "
            f"same patients. Name another seed: --seed {seed + 1}"
        )
    plan = plan_cohort(studies, seed, recipe)
    with TemporaryDirectory() as temporary:
        report = evaluate(write_cohort(folder or Path(temporary) / "fresh", plan), step, folds, limit)
    report = replace(report, cohort=f"fresh cohort of seed {seed}, profile {recipe.name}")
    file = report_folder(step.parent) / f"grading-fresh-{studies}-seed{seed}.json"
    artifacts.write_json(file, report.to_json())
    return report


def _training_cohort(parameters: dict[str, Any]) -> tuple[Recipe, int | None]:
    """Patients and images of the run's cohort, and its seed; None for patients that were not drawn."""
    profile = profile_of(parameters["profile"])
    if not parameters["data_dir"]:
        return profile.acquisition, profile.seed
    own = Path(parameters["data_dir"])
    if not own.is_dir():
        raise truth.TruthError(
            f"the patients that the run was trained on are gone: {own} is no folder, and a fresh cohort has to be like "
            "them. Put their cohort back there, or draw one (`spinekit phantom FOLDER`) and evaluate on it "
            "(`spinekit evaluate grading FOLDER`)"
        )
    if not (own / "truth").exists():
        return profile.acquisition, None
    order = truth.read(own).order
    return artifacts.from_json(Recipe, order["recipe"], truth.TruthError), int(order["seed"])
