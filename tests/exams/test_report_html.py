"""The HTML report: whole without a network, safe whatever a file says, patient's right and left in their places."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from graded_exams import HOSTILE, graded, read_phantom

from spinekit.exams.report_content import NOT_CLINICAL, content_of
from spinekit.exams.report_html import html_of, write_report
from spinekit.exams.result import PHANTOM_WARNING


@pytest.fixture(scope="module")
def example(truth_cohort):
    study, xyz = read_phantom(truth_cohort)
    return graded(study, xyz), study


@pytest.fixture(scope="module")
def page(example):
    return html_of(content_of(*example))


class Reader(HTMLParser):
    """Collects tags with their attributes, and checks that they close."""

    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page):
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader.tags


def test_the_page_is_sound_and_asks_no_server(page):
    tags = read(page)
    for tag, attributes in tags:
        assert tag not in ("script", "link", "iframe")
        for name in ("src", "href"):
            assert re.match(r"#|data:image/jpeg;base64,", attributes.get(name) or "#")
    assert "http" not in page and "@import" not in page and "url(" not in page


def test_links_lead_somewhere(page):
    tags = read(page)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert len(links) >= 25 and {link[1:] for link in links} <= set(ids)


def test_every_picture_has_words(page):
    pictures = [attributes for tag, attributes in read(page) if tag == "img"]
    assert len(pictures) >= 20 and all(len(attributes["alt"]) > 30 for attributes in pictures)


def test_warnings_stand_before_the_grades(page):
    assert page.index(PHANTOM_WARNING) < page.index(NOT_CLINICAL) < page.index('<table class="grades">')


def test_right_comes_before_left_in_every_row(page):
    for row in re.findall(r'<tr><th scope="row">.*?</tr>', page, re.DOTALL):
        targets = re.findall(r'href="#(\w+)"', row)
        assert [target.split("_")[0] for target in targets] == ["right", "right", "spinal", "left", "left"]


def test_what_files_say_is_shown_and_never_run(example):
    exam, study = example
    finding = replace(exam.findings[0], message=HOSTILE)
    series = (replace(exam.series[0], description=HOSTILE, note=HOSTILE),)
    weights = replace(exam.weights, source=HOSTILE, limits=HOSTILE)
    stacks = tuple(replace(stack, description=HOSTILE) for stack in study.stacks)
    texts = {"patient_id": HOSTILE, "study_date": HOSTILE, "description": HOSTILE, "study_uid": HOSTILE}
    hostile = replace(exam, findings=(finding,), series=series, weights=weights, **texts)
    page = html_of(content_of(hostile, replace(study, stacks=stacks)))
    assert "<script" not in page and page.count("&lt;script&gt;") >= 10
    read(page)


def test_a_study_without_grades_has_a_report(example, tmp_path):
    exam, study = example
    failed = replace(exam, grades=(), measurements=(), problem="no series of the lumbar spine")
    page = write_report(content_of(failed, study), tmp_path).read_text("utf-8")
    assert "could not be graded: no series of the lumbar spine" in page and '<table class="grades">' not in page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
