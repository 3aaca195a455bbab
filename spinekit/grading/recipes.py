"""Everything that decides a grader."""

from __future__ import annotations

from dataclasses import dataclass, field

from spinekit.grading.augmentation import Augmentation, Jitter
from spinekit.grading.crops import CropRecipe
from spinekit.learning.recipe import TrainRecipe


@dataclass(frozen=True)
class GraderRecipe:
    """Everything that decides a grader."""

    crops: CropRecipe = field(default_factory=CropRecipe)
    sandwiches: CropRecipe = field(default_factory=lambda: CropRecipe(margin_px=4, slices=3, whole_slice=True))
    encoder: str = "resnet18"
    pretrained: str = ""  # ImageNet weights for the encoder: ``hub`` or a file (``encoders.pretrained_file``)
    width: int = 128  # of the transformer
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    levels: bool = True  # attention across the five levels
    ordinal: bool = False  # one severity and two thresholds for a crop, in place of three logits
    metric_loss: bool = True  # the transformer is trained on the metric itself; else on weighted cross-entropy
    auxiliary: float = 0.5  # weight of the single crops' loss beside the transformer's
    frozen: bool = False  # the transformer is trained on an encoder that stays as 04 left it
    augmentation: Augmentation = field(default_factory=Augmentation)
    jitter: Jitter = field(default_factory=Jitter)
    crop_training: TrainRecipe = field(default_factory=TrainRecipe)  # of crops and sandwiches: the same budget
    sequence_training: TrainRecipe = field(default_factory=TrainRecipe)
