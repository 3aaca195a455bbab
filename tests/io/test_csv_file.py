"""CSV files as people, spreadsheets and other programs write them: read whole, or refused with what is wrong."""

import io
import zipfile

import pytest
from special_files import at_most, special_files

from spinekit.io import csv_file, limits
from spinekit.io.csv_file import BadValue, MissingColumn, MissingTable, whole_number

PLAIN = "a,b,c\n1,x,\n2,y z,nan\n"
CELLS = [["1", "x", None], ["2", "y z", None]]


def write(tmp_path, content):
    file = tmp_path / "table.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def zipped():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("table.csv", PLAIN)
    return archive.getvalue()


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (PLAIN, [2, 3]),
        ("\ufeff" + PLAIN, [2, 3]),
        (PLAIN.replace("\n", "\r\n"), [2, 3]),
        (PLAIN.replace("\n", "\r"), [2, 3]),
        (PLAIN.rstrip("\n"), [2, 3]),
        ("\n" + PLAIN.replace("\n", "\n\n") + "\n\n", [4, 6]),
        (PLAIN + ",,\n , ,\n", [2, 3]),
        ("a,b,c\n1,x,,\n2,y z,,\n", [2, 3]),
        (" a , b,c \n 1, x ,\n2 ,y z,NA\n", [2, 3]),
        ('"a","b","c"\n"1","x",""\n"2","y z",\n', [2, 3]),
        ('d,c,b,a\n"two\nlines",,x,1\n,,y z,2\n', [2, 4]),
    ],
)
def test_the_same_cells_and_their_lines_however_it_is_written(tmp_path, content, lines):
    table = csv_file.read(write(tmp_path, content), ["a", "b", "c"])
    assert table.to_numpy().tolist() == CELLS and table.index.tolist() == lines


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b"", BadValue, "it is empty"),
        ("\n \n", BadValue, "it is empty"),
        (PLAIN.replace(",", ";"), MissingColumn, "separated by semicolons. Save it with commas"),
        (PLAIN.replace(",", "\t"), MissingColumn, "separated by tabs"),
        ("1,x,\n2,y z,\n", MissingColumn, "no column a, b, c. There are: 1, x"),
        ("a,b,b,c\n1,x,y,\n", BadValue, "column b is there 2 times"),
        ("a,b,c\n1,x,z\n2,y", BadValue, "line 3: 2 cells under 3 columns"),
        ("a,b,c\n1,x,z,more\n", BadValue, "line 2: 4 cells under 3 columns"),
        ('a,b,c\n1,x,z\n2,"y,z\n', BadValue, "line 3: not a readable table"),
        (zipped(), BadValue, "a zip archive or a spreadsheet: unpack it"),
        (b"\x1f\x8b\x08", BadValue, "a gzip archive: unpack it"),
        (PLAIN.encode("utf-16"), BadValue, "UTF-16: save it as CSV in UTF-8"),
        (PLAIN.replace("y z", "ä").encode("latin-1"), BadValue, "Save it as CSV in UTF-8"),
        (b"a,b,c\n\x00\x00", BadValue, "binary data"),
    ],
)
def test_what_is_no_such_table_is_named_with_what_to_do(tmp_path, content, error, told):
    file = write(tmp_path, content)
    with pytest.raises(error) as raised:
        csv_file.read(file, ["a", "b", "c"])
    assert str(raised.value).startswith(str(file)) and told in str(raised.value)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    with pytest.raises(MissingTable, match=r"no\.csv: no such table.*a, b are its columns"):
        csv_file.read(tmp_path / "no.csv", ["a", "b"])
    with pytest.raises(MissingTable, match="is a folder"):
        csv_file.read(tmp_path, ["a"])


def test_a_table_without_rows_has_its_columns(tmp_path):
    table = csv_file.read(write(tmp_path, "a,b,c\n"), ["c", "a"])
    assert table.empty and list(table) == ["c", "a"]


@pytest.mark.parametrize("text", ["4003253", "4003253.0", "4003253.", " 4003253.000 ", "+4003253", "004003253"])
def test_an_id_is_the_same_number_however_it_is_written(text):
    assert whole_number(text) == 4003253


def test_long_ids_keep_every_digit():
    assert whole_number("123456789012345678.0") == 123456789012345678


@pytest.mark.parametrize("text", ["", "two", "4003253.5", "-4003253", "4e6", "nan", "1.2.840", "9" * 19, "4 003 253"])
def test_what_is_no_id_is_none(text):
    assert whole_number(text) is None


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path):
    for what, path in special_files(tmp_path, ".csv").items():
        with at_most(20), pytest.raises(BadValue, match=f"{path}: not a readable table but {what}"):
            csv_file.read(path, ["a"])


def test_a_table_beyond_the_limit_is_refused(tmp_path):
    file = tmp_path / "table.csv"
    with file.open("wb") as stream:
        stream.truncate(limits.MAX_TABLE_BYTES + 1)
    with pytest.raises(BadValue, match="table.csv: a table of 268,435,457 bytes, and 268,435,456 are allowed"):
        csv_file.read(file, ["a"])


@pytest.mark.parametrize("text", ["1e30", "1e3", "-1", "1.5", "\u0661", "1_000", "9" * 19, "0x10", "", "nan", "inf"])
def test_an_id_is_a_number_in_digits(text):
    assert whole_number(text) is None
