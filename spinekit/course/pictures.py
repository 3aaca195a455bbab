"""Pictures of notebooks made small: for git, and for the index of a run."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES, MAX_WIDTH_PX = 150_000, 1200
_COLOURS, _SHRINK = (256, 128, 64), 0.85


def smaller(picture: str, max_width_px: int = MAX_WIDTH_PX, max_bytes: int = MAX_BYTES) -> str:
    """A PNG in base64 as a smaller one: fewer colours first, fewer pixels where that does not suffice."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image = _scaled(image, max_width_px / image.width)
    while True:
        for colours in _COLOURS:
            data = _png(image, colours)
            if len(data) <= max_bytes:
                return base64.b64encode(data).decode("ascii")
        image = _scaled(image, _SHRINK)


def _scaled(image: Image, scale: float) -> Image:
    from PIL.Image import Resampling

    if scale >= 1:
        return image
    return image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))), Resampling.LANCZOS)


def _png(image: Image, colours: int) -> bytes:
    from PIL.Image import Dither, Quantize

    buffer = io.BytesIO()
    image.quantize(colours, Quantize.MEDIANCUT, dither=Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
