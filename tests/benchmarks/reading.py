"""Reading a study, all series to arrays with their place in the patient: against loops of pydicom and two libraries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from rows import Row, medians, share_of_time, times_as_fast

from spinekit.io.study import read_study
from spinekit.parallel import mapper

SYNTAXES = {"uncompressed": ExplicitVRLittleEndian, "RLE": RLELossless}
LOOP, DATASETS, ITK, MONAI = "pixel_array(path)", "dcmread(f).pixel_array", "SimpleITK", "MONAI PydicomReader"
OF_LOOP = {"uncompressed": 0.8, "RLE": 0.95}  # of its time; a decoder that both use leaves less to gain
OF_DATASETS = 0.5


def rows(small: Path, large: Path, folder: Path, repeats: int) -> Iterator[Row]:
    """``small`` and ``large`` are folders of a study with small and large images; copies are written to ``folder``."""
    for size, study, reaches in (("full size", large, (10.0, 2.0)), ("demo size", small, (10.0, 3.0))):
        for name, syntax in SYNTAXES.items():
            copy = folder / f"{size}-{name}".replace(" ", "-") / study.name
            copied(study, copy, syntax)
            ways = {"ours": read_study, LOOP: _loop, DATASETS: _datasets, ITK: _itk, MONAI: _monai}
            seconds = medians({way: partial(read, copy) for way, read in ways.items()}, repeats)
            what = f"read a study, {size}, {name}"
            yield share_of_time(what, LOOP, seconds, OF_LOOP[name])
            yield share_of_time(what, DATASETS, seconds, OF_DATASETS)
            for library, reach in zip((ITK, MONAI), reaches, strict=True):
                yield times_as_fast(what, library, seconds, reach)
            if (size, name) == ("full size", "RLE"):  # as the competition's files are
                yield two_processes(f"{what}, by two processes", copy, repeats)


def two_processes(what: str, study: Path, repeats: int, studies: int = 8) -> Row:
    """So many readings by two processes that run already, against one such process."""
    jobs = [study] * studies
    with mapper(2) as two:
        ways: dict[str, Callable[[], object]] = {"ours": lambda: list(two(_slices, jobs))}
        with mapper(2) as one:  # two processes again, of which one is given all the work
            ways["one process"] = lambda: list(one(_many, [jobs]))
            seconds = medians(ways, repeats, time.perf_counter)
    return times_as_fast(what, "one process", seconds, 1.8)


def _slices(study: Path) -> int:
    return sum(len(stack) for stack in read_study(study).stacks)


def _many(studies: list[Path]) -> int:
    return sum(map(_slices, studies))


def copied(study: Path, copy: Path, syntax: pydicom.uid.UID) -> None:
    """The same study with its pixels in another transfer syntax."""
    for file in sorted(study.rglob("*.dcm")):
        dataset = pydicom.dcmread(file)
        if dataset.file_meta.TransferSyntaxUID != syntax:
            dataset.decompress(
                generate_instance_uid=False
            ) if dataset.file_meta.TransferSyntaxUID.is_compressed else None
            if syntax.is_compressed:
                dataset.compress(syntax, generate_instance_uid=False)
        (copy / file.relative_to(study)).parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(copy / file.relative_to(study))


def _series(study: Path) -> list[Path]:
    return sorted(path for path in study.iterdir() if path.is_dir())


def _files(study: Path) -> list[Path]:
    return sorted(study.rglob("*.dcm"))


def _loop(study: Path) -> list[np.ndarray]:
    """Pixels alone, without a place in the patient: a floor."""
    return [pixel_array(file) for file in _files(study)]


def _datasets(study: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """What most scripts do: whole datasets, and an affine from three tags."""
    read = []
    for file in _files(study):
        dataset = pydicom.dcmread(file)
        directions = np.reshape(np.array(dataset.ImageOrientationPatient, dtype=float), (2, 3))
        affine = np.eye(4)
        affine[:3, :2] = (directions * np.array(dataset.PixelSpacing, dtype=float)[::-1, None]).T
        affine[:3, 3] = np.array(dataset.ImagePositionPatient, dtype=float)
        read.append((dataset.pixel_array, affine))
    return read


def _itk(study: Path) -> list[np.ndarray]:
    arrays = []
    for folder in _series(study):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        arrays.append(sitk.GetArrayFromImage(reader.Execute()))
    return arrays


def _monai(study: Path) -> list[np.ndarray]:
    from monai.data import PydicomReader

    reader = PydicomReader()
    return [reader.get_data(reader.read(str(folder)))[0] for folder in _series(study)]
