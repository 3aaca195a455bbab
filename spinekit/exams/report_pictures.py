"""Pictures of a report: the slice that a grade was read from with the box of its crop, and that part enlarged.

Both are turned as a radiologist expects them: on an axial picture the patient's right is on the left and the front is
above, on a sagittal one the front is on the left and the head above. Letters on the borders come from the geometry.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Resampling

from spinekit.anatomy import SAGITTAL_T2, TARGET_INDEX, TARGETS, level_name
from spinekit.exams.result import GradedExam, TargetGrade
from spinekit.figures._base import letter, window
from spinekit.geometry import Floats
from spinekit.grading.crops import crop_axes, crop_scale_of
from spinekit.grading.tokens import TOKENS, spine_directions
from spinekit.io.stacks import Stack
from spinekit.io.study import Study

PANEL_PX = 420  # height and width of each of the two panels
FINE = 2  # drawn with so many times as many pixels, then made smaller: smooth lines
NAME_MM = 38.0  # the name of a level stands so far behind its canal, clear of the bodies
CLOSE_UP_MM = 70.0  # of the enlarged part; more where the crop is wider
MARGIN_MM = 12.0
OVERVIEW_PX, GAP_PX = 560, 8
Colour = tuple[int, int, int]
YELLOW, CYAN, WHITE, BLACK = (255, 224, 138), (120, 220, 255), (255, 255, 255), (0, 0, 0)
QUALITY = 88
_RIGHT_DOWN = {  # what runs to the right and what downwards in a picture, in patient LPS
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
}


@dataclass(frozen=True)
class Picture:
    """A JPEG of a slice, and which one it is: the ``plane``, the series' number of ``slices``, the InstanceNumber and
    ``description``, and how wide the box on it is in mm."""

    jpeg: bytes
    plane: str
    slices: int
    instance_number: int
    description: str
    box_mm: float


@dataclass(frozen=True)
class Upright:
    """A slice turned upright: ``pixels`` (rows, columns) 0..255, (row, column) spacing in mm, the (2, 3) directions to
    the right and down, and the matrix (2, 3) that takes (column, row, 1) of the slice to the picture's."""

    pixels: NDArray[np.uint8]
    spacing_rc_mm: Floats
    directions: Floats
    matrix: Floats

    def place(self, xy_px: ArrayLike) -> Floats:
        """Pixels (..., 2) of the slice as (column, row) to the same places of the picture."""
        xy = np.asarray(xy_px, dtype=np.float64)
        return xy @ self.matrix[:, :2].T + self.matrix[:, 2]


def picture_of(exam: GradedExam, study: Study, grade: TargetGrade) -> Picture | None:
    """The picture behind a grade, or None where no slice shows its place or the series was read without pixels."""
    at = _slice_of(study, grade)
    if at is None or grade.image is None:
        return None
    stack, k = at
    corners, box_mm = _box(exam, grade, stack, k)
    centre = (grade.image.column_px, grade.image.row_px)
    close_mm = max(CLOSE_UP_MM, box_mm + 2 * MARGIN_MM)
    upright = turned(stack, k, _window_near(stack, k, centre, close_mm))
    whole, close = _whole(upright), _Panel(upright, upright.place(centre), close_mm)
    for panel, bar_mm in ((whole, 50), (close, 10)):
        panel.line([*corners, corners[0]], YELLOW)
        panel.letters()
        panel.bar(bar_mm)
    if stack.plane == "sagittal":
        _name_levels(whole, exam, stack, k, grade.level)
    close.cross(centre)
    number = stack.instance_numbers[k]
    whole.title(f"{stack.kind or stack.plane}, instance {number}")
    close.title(f"{level_name(grade.level)} {grade.side.upper()}")
    jpeg = _jpeg([whole.finished(), close.finished()])
    return Picture(jpeg, stack.plane, len(stack), number, stack.description, box_mm)


def overview_of(exam: GradedExam, study: Study) -> Picture | None:
    """The sagittal slice through the middle of the canals with the names of the levels, to count them on; None where
    there is no such slice."""
    points = [g.point_xyz_mm for g in exam.grades if not g.side and g.point_xyz_mm is not None]
    stacks = [stack for stack in study.stacks if stack.plane == "sagittal" and stack.pixels is not None]
    if not points or not stacks:
        return None
    stack = min(stacks, key=lambda stack: (stack.kind != SAGITTAL_T2, -len(stack)))
    middle = np.mean(points, 0)
    k = int(stack.frame.nearest_slice(middle)[0])
    upright = turned(stack, k, _window_near(stack, k, stack.frame.to_pixel(middle, k)[0], 180.0))
    panel = _whole(upright, OVERVIEW_PX)
    panel.letters()
    panel.bar(50)
    _name_levels(panel, exam, stack, k, "")
    panel.title(f"{stack.kind or stack.plane}, instance {stack.instance_numbers[k]}")
    jpeg = _jpeg([panel.finished()])
    return Picture(jpeg, stack.plane, len(stack), stack.instance_numbers[k], stack.description, 0.0)


