"""Which mistake of a reader or of a table explains where a study's points lie?

Hypotheses are the points as labelled, and the points with one mistake undone: sides exchanged, level names shifted, one
point left out. The places of the 25 points follow a multivariate Student's t for each direction, fitted to the
cohort's other studies; a hypothesis' likelihood times how common its mistake is in this cohort (estimated along the
way) gives its probability.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinekit.anatomy import CONDITIONS, FLIPPED_TARGET, FORAMINAL, GROUPS, LEVELS, SUBARTICULAR, TARGETS, targets_of
from spinekit.geometry import Floats
from spinekit.label_audit import student_t
from spinekit.label_audit.coordinates import GROUP, LEVEL, LEVEL_MM, SIDE, N, Places

ANYWHERE_MM = 60.0  # standard deviation of a place that says nothing, along each axis
PRIOR_MM, SHARED_MM = 6.0, 8.0  # of each place, and of all together, before the cohort is seen
WORTH_A_LOOK = 0.02
RARE, BLOCKS = 0.002, 0.01  # share of studies with a mistake, and with odd blocks, before the cohort is seen
RARE_STUDIES = 20.0  # the prior share counts as much as this many studies
FOLDS = 5
_ROUNDS_RATES = 20
_REFITS = 3
NEXT_SLICE_MM = 4.5  # a reader may take the next slice as well
CLICK_MM = 1.0  # and never clicks more exactly than this
_ROUNDS = 6  # mistakes of one study at most that are undone one after the other


BENIGN = "blocks"  # of an axial series, in an order of their own or with a middle of their own: no mistake


@dataclass(frozen=True)
class Hypothesis:
    """A mistake and how to undo it: target ``i`` gets the place labelled ``source[i]``, or none where that is -1.

    ``axes``: directions in which this is done. ``turns``: the numbering of foraminal slices is turned round instead
    of the places, where tables alone cannot tell sides. ``together``: a left and a right point lie elsewhere, but
    as usual to each other. ``moves``: +1 where true levels lie one further down.
    """

    code: str
    what: str
    source: tuple[int, ...]
    axes: tuple[int, ...] = (0, 1, 2)
    turns: bool = False
    together: bool = False
    moves: int = 0

    @property
    def targets(self) -> tuple[int, ...]:
        return tuple(i for i, s in enumerate(self.source) if s != i)


def _are(values: NDArray[Any], value: object) -> NDArray[np.bool_]:
    return np.asarray(values == value)


def _renamed(chosen: NDArray[np.bool_], other: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.where(chosen, other, np.arange(N)).tolist())


def _parts() -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for group in GROUPS:
        yield f"{group} points", _are(GROUP, group)
    for group, side, word in ((g, s, w) for g in GROUPS[1:] for s, w in ((1, "left"), (-1, "right"))):
        yield f"{word} {group} points", (_are(GROUP, group)) & (_are(SIDE, side))


def _at_level(level: NDArray[np.int64]) -> NDArray[np.int64]:
    """(25,) the same condition's target at another level, -1 outside the five."""
    inside = (level >= 0) & (level < len(LEVELS))
    return np.where(inside, np.arange(N) + level - LEVEL, -1)


def _exchange(what: str, source: tuple[int, ...]) -> Hypothesis:
    return Hypothesis("level_order", what, source)


