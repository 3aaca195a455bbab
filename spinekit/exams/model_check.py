"""Whether models are complete, can be loaded and hold numbers: their line on the page of `spinekit doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from spinekit.anatomy import KINDS
from spinekit.course.doctor import OK, PROBLEM, WARNING, Line
from spinekit.course.manifests import DamagedStep
from spinekit.exams.pack import opened
from spinekit.exams.weights import MAKE_THEM, NoWeights, Weights, card_of, find


def look_at(name: str = "") -> Iterator[Line]:
    """The models of a run, folder or packed file; without a name, those of the newest run.

    Raises: `NoWeights` where a name is given and holds none, or they are damaged; `AmbiguousWeights` as `find` does.
    """
    with opened(name) as source:
        try:
            weights = find(source)
        except NoWeights:
            if name:
                raise
            yield Line("models", WARNING, "no run has trained models, so that nothing can be graded", MAKE_THEM)
            return
        except DamagedStep as error:
            yield Line("models", PROBLEM, str(error), "Train or copy them again, or name other models")
            return
        yield _line(weights, name or weights.source)


def _line(weights: Weights, name: str) -> Line:
    card_of(weights)  # raises where a packed card tells of others
    kinds = [fold.localizers.models.keys() for fold in weights.load().folds]
    is_like = f"{name}: {len(weights.files)} files of folds {', '.join(map(str, weights.folds))}, {weights.sha256[:12]}"
    lacking = [kind for kind in KINDS if not all(kind in of_fold for of_fold in kinds)]
    if lacking:
        to_do = "Run notebook 03 on studies with such series, or name other models"
        return Line("models", WARNING, f"{is_like}; none looks at {' and '.join(lacking)}", to_do)
    return Line("models", OK, is_like)
