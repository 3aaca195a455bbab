"""Which of the three kinds of series each series of a study is, how sure that is, and which are skipped, and why.

Headers speak by the description and by echo and repetition time; pixels by the landmark models, each trained on one
contrast. The plane follows from the geometry alone. Both opinions are weighed as if they were independent. The shares
behind that are estimates, so that a ``confidence`` orders series by doubt and is no calibrated probability.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spinekit.anatomy import AXIAL_T2, KINDS, SAGITTAL_T1, SAGITTAL_T2
from spinekit.exams.result import SeriesOfExam
from spinekit.io.stacks import MIN_SLICES, PLANE_OF_KIND, Finding, Stack
from spinekit.io.study import Study
from spinekit.localization.localizer import Localizers
from spinekit.localization.series_kind import MIN_HEIGHT, Guess, guess_kinds

T1_MAX_ECHO_MS, T1_MAX_REPETITION_MS = 40.0, 1300.0  # spin echo and turbo spin echo of the spine at 1.5 and 3 T
T2_MIN_ECHO_MS, T2_MIN_REPETITION_MS = 60.0, 1500.0
_WORDS_RIGHT, _TIMES_RIGHT = 0.95, 0.95  # estimates: how often a description, or a pair of times, names the contrast
MIN_CONFIDENCE = 0.6  # below it the kind of a series, or a contrast by headers, is open to doubt
T1, T2, OTHER = "T1", "T2", "other"  # contrasts
_ELSEWHERE = (
    r"c[ -]?spine|cervical|hws|neck|brain|head|cranial|t[ -]?spine|thora(?!columb)\w*|bws|knee|hip|pelvis|shoulder"
)
# Series that are never graded, by a word of the description.
_SKIPPED = {
    r"loc|locali[sz]er|scout|survey|plan|topogram|smartbrain|aahscout": "a localizer",
    r"dwi|adc|diff\w*|trace\w*|dti|ivim": "diffusion",
    r"myelo\w*|mip|mpr|projection": "a projection or a reformation",
    _ELSEWHERE: "another part",
}
_LUMBAR = r"l[ -]?spine|lumb\w*|lws|ls[ -]?spine|lsp|lumbosacral"
_CONTRAST_WORDS = {T2: r"t2\w*|stir|tirm", T1: r"t1\w*", OTHER: r"pd\w*|proton|swi|t2\*|t2star"}


@dataclass(frozen=True)
class HeaderOpinion:
    """What headers say of a series: its contrast (empty where they say nothing), with how much confidence; ``skip``:
    what it is instead of a lumbar spine; ``lumbar``: whether the description names the lumbar spine."""

    contrast: str = ""
    confidence: float = 0.0
    skip: str = ""
    lumbar: bool = False


def by_headers(stack: Stack) -> HeaderOpinion:
    """What the description and the times (ms; NaN where absent) of a series say."""
    skip = next((what for words, what in _SKIPPED.items() if _has(words, stack.description)), "")
    lumbar = _has(_LUMBAR, stack.description)
    words, times = _contrast_of_words(stack.description), _contrast_of_times(stack)
    share = dict.fromkeys((T1, T2, OTHER), 1.0)
    for contrast, right in ((words, _WORDS_RIGHT), (times, _TIMES_RIGHT)):
        if contrast:
            share = {name: p * (right if name == contrast else (1 - right) / 2) for name, p in share.items()}
    if not words and not times:
        return HeaderOpinion(skip="" if lumbar else skip, lumbar=lumbar)
    best = max(share, key=lambda name: share[name])
    confidence = share[best] / sum(share.values())
    if confidence < MIN_CONFIDENCE:  # words and times contradict each other
        return HeaderOpinion(skip="" if lumbar else skip, lumbar=lumbar)
    return HeaderOpinion(best, confidence, "" if lumbar and skip == "another part" else skip, lumbar)


def _has(words: str, description: str) -> bool:
    """Whether one of the words stands in a description; letters beside ``_`` and digits begin a word too."""
    return re.search(rf"(?<![a-z])(?:{words})(?![a-z])", description.lower().replace("_", " ")) is not None


def _contrast_of_words(description: str) -> str:
    named = [contrast for contrast, words in _CONTRAST_WORDS.items() if _has(words, description)]
    if OTHER in named:
        return OTHER
    return named[0] if len(named) == 1 else ""


def _contrast_of_times(stack: Stack) -> str:
    echo, repetition = stack.echo_time_ms, stack.repetition_time_ms
    if not (math.isfinite(echo) and math.isfinite(repetition)) or repetition <= 0:
        return ""
    if echo <= T1_MAX_ECHO_MS and repetition <= T1_MAX_REPETITION_MS:
        return T1
    if repetition >= T2_MIN_REPETITION_MS:
        # A STIR's echo is short, and its long repetition is that of a proton density: only the description tells.
        return T2 if echo >= T2_MIN_ECHO_MS or _has("stir|tirm", stack.description) else OTHER
    return ""


def kinds_of(study: Study, localizers: Localizers) -> tuple[Study, list[SeriesOfExam], list[Finding]]:
    """The study with the stacks that are to be graded, each with its kind; every series, and why some are skipped.

    Findings: ``kind_in_doubt`` where headers and pixels disagree, or little speaks for a kind; ``not_lumbar`` where no
    model detects a lumbar spine on a series whose description names one; ``series_skipped`` for each that is left out.
    """
    parts = _parts([stack for stack in study.stacks if stack.pixels is not None])
    opinions = {name: by_headers(stacks[0]) for name, stacks in parts.items()}
    to_look_at = [
        replace(stack, series_id=name)
        for name, stacks in parts.items()
        for stack in stacks
        if not _reason_by_headers(stack, opinions[name])
    ]
    guesses = guess_kinds(to_look_at, localizers)
    series, graded, findings = [], [], []
    for name, stacks in parts.items():
        one, problems = _decide(study.study_id, stacks, opinions[name], guesses.get(name))
        series.append(one)
        findings += problems
        kind = None if one.note else one.kind
        if kind is not None:
            graded += [replace(stack, kind=kind) for stack in stacks if stack.plane == PLANE_OF_KIND[kind]]
    return replace(study, stacks=tuple(graded)), series, findings


def _parts(stacks: Sequence[Stack]) -> dict[str, list[Stack]]:
    """Stacks by series; those of a series that mixes several contrasts by these too: each is judged alone."""
    parts: dict[str, list[Stack]] = {}
    for stack in stacks:
        name = f"{stack.series_id}, {stack.contrast}" if stack.contrast else stack.series_id
        parts.setdefault(name, []).append(stack)
    return parts


def _reason_by_headers(stack: Stack, opinion: HeaderOpinion) -> str:
    """Why a series is skipped before its pixels are looked at; empty if it is not."""
    if not stack.main:
        return "another contrast of the same series is graded"
    if "LOCALIZER" in stack.image_type:
        return "it is a localizer: few coarse slices for planning the others"
    if opinion.skip:
        return f"its description says {opinion.skip}"
    if stack.plane not in PLANE_OF_KIND.values():
        return f"{stack.plane} series are not graded"
    if opinion.contrast == T1 and stack.plane == "axial":
        return "axial T1 series are not graded"
    if opinion.contrast == OTHER:
        return "its contrast is neither T1 nor T2"
    return ""


def _decide(
    study_id: str, stacks: Sequence[Stack], opinion: HeaderOpinion, guess: Guess | None
) -> tuple[SeriesOfExam, list[Finding]]:
    main = max(stacks, key=len)
    slices = sum(map(len, stacks))
    description = f"{main.description} ({main.contrast})" if main.contrast else main.description
    one = SeriesOfExam(main.series_uid or main.series_id, description, None, "", None, main.plane, slices)
    reason = _reason_by_headers(main, opinion)
    if not reason and slices < MIN_SLICES:
        reason = f"{slices} slices are too few"
    if reason or guess is None:
        return _skipped(study_id, one, reason or "its pixels were not looked at")
    shares = _shares(main.plane, opinion, guess.heights)
    named = _kind_by_headers(main.plane, opinion)
    nothing_detected = bool(guess.heights) and guess.kind is None
    if nothing_detected and not (named and opinion.lumbar):
        height = max(guess.heights.values())
        return _skipped(
            study_id, one, f"the landmark models detect no lumbar spine (peak {height:.2f}, needed {MIN_HEIGHT})"
        )
    if not shares:
        return _skipped(study_id, one, "neither its headers nor its pixels say what kind it is")
    kind = max(shares, key=lambda name: shares[name])
    voters = [who for who, vote in (("headers", named), ("pixels", guess.kind)) if vote == kind]
    by = "both" if len(voters) == 2 else "".join(voters)
    findings = _doubts(study_id, replace(one, kind=kind), named, guess, shares[kind])
    return replace(one, kind=kind, kind_by=by, kind_confidence=round(shares[kind], 3)), findings


def _kind_by_headers(plane: str, opinion: HeaderOpinion) -> str:
    named = {("sagittal", T1): SAGITTAL_T1, ("sagittal", T2): SAGITTAL_T2, ("axial", T2): AXIAL_T2}
    return named.get((plane, opinion.contrast), "")


def _shares(plane: str, opinion: HeaderOpinion, heights: Mapping[str, float]) -> dict[str, float]:
    """How much speaks for each kind of a plane, from 0 to 1; empty where nothing does."""
    kinds = [kind for kind in KINDS if PLANE_OF_KIND[kind] == plane]
    named = _kind_by_headers(plane, opinion)
    if not named and not heights:
        return {}
    share = dict.fromkeys(kinds, 1.0)
    nothing = 1.0  # none of the kinds
    if named:
        share = {kind: opinion.confidence if kind == named else (1 - opinion.confidence) / 2 for kind in kinds}
        nothing = (1 - opinion.confidence) / 2
    if heights:  # a peak of MIN_HEIGHT speaks as much for a kind as for none
        share = {kind: share[kind] * heights[kind] ** 2 for kind in kinds}
        nothing *= MIN_HEIGHT**2
    total = sum(share.values()) + nothing
    return {kind: value / total for kind, value in share.items()}


def _doubts(study_id: str, one: SeriesOfExam, named: str, guess: Guess, confidence: float) -> list[Finding]:
    series = one.series_uid
    if named and guess.kind and named != guess.kind:
        text = f"series {series}: its headers say {named}, its pixels {guess.kind}; graded as {one.kind}. Look at it"
        return [Finding(study_id, series, "", "warning", "kind_in_doubt", text)]
    if named and guess.heights and guess.kind is None:
        text = f"series {series}: no landmark model detects a lumbar spine on it; graded as its headers say, {named}"
        return [Finding(study_id, series, "", "warning", "not_lumbar", text)]
    if confidence < MIN_CONFIDENCE:
        text = f"series {series}: graded as {one.kind}, but little speaks for it ({confidence:.2f}). Look at it"
        return [Finding(study_id, series, "", "warning", "kind_in_doubt", text)]
    return []


def _skipped(study_id: str, one: SeriesOfExam, reason: str) -> tuple[SeriesOfExam, list[Finding]]:
    name = f"series {one.series_uid}" + (f" ({one.description})" if one.description else "")
    finding = Finding(study_id, one.series_uid, "", "info", "series_skipped", f"{name} is not graded: {reason}")
    return replace(one, note=reason), [finding]
