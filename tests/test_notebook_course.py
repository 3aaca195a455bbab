"""The notebooks as a course: a route, formulas and links where they belong, questions, solutions, figures to see."""

from __future__ import annotations

import base64
import io
import re
from functools import cache
from pathlib import Path

import pytest
from notebook_files import FILES, FOLDER, SOLUTIONS, Book, code_of
from PIL import Image

from spinekit.course import notebook_html, pictures
from spinekit.course.steps import Step
from spinekit.course.stored_outputs import keeps_figures
from spinekit.course.timing import expected_seconds, format_duration

NUMBERED = [file for file in FILES if file.stem[:1].isdigit()]
CORE = [file for file in NUMBERED if file.stem < "07"]  # what `make course` runs, and a visitor reads first
TRAINING = ("03", "04", "05", "07", "11", "12", "13", "14")  # notebooks with cells that take minutes
FORMULAS = {True: 4, False: 2}  # in a core notebook; in another
LINKS = {True: 7, False: 4}
QUESTION = r"\*\*Check yourself\.?\*\*"
LAUNCH = ("kaggle.com/kernels", "kaggle.com/code", "colab.research", "mybinder")  # they open the notebook elsewhere
GUIDES = sorted(FOLDER.glob("book/*.md"))


def name_of(file: Path) -> str:
    return file.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.fixture(params=NUMBERED, ids=name_of)
def book(request: pytest.FixtureRequest) -> Book:
    return Book(request.param)


def text_of(file: Path) -> str:
    """The prose of a notebook or a guide."""
    return file.read_text("utf-8") if file.suffix == ".md" else "\n\n".join(Book(file).prose)


def links_of(text: str) -> list[str]:
    """Where the links and images of Markdown lead, not those within code."""
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+(?:\([^)\s]*\))?)\)", without_code)


def formulas_of(text: str) -> list[str]:
    """The formulas of Markdown: displayed ones, then those within a line."""
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    displayed = re.findall(r"\$\$(.+?)\$\$", without_code, re.DOTALL)
    rest = re.sub(r"\$\$.+?\$\$", "", without_code, flags=re.DOTALL)
    return displayed + re.findall(r"(?<![\\$])\$(?!\s)([^$\n]+?)(?<!\s)\$(?!\d)", rest)


