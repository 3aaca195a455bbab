"""Everything that decides a grader."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from spinekit.grading.augmentation import Augmentation, Jitter
from spinekit.grading.crops import CropRecipe
from spinekit.learning.training import TrainRecipe


@dataclass(frozen=True)
class GraderRecipe:
    """Everything that decides a grader of one profile."""

    crops: CropRecipe = field(default_factory=CropRecipe)
    sandwiches: CropRecipe = field(default_factory=lambda: CropRecipe(margin_px=4, slices=3, whole_slice=True))
    encoder: str = "resnet18"
    pretrained: str = ""  # ImageNet weights for the encoder: ``hub`` or a file (``encoders.pretrained_file``)
    width: int = 128  # of the transformer
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    levels: bool = True  # a second look, across the five levels
    ordinal: bool = False  # one severity and two cut points for a crop, in place of three logits
    metric_loss: bool = True  # the transformer learns by the metric itself; else by weighted cross-entropy
    auxiliary: float = 0.5  # weight of the single crops' loss beside the transformer's
    frozen: bool = False  # the transformer is trained on an encoder that stays as 04 left it
    augmentation: Augmentation = field(default_factory=Augmentation)
    jitter: Jitter = field(default_factory=Jitter)
    crop_training: TrainRecipe = field(default_factory=TrainRecipe)
    sandwich_training: TrainRecipe = field(default_factory=TrainRecipe)
    sequence_training: TrainRecipe = field(default_factory=TrainRecipe)


# The phantom's small images have pixels of 2 mm (sagittal) and 1.4 mm (axial).
_SMALL_CROPS = CropRecipe(size_px=40, margin_px=5, sagittal_mm=1.1, axial_mm=0.9)
_SMALL_SANDWICHES = CropRecipe(size_px=48, margin_px=4, slices=3, whole_slice=True)
RECIPES = {
    "smoke": GraderRecipe(
        crops=_SMALL_CROPS,
        sandwiches=_SMALL_SANDWICHES,
        encoder="test_resnet",
        width=32,
        layers=1,
        heads=2,
        crop_training=TrainRecipe(epochs=2, batch_size=32, learning_rate=2e-3),
        sandwich_training=TrainRecipe(epochs=1, batch_size=32, learning_rate=2e-3),
        sequence_training=TrainRecipe(epochs=2, batch_size=4, learning_rate=1e-3),
    ),
    "demo": GraderRecipe(
        crops=_SMALL_CROPS,
        sandwiches=_SMALL_SANDWICHES,
        frozen=True,
        crop_training=TrainRecipe(epochs=4, batch_size=32, learning_rate=1e-3, weight_decay=0.05),
        sandwich_training=TrainRecipe(epochs=2, batch_size=32, learning_rate=1e-3),
        sequence_training=TrainRecipe(epochs=8, batch_size=8, learning_rate=1e-3, weight_decay=0.05),
    ),
    "cpu": GraderRecipe(
        crops=replace(_SMALL_CROPS, slices=7),
        sandwiches=_SMALL_SANDWICHES,
        crop_training=TrainRecipe(epochs=6, batch_size=32, learning_rate=1e-3, weight_decay=0.05),
        sandwich_training=TrainRecipe(epochs=2, batch_size=32, learning_rate=1e-3),
        sequence_training=TrainRecipe(epochs=4, batch_size=8, learning_rate=3e-4, weight_decay=0.05),
    ),
    "full": GraderRecipe(
        crops=CropRecipe(size_px=128, margin_px=16, sagittal_mm=0.45, axial_mm=0.4, slices=7, window=5),
        sandwiches=CropRecipe(size_px=256, margin_px=8, slices=5, window=3, whole_slice=True),
        width=256,
        layers=4,
        heads=8,
        crop_training=TrainRecipe(epochs=10, batch_size=128, learning_rate=5e-4, weight_decay=0.05, workers=6),
        sandwich_training=TrainRecipe(epochs=6, batch_size=64, learning_rate=5e-4, weight_decay=0.05, workers=6),
        sequence_training=TrainRecipe(epochs=12, batch_size=8, learning_rate=1e-4, weight_decay=0.05, workers=6),
    ),
}
