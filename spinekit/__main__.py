"""The command line: thin commands over the package. ``spinekit --help`` lists them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from spinekit import __version__
from spinekit.errors import SpinekitError

UNBOUNDED = 100_000  # columns of a pipe or a file: rich would take 80, and cut or wrap what does not fit
# Heavy modules (pandas, papermill, the phantom) are imported by the commands that need them: --help stays quick.

app = typer.Typer(
    name="spinekit",
    help="Grades degenerative disease of the lumbar spine on MRI, notebook by notebook. Not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"spinekit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text for people.")]
TablesOnly = Annotated[bool, typer.Option("--tables-only", help="Leave the headers of images alone.")]
PhantomCohort = Annotated[Path, typer.Argument(metavar="COHORT", help="A cohort that `spinekit phantom` wrote.")]
StudyLimit = Annotated[int, typer.Option(min=0, help="Studies to evaluate; 0: all.")]
OneFold = Annotated[int, typer.Option(help="Fold of the run.")]


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New folder for the cohort.")],
    studies: Annotated[int, typer.Option(min=1, help="Studies in all; a quarter of them is the test half.")] = 40,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    profile: Annotated[str, typer.Option("--profile", "-P", help="smoke, demo or cpu (small images), full.")] = "smoke",
    traps: Annotated[bool, typer.Option(help="The oddities of real data, at their real rates.")] = True,
    trap: Annotated[
        list[str] | None, typer.Option(metavar="NAME=RATE", help="Another share of studies with one; may be repeated.")
    ] = None,
    shift_mm: Annotated[
        float | None, typer.Option(min=0, help="The patient moves between series by up to this; 0: no motion.")
    ] = None,
    shift_deg: Annotated[float | None, typer.Option(min=0, help="And rotates by up to this, in degrees.")] = None,
    transitional: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of patients with a transitional vertebra.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic cohort in the competition's layout, its truth beside it.

    Example: spinekit phantom data/phantom --studies 40 --seed 1
    """
    from spinekit.course.arguments import trap_rates
    from spinekit.course.profiles import profile_of
    from spinekit.phantom import adapted, plan_cohort, write_cohort
    from spinekit.phantom.traps import rates

    chosen = rates(traps) | trap_rates(trap or ())
    recipe = adapted(profile_of(profile).acquisition, shift_mm, shift_deg, transitional)
    write_cohort(out, plan_cohort(studies, seed, recipe, chosen))
    result = {"folder": str(out), "studies": studies, "seed": seed, "profile": profile, "traps": chosen}
    _print(
        result if as_json else f"{studies} studies in {out}; what no pipeline may read is in {out / 'truth'}", as_json
    )


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of studies, with or without the competition's tables.")],
    headers_only: Annotated[bool, typer.Option("--headers-only", help="Faster; misses damaged pixels.")] = False,
    weights: Annotated[str, typer.Option(help="Run whose landmark models tell the kind of series from pixels.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the series of a folder of DICOM files: kinds, stacks, geometry, and every problem found.

    Example: spinekit check data/rsna2024
    """
    from rich.console import Console

    from spinekit.label_audit.folder_report import check as check_folder

    judge = None
    if weights:
        from spinekit.evaluation.trained_runs import find_weights
        from spinekit.localization import localizer, series_kind

        judge = partial(series_kind.judge, localizers=localizer.load(find_weights(weights)))

    console = Console(stderr=True)
    waiting = console.status("Reading") if console.is_terminal else None
    with waiting or nullcontext():
        report = check_folder(
            folder,
            pixels=not headers_only,
            progress=(lambda name: waiting.update(f"Reading {name}")) if waiting else None,
            kinds_by_pixels=judge,
        )
    _print(report.to_json() if as_json else report, as_json)


@app.command()
def labels(
    folder: Annotated[Path, typer.Argument(help="Folder with the competition's tables, with or without images.")],
    limit: Annotated[int, typer.Option(min=1, help="How many to list, by decreasing probability.")] = 40,
    tables_only: TablesOnly = False,
    as_json: AsJson = False,
) -> None:
    """List suspected mistakes of the tables: swapped sides, shifted levels, misplaced points, the most probable first.

    Example: spinekit labels data/rsna2024 --limit 100
    """
    from spinekit.label_audit.report import report

    found = report(folder, headers=not tables_only, limit=limit)
    _print(found.to_json() if as_json else found, as_json)


@app.command()
def score(
    labels: Annotated[Path, typer.Argument(help="Grades in the format of train.csv.")],
    submission: Annotated[Path, typer.Argument(help="Predictions in the format of sample_submission.csv.")],
    allow_missing: Annotated[bool, typer.Option(help="Leave out graded rows without a prediction.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score a submission, part by part; lower is better.

    Example: spinekit score data/phantom/truth/grades.csv outputs/demo/06_submission/submission.csv
    """
    from spinekit.course.report import score_files

    scores = score_files(labels, submission, allow_missing)
    _print(scores if as_json else "\n".join(f"{part:20}{value:.4f}" for part, value in scores.items()), as_json)


@app.command()
def blend(
    labels: Annotated[Path, typer.Argument(help="Grades in the format of train.csv.")],
    predictions: Annotated[
        list[Path], typer.Argument(help="Out-of-fold predictions in the format of sample_submission.csv.")
    ],
    limit: Annotated[int, typer.Option(min=0, help="How many unlikely grades to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What blending and calibrating out-of-fold predictions would gain, and which grades look wrong.

    Files that speak of the same rows are several models, others are parts of one. Gains are cross-validated by study.

    Example: spinekit blend data/rsna2024/train.csv outputs/demo/06_submission/transformer.csv
    """
    from spinekit.evaluation.out_of_fold import report

    found = report(labels, predictions, limit)
    _print(found.to_json() if as_json else found, as_json)


evaluations = typer.Typer(
    help="Judge a run against the truth of a phantom cohort that it never saw.", no_args_is_help=True
)
app.add_typer(evaluations, name="evaluate")


@evaluations.command(name="localization")
def evaluate_localization(
    folder: PhantomCohort,
    run_name: Annotated[str, typer.Option("--run", help="Run whose models are judged; none: the newest.")] = "",
    fold: OneFold = 0,
    limit: StudyLimit = 0,
    register: Annotated[bool, typer.Option(help="Register the series first: seconds a study.")] = True,
    as_json: AsJson = False,
) -> None:
    """Slices matched, landmarks found, series aligned: how far off, in a table.

    Writes the same as JSON to outputs/RUN/foldK/localization-COHORT.json; -headers is added if nothing was registered.

    Example: spinekit evaluate localization data/phantom --run demo
    """
    from spinekit.evaluation.localization import evaluate_run

    report = evaluate_run(folder, run_name, fold, limit, register)
    _print(report.to_json() if as_json else report, as_json)


@evaluations.command(name="grading")
def evaluate_grading(
    folder: PhantomCohort,
    run_name: Annotated[str, typer.Option("--run", help="Run whose submission is judged; none: the newest.")] = "",
    fold: Annotated[list[str] | None, typer.Option(help="Only these folds' models: 0, or 0,1; none: all.")] = None,
    limit: StudyLimit = 0,
    as_json: AsJson = False,
) -> None:
    """Score, prior, floor and skill of each part, and how well the probabilities are calibrated, from DICOM on.

    Studies that the run was fitted on are left out. Writes the same as JSON to outputs/RUN/grading-COHORT.json.

    Example: spinekit evaluate grading data/phantom --run demo
    """
    from spinekit.course.arguments import fold_numbers
    from spinekit.evaluation.grading import evaluate_run

    report = evaluate_run(folder, run_name, fold_numbers(fold or ()), limit)
    _print(report.to_json() if as_json else report, as_json)


@evaluations.command(name="shortcuts")
def evaluate_shortcuts(
    run_name: Annotated[str, typer.Option("--run", help="Run whose crops are looked at.")],
    fold: OneFold = 0,
    as_json: AsJson = False,
) -> None:
    """How well mean and spread of a run's crops grade alone: above a skill of 0.3, brightness gives the grade away.

    The limit applies to the row "mean and spread of crops", which is what a grader is given. The row of their middle
    12 mm is there for comparison: those pixels are the lesion, and no grader is given them alone.

    Exit status: 0 no leak; 1 a leak, or an error, which is one line on stderr; 2 a wrong command line.

    Example: spinekit evaluate shortcuts --run demo
    """
    from spinekit.evaluation import sanity_checks

    table = sanity_checks.shortcuts_of_run(run_name, fold)
    _print(json.loads(table.to_json(orient="index")) if as_json else sanity_checks.in_words(table), as_json)
    if sanity_checks.has_leak(table):
        raise typer.Exit(1)


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

    found = evaluate(folders, headers=not tables_only)
    _print(json.loads(found.to_json(orient="index")) if as_json else found.round(3).to_string(na_rep="-"), as_json)


@app.command()
def run(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="03, 03_unet_localization or a path; none: all.")
    ] = None,
    fold: Annotated[list[str] | None, typer.Option(help="Held-out folds: 0, or 0,1; may be repeated.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-P", help="smoke, demo, cpu or full.")] = "smoke",
    data_dir: Annotated[str, typer.Option(help="Competition-style folder; none: the phantom.")] = "",
    run_name: Annotated[str, typer.Option("--run", help="Folder under outputs; none: the profile's name.")] = "",
    weights: Annotated[str, typer.Option(help="Run whose trained models are used; nothing is trained.")] = "",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Any other parameter.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run also what is done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run notebooks with papermill, fold by fold, and skip what is done.

    Examples:

      spinekit run --profile demo

      spinekit run 05 --fold 3 --profile full

      spinekit run --data-dir data/rsna2024 --run real --weights demo
    """
    from spinekit.course.arguments import fold_numbers, pairs
    from spinekit.course.report import show, write_index
    from spinekit.course.runner import Options, find_notebooks, plan, run_all

    options = Options(profile, data_dir, run_name, weights, fold_numbers(fold or ()), pairs(parameter or ()))
    jobs = plan(find_notebooks(notebooks or ()), options)
    outcomes = run_all(jobs, force)
    root = jobs[0].root
    index = write_index(root)
    if as_json:
        _print({"steps": outcomes, "index": str(index)}, as_json)
    else:
        show(root, index)


@app.command()
def refresh(
    notebooks: Annotated[list[str] | None, typer.Argument(help="None: all, the template too.")] = None,
) -> None:
    """Run the notebooks as the tests do, store the outputs that git keeps and strip the others.

    Example: spinekit refresh 02
    """
    from spinekit.course.runner import Options, find_notebooks, notebooks_folder, plan, run_all, store_outputs

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the tests: sums depend on the number of threads
    jobs = plan(find_notebooks(notebooks or map(str, notebooks_folder().glob("*.ipynb"))), Options())
    run_all(jobs, force=False)
    for job in jobs:
        print(f"{job.notebook.file.name}: {store_outputs(job)} kept outputs")


def _print(result: Any, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        print(json.dumps(result, indent=2))
    elif isinstance(result, str):
        print(result)
    else:
        on_screen = Console().is_terminal
        Console(width=None if on_screen else UNBOUNDED).print(result)


def main() -> None:
    """Run the command line; an error that a user can act on is one message, not a traceback."""
    try:
        app(prog_name="spinekit")  # also as `python -m spinekit`: completion goes by this name
    except SpinekitError as error:
        print(f"spinekit: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
