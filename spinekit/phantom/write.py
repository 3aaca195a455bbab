"""Write a synthetic cohort in the competition's own layout, with the truth beside it.

The cohort is written to ``OUT.partial``, which is renamed when it is complete; a run that was stopped resumes there.
Every study has its own random streams, so the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spinekit.errors import SpinekitError
from spinekit.parallel import cores, mapper, tracked
from spinekit.phantom import disease
from spinekit.phantom.acquisition import Recipe
from spinekit.phantom.study import StudyOrder, make_study, measurement_rows, plan_scan
from spinekit.phantom.tables import SPLITS, measurements, tables, truth_tables
from spinekit.phantom.traps import Choice, rates

FORMAT = (
    5  # raise when the same command writes another file's bytes than before; a new file alone needs no other number
)
_RECORDS = ".records"


class PhantomError(SpinekitError):
    """A cohort that cannot be written as asked. Choose another folder, or remove what is in the way."""


@dataclass(frozen=True)
class CohortPlan:
    """What fully determines a cohort."""

    studies: int
    seed: int
    recipe: Recipe
    trap_rates: dict[str, float]
    test_fraction: float

    def __post_init__(self) -> None:
        if self.studies < 1:
            raise PhantomError(f"a cohort needs at least one study, got {self.studies}")
        if not 0 <= self.test_fraction < 1:
            raise PhantomError(f"test_fraction must lie in 0..1, below 1, got {self.test_fraction}")

    def describe(self) -> dict[str, Any]:
        """The plan as JSON, kept as ``truth/phantom.json``."""
        described = {"format": FORMAT, **asdict(self)}
        return json.loads(json.dumps(described))


def plan_cohort(
    studies: int,
    seed: int,
    recipe: Recipe,
    traps: Choice = True,
    test_fraction: float = 0.25,
) -> CohortPlan:
    """What ``write_cohort`` writes: ``studies`` patients, of which ``test_fraction`` are the test half.

    ``traps``: True for all at their real rates, False for none, names,
    or names with rates (``{"duplicate_t1": 1.0}``).

    Raises: `PhantomError` for a number that cannot be used, `UnknownTrap` for a trap that does not exist.
    """
    return CohortPlan(studies, seed, recipe, rates(traps), test_fraction)


def write_cohort(out: Path | str, plan: CohortPlan, workers: int | None = None, progress: bool = True) -> Path:
    """Write the studies of a plan to the folder ``out`` and return it.

    The same plan gives the same bytes. ``workers``: processes, one for each core if None. A folder that already holds
    this cohort is left as it is; any other content is never overwritten.

    Raises: `PhantomError` if ``out``, or the unfinished cohort beside it, holds anything else.
    """
    out = Path(out)
    if _is_done(out, plan):
        return out
    partial = _open_partial(out, plan)
    orders = [order for order in study_orders(plan) if not _record(partial, order.study_id).is_file()]
    done = plan.studies - len(orders)
    with tracked(total=plan.studies, initial=done, desc="phantom", unit="study", show=progress) as bar:
        for _ in _run(orders, partial, workers):
            bar.update()
    _finish(partial, out, plan)
    return out


def adapted(recipe: Recipe, **wanted: Any) -> Recipe:
    """The recipe with other values of some of its fields; None keeps its own."""
    return replace(recipe, **{name: value for name, value in wanted.items() if value is not None})


def study_orders(plan: CohortPlan) -> list[StudyOrder]:
    """Split, ids, patients and the reader's errors of all studies, drawn together; the rest is drawn study by study."""
    rng = np.random.default_rng([plan.seed, 0])
    patients = disease.sample(rng, plan.studies, plan.recipe.causes)
    ids = rng.choice(2**32 - 10**6, plan.studies, replace=False) + 10**6
    test = rng.permutation(plan.studies)[: round(plan.studies * plan.test_fraction)]
    split = np.where(np.isin(np.arange(plan.studies), test), "test", "train")
    return [
        StudyOrder(
            plan.seed,
            i,
            int(ids[i]),
            str(split[i]),
            plan.recipe,
            plan.trap_rates,
            patients.narrowing[i],
            patients.reader_errors[i],
            patients.factors[i],
            patients.lesions.offset_mm[i],
            patients.lesions.extent_slices[i],
        )
        for i in range(plan.studies)
    ]


def _is_done(out: Path, plan: CohortPlan) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    described = out / "truth" / "phantom.json"
    if described.is_file() and json.loads(described.read_text()) == plan.describe():
        return True
    what = "another phantom cohort" if described.is_file() else "other files"
    raise PhantomError(f"{out} holds {what} and is left as it is: choose another folder, or remove it first")


def _open_partial(out: Path, plan: CohortPlan) -> Path:
    partial = out.with_name(out.name + ".partial")
    described = partial / "order.json"
    text = json.dumps(plan.describe(), indent=1, sort_keys=True)
    if described.is_file() and described.read_text() != text:
        raise PhantomError(f"{partial} is an unfinished cohort of another kind: remove it, or finish that one first")
    if partial.exists() and not described.is_file() and any(partial.iterdir()):
        raise PhantomError(f"{partial} is in the way: remove it first")
    (partial / _RECORDS).mkdir(parents=True, exist_ok=True)
    _write_text(described, text)
    return partial


def _record(partial: Path, study_id: int) -> Path:
    return partial / _RECORDS / f"{study_id}.json"


def _write_text(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def _run(orders: list[StudyOrder], partial: Path, workers: int | None) -> Iterator[int]:
    with mapper(cores(workers, len(orders))) as run:
        yield from run(_write_study, orders, [partial] * len(orders))


def _write_study(order: StudyOrder, partial: Path) -> int:
    """Images first, then the record that says they are complete."""
    folder = partial / f"{order.split}_images" / str(order.study_id)
    if folder.exists():  # left by a run that was stopped
        shutil.rmtree(folder)
    record = make_study(order, folder)
    _write_text(_record(partial, order.study_id), json.dumps(record))
    return order.study_id


def _read_record(partial: Path, order: StudyOrder) -> dict[str, Any]:
    """A study's record; that of a cohort begun before measurements were part of the truth gets them now."""
    record: dict[str, Any] = json.loads(_record(partial, order.study_id).read_text())
    return record if "measurements" in record else {**record, "measurements": measurement_rows(plan_scan(order))}


def _finish(partial: Path, out: Path, plan: CohortPlan) -> None:
    orders = study_orders(plan)
    records = [_read_record(partial, order) for order in orders]
    records.sort(key=lambda record: record["study_id"])
    for name, table in (tables(records) | truth_tables(records, orders) | measurements(records)).items():
        path = partial / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        table.to_csv(path, index=False)
    (partial / "truth" / "phantom.json").write_text(json.dumps(plan.describe(), indent=1, sort_keys=True) + "\n")
    for split in SPLITS:
        (partial / f"{split}_images").mkdir(exist_ok=True)
    shutil.rmtree(partial / _RECORDS)
    (partial / "order.json").unlink()
    if out.exists():
        out.rmdir()  # empty, or it would have been refused
    os.replace(partial, out)
