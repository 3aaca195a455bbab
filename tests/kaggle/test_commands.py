"""`spinekit kaggle`: what it offers, and what it prints."""

import json

import pytest
from kaggle_wheels import Registry
from typer.testing import CliRunner

from spinekit.kaggle import links, packages
from spinekit.kaggle.commands import kaggle


def invoke(*words, **environment):
    return CliRunner(env=environment).invoke(kaggle, list(map(str, words)))


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    monkeypatch.setattr(packages.subprocess, "run", Registry())


def test_there_are_two_commands():
    assert [command.callback.__name__ for command in kaggle.registered_commands] == ["bundle", "badges"]
    assert all(name in invoke("--help").output for name in ("bundle", "badges"))


def test_bundle_prints_what_was_made(registry, tmp_path):
    done = invoke("bundle", tmp_path / "kaggle", "--owner", "someone", "--python", "3.12,3.13", "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.output)
    assert made["pythons"] == ["3.12", "3.13"] and "requirements.txt" in made["files"]
    told = invoke("bundle", tmp_path / "kaggle", "--python", "3.12", KAGGLE_USERNAME="else").output
    assert "wheels for Python 3.12" in told and "kernels push" in told
    assert '"else/spinekit"' in (tmp_path / "kaggle" / "dataset" / "dataset-metadata.json").read_text()


def test_bundle_needs_an_owner(registry, tmp_path):
    assert invoke("bundle", tmp_path / "kaggle").exit_code == 2


def test_badges_say_how_many_notebooks_changed(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text((links.checkout() / "pyproject.toml").read_text())
    (tmp_path / "notebooks" / "00_a.ipynb").write_text(
        json.dumps({"cells": [{"cell_type": "markdown", "source": ["# A"]}, {"cell_type": "code", "source": []}]})
    )
    monkeypatch.setenv("SPINEKIT_ROOT", str(tmp_path))
    address = "https://github.com/you/fork"
    assert f"{address}: 1 of 1 notebooks changed" in invoke("badges", "--repository", address).output
    assert "0 of 1" in invoke("badges").output
