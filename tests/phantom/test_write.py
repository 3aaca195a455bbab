"""A written cohort: layout, bytes, resuming, traps, labels against the truth."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pydicom
import pytest

from spinekit.anatomy import AXIAL_T2, FLIPPED_TARGET, KIND_OF_GROUP, SAGITTAL_T1, SEVERITIES, TARGETS, words_to_name
from spinekit.course.profiles import DEMO, SMOKE
from spinekit.geometry import transform
from spinekit.phantom import PhantomError, adapted, plan_cohort, render, truth, write, write_cohort
from spinekit.phantom.study import make_study, plan_scan, study_rows
from spinekit.phantom.tables import truth_tables
from spinekit.phantom.traps import TRAPS, UnknownTrap, draw, rates

TINY = replace(
    SMOKE.acquisition,
    name="tiny",
    sagittal_px=(40,),
    axial_px=(40,),
    sagittal_slices=(9, 9),
    axial_step_mm=(9.0, 10.0),
    block_slices=(3, 3),
    long_axial_slices=24,
)
NAMES = [t.name for t in TARGETS]


def tiny(out, studies=3, seed=5, workers=1, **options):
    plan = plan_cohort(studies, seed, TINY, **{"traps": False} | options)
    return write_cohort(out, plan, workers, progress=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Three studies without any trap, one of them in the test half."""
    return tiny(tmp_path_factory.mktemp("plain") / "cohort", test_fraction=0.34)


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def forced(name, studies=1, seed=5):
    """The rows of a cohort's records with one trap in every study; no image is written."""
    return write.study_orders(write.CohortPlan(studies, seed, TINY, rates({name: 1.0}), 0.0))


def test_same_seed_same_bytes_whatever_the_workers(tmp_path):
    one = digest(tiny(tmp_path / "one", studies=2, traps=True))
    two = digest(tiny(tmp_path / "two", studies=2, traps=True, workers=2))
    assert one == two
    other = digest(tiny(tmp_path / "other", studies=2, seed=6, traps=True))
    assert one["train.csv"] != other["train.csv"]


def test_layout_is_the_competitions(plain):
    assert {p.name for p in plain.iterdir()} == {
        "train.csv",
        "train_label_coordinates.csv",
        "train_series_descriptions.csv",
        "test_series_descriptions.csv",
        "sample_submission.csv",
        "train_images",
        "test_images",
        "truth",
    }
    train, points = pd.read_csv(plain / "train.csv"), pd.read_csv(plain / "train_label_coordinates.csv")
    assert list(train.columns) == ["study_id", *NAMES] and set(train[NAMES].to_numpy().ravel()) <= set(SEVERITIES)
    assert list(points.columns) == ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    assert set(points.condition) == {t.condition.replace("_", " ").title() for t in TARGETS}
    assert set(points.level) == {"L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"}
    for split, n in (("train", 2), ("test", 1)):
        series = pd.read_csv(plain / f"{split}_series_descriptions.csv")
        assert list(series.columns) == ["study_id", "series_id", "series_description"]
        folders = {(int(p.parent.name), int(p.name)) for p in plain.glob(f"{split}_images/*/*")}
        assert folders == set(zip(series.study_id, series.series_id, strict=True)) and series.study_id.nunique() == n
    for folder in plain.glob("*_images/*/*"):
        assert sorted(int(p.stem) for p in folder.iterdir()) == list(range(1, len(list(folder.iterdir())) + 1))


def test_sample_submission_has_25_rows_for_each_test_study(plain):
    sample = pd.read_csv(plain / "sample_submission.csv")
    tests = {p.name for p in (plain / "test_images").iterdir()}
    assert list(sample.columns) == ["row_id", "normal_mild", "moderate", "severe"]
    assert set(sample.row_id) == {f"{s}_{name}" for s in tests for name in NAMES} and len(sample) == 25 * len(tests)
    assert np.allclose(sample[["normal_mild", "moderate", "severe"]], 1 / 3)


