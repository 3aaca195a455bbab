"""The command line: thin commands over the package. ``spinekit --help`` lists them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from spinekit import __version__
from spinekit.course.console import (
    UNSOUND,
    AsJson,
    Commands,
    Device,
    LesionForms,
    PartialVisibility,
    ReaderOffset,
    Scheduler,
    ShiftMm,
    TablesOnly,
    TrapRates,
    WithPatientFactors,
    print_result,
    run_command,
)
from spinekit.evaluation.commands import evaluations
from spinekit.exams.commands import doctor, grade, weights
from spinekit.kaggle.commands import kaggle

# Heavy modules (pandas, papermill, the phantom) are imported by the commands that need them: --help stays quick.

app = typer.Typer(
    name="spinekit",
    cls=Commands,
    help="Grades degenerative disease of the lumbar spine on MRI, notebook by notebook. Not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"spinekit {__version__}")
        raise typer.Exit


app.command()(grade)
app.command()(doctor)
app.add_typer(weights, name="weights")
app.add_typer(evaluations, name="evaluate")
app.add_typer(kaggle, name="kaggle")


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    from spinekit.course import folders

    folders.make_absolute()


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New folder for the cohort.")],
    studies: Annotated[int, typer.Option(min=1, help="Studies in all; a quarter of them is the test half.")] = 40,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    profile: Annotated[str, typer.Option("--profile", "-P", help="smoke, demo or cpu (small images), full.")] = "smoke",
    traps: Annotated[bool, typer.Option(help="Irregularities of real data, at their real rates.")] = True,
    trap: TrapRates = None,
    shift_mm: ShiftMm = None,
    shift_deg: Annotated[float | None, typer.Option(min=0, help="And rotates by up to this, in degrees.")] = None,
    transitional: Annotated[float | None, typer.Option(min=0, max=1, help="Share with transitional vertebrae.")] = None,
    reader_offset: ReaderOffset = True,
    partial_visibility: PartialVisibility = True,
    patient_factors: WithPatientFactors = True,
    lesion_forms: LesionForms = True,
    other_scanner: Annotated[bool, typer.Option("--other-scanner", help="Unusual contrast, noise, blur.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic cohort in the competition's layout, with its truth.

    Example: spinekit phantom data/phantom --studies 40 --seed 1
    """
    from spinekit.course.arguments import trap_rates
    from spinekit.course.profiles import profile_of
    from spinekit.phantom import Causes, adapted, plan_cohort, write_cohort
    from spinekit.phantom.traps import rates

    chosen, causes = rates(traps) | trap_rates(trap or ()), Causes(reader_offset, partial_visibility, patient_factors)
    motion = {"max_shift_mm": shift_mm, "max_shift_deg": shift_deg, "transitional": transitional}
    looks = {"causes": causes, "lesion_forms": lesion_forms, "other_scanner": other_scanner}
    write_cohort(out, plan_cohort(studies, seed, adapted(profile_of(profile).acquisition, **motion, **looks), chosen))
    result = {"folder": str(out), "studies": studies, "seed": seed, "profile": profile, "traps": chosen}
    written = f"{studies} studies in {out}; what no pipeline may read is in {out / 'truth'}"
    print_result(result if as_json else written, as_json)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of studies, with or without the competition's tables.")],
    headers_only: Annotated[bool, typer.Option("--headers-only", help="Faster; misses damaged pixels.")] = False,
    weights: Annotated[
        str, typer.Option(help="Run or folder with landmark models: tell the kind of series from pixels.")
    ] = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """List the series of a folder of DICOM files: kinds, stacks, geometry, and every problem found.

    Exit status: 0 no error was found; 3 errors were found; 1 the folder cannot be checked; 2 a wrong command line.

    Example: spinekit check data/rsna2024
    """
    from spinekit.label_audit.folder_report import check as check_folder

    judge = None
    if weights:
        from spinekit.evaluation.trained_runs import find_weights
        from spinekit.learning import devices
        from spinekit.localization import localizer, series_kind

        devices.use(device)
        judge = partial(series_kind.kinds_by_pixels, localizers=localizer.load(find_weights(weights)))
    report = check_folder(folder, pixels=not headers_only, kinds_by_pixels=judge)
    print_result(report.to_json() if as_json else report, as_json)
    if report.counts()["errors"]:
        raise typer.Exit(UNSOUND)


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

    audit = report(folder, headers=not tables_only, limit=limit)
    print_result(audit.to_json() if as_json else audit, as_json)


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
    print_result(scores if as_json else "\n".join(f"{part:20}{value:.4f}" for part, value in scores.items()), as_json)


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

    audit = report(labels, predictions, limit)
    print_result(audit.to_json() if as_json else audit, as_json)


