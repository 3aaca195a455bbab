"""What each profile is, from the phantom's images to the sizes of the experiments: each is one constant below.

``SMOKE`` is what the tests run, ``DEMO`` the course on a laptop, ``CPU`` the same with more studies, ``FULL`` for a GPU
and a cohort as large as the competition's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spinekit.course.runs import check_profile
from spinekit.course.scales import AblationScale, SyntheticScale, TransferPlan, TuningScale, Unet3dScale
from spinekit.course.steps import Step
from spinekit.course.timing import expected_seconds
from spinekit.grading.crops import CropRecipe
from spinekit.grading.generator_network import GeneratorRecipe
from spinekit.grading.recipes import GraderRecipe
from spinekit.learning.training import TrainRecipe
from spinekit.localization.localizer import LocalizerRecipe
from spinekit.localization.resampling import Grid
from spinekit.localization.unet3d import Network3d
from spinekit.phantom.acquisition import Recipe


@dataclass(frozen=True)
class Profile:
    """A size of the whole course.

    ``studies`` and ``seed`` of its phantom cohort (cohorts of one seed begin with the same patients), scanned by
    ``acquisition``; the recipes of the models of notebooks 03 to 05; the size of each experiment; ``expected_seconds``
    of each step, from ``course.timing``.
    """

    name: str
    studies: int
    seed: int
    acquisition: Recipe
    localizer: LocalizerRecipe
    grader: GraderRecipe
    ablation: AblationScale
    unet3d: Unet3dScale
    synthetic: SyntheticScale
    tuning: TuningScale
    transfer: TransferPlan
    expected_seconds: Mapping[Step, float]


# Shared by the three small profiles: images with pixels of 2 mm (sagittal) and 1.4 mm (axial), and crops to fit.
_SMALL_IMAGES = Recipe(
    name="smoke",
    sagittal_px=(128,),
    axial_px=(128,),
    sagittal_slices=(13, 17),
    axial_step_mm=(5.6, 6.6),
    block_slices=(4, 5),
    long_axial_slices=64,
)
_SMALL_CROPS = CropRecipe(size_px=40, margin_px=5, sagittal_mm=1.1, axial_mm=0.9)
_SMALL_SANDWICHES = CropRecipe(size_px=48, margin_px=4, slices=3, whole_slice=True)
_COARSE_GRID = Grid(2.5, (112, 80))  # where no GPU is to be expected, a 3D network is too slow for a finer one

SMOKE = Profile(
    name="smoke",
    studies=24,
    seed=0,
    acquisition=_SMALL_IMAGES,
    localizer=LocalizerRecipe(
        sagittal=Grid(2.5, (112, 80)),
        axial=Grid(1.6, (80, 80)),
        train=TrainRecipe(batch_size=8, learning_rate=2e-3, ema_decay=0.9),
        slices=400,
    ),
    grader=GraderRecipe(
        crops=_SMALL_CROPS,
        sandwiches=_SMALL_SANDWICHES,
        encoder="test_resnet",
        width=32,
        layers=1,
        heads=2,
        crop_training=TrainRecipe(epochs=2, batch_size=32, learning_rate=2e-3),
        sequence_training=TrainRecipe(epochs=2, batch_size=4, learning_rate=1e-3),
    ),
    ablation=AblationScale(epochs_share=1.0, seeds=1),
    unet3d=Unet3dScale(Network3d(), _COARSE_GRID, slices=64),
    synthetic=SyntheticScale((4, 8), seeds=1, steps=20, generated=64, generator_steps=100, source=6),
    tuning=TuningScale(8, 2, {"learning_rate": (1e-3, 4e-3), "distortion": (0.5, 1.5)}, seeds=1),
    transfer=TransferPlan(("test_resnet", "test_convnext"), (6,), "test_resnet", warm_epochs=1, epochs=2, seeds=1),
    expected_seconds=expected_seconds("smoke"),
)

DEMO = Profile(
    name="demo",
    studies=220,
    seed=0,
    acquisition=replace(_SMALL_IMAGES, name="demo"),
    localizer=LocalizerRecipe(
        sagittal=Grid(2.0, (144, 96)),
        axial=Grid(1.25, (96, 96)),
        train=TrainRecipe(batch_size=8, learning_rate=2e-3, ema_decay=0.99),
        slices=3000,
    ),
    grader=GraderRecipe(
        crops=_SMALL_CROPS,
        sandwiches=_SMALL_SANDWICHES,
        frozen=True,
        crop_training=TrainRecipe(epochs=4, batch_size=32, learning_rate=1e-3, weight_decay=0.05),
        sequence_training=TrainRecipe(epochs=8, batch_size=8, learning_rate=1e-3, weight_decay=0.05),
    ),
    ablation=AblationScale(epochs_share=1.0, seeds=3),
    unet3d=Unet3dScale(Network3d(), _COARSE_GRID, slices=2000),
    synthetic=SyntheticScale((15, 30, 60, 120), seeds=3, steps=400, generated=1000, generator_steps=3000, source=100),
    tuning=TuningScale(
        studies=60,
        epochs=3,
        grid={"learning_rate": (5e-4, 2e-3, 8e-3), "distortion": (0.5, 1.5), "imputed": (0.0, 0.3)},
        seeds=2,
    ),
    transfer=TransferPlan(
        encoders=("resnet18", "resnet10t", "convnext_atto", "mobilenetv2_050", "test_resnet"),
        labelled=(30, 90),
        warm_encoder="test_resnet",
        warm_epochs=1,
        epochs=2,
        seeds=3,
    ),
    expected_seconds=expected_seconds("demo"),
)

CPU = Profile(
    name="cpu",
    studies=1200,
    seed=1,
    acquisition=replace(_SMALL_IMAGES, name="cpu"),
    localizer=LocalizerRecipe(
        sagittal=Grid(2.0, (144, 96)),
        axial=Grid(1.25, (96, 96)),
        train=TrainRecipe(batch_size=8, learning_rate=2e-3, ema_decay=0.99),
        slices=6000,
    ),
    grader=GraderRecipe(
        crops=replace(_SMALL_CROPS, slices=7),
        sandwiches=_SMALL_SANDWICHES,
        crop_training=TrainRecipe(epochs=6, batch_size=32, learning_rate=1e-3, weight_decay=0.05),
        sequence_training=TrainRecipe(epochs=4, batch_size=8, learning_rate=3e-4, weight_decay=0.05),
    ),
    ablation=AblationScale(epochs_share=0.5, seeds=3),
    unet3d=Unet3dScale(Network3d(), _COARSE_GRID, slices=12000),
    synthetic=SyntheticScale(
        (15, 30, 60, 120, 240), seeds=3, steps=400, generated=1000, generator_steps=3000, source=100
    ),
    tuning=TuningScale(
        studies=80,
        epochs=4,
        grid={"learning_rate": (5e-4, 2e-3, 8e-3), "distortion": (0.5, 1.5), "imputed": (0.0, 0.3)},
        seeds=3,
    ),
    transfer=TransferPlan(
        encoders=("resnet18", "resnet10t", "convnext_atto", "mobilenetv2_050", "test_resnet"),
        labelled=(30, 90, 360),
        warm_encoder="test_resnet",
        warm_epochs=1,
        epochs=2,
        seeds=3,
    ),
    expected_seconds=expected_seconds("cpu"),
)

FULL = Profile(
    name="full",
    studies=1975,  # as many as the competition's training half
    seed=2,
    acquisition=Recipe(
        name="full",
        sagittal_px=(320, 384, 448, 512, 512),
        axial_px=(320, 384, 512, 512, 640),
        sagittal_slices=(13, 21),
        axial_fov_mm=(150.0, 240.0),
    ),
    localizer=LocalizerRecipe(
        sagittal=Grid(0.75, (384, 288)),
        axial=Grid(0.5, (320, 320)),
        train=TrainRecipe(epochs=15, batch_size=32, learning_rate=5e-4, ema_decay=0.998, workers=4),
        decoder_channels=(256, 128, 64, 32, 16),
    ),
    grader=GraderRecipe(
        # Pixels hardly finer than those of the images: crops and sandwiches of a fold are to fit on 20 GB of disk.
        crops=CropRecipe(size_px=112, margin_px=9, sagittal_mm=0.5, axial_mm=0.45, slices=7, window=5),
        sandwiches=CropRecipe(size_px=128, margin_px=6, slices=3, whole_slice=True),
        width=256,
        layers=4,
        heads=8,
        crop_training=TrainRecipe(epochs=10, batch_size=128, learning_rate=5e-4, weight_decay=0.05, workers=6),
        sequence_training=TrainRecipe(epochs=12, batch_size=8, learning_rate=1e-4, weight_decay=0.05, workers=6),
    ),
    ablation=AblationScale(epochs_share=0.5, seeds=3),
    unet3d=Unet3dScale(Network3d((32, 64, 128, 256, 320), 16), Grid(0.75, (384, 288)), slices=0),
    synthetic=SyntheticScale(
        studies=(15, 30, 60, 120, 240, 480, 960),
        seeds=3,
        steps=4000,
        generated=20000,
        generator_steps=20000,
        source=1000,
        encoder="resnet18",
        training=TrainRecipe(batch_size=128, learning_rate=5e-4, weight_decay=0.05, workers=6),
        generator=GeneratorRecipe(64, 128, 1024, 6, 50, training=TrainRecipe(batch_size=256, learning_rate=5e-4)),
    ),
    tuning=TuningScale(
        studies=1000,
        epochs=6,
        grid={
            "learning_rate": (5e-4, 2e-3, 8e-3),
            "distortion": (0.5, 1.5),
            "imputed": (0.0, 0.3),
            "weight_decay": (0.01, 0.1),
        },
        seeds=3,
        encoder="resnet18",
    ),
    transfer=TransferPlan(
        encoders=("resnet18", "resnet34", "resnet50", "convnext_atto", "tf_efficientnet_lite0"),
        labelled=(90, 360, 1000),
        warm_encoder="resnet18",
        warm_epochs=10,
        epochs=10,
        seeds=3,
    ),
    expected_seconds=expected_seconds("full"),
)

PROFILES = (SMOKE, DEMO, CPU, FULL)


def profile_of(name: str) -> Profile:
    """The profile of this name.

    Raises: `BadParameter` when there is none.
    """
    check_profile(name)
    return next(profile for profile in PROFILES if profile.name == name)
