"""Pixels of crops in a file, each image once: what is indexed is read, and no array of them is ever in memory.

A whole slice belongs to several tokens of a study (five levels, both sides, neighbouring slices), and left and right
look at it from opposite sides. So the distinct images of each study lie in one ``.npy``, and an index says which of
them, and whether flipped, is which slice of which token. A token that is missing takes no space.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

BLACK = -1  # in place of an image's number


class Pixels(Protocol):
    """Pixels (n, 30, slices, px, px) uint8 of ``n`` studies: an array, or ``CropPixels``."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __array__(self) -> Any: ...


@dataclass(frozen=True)
class CropPixels:
    """(n, tokens, slices, px, px) uint8 in a ``file`` of images (m, px, px): of each slice the number ``image``
    (n, tokens, slices) of its picture there, or ``BLACK``, and whether it is ``flipped``, with its columns reversed.

    Worker processes are sent the name of the file and the index, never the images.
    """

    file: Path
    image: NDArray[np.int32]
    flipped: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.image.shape, *self._images.shape[1:])

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Indexed as an array is; rows and columns by numbers and slices alone."""
        whole = _without_ellipsis(index if isinstance(index, tuple) else (index,), len(self.shape))
        chosen, flipped = (np.asarray(table[whole[:3]]) for table in (self.image, self.flipped))
        read = np.take(self._images, np.maximum(chosen, 0), axis=0)
        read[flipped] = read[flipped][..., ::-1]
        read[chosen == BLACK] = 0
        return read[(..., *whole[3:], *[slice(None)] * (5 - max(len(whole), 3)))]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.asarray(self[:], dtype=dtype)

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        images = np.load(self.file, mmap_mode="r")
        # An index alone is no proof: a file of other crops may have taken the place of its own.
        if images.ndim != 3 or len(images) != max(1, int(self.image.max(initial=BLACK)) + 1):
            raise ValueError(f"{len(images)} images in place of {int(self.image.max(initial=BLACK)) + 1}")
        return images

    def check(self) -> None:
        """Raises: `OSError` or `ValueError` where the file is missing, was cut short, or is not the index's own."""
        assert self._images is not None

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "image": self.image, "flipped": self.flipped}


def _without_ellipsis(index: tuple[Any, ...], dimensions: int) -> tuple[Any, ...]:
    for i, part in enumerate(index):
        if part is Ellipsis:
            return (*index[:i], *[slice(None)] * (dimensions - len(index) + 1), *index[i + 1 :])
    return index


@dataclass(frozen=True)
class Distinct:
    """The distinct ``images`` (m, px, px) of one study, and the index of ``CropPixels`` to them (tokens, slices)."""

    images: NDArray[np.uint8]
    image: NDArray[np.int32]
    flipped: NDArray[np.bool_]


def distinct(pixels: NDArray[np.uint8], present: NDArray[np.bool_]) -> Distinct:
    """Each image of a study's tokens (tokens, slices, px, px) once, be it flipped or not; none of a missing token."""
    numbers: dict[bytes, tuple[int, bool]] = {}
    images: list[NDArray[np.uint8]] = []
    image = np.full(pixels.shape[:2], BLACK, dtype=np.int32)
    flipped = np.zeros(pixels.shape[:2], dtype=bool)
    for token in np.flatnonzero(present):
        for k, picture in enumerate(pixels[token]):
            content = picture.tobytes()
            if content not in numbers:
                numbers[picture[:, ::-1].tobytes()] = (len(images), True)
                numbers[content] = (len(images), False)
                images.append(picture)
            image[token, k], flipped[token, k] = numbers[content]
    stacked = np.array(images, dtype=np.uint8).reshape(-1, *pixels.shape[2:])
    return Distinct(stacked, image, flipped)


class ImageFile:
    """An ``.npy`` that images are appended to; ``close`` writes how many they are, and one black image if there is
    none."""

    def __init__(self, stream: BinaryIO, px: int) -> None:
        self.stream, self.px, self.count = stream, px, 0
        stream.write(_header(0, px))

    def append(self, study: Distinct) -> NDArray[np.int32]:
        """The study's index to the images of the whole file."""
        self.stream.write(study.images.tobytes())
        image = np.where(study.image == BLACK, BLACK, study.image + self.count).astype(np.int32)
        self.count += len(study.images)
        return image

    def close(self) -> None:
        """Make the file a whole one."""
        if not self.count:
            self.stream.write(bytes(self.px**2))
        header = _header(max(1, self.count), self.px)
        assert len(header) == len(_header(0, self.px)), "numpy keeps room for the number to grow"
        self.stream.seek(0)
        self.stream.write(header)


def _header(count: int, px: int) -> bytes:
    stream = io.BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": (count, px, px)}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()
