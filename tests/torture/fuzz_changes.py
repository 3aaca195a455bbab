"""Changes of one part of an input that leave the rest sound: a fuzzer that changes bytes alone mostly breaks the whole.

Each takes bytes, a generator of random numbers, and a function that changes bytes in the fuzzer's own way; it may raise
anything where the input is too damaged to be taken apart.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement

JOINT = b"\n--next file--\n"  # between the files of a series
Mutate = Callable[[bytes], bytes]
Change = Callable[[bytes, random.Random, Mutate], bytes]

VALUES = (b"", b"\\", b"nan", b"-1", b"0", b"1e400", b"1\\2", b"\xff\xff", b"\0\0", b"9" * 40, b"\x80\xe4", b"1\\2\\3")
CELLS = (b"", b"nan", b"-1", b"0", b"1e400", b"1.0", b'"', b"\xc3\xa4", b" ", b"9" * 19, b"Severe", b"1_spinal", b"0x1")
# JSON reads NaN and Infinity, too.
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, "", "x", "\ud800", "../a", "/", [], {}),
    *([[]], [1, 2], {"a": 1}, [["a", 0]]),
)


def file(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """One element of a DICOM file, with a length that fits."""
    whole = pydicom.dcmread(io.BytesIO(data), force=True)
    tags = [*whole.keys()]
    place, tag = whole, rng.choice(tags)
    while _is_sequence(place.get_item(tag)) and rng.random() < 0.8:
        place = rng.choice([*place[tag].value])
        tag = rng.choice([*place.keys()])
    element, way = place.get_item(tag), rng.randrange(6)
    if way == 0:
        del place[tag]
    elif isinstance(element, RawDataElement):
        value = bytes(element.value or b"")
        if way == 1:
            value = rng.choice(VALUES)
        elif way == 2:
            others = [whole.get_item(other).value for other in tags]
            value = rng.choice([other for other in others if isinstance(other, bytes)])
        else:
            value = mutate(value)
        if way == 5:
            tag = rng.choice(tags)
        value += b"\0" * (len(value) % 2)
        place[tag] = element._replace(tag=tag, value=value, length=len(value))
    buffer = io.BytesIO()
    whole.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def _is_sequence(element: Any) -> bool:
    """Of an element as it stands in the file: to ask pydicom for its value would parse it, and keep it so."""
    if element.VR is None:  # implicit
        return dictionary_has_tag(element.tag) and dictionary_VR(element.tag) == "SQ"
    return bool(element.VR == "SQ")


def series(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """One file of a series, or one twice."""
    parts = data.split(JOINT)
    chosen = rng.randrange(len(parts))
    changed = file(parts[chosen], rng, mutate)
    if rng.random() < 0.2:
        parts.append(changed)
    else:
        parts[chosen] = changed
    return JOINT.join(parts)


def export(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """One file of a zip, also of one in it, or its name; a DICOM file as `file` does."""
    if not data.startswith(b"PK"):
        return file(data, rng, mutate)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [[member.filename, archive.read(member)] for member in archive.infolist()]
    chosen = rng.choice(members)
    if rng.random() < 0.3:
        chosen[0] = mutate(chosen[0].encode()).decode("utf-8", "replace")
    elif rng.random() < 0.1:
        members.append([chosen[0] + "/x", chosen[1]])
    else:
        chosen[1] = export(chosen[1], rng, mutate)
    return zipped({name: content for name, content in members}, rng.choice(METHODS))


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zipped(files: dict[str, bytes], method: int) -> bytes:
    """A zip of files by name, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)  # ZipInfo: without the time of day
    return buffer.getvalue()


def table(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """One cell of a table, or a row twice or not at all."""
    rows = data.split(b"\n")
    row = rng.randrange(len(rows))
    way = rng.randrange(6)
    if way == 0:
        rows.insert(row, rows[row])
    elif way == 1:
        del rows[row]
    else:
        cells = rows[row].split(b",")
        place = rng.randrange(len(cells))
        cells[place] = mutate(cells[place]) if way == 2 else rng.choice(CELLS)
        rows[row] = b",".join(cells)
    return b"\n".join(rows)


def json_text(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """One value of a JSON file, at any depth, or one name."""
    whole = json.loads(data)
    place, key = whole, rng.choice(_keys(whole))
    while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
        place = place[key]
        key = rng.choice(_keys(place))
    if rng.random() < 0.2:
        value = place.pop(key)
        if isinstance(place, dict) and rng.random() < 0.5:
            place[rng.choice([*whole, "x"])] = value
    else:
        place[key] = rng.choice(JSON_VALUES)
    return json.dumps(whole).encode()


def _keys(value: Any) -> list[Any]:
    return [*value] if isinstance(value, dict) else [*range(len(value))]


CHANGES: dict[str, Change] = {"file": file, "series": series, "export": export, "table": table, "json": json_text}
