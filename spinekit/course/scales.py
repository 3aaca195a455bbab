"""What an experiment may cost: the sizes that a profile sets for each of the notebooks 07 and 11 to 14."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spinekit.grading.generator_network import GeneratorRecipe
from spinekit.learning.training import TrainRecipe
from spinekit.localization.resampling import Grid
from spinekit.localization.unet3d import Network3d


@dataclass(frozen=True)
class AblationScale:
    """Notebook 07: ``epochs_share`` of the grader's epochs in each training, ``seeds`` of each model."""

    epochs_share: float
    seeds: int


@dataclass(frozen=True)
class Unet3dScale:
    """Notebook 11: the 3D network, the sagittal ``grid`` of both networks, and the ``slices`` shown to each in training
    (0: as many as the localizer's recipe says)."""

    network: Network3d
    grid: Grid
    slices: int


@dataclass(frozen=True)
class SyntheticScale:
    """Notebook 12: the numbers of ``studies`` on the curve, ``seeds`` of each point, ``steps`` of each training with
    ``encoder``, ``generated`` crops of each generator and its ``generator_steps``, phantoms of the ``source``."""

    studies: tuple[int, ...]
    seeds: int
    steps: int
    generated: int
    generator_steps: int
    source: int
    encoder: str = "test_resnet"
    training: TrainRecipe = field(
        default_factory=lambda: TrainRecipe(batch_size=32, learning_rate=2e-3, weight_decay=0.05)
    )
    generator: GeneratorRecipe = field(default_factory=GeneratorRecipe)


@dataclass(frozen=True)
class TuningScale:
    """Notebook 13: ``studies`` to train on, ``epochs`` of a whole trial, the ``grid`` (what it leaves out keeps the
    default), ``seeds`` of the closing comparison, ``encoder``. The budget of every search is what the grid costs."""

    studies: int
    epochs: int
    grid: Mapping[str, tuple[float | int, ...]]
    seeds: int
    encoder: str = "test_resnet"

    @property
    def budget(self) -> int:
        """Epochs that a search may spend."""
        return self.epochs * int(np.prod([len(values) for values in self.grid.values()]))


@dataclass(frozen=True)
class TransferPlan:
    """Notebook 14: encoders of timm; numbers of labelled studies, the encoder and the epochs without grades of the warm
    start; epochs over all labelled studies; seeds."""

    encoders: tuple[str, ...]
    labelled: tuple[int, ...]
    warm_encoder: str
    warm_epochs: int
    epochs: int
    seeds: int
