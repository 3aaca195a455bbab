"""What one file may ask for, so that none fills the memory or holds a command: bytes, pixels, frames, sequence items.

No MRI of a spine comes near these limits. ``notebooks/book/reference.md`` states them.
"""

from __future__ import annotations

import os
import stat
import zlib
from pathlib import Path
from typing import Any

from pydicom.tag import Tag

from spinekit.io.dicom_errors import TooLarge

MIB = 2**20
MAX_FILE_BYTES = 512 * MIB  # of a DICOM file
MAX_TABLE_BYTES = 256 * MIB  # of a CSV file: a million rows are a tenth of it
MAX_INFLATED_BYTES = 64 * MIB  # of a file in the deflated transfer syntax, when inflated
MAX_SEQUENCE_BYTES = 32 * MIB  # of the functional groups of a file
MAX_SIDE = 8192  # rows or columns of an image
MAX_FRAMES = 2048  # of a file
MAX_PIXELS = 2**27  # of all frames of a file: 512 frames of 512 x 512
MAX_BITS = 64  # allocated for a pixel
MAX_ITEMS = 100_000  # of sequences in a file
MAX_NESTED_ZIPS = 5  # one in the other
MAX_STEPS = 4_000_000  # of reading a file: about three for each element of its header
BLOCK = MIB  # inflated at a time

_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # the tag of an item, in both orders of bytes
_GROUPS = (Tag("PerFrameFunctionalGroupsSequence"), Tag("SharedFunctionalGroupsSequence"))
_SPECIAL = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def special(mode: int) -> str:
    """What a path is that is neither a file nor a folder, by its ``st_mode``; empty for these. To open such a path may
    wait for ever."""
    return next((words for is_one, words in _SPECIAL.items() if is_one(mode)), "")


def special_file(path: Path | str) -> str:
    """``special`` of what lies at a path; empty where nothing does."""
    try:
        return special(os.stat(path).st_mode)
    except OSError:
        return ""


def check(file: Path, what: str, asked: float, allowed: int) -> None:
    """Nothing for a file that asks for no more than is allowed.

    Raises: `TooLarge` for one that asks for more.
    """
    if asked > allowed:
        raise TooLarge(file, f"{what}: {asked:,.0f}, and {allowed:,} are allowed")


def check_image_size(file: Path, shape_rc: tuple[float, float], frames: float, bits: float) -> None:
    """Nothing for images that fit into the memory.

    Raises: `TooLarge` for a file that asks for too many rows, columns, frames, bits or pixels in all.
    """
    rows, columns = shape_rc
    for what, asked in (("rows", rows), ("columns", columns)):
        check(file, what, asked, MAX_SIDE)
    check(file, "frames", frames, MAX_FRAMES)
    check(file, "bits of a pixel", bits, MAX_BITS)
    check(file, "pixels of all frames", rows * columns * max(frames, 1), MAX_PIXELS)


def check_functional_groups(file: Path, dataset: Any) -> None:
    """Nothing for functional groups that can be read at once; they are counted before they are parsed.

    Raises: `TooLarge` where they have too many bytes, or items of sequences in them.
    """
    for tag in _GROUPS:
        element = dataset.get_item(tag)
        if element is not None and isinstance(element.value, bytes):
            check(file, "bytes of functional groups", len(element.value), MAX_SEQUENCE_BYTES)
            check(file, "items of sequences", items_in(element.value), MAX_ITEMS)


def items_in(data: bytes) -> int:
    """How many items of sequences bytes may hold; a few more where pixels look like the tag of one."""
    return max(data.count(tag) for tag in _ITEMS)


def check_inflated(file: Path, deflated: bytes) -> None:
    """Nothing for a deflated dataset that is small when inflated; it is inflated block by block, and nothing is kept.

    Raises: `TooLarge` where it has too many bytes or items of sequences; `zlib.error` where it is damaged.
    """
    stream, size, items = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
    rest, end = deflated, b""
    while rest and not stream.eof:
        block = stream.decompress(rest, BLOCK)
        rest = stream.unconsumed_tail
        size += len(block)
        items += items_in(end + block)
        end = block[-3:]
        check(file, "bytes, inflated", size, MAX_INFLATED_BYTES)
        check(file, "items of sequences", items, MAX_ITEMS)
