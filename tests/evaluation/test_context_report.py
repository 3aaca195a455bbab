"""`spinekit evaluate context`: every table is in it, figures are those of the model, errors have a name."""

import json

import numpy as np
import pandas as pd
import pytest
from graded_studies import graded
from typer.testing import CliRunner

from spinekit.anatomy import SEVERITIES, TARGETS
from spinekit.evaluation import context, context_report, residuals
from spinekit.evaluation.commands import evaluations
from spinekit.evaluation.context import ContextError
from spinekit.phantom.acquisition import Causes
from spinekit.scoring.metric import submission_frame

STUDIES = 400


@pytest.fixture(scope="module")
def report():
    return context_report.report(STUDIES, 0, Causes())


def test_figures_are_those_of_the_model():
    table = context_report.figures(context.draw(20_000, 0, Causes())).set_index("figure")
    assert len(table) == 5 * (6 + 4) + 3
    away = (table.model - table.published).abs()
    assert away[away.index.str.startswith("share")].max() < 0.01
    assert away[away.index.str.startswith("Spearman")].max() < 0.03
    assert away["score of the prior"] < 0.02 and away["floor, against the earlier phantom's"] < 0.025


def test_residuals_of_the_model_are_as_real_ones():
    sample = context.draw(20_000, 0, Causes())
    table = residuals.correlations(residuals.of_chances(sample.labels, sample.chances))
    assert (table.correlation - pd.Series(residuals.REAL)).abs().max() < 0.04
    alone = context.draw(20_000, 0, Causes(reader_offset=False))
    independent = residuals.correlations(residuals.of_chances(alone.labels, alone.chances))
    assert independent.correlation.abs().max() < 0.025


def test_errors_go_together_more_than_the_grades_show():
    latent = context_report.latent_correlations(Causes())
    assert (latent[:6] > pd.Series(residuals.REAL)[:6] + 0.2).all() and latent[6:].max() < 0.2
    assert (context_report.latent_correlations(Causes(reader_offset=False)) == 0).all()


def test_a_report_holds_all_tables_and_goes_into_json(report):
    values = json.loads(json.dumps(report.to_json()))
    assert list(values["observers"]) == list(context.OBSERVERS)
    assert list(values["without"]) == [
        "without reader offset",
        "without partial visibility",
        "without patient factors",
    ]
    assert list(values["residual_correlations"]) == list(residuals.RELATIONS)
    assert values["floor"]["joint_optimum"] < values["floor"]["expected"]
    assert values["floor"]["expected"] == pytest.approx(values["floor"]["realised"], abs=0.06)


def test_the_command_prints_what_was_switched_off():
    printed = CliRunner().invoke(evaluations, ["context", "--studies", "60", "--no-reader-offset"])
    assert printed.exit_code == 0, printed.output
    assert "60 studies of the model, without reader offset" in printed.output
    assert "without partial visibility" in printed.output and "all 25 targets" in printed.output


def test_predictions_stand_beside_the_model(tmp_path):
    labels, p = graded(80)
    table = pd.DataFrame(np.array(SEVERITIES)[labels], columns=[t.name for t in TARGETS])
    table.insert(0, "study_id", range(100, 180))
    table.to_csv(tmp_path / "train.csv", index=False)
    submission_frame(range(100, 180), p).to_csv(tmp_path / "oof.csv", index=False)
    written = context_report.report(60, 0, Causes(), 0.84, tmp_path / "train.csv", [tmp_path / "oof.csv"])
    expected = residuals.correlations(residuals.of_predictions(labels, p))
    given = written.residual_correlations["given"]
    np.testing.assert_allclose(given, expected["correlation"], atol=1e-6)


def test_what_cannot_be_reported_has_a_name(tmp_path):
    with pytest.raises(ContextError, match="too few"):
        context_report.report(10, 0, Causes())
    with pytest.raises(ContextError, match="--labels and --predictions together"):
        context_report.report(60, 0, Causes(), labels_file=tmp_path / "train.csv")
    with pytest.raises(ContextError, match="no measurement error"):
        context_report.report(60, 0, Causes(), alone_skill=1.5)