def hypotheses() -> tuple[Hypothesis, ...]:
    """All mistakes that are considered; the first is that there is none."""
    mirror, keep = np.array(FLIPPED_TARGET), np.arange(N)
    found = [Hypothesis("none", "", tuple(keep.tolist()))]
    for group in (FORAMINAL, SUBARTICULAR):
        found.append(Hypothesis("swapped_sides", group, _renamed(_are(GROUP, group), mirror), turns=group == FORAMINAL))
        for level in range(len(LEVELS)):
            chosen = (_are(GROUP, group)) & (_are(LEVEL, level))
            found.append(Hypothesis("swapped_sides", f"{group} {LEVELS[level]}", _renamed(chosen, mirror)))
    for what, chosen in _parts():
        for a in range(len(LEVELS)):
            for b in range(a + 1, len(LEVELS)):
                to = np.where(_are(LEVEL, a), b, np.where(_are(LEVEL, b), a, LEVEL))
                found.append(_exchange(f"{what} {LEVELS[a]}, {LEVELS[b]}", _renamed(chosen, _at_level(to))))
        found.append(_exchange(f"{what} in reverse", _renamed(chosen, _at_level(4 - LEVEL))))
    # Scanners number blocks of slices in any order: what looks like exchanged levels then is no mistake.
    both = [h for h in found if h.code == "level_order" and set(h.targets) <= set(targets_of(SUBARTICULAR))]
    found += [replace(h, code=BENIGN, axes=(2,)) for h in both if len({TARGETS[i].side for i in h.targets}) == 2]
    for step in (-1, 1):
        shifted = _at_level(LEVEL + step)
        found.append(Hypothesis("levels_off_by_one", "all points", tuple(shifted.tolist()), moves=step))
        for what, chosen in (
            *_parts(),
            ("all points of the left", _are(SIDE, 1)),
            ("all points of the right", _are(SIDE, -1)),
        ):
            found.append(Hypothesis("levels_off_by_one", what, _renamed(chosen, shifted), moves=step))
    for i, target in enumerate(TARGETS):
        lost = _renamed(_are(keep, i), np.full(N, -1))
        found.append(Hypothesis("far_point", target.name, lost))
        found.append(Hypothesis("far_slice", target.name, lost, axes=(2,) if target.group == SUBARTICULAR else (0,)))
    for group, level in ((g, i) for g in GROUPS[1:] for i in range(len(LEVELS))):
        pair = _renamed(_are(GROUP, group) & _are(LEVEL, level), np.full(N, -1))
        found.append(Hypothesis("far_points", f"{group} points {LEVELS[level]}", pair))
        if group == SUBARTICULAR:  # a block of slices may have its own middle
            found.append(Hypothesis(BENIGN, f"{group} points {LEVELS[level]}", pair, axes=(0, 1), together=True))
    for condition in CONDITIONS:
        chosen = np.array([t.condition == condition for t in TARGETS])
        found.append(Hypothesis("far_points", condition, _renamed(chosen, np.full(N, -1))))
    return tuple(found)


HYPOTHESES = hypotheses()
CODES = tuple(dict.fromkeys(h.code for h in HYPOTHESES))
_FAMILIES = [(h.code, len(h.targets)) for h in HYPOTHESES]  # mistakes alike in kind and extent are alike in prior
_CODE = np.array([CODES.index(h.code) for h in HYPOTHESES])


def log_likelihoods(models: list[student_t.StudentT], mm: Floats, turn: Floats) -> Floats:
    """(n, hypotheses) of places (n, 25, 3); ``turn`` (n,) log odds that slices are numbered the other way, NaN where
    headers tell."""
    crude = not np.isnan(turn).any()
    result = np.zeros((len(mm), len(HYPOTHESES)))
    nowhere = -np.log(ANYWHERE_MM * np.sqrt(2 * np.pi)) - 0.5
    plain = np.stack([model.log_density(mm[..., a]) for a, model in enumerate(models)], axis=1)
    for h, hypothesis in enumerate(HYPOTHESES):
        if hypothesis.code == BENIGN and not crude:
            result[:, h] = -np.inf  # headers tell where each block lies
            continue
        if hypothesis.turns and crude:
            result[:, h] = plain.sum(1) + turn
            continue
        source = np.array(hypothesis.source)
        changed = np.full(len(mm), h == 0)
        for a, model in enumerate(models):
            if a not in hypothesis.axes or not hypothesis.targets:
                result[:, h] += plain[:, a]
                continue
            placed = undone(mm[..., a], source)
            changed |= ((placed != mm[..., a]) & np.isfinite(mm[..., a])).any(1)
            lost = np.isfinite(mm[..., a]).sum(1) - np.isfinite(placed).sum(1)
            result[:, h] += model.log_density(placed) + lost * nowhere
            if hypothesis.together:
                result[:, h] += _apart(model, mm[..., a], hypothesis.targets) - nowhere
        result[~changed, h] = -np.inf  # nothing there to be wrong
    return result


def _apart(model: student_t.StudentT, values: Floats, pair: tuple[int, ...]) -> Floats:
    """(n,) log density of the distance between the two points of a pair; -inf where one is missing."""
    i, j = pair
    sd = np.sqrt(model.scatter[i, i] + model.scatter[j, j] - 2 * model.scatter[i, j])
    z = (values[:, i] - values[:, j] - model.mean[i] + model.mean[j]) / sd
    return np.where(np.isfinite(z), -(z**2) / 2 - np.log(sd * np.sqrt(2 * np.pi)), -np.inf)


