"""Series that mix contrasts: which slices belong together, beside their place.

Some differences always separate: SeriesInstanceUID, the images of a Dixon sequence, phase from magnitude, reformatted
slices, echo and inversion times more than ``TIME_TOLERANCE`` apart, b-values. Others do where a place is shown several
times: echo and acquisition numbers, time points, ImageType and more. Elsewhere they vary from slice to slice, and say
nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from spinekit.anatomy import SAGITTAL_T1
from spinekit.io.dicom_file import SliceHeader
from spinekit.io.slice_groups import SAME_POSITION_MM

TIME_TOLERANCE = 0.05  # of an echo or inversion time: slices of one contrast differ by less
MIN_PLACES = 2  # shown by each contrast: one more image of a single place is a slice taken again
T1_ECHO_MS, T2_ECHO_MS = 10.0, 100.0  # usual echo times; where there are several echoes, the nearest is graded
_DIXON_ORDER = ("", "in phase", "water", "out of phase", "fat")  # by how much they look like a plain spin echo


@dataclass(frozen=True)
class Part:
    """Slices of one contrast; ``label`` says which one, empty where the series has no other."""

    label: str
    headers: Sequence[SliceHeader]


def by_contrast(headers: Sequence[SliceHeader]) -> list[Part]:
    """The slices of a folder or series by what always separates; one part for most series."""
    return _split(headers, _differences(headers))


def by_repeats(part: Part) -> list[Part]:
    """Parallel slices by the first difference that explains why places are shown several times, if there is one."""
    places = _places(part.headers)
    most = max(Counter(places).values())
    if most == 1:
        return [part]
    for name, value in _REPEATS.items():
        values = [value(header) for header in part.headers]
        own_places: dict[Hashable, list[int]] = {}
        for key, place in zip(values, places, strict=True):
            own_places.setdefault(key, []).append(place)
        repeats = sum(len(own) - len(set(own)) for own in own_places.values())
        covered = min(len(set(own)) for own in own_places.values())
        if 1 < len(own_places) <= most and covered >= MIN_PLACES and repeats < len(places) - len(set(places)):
            finer = _split(part.headers, {name: values})
            return [
                piece
                for one in finer
                for piece in by_repeats(Part(", ".join(filter(None, (part.label, one.label))), one.headers))
            ]
    return [part]


def across_folders(by_folder: Iterable[Sequence[SliceHeader]]) -> list[list[SliceHeader]]:
    """Slices of one series from several folders, put together where no two lie at one position; others, such as copies,
    stay in lists of their own."""
    series: list[tuple[list[SliceHeader], set[tuple[float, ...]]]] = []
    for headers in by_folder:
        positions = {header.origin_xyz_mm for header in headers}
        match = next((one for one in series if not one[1] & positions), None)
        if match is None:
            series.append((list(headers), set(positions)))
        else:
            match[0].extend(headers)
            match[1].update(positions)
    return [headers for headers, _ in series]


def order_for(kind: str | None, header: SliceHeader) -> tuple[float, ...]:
    """What sorts contrasts of one place: the one that is graded first. Plain magnitude images before all others, echoes
    by how near they are to the usual echo time of the ``kind`` (T2 where it is None), low b-values first."""
    contrast = header.contrast
    usual = T1_ECHO_MS if kind == SAGITTAL_T1 else T2_ECHO_MS
    echo = 0.0 if math.isnan(contrast.echo_time_ms) else abs(math.log(max(contrast.echo_time_ms, 0.1) / usual))
    return (
        float(contrast.component != ""),
        float(_DIXON_ORDER.index(contrast.dixon)),
        float(contrast.reformatted),
        float(contrast.image_type[:1] == ("DERIVED",)),
        np.nan_to_num(contrast.b_value),
        echo,
        np.nan_to_num(contrast.temporal_position),
        np.nan_to_num(contrast.acquisition_number),
    )


def _differences(headers: Sequence[SliceHeader]) -> dict[str, list[Hashable]]:
    contrasts = [header.contrast for header in headers]
    return {
        "series": [header.series_uid for header in headers],
        "": [contrast.dixon for contrast in contrasts],
        "component": [contrast.component for contrast in contrasts],
        "reformatted": [contrast.reformatted for contrast in contrasts],
        "echo time (ms)": _clusters([contrast.echo_time_ms for contrast in contrasts]),
        "inversion time (ms)": _clusters([contrast.inversion_time_ms for contrast in contrasts]),
        "b-value": [_plain(contrast.b_value) for contrast in contrasts],
    }


# In this order. A time that is another for every image explains nothing: it has more values than a place has images.
_REPEATS: dict[str, Callable[[SliceHeader], Hashable]] = {
    "echo": lambda header: _plain(header.contrast.echo_number),
    "image type": lambda header: "\\".join(header.contrast.image_type),
    "time point": lambda header: _plain(header.contrast.temporal_position),
    "flip angle": lambda header: _plain(header.contrast.flip_angle_deg),
    "repetition time (ms)": lambda header: _plain(header.contrast.repetition_time_ms),
    "echo time (ms)": lambda header: _plain(header.contrast.echo_time_ms),
    "sequence": lambda header: header.contrast.sequence_name,
    "acquisition": lambda header: _plain(header.contrast.acquisition_number),
    "acquisition time": lambda header: header.contrast.acquisition_time,
    "file": lambda header: header.file.name if header.frame_number is not None else "",
}


def _split(headers: Sequence[SliceHeader], differences: dict[str, list[Hashable]]) -> list[Part]:
    """Parts of equal values, in the order of their first slices; labels name the values that differ."""
    differing = {name: values for name, values in differences.items() if len(set(values)) > 1}
    if not differing:
        return [Part("", headers)]
    parts: dict[tuple[Hashable, ...], list[SliceHeader]] = {}
    for header, key in zip(headers, zip(*differing.values(), strict=True), strict=True):
        parts.setdefault(key, []).append(header)
    return [Part(_label(dict(zip(differing, key, strict=True))), own) for key, own in parts.items()]


def _label(values: dict[str, Hashable]) -> str:
    words = []
    for name, value in values.items():
        if name == "component":
            words.append(str(value or "magnitude"))
        elif name == "reformatted":
            words.append("reformatted" if value else "as acquired")
        elif name == "":
            words.append(str(value or "no Dixon image"))
        else:
            words.append(f"{name} {'unknown' if value in ('', None) else value}")
    return ", ".join(words)


def _clusters(times_ms: Sequence[float]) -> list[Hashable]:
    """A name for each time; times that differ by a step of more than ``TIME_TOLERANCE`` have different ones."""
    names: dict[float, str] = {}
    ordered = sorted({time for time in times_ms if not math.isnan(time)})
    for before, time in zip([math.nan, *ordered], ordered, strict=False):
        names[time] = names[before] if time - before <= TIME_TOLERANCE * abs(time) else f"{time:g}"
    return [names.get(time, "") for time in times_ms]


def _plain(number: float) -> str:
    """A number as text that equals itself, empty for NaN."""
    return "" if math.isnan(number) else f"{number:g}"


def _places(headers: Sequence[SliceHeader]) -> list[int]:
    """A number for each slice, equal for slices of one place along their common normal."""
    normal = np.cross(*headers[0].direction_cosines)
    along = np.array([header.origin_xyz_mm for header in headers]) @ normal
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order], prepend=along[order[:1]]) >= SAME_POSITION_MM
    places = np.empty(len(headers), dtype=int)
    places[order] = np.cumsum(steps)
    return [int(place) for place in places]
