"""The commands of ``spinekit kaggle``. What they need is imported when they run: --help stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinekit.course.console import AsJson, print_result

kaggle = typer.Typer(help="What a fork on Kaggle, Colab or Binder needs.", no_args_is_help=True)


@kaggle.command()
def bundle(
    out: Annotated[Path, typer.Argument(help="Folder for the dataset and the notebooks; a bundle there is replaced.")],
    owner: Annotated[str, typer.Option(envvar="KAGGLE_USERNAME", help="Your user name on Kaggle.")],
    python: Annotated[str, typer.Option(help="Pythons to have wheels for.")] = "3.11,3.12,3.13",
    weights: Annotated[str, typer.Option(help="Run, or folder of one, whose trained models are added.")] = "",
    profile: Annotated[str, typer.Option("--profile", "-P", help="Of the copies of the notebooks.")] = "full",
    as_json: AsJson = False,
) -> None:
    """Make what is uploaded to Kaggle: a dataset of wheels, and each notebook with its metadata.

    Example: spinekit kaggle bundle dist/kaggle --owner YOU --weights demo
    """
    from spinekit.kaggle.bundle import make

    made = make(out, owner, [name.strip() for name in python.split(",")], weights, profile)
    print_result(made.to_json() if as_json else str(made), as_json)


@kaggle.command()
def badges(
    repository: Annotated[str, typer.Option(help="Address of your fork; none: the one in pyproject.toml.")] = "",
) -> None:
    """Write the links that open the notebooks, and their first code cell, for a repository.

    Example: spinekit kaggle badges --repository https://github.com/YOU/spinekit
    """
    from spinekit.kaggle import links

    root = links.checkout()
    if repository:
        links.set_repository(root, repository)
    changed = links.update(root)
    print(f"{links.repository(root)}: {len(changed)} of {len(links.notebooks(root))} notebooks changed")