def undone(values: Floats, source: NDArray[np.int64]) -> Floats:
    """Values (n, 25, ...) under other names: target ``i`` gets that of ``source[i]``, NaN for -1."""
    moved = values[:, source]
    moved[:, source < 0] = np.nan
    return moved


@dataclass(frozen=True)
class LabelErrorPosterior:
    """A mistake of a study: ``sure`` its probability, ``log_odds`` (base 10) the same where that is too near to 1;
    ``off_mm`` (25, 3) how far each place is from where the others put it, NaN where there is none."""

    study_id: int
    hypothesis: Hypothesis
    probability: float
    log_odds: float
    off_mm: Floats


def fit_models(mm: Floats, crude: bool) -> list[list[student_t.StudentT]]:
    """For each fold of studies (n, 25, 3), the three directions' models fitted to the studies of the other folds."""
    means = np.stack([16.0 * SIDE, np.zeros(N), -LEVEL_MM * (LEVEL - 2)], axis=1)
    fold = np.arange(len(mm)) % FOLDS
    return [
        [_fit(mm[fold != f, :, a], means[:, a], _ACROSS_SLICES[a], a, crude) for a in range(3)] for f in range(FOLDS)
    ]


# Points of these targets are moved by a reader's choice of slice, in this direction.
_ACROSS_SLICES = np.stack([GROUP != SUBARTICULAR, np.zeros(N, bool), GROUP == SUBARTICULAR])


def _fit(rows: Floats, mean: Floats, across_slices: NDArray[np.bool_], axis: int, crude: bool) -> student_t.StudentT:
    model = student_t.fit(rows, mean, PRIOR_MM, SHARED_MM)
    noise = np.where(across_slices, NEXT_SLICE_MM, CLICK_MM)
    scatter = model.scatter + np.diag(noise**2)
    if crude and axis == 2:  # tables do not tell how far up an axial slice lies, only how far from the others
        axial = (GROUP == SUBARTICULAR).astype(float)
        scatter = scatter + np.outer(axial, axial) * ANYWHERE_MM**2
    return student_t.StudentT(model.mean, scatter)


def _turn_odds(places: Places) -> Floats:
    """(n,) log odds that a study's foraminal slices are numbered the other way than its labels say, judged by the
    studies of the same site; NaN where headers tell sides."""
    direction, odds = np.asarray(places.direction), np.full(len(places.ids), -np.inf)
    names, site = np.unique(places.site, return_inverse=True)
    if not places.crude:
        return np.full(len(places.ids), np.nan)
    everywhere = np.array([(direction == -1).sum(), (direction == 1).sum()]) + 1.0
    for s in range(len(names)):
        here = site == s
        for way in (-1, 1):
            mine = here & (direction == way)
            if not mine.any():
                continue
            prior = 2 * everywhere / everywhere.sum()
            with_way, against = (direction[here] == way).sum() - 1, (direction[here] == -way).sum()
            odds[mine] = np.log((against + prior[int(way < 0)]) / (with_way + prior[int(way > 0)]))
    return odds


def suspect(places: Places) -> list[LabelErrorPosterior]:
    """Mistakes of all studies, the likeliest first undone before the next is looked for."""
    if not places.ids:
        return []
    mm = places.mm
    for _ in range(_REFITS):  # mistakes bend the models less once they are undone
        found, mm = _suspect(places, fit_models(mm, places.crude))
    return found


def _suspect(places: Places, models: list[list[student_t.StudentT]]) -> tuple[list[LabelErrorPosterior], Floats]:
    """Mistakes under given models, and the places (n, 25, 3) without them."""
    fold = np.arange(len(places.ids), dtype=np.int64) % FOLDS
    mm, turn = places.mm.copy(), _turn_odds(places)
    log_likelihood = _by_fold(models, mm, turn, fold)
    gone = _gone(mm)
    rates = _rates(log_likelihood, gone)
    found: list[LabelErrorPosterior] = []
    rows = np.arange(len(mm))
    for _ in range(_ROUNDS):
        posterior = _posterior(log_likelihood, gone[rows], rates)
        again = []
        for row, p in zip(rows, posterior, strict=True):
            likeliest = _likeliest(p)
            if likeliest is None:
                continue
            hypothesis, sure, log_odds = likeliest
            off = np.stack(
                [mm[row, :, a] - m.expected(mm[row : row + 1, :, a])[0][0] for a, m in enumerate(models[fold[row]])],
                axis=1,
            )
            if hypothesis.code != BENIGN:
                found.append(LabelErrorPosterior(places.ids[row], hypothesis, sure, log_odds, off))
            if sure > 0.5:
                _undo(hypothesis, int(row), mm, turn)
                again.append(row)
        rows = np.array(again, dtype=int)
        if not len(rows):
            break
        log_likelihood = _by_fold(models, mm[rows], turn[rows], fold[rows])
    return found, mm


