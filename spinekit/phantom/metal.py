"""Metal of an operation: pedicle screws, and how they spoil the picture around them."""

from __future__ import annotations

from spinekit.phantom.body import Body
from spinekit.phantom.canal import hill
from spinekit.phantom.canvas import Canvas
from spinekit.phantom.column import S1
from spinekit.phantom.shapes import Capsule, both_sides


def paint_metal(canvas: Canvas, body: Body) -> None:
    """Pedicle screws of L4 and L5: no signal around them, and signal that was shifted piled up at one side."""
    if not body.variant.metal:
        return
    for vertebra in body.vertebrae[S1 - 2 : S1]:
        pedicle = vertebra.s + vertebra.height / 2 - 2.5 - vertebra.pedicle_height / 2
        u = vertebra.half_canal + vertebra.pedicle_width / 2
        for shape in both_sides([Capsule((pedicle, u + 4, 24), (pedicle - 1, u - 7, -24), 5.0)]):
            block = canvas.block(Capsule(shape.a, shape.b, 12.0).box)
            if block is not None:
                s, u_at, v = canvas.at(block)
                distance = shape.distance(s, u_at, v) + 1.5 * canvas.grain(block, (4, 4, 4), 29.0)
                pile = hill(distance - 3.0, 1.6) * (s > shape.a[0])
                canvas.image[block] *= 1 + 1.2 * pile
                canvas.paint(block, distance - 2.0, "air", 2.5)