def test_test_half_has_neither_grades_nor_points(plain):
    tests = {int(p.name) for p in (plain / "test_images").iterdir()}
    assert not tests & set(pd.read_csv(plain / "train.csv").study_id)
    assert not tests & set(pd.read_csv(plain / "train_label_coordinates.csv").study_id)
    assert tests <= set(truth.read(plain).grades.index)  # an evaluation can still score it


def test_labels_agree_with_the_truth(plain):
    true = truth.read(plain)
    train = pd.read_csv(plain / "train.csv").set_index("study_id")
    coded = train.apply(lambda column: column.map({word: i for i, word in enumerate(SEVERITIES)}))
    assert np.array_equal(coded.to_numpy(float), true.grades.loc[train.index].to_numpy(float))
    assert true.traps.empty and train.notna().all(axis=None)
    points = pd.read_csv(plain / "train_label_coordinates.csv")
    assert len(points) == 25 * len(train)
    kinds = pd.read_csv(plain / "train_series_descriptions.csv").set_index("series_id").series_description
    for row in points.itertuples():
        target = TARGETS[NAMES.index(f"{words_to_name(row.condition)}_{words_to_name(row.level)}")]
        assert kinds[row.series_id] == KIND_OF_GROUP[target.group]
        place = transform(true.shift(row.series_id), true.landmarks_xyz_mm(row.study_id)[NAMES.index(target.name)])
        slice_ = pydicom.dcmread(plain / "train_images" / f"{row.study_id}/{row.series_id}/{row.instance_number}.dcm")
        across, down = np.array(slice_.ImageOrientationPatient, float).reshape(2, 3)
        spacing = np.array(slice_.PixelSpacing, float)
        offset = place - np.array(slice_.ImagePositionPatient, float)
        measured = np.array([offset @ across / spacing[1], offset @ down / spacing[0]])
        assert np.abs((measured - (row.x, row.y)) * spacing[::-1]).max() < 6.5  # five standard deviations of the jitter
        assert abs(offset @ np.cross(across, down)) < 12  # within one slice or so of this coarse recipe


def test_points_of_a_left_target_lie_left(plain):
    points = pd.read_csv(plain / "train_label_coordinates.csv")
    sub = points[points.condition.str.contains("Subarticular")]
    x = sub.pivot_table(index=["study_id", "level"], columns="condition", values="x")
    assert (x["Left Subarticular Stenosis"] > x["Right Subarticular Stenosis"]).mean() > 0.95  # image left = right


def test_truth_is_apart(plain, tmp_path):
    from spinekit.io import cohort

    copy = shutil.copytree(plain, tmp_path / "copy")
    shutil.rmtree(copy / "truth")
    assert len(cohort.load(copy).grades) == 2
    with pytest.raises(truth.TruthError, match="missing"):
        truth.read(copy)


def test_truth_knows_who_has_transitional_anatomy(plain):
    orders = write.study_orders(write.CohortPlan(40, 5, TINY, {}, 0.0))
    scans = [plan_scan(order) for order in orders]
    table = truth_tables([study_rows(scan) for scan in scans], orders)["truth/patients"].set_index("study_id")
    for scan in scans:
        assert table.loc[scan.order.study_id, "transitional"] == scan.body.variant.transitional
    assert {"lumbarised", "sacralised", "none"} == set(table["transitional"])
    chosen = write.study_orders(write.CohortPlan(6, 5, adapted(TINY, transitional=1.0), {}, 0.0))
    assert all(plan_scan(order).body.variant.transitional != "none" for order in chosen)
    assert set(truth.read(plain).patients.columns) == {"study_id", "transitional", "male", "age"}