def _window_near(stack: Stack, k: int, xy_px: ArrayLike, size_mm: float) -> tuple[float, float]:
    """Black and white for a square of ``size_mm`` around a pixel (column, row): fat elsewhere darkens nothing."""
    assert stack.pixels is not None
    half = size_mm / 2 / stack.frame.spacing_rc_mm[::-1]
    x, y = np.asarray(xy_px, dtype=np.float64)
    rows, columns = (slice(max(0, int(c - h)), int(c + h) + 2) for c, h in ((y, half[1]), (x, half[0])))
    inside = stack.pixels[k, rows, columns]
    return window(inside if inside.size else stack.pixels[k])


def _whole(upright: Upright, size_px: int = PANEL_PX) -> _Panel:
    shape = np.array(upright.pixels.shape)
    return _Panel(upright, (shape[::-1] - 1) / 2, float((shape * upright.spacing_rc_mm).max()), size_px)


def _name_levels(panel: _Panel, exam: GradedExam, stack: Stack, k: int, current: str) -> None:
    """The names of all levels behind their canals, and a dot at each canal's point."""
    for grade in exam.grades:
        if grade.side or grade.point_xyz_mm is None:
            continue
        point = np.array(grade.point_xyz_mm)
        behind = stack.frame.to_pixel(point + (0.0, NAME_MM, 0.0), k)[0]
        colour = YELLOW if grade.level == current else WHITE
        panel.line([stack.frame.to_pixel(point, k)[0], behind], colour, width=1)
        panel.text(behind, level_name(grade.level), colour)


def _jpeg(panels: Sequence[Image.Image]) -> bytes:
    width = sum(panel.width for panel in panels) + GAP_PX * (len(panels) - 1)
    sheet = Image.new("RGB", (width, panels[0].height), "white")
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + GAP_PX
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def turned(stack: Stack, k: int, black_white: tuple[float, float] | None = None) -> Upright:
    """Slice ``k`` of a stack with pixels turned upright, windowed between two grey values, else by its own pixels."""
    assert stack.pixels is not None
    low, high = black_white or window(stack.pixels[k])
    grey = np.clip((stack.pixels[k] - low) / (high - low) * 255 + 0.5, 0, 255).astype(np.uint8)
    directions, spacing = np.array(stack.frame.direction_cosines), np.array(stack.frame.spacing_rc_mm)
    matrix = np.eye(2, 3)
    right, down = np.array(_RIGHT_DOWN[stack.plane])
    if abs(directions[1] @ right) > abs(directions[0] @ right):  # rows run along what should be columns
        grey, directions, spacing, matrix = grey.T, directions[::-1], spacing[::-1], matrix[::-1]
    rows, columns = grey.shape
    if directions[0] @ right < 0:
        grey, directions = grey[:, ::-1], directions * [[-1], [1]]
        matrix = np.array([[-1.0], [1.0]]) * matrix + [[0, 0, columns - 1], [0, 0, 0]]
    if directions[1] @ down < 0:
        grey, directions = grey[::-1], directions * [[1], [-1]]
        matrix = np.array([[1.0], [-1.0]]) * matrix + [[0, 0, 0], [0, 0, rows - 1]]
    return Upright(np.ascontiguousarray(grey), spacing, directions, matrix)


def _slice_of(study: Study, grade: TargetGrade) -> tuple[Stack, int] | None:
    """The stack and slice of a grade's image: by its identifiers, else the slice of that series nearest to the
    point."""
    image = grade.image
    if image is None:
        return None
    stacks = [stack for stack in study.stacks if stack.series_id == image.series_uid and stack.pixels is not None]
    for stack in stacks:
        numbers = stack.frame_numbers or (None,) * len(stack)
        for k, named in enumerate(zip(stack.sop_instance_uids, numbers, strict=False)):
            if named == (image.sop_instance_uid, image.frame_number):
                return stack, k
    if not stacks or grade.point_xyz_mm is None:
        return None
    near = [stack.frame.nearest_slice(grade.point_xyz_mm) for stack in stacks]
    best = int(np.argmin([abs(float(distance)) for _, distance in near]))
    return stacks[best], int(near[best][0])


