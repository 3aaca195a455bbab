"""``spinekit grade``, ``doctor`` and ``weights``. What they need is imported when they run: --help stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinekit.course.console import UNSOUND, AsJson, Device, Scheduler, print_result

OneWeights = Annotated[
    str, typer.Argument(metavar="WEIGHTS", help="Run, folder or packed file; none: the newest run.", show_default=False)
]

weights = typer.Typer(help="The models that grade: list them, show their card, pack them.", no_args_is_help=True)


def grade(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders, zips, DICOMDIRs of lumbar MRI.")],
    weights: Annotated[str, typer.Option(help="Run, folder or packed file with models; none: the newest run.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for results, one folder in it for each study.")] = Path("grades"),
    jobs: Annotated[int, typer.Option(min=1, help="Studies graded at the same time.")] = 1,
    device: Device = "auto",
    scheduler: Scheduler = "",
    force: Annotated[bool, typer.Option("--force", help="Grade also studies that are graded already.")] = False,
    with_patient: Annotated[
        bool, typer.Option("--with-patient", help="Write the patient's ID and the study's date into results.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Grade every lumbar MRI study of an export: 25 grades a study, with a report. Not for clinical use.

    Needs no table: studies, patients and series are separated by their headers, kinds of series told by headers and
    pixels. Exit status 3: at least one study could not be graded; it is named.

    Examples:

      spinekit grade export.zip

      spinekit grade /media/cdrom more/studies --weights demo --out results --jobs 2
    """
    from spinekit.course.cluster import use_device
    from spinekit.exams.batch import Options, grade_paths
    from spinekit.exams.summary import batch_summary

    use_device(device, scheduler)
    batch = grade_paths(paths, weights, out, Options(jobs, scheduler, force, with_patient))
    print_result(batch.to_json() if as_json else batch_summary(batch, out), as_json)
    if batch.failed:
        raise typer.Exit(UNSOUND)


def doctor(
    profile: Annotated[str, typer.Option("--profile", "-P", help="smoke, demo, cpu or full: what is to run.")] = "demo",
    data_dir: Annotated[str, typer.Option(help="Competition-style folder; none: the phantom of the profile.")] = "",
    weights: Annotated[str, typer.Option(help="Run, folder or packed file with models; none: the newest run.")] = "",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Look at environment, processor, GPU, memory, disk, models and data, on one page that says what to do.

    Nothing is written or changed. Exit status: 0 no problem, though there may be warnings; 3 a problem; 1 it cannot be
    examined; 2 a wrong command line.

    Example: spinekit doctor --profile full --data-dir data/rsna2024
    """
    from spinekit.course.cluster import use_device
    from spinekit.course.doctor import PROBLEM, examine
    from spinekit.exams.model_check import look_at

    use_device(device, scheduler="")
    page = examine(profile, data_dir, [("models", lambda: look_at(weights))])
    print_result(page.to_json() if as_json else page, as_json)
    if page.count(PROBLEM):
        raise typer.Exit(UNSOUND)


@weights.command(name="list")
def list_weights(as_json: AsJson = False) -> None:
    """List the runs whose models can grade.

    Example: spinekit weights list
    """
    from spinekit.exams.summary import weights_table
    from spinekit.exams.weights import all_weights, card_of, find

    cards = [card_of(one) for one in all_weights() or [find()]]
    print_result([card.to_json() for card in cards] if as_json else weights_table(cards), as_json)


@weights.command(name="show")
def show_weights(name: OneWeights = "", as_json: AsJson = False) -> None:
    """Show the card of models: hash, data, recipe, scores, limits.

    Example: spinekit weights show demo
    """
    from spinekit.exams.pack import opened
    from spinekit.exams.summary import card_lines
    from spinekit.exams.weights import card_of, find

    with opened(name) as source:
        card = card_of(find(source), called=name)
    print_result(card.to_json() if as_json else "\n".join(card_lines(card)), as_json)


@weights.command(name="pack")
def pack_weights(
    name: OneWeights,
    file: Annotated[Path, typer.Argument(help="File to write, such as demo.zip.")],
) -> None:
    """Pack models and their card into one file; no studies travel with them.

    Example: spinekit weights pack demo demo.zip
    """
    from spinekit.exams.pack import pack
    from spinekit.exams.weights import find

    print_result(f"packed into {pack(find(name), file)}", as_json=False)


@weights.command(name="unpack")
def unpack_weights(
    file: Annotated[Path, typer.Argument(help="File that `spinekit weights pack` wrote.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the models.")],
) -> None:
    """Unpack models into a folder that --weights takes, and check them against their card.

    Example: spinekit weights unpack demo.zip models/demo
    """
    from spinekit.exams.pack import unpack

    place = unpack(file, folder)
    print_result(f"unpacked into {place}: grade with `spinekit grade PATH --weights {place}`", as_json=False)