def _by_fold(models: list[list[student_t.StudentT]], mm: Floats, turn: Floats, fold: NDArray[np.int64]) -> Floats:
    result = np.empty((len(mm), len(HYPOTHESES)))
    for f, its in enumerate(models):
        result[fold == f] = log_likelihoods(its, mm[fold == f], turn[fold == f])
    return result


_SHIFTS_ALL = {h.moves: i for i, h in enumerate(HYPOTHESES) if h.moves and h.what == "all points"}


def _gone(mm: Floats) -> Floats:
    """(n, 2) whether all sagittal points of the first, and of the last level are missing though the others are there:
    what a shift of all names by one leaves, as a level falls out at one end."""
    there = np.isfinite(mm[..., 2])
    by_level = np.stack([there[:, (i == LEVEL) & (GROUP != SUBARTICULAR)].any(1) for i in range(len(LEVELS))], axis=1)
    return np.stack([~by_level[:, 0] & by_level[:, 1:].all(1), ~by_level[:, 4] & by_level[:, :4].all(1)], axis=1)


@dataclass(frozen=True)
class Rates:
    """How common mistakes are: ``share`` (hypotheses,) of studies; ``gone`` (2, 2) P(level missing at the first, at the
    last end | names as they should be, names shifted)."""

    share: Floats
    gone: Floats


def _posterior(log_likelihood: Floats, gone: Floats, rates: Rates) -> Floats:
    """(n, hypotheses) probability of each."""
    score = log_likelihood + np.log(rates.share)
    for moves, h in _SHIFTS_ALL.items():
        end = int(moves < 0)
        usual, shifted = rates.gone[end]
        score[:, h] += np.where(gone[:, end], np.log(shifted / usual), np.log((1 - shifted) / (1 - usual)))
    score = score - score.max(1, keepdims=True)
    return np.exp(score) / np.exp(score).sum(1, keepdims=True)


def _rates(log_likelihood: Floats, gone: Floats) -> Rates:
    """Expectation-maximisation for the shares, from a prior that mistakes are rare."""
    rare = np.array([BLOCKS if h.code == BENIGN else RARE for h in HYPOTHESES])
    pseudo = RARE_STUDIES * rare / np.array([_FAMILIES.count(family) for family in _FAMILIES])
    pseudo[0] = RARE_STUDIES - pseudo[1:].sum()
    share, lost = pseudo / pseudo.sum(), np.array([[0.001, 0.5], [0.001, 0.5]])
    for _ in range(_ROUNDS_RATES):
        posterior = _posterior(log_likelihood, gone, Rates(share, lost))
        share = (posterior.sum(0) + pseudo) / (len(posterior) + pseudo.sum())
        for moves, h in _SHIFTS_ALL.items():
            p, end = posterior[:, h], int(moves < 0)
            usual = ((1 - p) @ gone[:, end] + 0.5) / ((1 - p).sum() + 500)
            lost[end] = usual, (p @ gone[:, end] + 1) / (p.sum() + 2)
    return Rates(share, lost)


def _likeliest(posterior: Floats) -> tuple[Hypothesis, float, float] | None:
    """The likeliest mistake of a study, if any is worth a look; its code's hypotheses count together."""
    by_code = np.bincount(_CODE, posterior, len(CODES))
    code = int(by_code[1:].argmax()) + 1
    sure = float(by_code[code])
    if sure < WORTH_A_LOOK:
        return None
    best = int(np.where(code == _CODE, posterior, -1).argmax())
    rest = max(float(posterior[code != _CODE].sum()), 1e-300)
    return HYPOTHESES[best], sure, float(np.log10(sure / rest))


def _undo(hypothesis: Hypothesis, row: int, mm: Floats, turn: Floats) -> None:
    """Change the places (n, 25, 3) of one study as the hypothesis says."""
    if hypothesis.turns and not np.isnan(turn[row]):
        turn[row] = -turn[row]
        return
    axes = list(hypothesis.axes)
    mm[row : row + 1, :, axes] = undone(mm[row : row + 1][..., axes], np.array(hypothesis.source))