@cache
def anchors_of(file: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    contents = notebook_html.Contents()
    text = re.sub(r"```.*?```", "", text_of(file), flags=re.DOTALL)
    for level, heading in re.findall(r"^(#{1,6})\s+(.+?)\s*$", text, re.MULTILINE):
        contents.add(len(level), re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", heading))
    return {anchor for _, _, anchor in contents.headings}


# --- route ----------------------------------------------------------------------------------------


def test_says_what_to_know_first_and_the_time_of_each_profile(book: Book) -> None:
    opening = book.prose[0]
    assert re.search(r"\*\*You need\*\*: .+", opening)
    time = re.search(r"\*\*Time\*\*: (.+)", opening)
    assert time and all(f"`{profile}`" in time[1] for profile in ("smoke", "demo", "cpu"))


def test_leads_to_its_neighbours_the_map_and_the_glossary(book: Book) -> None:
    place = NUMBERED.index(book.file)
    line = next(line for line in reversed(book.prose[0].splitlines()) if "[Map](book/map.md)" in line)
    assert "[Glossary](book/glossary.md)" in line
    neighbours = {"Previous": place - 1, "Next": place + 1}
    for word, i in neighbours.items():
        found = re.search(rf"{word}: \[[^\]]+\]\(([^)]+)\)", line)
        assert (found[1] if found else "") == (NUMBERED[i].name if 0 <= i < len(NUMBERED) else ""), word


def test_says_the_time_before_a_long_cell(book: Book) -> None:
    if book.step[:2] in TRAINING:
        assert book.calls("run.expect")


# --- formulas and links ---------------------------------------------------------------------------


def test_has_formulas_and_links_to_what_is_behind_them(book: Book) -> None:
    text, is_core = text_of(book.file), book.file in CORE
    assert len(formulas_of(text)) >= FORMULAS[is_core]
    outside = {link for link in links_of(text) if link.startswith("http") and not any(name in link for name in LAUNCH)}
    assert len(outside) >= LINKS[is_core], sorted(outside)


@pytest.mark.parametrize("file", [*FILES, *SOLUTIONS, *GUIDES], ids=name_of)
def test_formulas_can_be_drawn(file: Path) -> None:
    for formula in formulas_of(text_of(file)):
        drawn = notebook_html.mathml(formula)
        assert "\\" not in drawn and "<mi>&</mi>" not in drawn, formula


@pytest.mark.parametrize("file", [*FILES, *SOLUTIONS, *GUIDES, FOLDER / "index.md"], ids=name_of)
def test_links_lead_somewhere(file: Path) -> None:
    for link in links_of(text_of(file)):
        if re.match(r"(https?|mailto):", link):
            continue
        name, _, anchor = link.partition("#")
        target = (file.parent / name).resolve() if name else file
        assert target.exists(), link
        if anchor and target.suffix in (".md", ".ipynb"):
            assert anchor in anchors_of(target), f"{link}: {target.name} has no such heading"


def test_words_are_linked_to_the_glossary(book: Book) -> None:
    assert len({link for link in links_of(text_of(book.file)) if link.startswith("book/glossary.md#")}) >= 3


def test_the_glossary_is_in_order_and_lists_each_word_by_subject() -> None:
    text = (FOLDER / "book" / "glossary.md").read_text("utf-8")
    index, entries = text.split("## All words")
    terms = re.findall(r"^### (.+)$", entries, re.MULTILINE)
    anchors = [notebook_html.slug(term) for term in terms]
    assert anchors == sorted(set(anchors)), "once each, in alphabetical order"
    assert sorted(re.findall(r"\]\(#([\w-]+)\)", index)) == anchors
    for term, about in re.findall(r"^### (.+)\n\n(.+)$", entries, re.MULTILINE):
        assert about[-1] in ".)" and len(about.split()) >= 6, term


# --- questions, exercises, solutions --------------------------------------------------------------


def test_asks_and_answers(book: Book) -> None:
    text = text_of(book.file)
    assert len(re.findall(QUESTION, text)) >= 2
    answer = r"<details><summary>Answer</summary>\n\n.+?\n\n</details>"
    assert len(re.findall(answer, text, re.DOTALL)) == len(re.findall(QUESTION, text)) == text.count("<details>")


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_each_exercise_has_a_solution(file: Path) -> None:
    exercises = Book(file).prose[-1].split("## Exercises")[1]
    numbers = re.findall(r"^(\d)\. ", exercises, re.MULTILINE)
    assert numbers in (["1", "2"], ["1", "2", "3"])
    assert f"[Solutions](solutions/{file.name})" in exercises
    solved = re.findall(r"^## (?:Exercise )?(\d)\b", text_of(FOLDER / "solutions" / file.name), re.MULTILINE)
    assert solved == numbers


def test_there_are_no_solutions_without_a_notebook() -> None:
    assert {file.name for file in SOLUTIONS} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", SOLUTIONS, ids=name_of)
def test_solutions_read_and_write_nothing(file: Path) -> None:
    solutions = Book(file)
    opening = solutions.prose[0]
    assert re.search("^# Solutions to ", opening, re.MULTILINE) and f"](../{file.name})" in opening
    (reading,) = solutions.calls("runs.reading")
    assert reading.args[0].value == file.stem and {word.arg for word in reading.keywords} >= {"profile", "seed"}
    assert not solutions.calls("runs.begin") and not solutions.calls("run.finish")


# --- figures that git keeps -----------------------------------------------------------------------


def test_figures_are_chosen_and_described(book: Book) -> None:
    chosen = [cell for cell in book.code if keeps_figures(cell)]
    assert len(chosen) <= 8 and (len(chosen) >= 3 or book.file not in CORE[1:])
    for cell in chosen:
        alt = cell["metadata"].get("alt", "")
        assert len(alt.split()) >= 5, f"{cell['id']}: one sentence that says what is to be seen"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_stored_figures_are_small_pictures_with_their_text(file: Path) -> None:
    for cell in filter(keeps_figures, Book(file).cells):
        for output in cell["outputs"]:
            assert output["output_type"] == "display_data" and set(output["data"]) == {"image/png", "text/plain"}
            assert "".join(output["data"]["text/plain"]) == cell["metadata"]["alt"]
            data = base64.b64decode("".join(output["data"]["image/png"]))
            assert len(data) <= pictures.MAX_BYTES, code_of(cell)
            assert Image.open(io.BytesIO(data)).width <= pictures.MAX_WIDTH_PX


@pytest.mark.parametrize("file", CORE, ids=name_of)
def test_a_visitor_sees_the_figures_of_the_core(file: Path) -> None:
    empty = [cell["id"] for cell in filter(keeps_figures, Book(file).cells) if not cell["outputs"]]
    assert not empty, "store them: `make figures` after `make course`"


@pytest.mark.parametrize("step", list(Step))
def test_the_map_tells_the_expected_times(step: Step) -> None:
    row = next(line for line in (FOLDER / "book/map.md").read_text("utf-8").splitlines() if f"/{step}.ipynb) |" in line)
    times = [format_duration(expected_seconds(profile)[step]) for profile in ("smoke", "demo", "cpu")]
    assert [cell.strip() for cell in row.split("|")[4:7]] == times
