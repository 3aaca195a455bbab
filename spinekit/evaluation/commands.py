"""The commands of ``spinekit evaluate``. What they need is imported when they run: --help stays quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from spinekit.course.console import (
    UNSOUND,
    AsJson,
    Device,
    PartialVisibility,
    ReaderOffset,
    TablesOnly,
    WithPatientFactors,
    print_result,
)

PhantomCohort = Annotated[Path, typer.Argument(metavar="COHORT", help="A cohort that `spinekit phantom` wrote.")]
StudyLimit = Annotated[int, typer.Option(min=0, help="Studies to evaluate; 0: all.")]
OneFold = Annotated[int, typer.Option(help="Fold of the run.")]
GivenLabels = Annotated[Path | None, typer.Option(help="Real grades, to stand beside the model's.")]
GivenPredictions = Annotated[list[Path] | None, typer.Option(help="Their out-of-fold predictions; may be repeated.")]

evaluations = typer.Typer(
    help="Evaluate a run against the truth of a phantom cohort that it was not trained on.", no_args_is_help=True
)


@evaluations.command(name="localization")
def evaluate_localization(
    folder: PhantomCohort,
    run_name: Annotated[str, typer.Option("--run", help="Run to evaluate; none: the newest.")] = "",
    fold: OneFold = 0,
    limit: StudyLimit = 0,
    register: Annotated[bool, typer.Option(help="Register the series first: seconds a study.")] = True,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Errors of matched slices, landmarks and aligned series, in a table.

    Writes the same as JSON to outputs/RUN/foldK/localization-COHORT.json; -headers is added if nothing was registered.

    Example: spinekit evaluate localization data/phantom --run demo
    """
    from spinekit.evaluation.localization import evaluate_run
    from spinekit.learning import devices

    devices.use(device)
    report = evaluate_run(folder, run_name, fold, limit, register)
    print_result(report.to_json() if as_json else report, as_json)


@evaluations.command(name="measurements")
def evaluate_measurements(
    folder: PhantomCohort,
    run_name: Annotated[
        str, typer.Option("--run", help="Run that predicts the landmarks; none: the true ones, moved by 1.7 mm.")
    ] = "",
    fold: OneFold = 0,
    limit: StudyLimit = 0,
    as_json: AsJson = False,
) -> None:
    """Errors of the measurements in mm: dural sac, disc height, foramina.

    With a run, writes the same as JSON to outputs/RUN/foldK/measurements-COHORT.json.

    Example: spinekit evaluate measurements data/phantom --run demo
    """
    from spinekit.evaluation.measurements import evaluate_run

    report = evaluate_run(folder, run_name, fold, limit)
    print_result(report.to_json() if as_json else report, as_json)


