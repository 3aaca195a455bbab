"""The measures of localization over all studies, and the tables behind them, from ``localization_errors``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spinekit.anatomy import LEVELS
from spinekit.evaluation.localization_errors import Tables
from spinekit.evaluation.report_table import MOTION, NO_MOTION, Goal
from spinekit.evaluation.slice_matching import EXACT, HEADER, JOINT, PREDICTED
from spinekit.evaluation.stacks import round_trip_error_px
from spinekit.localization.assembly import MIN_CONFIDENCE

CLOSE_MM = 5.0
# The bounds are this project's own goals, for its own phantoms.
GOALS = (
    Goal("round_trip_px", "pixel to mm to pixel, largest error", "px", "<=", 1e-6),
    Goal("kind_right_%", "kind of series right, from headers and pixels", "%", ">=", 99.5),
    Goal("order_right_%", "order of slices, blocks, duplicates right", "%", ">=", 100),
    Goal("level_of_slice_%", "level of an axial slice right", "%", ">=", 95, NO_MOTION),
    Goal("level_of_slice_within_one_%", "  or the one beside it, of those given a level", "%", ">=", 99.8, NO_MOTION),
    Goal("level_of_slice_none_%", "  given no level: between two", "%"),
    Goal("own_slice_exact_%", "slice of a landmark on its own kind of series, exact", "%", ">=", 95, NO_MOTION),
    Goal("own_slice_within_one_%", "  or one beside it", "%", ">=", 99.8, NO_MOTION),
    Goal("other_slice_exact_%", "slice of a landmark on the other kinds, exact", "%", ">=", 95, NO_MOTION),
    Goal("other_slice_within_one_%", "  or one beside it", "%", ">=", 99.8, NO_MOTION),
    Goal("plane_median_mm", "landmark in plane, own kind, median", "mm", "<=", 1.0),
    Goal("plane_close_%", "  share within 5 mm", "%", ">=", 99),
    Goal("error_median_mm", "landmark in space, own kind, median", "mm"),
    Goal("carried_exact_mm", "true landmark carried to another series, median", "mm", "<=", 1.5, MOTION),
    Goal("carried_exact_gain", "  how many times closer than by headers", "x", ">=", 2.0, MOTION),
    Goal("carried_predicted_mm", "predicted landmark carried to another series, median", "mm", "<=", 1.5, MOTION),
    Goal("carried_predicted_gain", "  how many times closer than by headers", "x", ">=", 2.0, MOTION),
    Goal("names_right_%", "level names right, share of studies", "%"),
    Goal("names_right_transitional_%", "  of those with transitional anatomy", "%", ">=", 97),
    Goal("names_uncertain_%", "  flagged as uncertain", "%"),
    Goal("names_right_if_certain_%", "  right where not flagged", "%"),
    Goal("levels_right_%", "all five levels of the canal within 12 mm, share of studies", "%"),
    Goal("side_right_%", "side right, share of left and right pairs", "%", ">=", 100),
    Goal("within_1_sd_%", "true error within 1 sd of its own estimate", "%"),
    Goal("within_2_sd_%", "  within 2 sd", "%"),
)


def measure(tables: Tables) -> dict[str, float]:
    """The numbers that ``GOALS`` name, over all studies."""
    carried, landmarks, studies = tables["carried"], tables["landmarks"], tables["study"]
    ours = carried[(carried["points"] == PREDICTED) & (carried["motion"] == JOINT)]
    own, other = ours[ours["own_kind"]]["slices_off"].dropna(), ours[~ours["own_kind"]]["slices_off"].dropna()
    shown = landmarks[landmarks["slices_off"].notna()]
    uncertain = ~(studies["level_confidence"] >= MIN_CONFIDENCE)  # also where there is none
    measures = {
        "round_trip_px": round_trip_error_px(),
        "kind_right_%": _percent(tables["series"]["kind_right"]),
        "order_right_%": _percent(tables["series"]["order_right"]),
        "level_of_slice_%": _percent(tables["axial"]["right"]),
        "level_of_slice_within_one_%": _percent(_levels_off(tables["axial"]).dropna() <= 1),
        "level_of_slice_none_%": _percent(_levels_off(tables["axial"]).isna()),
        "own_slice_exact_%": _percent(own == 0),
        "own_slice_within_one_%": _percent(own <= 1),
        "other_slice_exact_%": _percent(other == 0),
        "other_slice_within_one_%": _percent(other <= 1),
        "plane_median_mm": shown["plane_mm"].median(),
        "plane_close_%": _percent(shown["plane_mm"] <= CLOSE_MM),
        "error_median_mm": shown["error_mm"].median(),
        "names_right_%": _percent(studies["names_right"]),
        "names_right_transitional_%": _percent(studies.loc[studies["transitional"] != "none", "names_right"]),
        "names_uncertain_%": _percent(uncertain),
        "names_right_if_certain_%": _percent(studies.loc[~uncertain, "names_right"]),
        "levels_right_%": _percent(studies["levels_right"]),
        "side_right_%": _percent(landmarks["side_right"].dropna()),
        "within_1_sd_%": _percent(landmarks["error_mm"] <= landmarks["sd_mm"]),
        "within_2_sd_%": _percent(landmarks["error_mm"] <= 2 * landmarks["sd_mm"]),
    }
    for points in (PREDICTED, EXACT):
        others = carried[(carried["points"] == points) & ~carried["own_kind"] & carried["slices_off"].notna()]
        median = others.groupby("motion")["error_mm"].median()
        measures[f"carried_{points}_mm"] = median.get(JOINT, np.nan)
        joint = median.get(JOINT, np.nan)
        measures[f"carried_{points}_gain"] = median.get(HEADER, np.nan) / joint if joint else np.nan
    return {name: float(value) for name, value in measures.items()}


def _levels_off(axial: pd.DataFrame) -> pd.Series:
    """By how many levels that of a slice is wrong; NaN where it got none."""
    number = {level: i for i, level in enumerate(LEVELS)}
    return (axial["level"].map(number) - axial["true_level"].map(number)).abs()


def _percent(right: pd.Series) -> float:
    return 100 * float(right.astype(float).mean()) if len(right) else float("nan")


def details(tables: Tables) -> Tables:
    """Medians and percentiles by level, group and kind of series; each table with its number of rows ``n``."""
    carried, landmarks = tables["carried"], tables["landmarks"]
    shown = landmarks[landmarks["slices_off"].notna()]
    ours = carried[(carried["points"] == PREDICTED) & (carried["motion"] == JOINT)]
    others = carried[~carried["own_kind"] & carried["slices_off"].notna()]
    right = tables["study"]["levels_right"] & tables["study"]["names_right"]
    return {
        "landmark in plane by kind and level": spread(shown, "plane_mm", ["kind", "level"]),
        "landmark across slices by kind and level": spread(shown, "across_mm", ["kind", "level"]),
        "landmark in space by kind and source": spread(landmarks, "error_mm", ["kind", "source"]),
        "slice of a landmark by group and kind": _slices(ours, ["group", "kind"]),
        "slice of a landmark by kind and level": _slices(ours, ["kind", "level"]),
        "slice of a landmark by the truth's distance from it": _slices(_by_tie(ours), ["steps from the slice"]),
        "carried to another series": spread(others, "error_mm", ["points", "motion"]),
        "carried to another series, by level": spread(others, "error_mm", ["points", "motion", "level"]),
        "carried to another series, by kind": spread(others, "error_mm", ["points", "motion", "kind"]),
        "slice of a carried landmark": _slices(others, ["points", "motion"]),
        "slice of a carried landmark, by kind": _slices(others, ["points", "motion", "kind"]),
        "level of an axial slice": _levels(tables["axial"]),
        "uncertainty": _calibration(landmarks),
        "series of another kind than guessed, or out of order": _wrong_series(tables["series"]),
        "studies with a wrong level": tables["study"][~right].reset_index(drop=True),
    }


def _wrong_series(series: pd.DataFrame) -> pd.DataFrame:
    wrong = series[~(series["kind_right"] & series["order_right"])]
    return wrong.fillna({"kind": "none", "guessed": "none"}).reset_index(drop=True)


def spread(table: pd.DataFrame, column: str, by: Sequence[str]) -> pd.DataFrame:
    """Median, 90th and 99th percentile of a column without its sign, share in percent up to 5 mm, number of rows."""
    values = table.assign(value=table[column].abs()).groupby(list(by), sort=True)["value"]
    quantiles = {f"p{q}_mm": values.quantile(q / 100) for q in (50, 90, 99)}
    return pd.DataFrame(
        {**quantiles, "within_5_mm_%": values.apply(lambda v: _percent(v <= CLOSE_MM)), "n": values.size()}
    ).reset_index()


def _slices(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    slices_off = table[table["slices_off"].notna()].groupby(list(by), sort=True)["slices_off"]
    exact, within_one = (slices_off.apply(lambda v, n=n: _percent(v <= n)) for n in (0, 1))
    return pd.DataFrame({"exact_%": exact, "within_one_%": within_one, "n": slices_off.size()}).reset_index()


def _by_tie(table: pd.DataFrame) -> pd.DataFrame:
    edges = np.linspace(0, 0.5, 6)
    distance = (table["true_distance_mm"] / table["step_mm"]).abs().clip(0, 0.4999)
    return table.assign(**{"steps from the slice": pd.cut(distance, edges, include_lowest=True).astype(str)})


def _levels(axial: pd.DataFrame) -> pd.DataFrame:
    right = axial.groupby("true_level")["right"]
    return pd.DataFrame({"right_%": right.apply(_percent), "n": right.size()}).reset_index()


def _calibration(landmarks: pd.DataFrame) -> pd.DataFrame:
    ratio = (landmarks["error_mm"] / landmarks["sd_mm"]).groupby(landmarks["source"])
    shares = {f"within_{n}_sd_%": ratio.apply(lambda r, n=n: _percent(r <= n)) for n in (1, 2, 3)}
    return pd.DataFrame(
        {**shares, "median_sd_mm": landmarks.groupby("source")["sd_mm"].median(), "n": ratio.size()}
    ).reset_index()
