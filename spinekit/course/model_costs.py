"""FLOP and memory of a profile's models: the real models and losses on a small batch, without computing anything.

On torch's device ``meta`` tensors have a shape and no values, so that a batch takes no time and no memory. FLOP are
those of convolutions, products of matrices and attention, two for each multiplication with its addition, as torch's own
``FlopCounterMode`` counts; all else takes little time beside them. Memory is the highest total of tensors that live at
one time, as their storages come and go.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from spinekit.anatomy import KINDS
from spinekit.course.profiles import Profile
from spinekit.grading.augmentation import centre_views
from spinekit.grading.datasets import crop_loss
from spinekit.grading.models import SequenceGrader, build_classifier
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.tokens import N_GRADES, N_TOKENS
from spinekit.learning.encoders import heatmap_unet
from spinekit.localization.heatmaps import CHANNELS, HeatmapLoss
from spinekit.localization.localizer import LocalizerRecipe

META = torch.device("meta")
BATCHES = (32, 64)  # what grows from one to the other is that of the items; the rest belongs to the weights
# Beside the activations: weights, gradients, two moments of AdamW and the averaged weights, of four bytes each, and the
# copies of half precision.
BYTES_PER_PARAMETER = 4 * 5 + 2


@dataclass(frozen=True)
class ModelCost:
    """Of a model: ``parameters``; for each item (slice, crop or study) FLOP of a step of training and of a forward
    pass, and bytes of tensors in a step of training (half precision, as on a GPU) and in a forward pass."""

    parameters: int
    train_flop: float
    forward_flop: float
    train_bytes: float
    forward_bytes: float

    def step_bytes(self, batch: int) -> float:
        """Bytes of a training step on a batch, the model and its optimizer included."""
        return BYTES_PER_PARAMETER * self.parameters + batch * self.train_bytes


@dataclass(frozen=True)
class ProfileCosts:
    """Of a profile's models: each localizer by the kind of its series, for a slice; the classifiers of crops and of
    sandwiches, for a crop; the transformer with the encoder of its crops, for a study of so many crops."""

    localizers: Mapping[str, ModelCost]
    crops: ModelCost
    sandwiches: ModelCost
    attention: ModelCost
    frozen: bool

    def sequence(self, crops: float) -> ModelCost:
        """The whole transformer model, for a study of so many crops."""
        encoder, attention = self.crops, self.attention
        names = ("train_flop", "forward_flop", "train_bytes", "forward_bytes")
        own = {name: getattr(encoder, name.replace("train", "forward") if self.frozen else name) for name in names}
        costs = {name: crops * own[name] + getattr(attention, name) for name in names}
        return ModelCost(encoder.parameters + attention.parameters, **costs)


def costs_of(profile: Profile) -> ProfileCosts:
    """What the models of a profile cost."""
    recipe = profile.grader
    return ProfileCosts(
        localizers={kind: localizer_cost(profile.localizer, kind) for kind in KINDS},
        crops=classifier_cost(recipe),
        sandwiches=classifier_cost(recipe, sandwiches=True),
        attention=attention_cost(recipe),
        frozen=recipe.frozen,
    )


def localizer_cost(recipe: LocalizerRecipe, kind: str) -> ModelCost:
    """The heat-map UNet of a kind of series, for a slice."""
    grid, channels = recipe.grids()[kind], CHANNELS[kind]
    model = heatmap_unet(recipe.encoder, channels, recipe.decoder_channels)
    loss = HeatmapLoss(grid.mm_per_px, recipe.blur, recipe.augmentation)

    def batch(n: int) -> list[Tensor]:
        targets = (torch.zeros(n, channels, *shape, device=META) for shape in ((2,), (), ()))
        return [torch.zeros(n, 3, *grid.shape_rc, dtype=torch.uint8, device=META), *targets]

    return _cost(model, lambda model, n: loss(model, batch(n)), lambda model, n: model(batch(n)[0].half()), True)


def classifier_cost(recipe: GraderRecipe, sandwiches: bool = False) -> ModelCost:
    """The classifier of crops, or of sandwiches, for a crop."""
    crops = recipe.sandwiches if sandwiches else recipe.crops
    loss = crop_loss(crops, recipe)

    def batch(n: int) -> list[Tensor]:
        pixels = torch.zeros(n, crops.slices, crops.cached_px, crops.cached_px, dtype=torch.uint8, device=META)
        return [pixels, torch.zeros(n, dtype=torch.long, device=META), torch.zeros(n, N_GRADES, device=META)]

    def forward(model: nn.Module, n: int) -> Tensor:
        pixels, token, _ = batch(n)
        return model(centre_views(pixels, crops), token)

    return _cost(build_classifier(recipe, sandwiches), lambda model, n: loss(model, batch(n)), forward)


def attention_cost(recipe: GraderRecipe) -> ModelCost:
    """The transformer for a study, without the encoder of its crops."""
    classifier = build_classifier(recipe)
    model = SequenceGrader(classifier, recipe)

    def attend(model: Any, n: int) -> Tensor:
        shape, dtype = (n, N_TOKENS), next(model.parameters()).dtype
        features = torch.zeros(*shape, classifier.features, dtype=dtype, device=META, requires_grad=True)
        present = torch.ones(shape, dtype=torch.bool, device=META)
        alone, positions = (torch.zeros(*shape, 3, dtype=dtype, device=META) for _ in range(2))
        return model.attend(features, alone, present, positions)

    cost = _cost(model, lambda model, n: attend(model, n).float().sum(), attend)
    return replace(cost, parameters=cost.parameters - sum(p.numel() for p in classifier.parameters()))


def _cost(
    model: nn.Module,
    loss: Callable[[Any, int], Tensor],
    forward: Callable[[Any, int], Tensor],
    predicts_in_half: bool = False,
) -> ModelCost:
    """The costs for an item, of a loss and a forward pass on batches of so many. Graders predict in 32 bits."""
    model = model.to(META, torch.float16)

    def step(n: int) -> None:
        model.zero_grad(set_to_none=True)
        loss(_InHalf(model), n).backward()

    trained = _growth(step)
    with torch.no_grad():  # in training mode: else torch fuses the transformer's layers, and counts nothing
        model = model.to(torch.float16 if predicts_in_half else torch.float32)
        passed = _growth(lambda n: forward(model, n))
    return ModelCost(sum(p.numel() for p in model.parameters()), trained[0], passed[0], trained[1], passed[1])


def _growth(work: Callable[[int], Any]) -> tuple[float, float]:
    """FLOP and highest bytes by which the work grows with each item of a batch."""
    totals = []
    for n in BATCHES:
        with FlopCounterMode(display=False) as flop, LiveBytes() as live:
            work(n)
        totals.append((flop.get_total_flops(), live.highest))
    (flop_few, bytes_few), (flop_many, bytes_many) = totals
    more = BATCHES[1] - BATCHES[0]
    return (flop_many - flop_few) / more, (bytes_many - bytes_few) / more


class _InHalf:
    """A model that is given its inputs in half precision, as autocast would do."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.model(*(x.half() if x.is_floating_point() else x for x in inputs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made within it and live at one time; ``highest`` is their highest total.
    Views share the storage of another tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.highest, self._now = 0, 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # of C++: several Python objects may stand for one storage
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self._now += storage.nbytes()
            self.highest = max(self.highest, self._now)
            weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self._now -= self._sizes.pop(key)