@evaluations.command(name="grading")
def evaluate_grading(
    folder: Annotated[Path | None, typer.Argument(metavar="[COHORT]", help="Cohort of `spinekit phantom`.")] = None,
    run_name: Annotated[str, typer.Option("--run", help="Run to evaluate; none: the newest.")] = "",
    fold: Annotated[list[str] | None, typer.Option(help="Only these folds' models: 0, or 0,1; none: all.")] = None,
    limit: StudyLimit = 0,
    fresh: Annotated[int, typer.Option(min=0, help="Draw a cohort of so many studies, and evaluate on it.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the cohort of --fresh.")] = 912,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score, prior, floor and skill of each part, and how well the probabilities are calibrated, from DICOM on.

    Studies that the run was fitted on are left out. Writes the same as JSON to outputs/RUN/grading-COHORT.json.

    With --fresh the cohort is drawn first, like the run's own but of another seed: patients by which nothing was
    fitted or chosen. It is kept in COHORT, or removed if none is named; the JSON is grading-fresh-N-seedSEED.json.

    Example: spinekit evaluate grading --fresh 200 --run demo
    """
    from spinekit.course.arguments import fold_numbers, named_cohort
    from spinekit.evaluation.fresh_cohort import evaluate_fresh
    from spinekit.evaluation.grading import evaluate_run
    from spinekit.learning import devices

    devices.use(device)
    folds = fold_numbers(fold or ())
    if fresh:
        report = evaluate_fresh(fresh, seed, folder, run_name, folds, limit)
    else:
        report = evaluate_run(named_cohort(folder), run_name, folds, limit)
    print_result(report.to_json() if as_json else report, as_json)


@evaluations.command(name="shortcuts")
def evaluate_shortcuts(
    folder: Annotated[Path | None, typer.Argument(metavar="[COHORT]", help="Cohort of `spinekit phantom`.")] = None,
    run_name: Annotated[str, typer.Option("--run", help="Run whose crops are tested.")] = "",
    fold: OneFold = 0,
    as_json: AsJson = False,
) -> None:
    """An intensity-only baseline, of a phantom cohort or of a run's crops: above a skill of 0.3 it leaks the grade.

    Of a cohort: squares of 12, 20 and 40 mm about the true landmarks. Mean, spread, share of dark pixels and shares of
    four bands of brightness, each alone and all together, as brightness and as ranks; headers and file sizes too. The
    limit is a skill of 0.3 in each row.

    Of a run: the limit applies to the row "mean and spread of crops", which is what a grader is given. The row of their
    middle 12 mm is there for comparison: those pixels are the lesion, and no grader is given them alone.

    Exit status: 0 no leak; 3 a leak; 1 an error, which is one line on stderr; 2 a wrong command line.

    Example: spinekit evaluate shortcuts data/phantom
    """
    from spinekit.evaluation import sanity_checks

    table = sanity_checks.shortcuts_of(folder, run_name, fold)
    print_result(json.loads(table.to_json(orient="index")) if as_json else sanity_checks.in_words(table), as_json)
    if sanity_checks.has_leak(table):
        raise typer.Exit(UNSOUND)


@evaluations.command(name="labels")
def evaluate_labels(
    folders: Annotated[list[Path], typer.Argument(metavar="COHORT...", help="Cohorts of `spinekit phantom`.")],
    tables_only: TablesOnly = False,
    as_json: AsJson = False,
) -> None:
    """How many planted mistakes of the tables `spinekit labels` finds, and how much of what it lists is right.

    Example: spinekit evaluate labels data/phantom
    """
    from spinekit.evaluation.label_audit import evaluate

    table = evaluate(folders, headers=not tables_only)
    print_result(
        json.loads(table.to_json(orient="index")) if as_json else table.round(3).to_string(na_rep="-"), as_json
    )


@evaluations.command(name="context")
def evaluate_context(
    studies: Annotated[int, typer.Option(min=1, help="Studies of the model that are drawn.")] = 4000,
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.")] = 0,
    skill: Annotated[float, typer.Option(help="Of an observer of single targets, which sets its error.")] = 0.84,
    labels: GivenLabels = None,
    predictions: GivenPredictions = None,
    reader_offset: ReaderOffset = True,
    partial_visibility: PartialVisibility = True,
    patient_factors: WithPatientFactors = True,
    as_json: AsJson = False,
) -> None:
    """What context is worth to an exact observer of the phantom's model, cause by cause; no image is drawn.

    Beside it the figures that the model has to keep: residuals of the reader, prevalence, correlations, prior, floor.

    Example: spinekit evaluate context --no-partial-visibility
    """
    from spinekit.evaluation.context_report import report
    from spinekit.phantom import Causes

    causes = Causes(reader_offset, partial_visibility, patient_factors)
    result = report(studies, seed, causes, skill, labels, predictions or ())
    print_result(result.to_json() if as_json else result, as_json)


@evaluations.command(name="reader-offset")
def evaluate_reader_offset(
    studies: Annotated[int, typer.Option(min=50, help="Studies of the model that are drawn.")] = 1579,
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.")] = 0,
    repeats: Annotated[int, typer.Option(min=2, help="Training sets of the linear graders.")] = 20,
    labels: GivenLabels = None,
    predictions: GivenPredictions = None,
    reader_offset: ReaderOffset = True,
    as_json: AsJson = False,
) -> None:
    """Whether a reader's offset along a column can be estimated from its other levels, and taken out of the labels.

    On the phantom's model, where the truth is known, and on real grades with out-of-fold predictions where given.

    Example: spinekit evaluate reader-offset --labels train.csv --predictions oof.csv
    """
    from spinekit.evaluation.reader_offset import report
    from spinekit.phantom import Causes

    result = report(studies, seed, Causes(reader_offset), repeats, labels, predictions or ())
    print_result(result.to_json() if as_json else result, as_json)


@evaluations.command(name="image-floor")
def evaluate_image_floor(
    run_name: Annotated[str, typer.Option("--run", help="Run whose crops are used; none: the newest.")] = "",
    fold: OneFold = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each size; the estimate needs two or more.")] = 2,
    transformer: Annotated[bool, typer.Option(help="Train it too, on the chances of all studies.")] = True,
    epochs: Annotated[float, typer.Option(min=0.1, help="Times as many as the run's recipe has.")] = 1.0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """What can be read off the pictures: skill of networks trained on the true chances in place of drawn grades.

    Crop classifiers of the run's own recipe are trained on 1/8, 1/4, 1/2 and all of its training studies, and scored on
    its unseen studies in expectation over grades. Where their learning curve bends enough, it tells the skill that
    endless studies would give: an estimate for these networks and crops, not for the best possible reader.

    Takes about four times as long as the crop classifier of notebook 04, for each seed. Trainings that are done are
    kept, their models are not: they know the truth. Writes the same as JSON to outputs/RUN/foldK/image-floor.json;
    -epochsX is added if these are others.

    Example: spinekit evaluate image-floor --run demo
    """
    from spinekit.experiments.image_floor_scores import evaluate_run
    from spinekit.learning import devices

    devices.use(device)
    report = evaluate_run(run_name, fold, seeds, transformer, epochs)
    print_result(report.to_json() if as_json else report, as_json)


@evaluations.command(name="realism")
def evaluate_realism(
    folder: Annotated[Path, typer.Argument(metavar="COHORT", help="A cohort that `spinekit phantom` wrote.")],
    real_folder: Annotated[
        Path,
        typer.Argument(metavar="REAL_FOLDER", help="Real studies in the competition's layout; labels may be missing."),
    ],
    limit: Annotated[int, typer.Option(min=0, help="Studies of either folder; 0: all.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Contrast, texture, noise, edges, slices and sizes of real studies beside the range of the phantoms.

    Of every kind of series: real value, the phantoms' 5 to 95 % and whether it lies inside; then how well patches of
    20 mm are distinguished by their statistics, as the area under a ROC curve: 0.5 is indistinguishable.

    Writes the same as JSON, and a sheet of pictures, to outputs/realism-COHORT-REAL_FOLDER.json and .png: the sheet
    shows real patients.

    Example: spinekit evaluate realism data/phantom data/rsna2024
    """
    from spinekit import artifacts
    from spinekit.course.folders import make_folder, outputs_root
    from spinekit.evaluation.realism_report import compare
    from spinekit.figures import realism as pictures
    from spinekit.io.cohort import load

    report = compare(folder, real_folder, limit)
    file = make_folder(outputs_root()) / f"realism-{folder.resolve().name}-{real_folder.resolve().name}.json"
    artifacts.write_json(file, report.to_json())
    pictures.save(pictures.sheet(load(folder), load(real_folder), limit=limit), file.with_suffix(".png"))
    print_result(report.to_json() if as_json else report, as_json)