@app.command()
def run(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="03, 03_unet_localization or a path; none: all.")
    ] = None,
    fold: Annotated[list[str] | None, typer.Option(help="Held-out folds: 0, or 0,1; may be repeated.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-P", help="smoke, demo, cpu or full.")] = "smoke",
    data_dir: Annotated[str, typer.Option(help="Competition-style folder; none: the phantom.")] = "",
    run_name: Annotated[str, typer.Option("--run", help="Folder under outputs; none: the profile's name.")] = "",
    weights: Annotated[str, typer.Option(help="Run or folder whose trained models are used; nothing is trained.")] = "",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Any other parameter.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run also steps that are complete.")] = False,
    device: Device = "auto",
    scheduler: Scheduler = "",
    as_json: AsJson = False,
) -> None:
    """Run notebooks with papermill, fold by fold, and skip what is done.

    Examples:

      spinekit run --profile demo

      spinekit run 05 --fold 3 --profile full

      spinekit run --data-dir data/rsna2024 --run real --weights demo
    """
    from spinekit.course import cluster_run
    from spinekit.course.arguments import fold_numbers, pairs
    from spinekit.course.making import is_being_made
    from spinekit.course.report import show, write_index
    from spinekit.course.runner import Options, find_notebooks, plan, run_all

    if device != "auto":  # to look for a GPU takes seconds
        from spinekit.course.cluster import use_device

        use_device(device, scheduler)
    options = Options(profile, data_dir, run_name, weights, fold_numbers(fold or ()), pairs(parameter or ()))
    jobs = plan(find_notebooks(notebooks or ()), options)
    outcomes = cluster_run.run_all(jobs, force, scheduler) if scheduler else run_all(jobs, force)
    if is_being_made():
        return
    index = write_index(jobs[0].root)
    if as_json:
        print_result({"steps": outcomes, "index": str(index)}, as_json)
    else:
        show(jobs[0].root, index)


@app.command()
def plan(
    studies: Annotated[int, typer.Option(min=5, help="Graded studies of the cohort.")] = 1975,
    test_studies: Annotated[
        int | None, typer.Option(min=0, help="A test half in the same folder; none: hidden, and graded by 20 alone.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", "-P", help="smoke, demo, cpu or full.")] = "full",
    tflops: Annotated[float, typer.Option(min=0.001, help="What the GPU sustains, in 10^12 operations a second.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Print what each step of a run needs before anything runs: FLOP, hours, memory, disk, decoded files.

    Example: spinekit plan --profile full --studies 1975
    """
    from spinekit.course.plan import plan as plan_of
    from spinekit.course.profiles import profile_of

    planned = plan_of(profile_of(profile), studies, test_studies, tflops)
    print_result(planned.to_json() if as_json else planned, as_json)


@app.command()
def refresh(
    notebooks: Annotated[list[str] | None, typer.Argument(help="None: all, the template too.")] = None,
    figures: Annotated[str, typer.Option(metavar="RUN", help="Run nothing: store the figures of this run.")] = "",
) -> None:
    """Run the notebooks as the tests do, store the outputs that git keeps and strip the others.

    Figures that git keeps stay as they are; --figures takes them from an executed run on phantoms.

    Example: spinekit refresh 02
    """
    from spinekit.course.folders import notebooks_folder
    from spinekit.course.runner import Options, find_notebooks, plan, run_all
    from spinekit.course.runs import outputs_root
    from spinekit.course.stored_outputs import store_all, store_compared

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the tests: sums depend on the number of threads
    chosen = find_notebooks(notebooks or map(str, notebooks_folder().glob("*.ipynb")))
    if figures:
        print("\n".join(store_all([one.file for one in chosen], outputs_root() / figures)) or "No figure is kept")
        return
    run_all(jobs := plan(chosen, Options()), force=False)
    for job in jobs:
        print(f"{job.notebook.file.name}: {store_compared(job.notebook.file, job.executed)} kept outputs")


def main() -> None:
    """Run the command line; an error that a user can act on is one message, not a traceback."""
    run_command(app)


if __name__ == "__main__":
    main()
