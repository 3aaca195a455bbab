"""Metadata of the notebooks: the rules of the official package are repeated here, and asked of it where it is there."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from spinekit.course.runs import BadParameter
from spinekit.course.steps import Step
from spinekit.kaggle import kernels
from spinekit.kaggle.links import checkout

# Pushes a folder through the package's own checks; what would be sent is printed instead.
PUSH = """
import sys
from contextlib import contextmanager
from kaggle.api.kaggle_api_extended import KaggleApi

class Sent(Exception):
    pass

@contextmanager
def client(self):
    yield self
    raise Sent

KaggleApi.build_kaggle_client = client
KaggleApi.kernels = property(lambda self: self)
KaggleApi.kernels_api_client = property(lambda self: self)
KaggleApi.save_kernel = lambda self, request: print("SENT", request.slug, request.enable_internet, flush=True)
try:
    KaggleApi().kernels_push(sys.argv[1])
except Sent:
    pass
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return kernels.write_kernels(checkout(), tmp_path_factory.mktemp("kernels"), "someone")


def test_there_is_a_folder_for_each_numbered_notebook(folders):
    steps = sorted(file.stem for file in (checkout() / "notebooks").glob("[0-9]*.ipynb"))
    assert [folder.name for folder in folders] == steps
    assert all({f.name for f in folder.iterdir()} == {f"{folder.name}.ipynb", kernels.METADATA} for folder in folders)


def test_metadata_meet_the_rules_of_the_kaggle_package(folders):
    """Of `kernels_push` in kaggle 2.2.5, and Kaggle's limit of 50 letters for a title."""
    for folder in folders:
        told = json.loads((folder / kernels.METADATA).read_text())
        owner, slug = told["id"].split("/")
        assert owner == "someone" and len(slug) >= 5 and 5 <= len(told["title"]) <= 50
        assert slug == re.sub(r"[^a-z0-9]+", "-", told["title"].lower()), "the id is what the title resolves to"
        assert (folder / told["code_file"]).is_file()
        assert told["language"] in ("python", "r", "rmarkdown") and told["kernel_type"] in ("script", "notebook")
        for source in (*told["dataset_sources"], *told["kernel_sources"]):
            assert re.fullmatch(r"[^/]+/[^/]{5,}", source)
        assert isinstance(told["is_private"], bool) and told["enable_internet"] is False


def test_each_gets_the_dataset_the_competition_and_what_it_reads(folders):
    told = {folder.name: json.loads((folder / kernels.METADATA).read_text()) for folder in folders}
    assert all(one["dataset_sources"] == ["someone/spinekit"] for one in told.values())
    assert all(one["competition_sources"] == [kernels.COMPETITION] for one in told.values())
    assert told[Step.START]["kernel_sources"] == []
    assert told[Step.SUBMISSION]["kernel_sources"] == [kernels.kernel_id(s, "someone") for s in kernels.CHAIN[:-1]]
    ids = {one["id"] for one in told.values()}
    assert all(source in ids for one in told.values() for source in one["kernel_sources"])


def test_notebooks_with_networks_get_a_gpu(folders):
    with_gpu = {f.name for f in folders if json.loads((f / kernels.METADATA).read_text())["enable_gpu"]}
    assert {Step.LOCALIZATION, Step.CROPS, Step.SEQUENCE, Step.SUBMISSION} <= with_gpu
    assert not {Step.START, Step.ANATOMY, Step.SLICE_MATCHING} & with_gpu


def test_copies_are_set_to_the_profile_of_a_real_training(folders, tmp_path):
    smoke = kernels.write_kernels(checkout(), tmp_path, "someone", "smoke")
    for profile, copies in (("full", folders), ("smoke", smoke)):
        for folder in copies:
            notebook = json.loads((folder / f"{folder.name}.ipynb").read_text())
            assert f'profile: str = "{profile}"' in kernels.parameters_cell(notebook)
    with pytest.raises(BadParameter, match="fool"):
        kernels.write_kernels(checkout(), tmp_path, "someone", "fool")


def test_no_link_of_a_fork_leads_nowhere(folders):
    for folder in folders:
        cells = json.loads((folder / f"{folder.name}.ipynb").read_text())["cells"]
        prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert not re.findall(r"\]\((?!https://|#)[^)]*\)", prose) and "OWNER" not in prose


@pytest.mark.skipif(importlib.util.find_spec("kaggle") is None, reason="the kaggle package is not installed")
def test_the_kaggle_package_accepts_them(folders, tmp_path):
    account = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "none", "KAGGLE_CONFIG_DIR": str(tmp_path)}
    for folder in (folders[0], folders[-1]):
        command = [sys.executable, "-c", PUSH, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | account, check=False)
        assert f"SENT someone/spinekit-{folder.name.replace('_', '-')} False" in done.stdout, done.stderr
        assert "does not resolve" not in done.stdout
