"""Pictures of notebooks made small: for git, and for the index of a run."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES, MAX_WIDTH_PX = 150_000, 1200
_COLOURS, _SHRINK = (256, 128, 64), 0.85
_GREY = 24  # channels of a pixel that differ by no more than this make it grey


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

    # Among the many grey pixels of an image of a body, the few that mark something on it would lose their colour: half
    # of the palette is theirs.
    pixels = np.asarray(image).reshape(-1, 3)
    marks = pixels[np.ptp(pixels, axis=1) > _GREY]
    if len(marks):
        small = image.quantize(palette=_palette(marks, colours), dither=Dither.NONE)
    else:
        small = image.quantize(colours, Quantize.MEDIANCUT, dither=Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _palette(marks: NDArray[np.uint8], colours: int) -> Image:
    """Half greys, half the colours of some pixels (n, 3)."""
    from PIL import Image as images
    from PIL.Image import Quantize

    greys = np.linspace(0, 255, colours // 2).round()
    strip = images.fromarray(marks[None]).quantize(colours // 2, Quantize.MEDIANCUT)
    chosen = np.concatenate([np.repeat(greys[:, None], 3, axis=1), np.array(strip.getpalette() or []).reshape(-1, 3)])
    palette = images.new("P", (1, 1))
    palette.putpalette(chosen.astype(np.uint8).tobytes())
    return palette
