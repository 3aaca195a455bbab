"""Figures of notebook 20: what was submitted for each study, and the time it took beside the budget."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from spinekit.anatomy import GROUPS, LEVELS, TARGETS, level_name
from spinekit.course.test_half import BUDGET_HOURS, HIDDEN_STUDIES
from spinekit.figures._base import BLUE, GREY, RED, Picture, grid, message

_MAX_SHOWN = 40  # studies: more rows would not be legible


def severe_map(table: pd.DataFrame, by_prior: list[int]) -> Picture:
    """The submitted probability of Severe: a row for each study, a column for each target, by condition and level.

    Studies that got the prior, all alike, are marked.
    """
    names = table["row_id"].str.split("_", n=1, expand=True)  # the rows of a sample come in an order of their own
    severe = table.assign(study=names[0], target=names[1]).pivot(index="study", columns="target", values="severe")
    shown = list(dict.fromkeys(names[0]))[:_MAX_SHOWN]
    order = sorted(range(len(TARGETS)), key=lambda i: (GROUPS.index(TARGETS[i].group), TARGETS[i].side or "", i))
    figure, axes = grid(1, 1, (10, 1.6 + 0.22 * len(shown)))
    axis = axes[0, 0]
    shares = severe.reindex(index=shown, columns=[TARGETS[i].name for i in order]).to_numpy()
    picture = axis.imshow(shares, cmap="Reds", vmin=0, vmax=max(0.5, float(np.nanmax(shares))), aspect="auto")
    figure.colorbar(picture, ax=axis, label="probability of Severe", fraction=0.03)
    labels = [f"{study} (prior)" if int(study) in by_prior else study for study in shown]
    axis.set_yticks(range(len(shown)), labels, fontsize=7)
    axis.set_xticks(range(len(order)), [level_name(TARGETS[i].level) for i in order], rotation=90, fontsize=7)
    for start in range(0, len(order), len(LEVELS)):
        target = TARGETS[order[start]]
        label = " ".join(word for word in (target.side, target.group) if word)
        axis.text(start + 2, -0.7, label, ha="center", va="bottom", fontsize=9)
        axis.axvline(start - 0.5, color="white", lw=2)
    axis.set_ylabel("study")
    return figure


def time_used(seconds: Mapping[int, float], studies: int = HIDDEN_STUDIES, hours: float = BUDGET_HOURS) -> Picture:
    """Seconds of each study, and the most that each may take if ``studies`` of them are to fit into ``hours``."""
    if not seconds:
        return message("Nothing to show: no study was graded")
    values = np.array(list(seconds.values()))
    limit = 3600 * hours / studies
    figure, axes = grid(1, 1, (7, 2.8))
    axis = axes[0, 0]
    axis.bar(range(len(values)), values, color=GREY, label="each study, in the order of the table")
    axis.axhline(float(values.mean()), color=BLUE, label=f"mean, {values.mean():.1f} s")
    axis.axhline(limit, color=RED, ls="--", label=f"{limit:.0f} s: {studies} studies in {hours:g} hours")
    axis.set(xlabel="study", ylabel="seconds", xlim=(-0.6, len(values) - 0.4))
    axis.set_ylim(0, 1.15 * max(limit, float(values.max())))
    figure.legend(loc="outside lower center", fontsize=8, ncols=3, frameon=False)
    return figure