def test_motion_can_be_chosen():
    for far, turn in ((0.0, 0.0), (6.0, 4.0)):
        recipe = adapted(SMOKE.acquisition, max_shift_mm=far, max_shift_deg=turn)
        orders = write.study_orders(write.CohortPlan(4, 5, recipe, {}, 0.0))
        motions = np.array([plan.motion for order in orders for _, plan in plan_scan(order)])
        turned = np.rad2deg(np.arccos(np.clip((np.trace(motions[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1)))
        assert turned.max() <= turn + 1e-5 and (turned.max() > 0.3 * turn or not turn)
        if not far:
            assert np.allclose(motions, np.eye(4))
    assert adapted(DEMO.acquisition, max_shift_mm=None, causes=None) == DEMO.acquisition


def test_floor_needs_only_the_truth(plain):
    true = truth.read(plain)
    ids = list(true.grades.index)
    assert np.allclose(true.grade_probabilities(ids).sum(-1), 1, atol=1e-6)
    assert 0 < true.floor(ids).total < 2


def test_resumes_where_it_stopped_with_the_same_bytes(tmp_path, monkeypatch, blank):
    whole = digest(tiny(tmp_path / "whole"))
    made = []

    def fails_at_the_last(order, folder):
        if len(made) == 2:
            (folder / "half").mkdir(parents=True)  # what a killed run leaves
            raise KeyboardInterrupt
        made.append(order.study_id)
        return make_study(order, folder)

    monkeypatch.setattr(write, "make_study", fails_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()  # nothing half-written under its name
    monkeypatch.setattr(write, "make_study", lambda order, folder: made.append(1) or make_study(order, folder))
    assert digest(tiny(tmp_path / "cohort")) == whole and len(made) == 3
    assert not (tmp_path / "cohort.partial").exists()


def test_refuses_to_overwrite(plain, tmp_path):
    before = digest(plain)
    tiny(plain, test_fraction=0.34)  # the same cohort again: nothing to do
    with pytest.raises(PhantomError, match="another phantom cohort"):
        tiny(plain, seed=6, test_fraction=0.34)
    assert digest(plain) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(PhantomError, match="other files"):
        tiny(tmp_path / "mine")
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "order.json").write_text("{}")
    with pytest.raises(PhantomError, match="unfinished"):
        tiny(tmp_path / "new")


@pytest.mark.parametrize("wrong", [{"studies": 0}, {"test_fraction": 1.0}, {"traps": ["nonsense"]}])
def test_impossible_orders_have_a_named_error(wrong, tmp_path):
    with pytest.raises((PhantomError, UnknownTrap)):
        tiny(tmp_path / "x", **wrong)
    assert not list(tmp_path.iterdir())


def test_every_trap_can_be_switched_alone():
    for name in TRAPS:
        assert draw(np.random.default_rng(0), rates({name: 1.0})) == {name}
        assert not draw(np.random.default_rng(0), rates({name: 0.0}))
    assert rates(False) == {} and set(rates(True)) == set(TRAPS) and set(rates("level_order")) == {"level_order"}
    with pytest.raises(UnknownTrap, match="must lie"):
        rates({"level_order": 2.0})


def test_traps_come_at_their_rates():
    rng = np.random.default_rng(0)
    n = 4000
    drawn = [draw(rng, rates(True)) for _ in range(n)]
    for name, trap in TRAPS.items():
        error = np.sqrt(max(trap.rate * (1 - trap.rate), 1e-3) / n)
        assert abs(np.mean([name in traps for traps in drawn]) - trap.rate) < 5 * error, name


SCAN = [name for name, trap in TRAPS.items() if trap.stage == "scan"]


@pytest.fixture
def blank(monkeypatch):
    """Grey noise instead of anatomy, in a moment: for tests of headers and tables."""

    def noise(body, frame, acquisition, *, rng, **options):
        return rng.random((len(frame), *frame.shape_rc), dtype=np.float32)

    monkeypatch.setattr(render, "render_series", noise)


@pytest.fixture
def study(blank):
    """One study, made with any traps: its record, and the headers of its files by series."""

    def make(tmp_path, *names, split="train", seed=5):
        order = replace(forced("few_tags", seed=seed)[0], trap_rates=rates(dict.fromkeys(names, 1.0)), split=split)
        record = make_study(order, tmp_path / f"{split}-{'-'.join(names)}-{seed}")
        folder = tmp_path / f"{split}-{'-'.join(names)}-{seed}"
        headers = {
            int(s.name): [pydicom.dcmread(f) for f in sorted(s.iterdir(), key=lambda p: int(p.stem))]
            for s in folder.iterdir()
        }
        return record, headers

    return make


def of_kind(record, headers, kind):
    return [headers[series] for _, series, k in record["series"] if k == kind]


def test_scan_traps_show_in_the_files(study, tmp_path):
    record, headers = study(tmp_path, "axial_blocks")
    (axial,) = of_kind(record, headers, AXIAL_T2)
    assert len({tuple(h.ImageOrientationPatient) for h in axial}) == 5
    record, headers = study(tmp_path, "several_axial")
    assert len(of_kind(record, headers, AXIAL_T2)) >= 2
    record, headers = study(tmp_path, "duplicate_t1")
    assert len(of_kind(record, headers, SAGITTAL_T1)) == 2
    record, headers = study(tmp_path, "missing_kind")
    assert len({kind for _, _, kind in record["series"]}) == 2
    record, headers = study(tmp_path, "short_axial")
    assert len(of_kind(record, headers, AXIAL_T2)[0]) == 5
    record, headers = study(tmp_path, "long_axial")
    assert len(of_kind(record, headers, AXIAL_T2)[0]) == TINY.long_axial_slices
    record, headers = study(tmp_path, "mixed_sizes")
    assert max(len({(h.Rows, h.Columns) for h in series}) for series in headers.values()) == 2
    record, headers = study(tmp_path, "oblong_pixels")
    assert any(series[0].PixelSpacing[0] > series[0].PixelSpacing[1] for series in headers.values())
    record, headers = study(tmp_path, "repeated_slices")
    places = [[tuple(h.ImagePositionPatient) for h in series] for series in headers.values()]
    (twice,) = [positions for positions in places if len(set(positions)) < len(positions)]
    assert 1 <= len(twice) - len(set(twice)) <= 2 and len(set(twice[: len(set(twice))])) == len(set(twice))
    record, headers = study(tmp_path, "not_lumbar")
    discs = {row[1] for row in record["slices"] if row[4]}
    assert len(discs) == 1 and len(of_kind(record, headers, AXIAL_T2)) == 2
    record, headers = study(tmp_path, "uncovered_levels")
    lost = [i for i, grade in enumerate(record["grades"]) if grade < 0]
    assert lost and all(TARGETS[i].group == "subarticular" for i in lost) and len(lost) in (2, 4)
    assert not {p[3] for p in record["points"]} & set(lost)


@pytest.mark.parametrize(
    ("trap", "kind", "axis"), [("reversed_sagittal", SAGITTAL_T1, 0), ("reversed_axial", AXIAL_T2, 2)]
)
def test_instance_order_can_run_either_way(study, tmp_path, trap, kind, axis):
    ways = []
    for names in ((), (trap,)):
        record, headers = study(tmp_path, *names)
        places = [h.ImagePositionPatient[axis] for h in of_kind(record, headers, kind)[0]]
        ways.append(np.sign(np.diff(places)))
        assert len(set(ways[-1])) == 1
    assert ways[0][0] == -ways[1][0]


def test_header_traps_show_in_the_files(study, tmp_path):
    _, plain = study(tmp_path)
    every = [h for series in plain.values() for h in series]
    assert all(
        h.Modality == "MR" and "EchoTime" in h and not h.file_meta.TransferSyntaxUID.is_compressed for h in every
    )
    assert len({h.FrameOfReferenceUID for h in every}) == 1 and not any("RescaleSlope" in h for h in every)
    names = ("enhanced_meta", "few_tags", "no_thickness", "rescale_slope", "frames_of_reference", "slice_location")
    for split in ("train", "test"):
        record, headers = study(tmp_path, *names, split=split)
        every = [h for series in headers.values() for h in series]
        assert all(h.file_meta.MediaStorageSOPClassUID.name == "Enhanced MR Image Storage" for h in every)
        assert all(h.file_meta.TransferSyntaxUID.name == "RLE Lossless" and "Modality" not in h for h in every)
        assert len({h.FrameOfReferenceUID for h in every}) == len(headers) and all("RescaleSlope" in h for h in every)
        assert all(("SliceThickness" in h) == (split == "train") for h in every)
        (axial,) = of_kind(record, headers, AXIAL_T2)
        assert len(set(np.sign(np.diff([h.SliceLocation for h in axial])))) == 2


def test_compression_changes_no_pixel(study, tmp_path):
    _, plain = study(tmp_path)
    _, packed = study(tmp_path, "enhanced_meta")
    for series, headers in plain.items():
        for one, two in zip(headers, packed[series], strict=True):
            assert np.array_equal(one.pixel_array, two.pixel_array)
        assert headers[0].BitsStored == 12 and max(h.pixel_array.max() for h in headers) < 4096


def places(record):
    return {(p[3]): tuple(p[1:3]) + tuple(p[4:]) for p in record["points"]}


def test_table_traps_show_in_the_tables():
    scan = plan_scan(forced("few_tags")[0])

    def record(*names):
        return study_rows(replace(scan, traps=frozenset(names)))

    honest = record()
    assert len(honest["points"]) == 25 and min(honest["grades"]) >= 0

    swapped = record("swapped_axial_points")
    sub = [i for i, t in enumerate(TARGETS) if t.group == "subarticular"]
    assert (
        all(places(swapped)[i] == places(honest)[FLIPPED_TARGET[i]] for i in sub)
        and swapped["grades"] == honest["grades"]
    )
    sides = record("swapped_sides")
    moved = [i for i in range(25) if places(sides)[i] != places(honest)[i]]
    assert len(moved) == 10 and all(sides["grades"][i] == honest["grades"][FLIPPED_TARGET[i]] for i in moved)
    wrong = record("points_on_wrong_kind")
    kinds = {series: kind for _, series, kind in wrong["series"]}
    assert sum(kinds[p[1]] != TARGETS[p[3]].kind for p in wrong["points"]) in (5, 10)
    shifted = record("levels_off_by_one")
    assert len(shifted["points"]) == 20 and all(
        p[1:3] + p[4:] in [q[1:3] + q[4:] for q in honest["points"]] for p in shifted["points"]
    )
    crossed = record("level_order")
    assert sum(places(crossed)[i] != places(honest)[i] for i in range(25)) in (2, 4)
    idle = record("placeholder_points")
    assert sum(p[5] == 10.0 for p in idle["points"]) == 5
    assert record("no_coordinates")["points"] == [] and record("no_coordinates")["grades"] == honest["grades"]
    assert len(record("grade_without_point")["points"]) == 24
    lost = record("point_without_grade")
    assert len(lost["points"]) == 25 and lost["grades"].count(-1) == 1
    assert record("condition_without_grades")["grades"].count(-1) == 5
    for name in (n for n, t in TRAPS.items() if t.stage == "table"):  # the truth knows what the reader said
        assert record(name)["true_grades"] == honest["grades"]


def test_traps_of_a_cohort_are_listed(tmp_path, blank):
    out = tiny(tmp_path / "c", studies=2, traps={"oblong_pixels": 1.0, "level_order": 1.0}, test_fraction=0.5)
    true = truth.read(out)
    assert true.traps.trap.value_counts().to_dict() == {"oblong_pixels": 2, "level_order": 1}  # test half: no table
    assert set(true.traps.series_id.dropna()) <= set(true.slices.series_id)
    assert json.loads((out / "truth" / "phantom.json").read_text())["recipe"]["name"] == "tiny"
