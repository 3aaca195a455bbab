"""``check`` reads any folder, goes on past whatever is bad, and names an empty one."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from cohort_files import write_cohort, write_tables
from dicom_files import SAGITTAL, dataset, save, write_series
from tqdm import tqdm

from spinekit.io.csv_file import BadValue, MissingTable
from spinekit.io.stacks import Finding
from spinekit.label_audit import folder_report
from spinekit.label_audit.folder_report import EmptyFolder, check

PIXELS = np.arange(3 * 8 * 6, dtype=np.uint16).reshape(3, 8, 6)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), (1,), (3,))


def test_a_cohort_is_listed_with_kinds_and_geometry(cohort):
    report = check(cohort)
    assert report.findings == []
    expected = {
        "studies": 2,
        "studies_in_tables": 2,
        "series": 6,
        "stacks": 6,
        "files": 108,
        "errors": 0,
        "warnings": 0,
    }
    assert report.counts() == expected
    row = next(row for row in report.stacks if row.kind == "Axial T2")
    assert (row.plane, row.slices, row.shape_rc, row.spacing_rc_mm, row.step_mm) == ("axial", 36, (40, 40), (1, 1), 4)
    assert row.folder == "train_images/1/13"


def test_text_and_json_tell_the_same(cohort):
    report = check(cohort, pixels=False)
    told = json.loads(json.dumps(report.to_json()))
    assert told["counts"] == report.counts() and len(told["stacks"]) == 6
    text = report.to_text()
    for row in told["stacks"]:
        assert row["series_id"] in text and row["kind"] in text
    assert "studies 2, " in text


def test_a_series_spread_over_folders_is_one(tmp_path):
    """As archives write it that put a limited number of files into a folder."""
    for k, file in enumerate(write_series(tmp_path / "all", np.concatenate([PIXELS, PIXELS]))):
        (tmp_path / f"part{k % 3}").mkdir(exist_ok=True)
        file.rename(tmp_path / f"part{k % 3}" / file.name)
    report = check(tmp_path)
    assert [row.slices for row in report.stacks] == [6] and report.findings == []


def test_loose_files_are_grouped_by_series_and_copies_by_folder(tmp_path):
    """Two series mixed in one folder under names that say nothing, and a copy of one of them elsewhere."""
    for j, (series, plane) in enumerate([("1.2", SAGITTAL), ("1.3", (1, 0, 0, 0, 1, 0))]):
        for k in range(3):
            position = (4.0 * k, 0, 0) if plane == SAGITTAL else (0, 0, 4.0 * k)
            save(tmp_path / "mixed" / f"IM{7 * k + j}", dataset(PIXELS[k], position, plane, number=k, series=series))
    write_series(tmp_path / "deep" / "er" / "copy", PIXELS, series="1.3")
    report = check(tmp_path)
    rows = [(row.folder, row.series_id, row.plane, row.slices, row.kind) for row in report.stacks]
    assert rows == [
        ("mixed", "1.2", "sagittal", 3, "unknown"),
        ("deep/er/copy", "1.3", "axial", 3, "unknown"),
        ("mixed", "1.3", "axial", 3, "unknown"),
    ]
    assert report.studies == ["1"]


def test_bad_files_are_findings_and_the_rest_goes_on(tmp_path):
    write_series(tmp_path / "good", PIXELS)
    files = write_series(tmp_path / "bad", PIXELS)
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-5])
    save(files[2], dataset(PIXELS[2], ImagePositionPatient=None))
    report = check(tmp_path)
    assert sorted(finding.code for finding in report.findings) == ["bad_pixels", "no_position", "unreadable_file"]
    assert all("bad/" in finding.message for finding in report.findings)
    assert [row.slices for row in report.stacks if row.folder == "good"] == [3]
    assert report.counts()["errors"] == 3 and "error bad_pixels (1)" in report.to_text()
    assert "bad_pixels" not in [finding.code for finding in check(tmp_path, pixels=False).findings]


def test_label_problems_are_among_the_findings(tmp_path):
    write_cohort(tmp_path, (1,), ())
    table = pd.read_csv(tmp_path / "train_label_coordinates.csv")
    table.loc[0, "x"] = 500.0
    table[table["level"] != "L5/S1"].to_csv(tmp_path / "train_label_coordinates.csv", index=False)
    assert {finding.code for finding in check(tmp_path).findings} == {"point_outside", "grade_without_point"}


def test_tables_without_images_are_a_result(tmp_path):
    write_tables(tmp_path, (1, 2))
    assert check(tmp_path).counts() | {"warnings": 0} == {
        **{"studies": 0, "studies_in_tables": 2, "series": 0, "stacks": 0, "files": 0, "errors": 0, "warnings": 0}
    }


def test_a_bad_table_stops_its_own_folder_alone(tmp_path):
    write_cohort(tmp_path / "a", (1,), ())
    write_cohort(tmp_path / "b", (2,), ())
    (tmp_path / "a" / "train.csv").unlink()
    report = check(tmp_path)
    assert [finding.code for finding in report.findings] == ["bad_table"]
    assert {row.study_id: row.kind == "unknown" for row in report.stacks} == {"1": True, "2": False}
    with pytest.raises(MissingTable, match=r"train\.csv"):
        check(tmp_path / "a")


def test_an_unknown_level_stops_the_check_of_its_folder(tmp_path):
    write_tables(tmp_path, (1,))
    table = tmp_path / "train_label_coordinates.csv"
    table.write_text(table.read_text().replace("L1/L2", "L0/L1", 1))
    with pytest.raises(BadValue, match="L0/L1"):
        check(tmp_path)


def test_empty_folders_are_named(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(EmptyFolder, match=str(folder)):
            check(folder)


def test_what_is_being_read_is_told_and_counted(cohort, monkeypatch, caplog):
    bars = []

    def tracked(**options):
        bars.append(tqdm(**options, file=io.StringIO()))
        return bars[0]

    monkeypatch.setattr(folder_report, "tracked", tracked)
    caplog.set_level("INFO", "spinekit")
    check(cohort, pixels=False)
    told = [record.getMessage() for record in caplog.records if "reading" in record.getMessage()]
    assert told == ["reading 1", "reading 3"] and (bars[0].n, bars[0].total) == (2, 2)


def test_kinds_are_recognised_by_pixels(cohort, tmp_path):
    """Where no table tells the kind, what is seen stands in its place; what contradicts is among the findings."""
    seen = {}

    def kinds_by_pixels(study_id, stacks):
        seen[study_id] = [stack.pixels is not None for stack in stacks]
        doubt = Finding(study_id, stacks[0].series_id, "", "warning", "kind_in_doubt", "a doubt")
        return {stack.series_id: "Sagittal T1" for stack in stacks}, [doubt]

    write_series(tmp_path / "scan", PIXELS)
    loose, listed = check(tmp_path, kinds_by_pixels=kinds_by_pixels), check(cohort, kinds_by_pixels=kinds_by_pixels)
    assert loose.stacks[0].kind_by_pixels == "Sagittal T1" and "looks like Sagittal T1" in loose.to_text()
    assert "looks like" not in listed.to_text() and {row.kind_by_pixels for row in listed.stacks} == {"Sagittal T1"}
    assert [finding.code for finding in loose.findings] == ["kind_in_doubt"]
    assert all(all(its) for its in seen.values())
    assert check(tmp_path).stacks[0].kind_by_pixels is None