def _box(exam: GradedExam, grade: TargetGrade, stack: Stack, k: int) -> tuple[Floats, float]:
    """Corners (4, 2) in pixels of the slice of the square that the grader saw of it, and its width in mm."""
    recipe, token = exam.weights.crops, TOKENS[TARGET_INDEX[grade.target]]
    points = np.full((len(TARGETS), 3), np.nan)
    for other in exam.grades:
        if other.point_xyz_mm is not None:
            points[TARGET_INDEX[other.target]] = other.point_xyz_mm
    axes = crop_axes(stack.frame, token, spine_directions(points)[token.level])
    half = recipe.size_px * recipe.mm_per_px(token.kind) / 2
    half *= crop_scale_of((grade.point_sd_mm or 0.0) * np.sqrt(3.0), half)
    assert grade.image is not None
    centre = stack.frame.to_patient((grade.image.column_px, grade.image.row_px), k)
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corners, _ = stack.frame.to_pixel(centre + half * signs @ axes, np.full(4, k))
    return corners, 2 * half


class _Panel:
    """A square of a picture, ``size_mm`` wide around ``centre`` (column, row), enlarged, to draw on.

    Places are given in pixels (column, row) of the slice as the scanner stored it.
    """

    def __init__(self, upright: Upright, centre: Floats, size_mm: float, size_px: int = PANEL_PX) -> None:
        self.upright, self.size_mm, self.fine_px = upright, size_mm, size_px * FINE
        spacing_px = size_mm / upright.spacing_rc_mm[::-1] / size_px  # pixels of the slice in one of the panel
        corner = centre - spacing_px * (size_px - 1) / 2
        # PIL counts from the corner of the first pixel, not from its centre.
        (a, e), (c, f) = spacing_px, corner + 0.5 - spacing_px / 2
        affine, size = (a, 0, c, 0, e, f), (size_px, size_px)
        grey = Image.fromarray(upright.pixels).transform(size, Image.Transform.AFFINE, affine, Resampling.BICUBIC)
        self.per_px = spacing_px / FINE
        self.corner = corner - spacing_px / 2 + self.per_px / 2
        self.image = grey.convert("RGB").resize((self.fine_px, self.fine_px), Resampling.NEAREST)
        self.draw = ImageDraw.Draw(self.image)

    def finished(self) -> Image.Image:
        """In its final size."""
        return self.image.reduce(FINE)

    def place(self, xy_px: ArrayLike) -> Floats:
        """Pixels (..., 2) of the slice to those of the panel."""
        return (self.upright.place(xy_px) - self.corner) / self.per_px

    def line(self, xy_px: Sequence[ArrayLike], colour: Colour, width: int = 2) -> None:
        """Through pixels of the slice."""
        self._line(self.place(np.asarray(xy_px, dtype=np.float64)), colour, width)

    def _line(self, places: Floats, colour: Colour, width: int) -> None:
        joined = [(float(x), float(y)) for x, y in places]
        self.draw.line(joined, fill=BLACK, width=(width + 2) * FINE, joint="curve")
        self.draw.line(joined, fill=colour, width=width * FINE, joint="curve")

    def cross(self, xy_px: ArrayLike) -> None:
        """With an open middle: the place stays visible."""
        centre = self.place(xy_px)
        for direction in np.array([(1, 0), (-1, 0), (0, 1), (0, -1)]):
            self._line(centre + np.outer((8 * FINE, 17 * FINE), direction), CYAN, 2)

    def letters(self) -> None:
        """R, L, A, P, S or I at the four borders."""
        right, down = self.upright.directions
        middle, near, far = self.fine_px / 2, 8 * FINE, self.fine_px - 8 * FINE
        for place, anchor, direction in (
            ((near, middle), "lm", -right),
            ((far, middle), "rm", right),
            ((middle, near), "mt", -down),
            ((middle, far), "mb", down),
        ):
            self._text(place, letter(direction), anchor, 24, WHITE)

    def bar(self, length_mm: int) -> None:
        """A scale bar in the lower left corner."""
        length, y = length_mm / self.size_mm * self.fine_px, self.fine_px - 12 * FINE
        left = 14 * FINE
        self._line(np.array([(left, y), (left + length, y)]), WHITE, 3)
        self._text((left, y - 5 * FINE), f"{length_mm} mm", "ls", 15, WHITE)

    def title(self, text: str) -> None:
        """In the upper left corner."""
        self._text((8 * FINE, 8 * FINE), text, "lt", 16, WHITE)

    def text(self, xy_px: ArrayLike, text: str, colour: Colour) -> None:
        """To the right of a pixel of the slice."""
        x, y = self.place(xy_px)
        self._text((x + 3 * FINE, y), text, "lm", 15, colour)

    def _text(self, place: tuple[float, float], text: str, anchor: str, size: int, colour: Colour) -> None:
        font, edge = _font(size * FINE), 3 * FINE // 2
        self.draw.text(place, text, fill=colour, font=font, anchor=anchor, stroke_width=edge, stroke_fill=BLACK)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
