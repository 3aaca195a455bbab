"""A graded study made up by hand, for tests of what is written of one."""

from spinekit.anatomy import KINDS, TARGETS
from spinekit.exams.result import PHANTOMS, GradedExam, ImageReference, SeriesOfExam, TargetGrade, WeightsCard
from spinekit.io.stacks import Finding

CARD = WeightsCard(
    source="demo",
    sha256="ab" * 32,
    trained_on=PHANTOMS,
    studies=132,
    made_with=("0.1.0", "f04f7b8"),
    scores={"score_total": 0.435, "skill_total": 0.73},
    limits="Not for clinical use.",
    folds=(0,),
    recipe="profile demo, seed 0",
    scored_on="test half",
)


def graded_exam() -> GradedExam:
    """25 grades, three series, one finding."""
    grades = []
    for i, target in enumerate(TARGETS):
        image = ImageReference(f"1.2.{KINDS.index(target.kind)}", "1.2.840", f"1.2.9.{i}", None, "IM1", 100.5, 80.25)
        p = [(0.7, 0.2, 0.1), (0.2, 0.5, 0.3), (0.1, 0.2, 0.7)][i % 3]
        condition = target.condition.removeprefix(f"{target.side}_")
        names = (target.name, condition, target.level, target.side or "")
        grades.append(TargetGrade(*names, p, i % 3, 0.5, (1.0, 2.0, 3.0), 1.5, 0.97, image))
    series = tuple(
        SeriesOfExam(f"1.2.{i}", kind, kind, "both", 0.9, "axial" if "Axial" in kind else "sagittal", 15)
        for i, kind in enumerate(KINDS)
    )
    finding = Finding("1.2.3", "1.2.1", "IM7", "warning", "uneven_step", "a gap")
    return GradedExam("1.2.3", "P1", "20240102", "Lumbar spine", series, tuple(grades), (), (finding,), CARD)
