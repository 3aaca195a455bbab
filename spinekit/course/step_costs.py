"""What the steps of a run cost for a cohort of a given size: FLOP, memory, disk and decoded files, step by step.

Computed from the profile's recipes, from the costs of its models (``model_costs``) and from what its studies hold
(``study_counts``). Left out are what is drawn for single studies (figures, saliency maps) and what takes no products of
matrices: reading, resampling, cutting, finding peaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spinekit.anatomy import AXIAL_T2, TARGETS
from spinekit.course.cost_parts import CohortSize, Part, StepCost
from spinekit.course.model_costs import ModelCost, ProfileCosts
from spinekit.course.profiles import Profile
from spinekit.course.runs import N_FOLDS
from spinekit.course.steps import Step
from spinekit.course.study_counts import StudyCounts
from spinekit.grading.batches import BATCH_STUDIES
from spinekit.grading.tokens import N_TOKENS
from spinekit.grading.uncertainty import steps as shifted_views
from spinekit.learning.recipe import TrainRecipe
from spinekit.localization.localizer import MIN_STUDIES_FOR_SPREAD
from spinekit.localization.slice_store import MAX_BYTES, kept_within

COMPARED = 16  # studies on which notebook 03 compares its decoders; sagittal series are predicted twice for that
READERS = 4  # processes that read and cut side by side, one for each core: as many as Kaggle's machines have
SLICES_AT_ONCE = 32  # of a localizer's prediction
# Studies that a notebook reads again to show them, or to grade them straight from their files.
SHOWN = {Step.START: 1, Step.LOCALIZATION: 2, Step.CROPS: 1, Step.SEQUENCE: 6, Step.SUBMISSION: 13, Step.KAGGLE: 1}
MIDDLE_SLICES = 1.5  # of each series, compared between studies by notebook 00: one, or two of an even number
# In bytes. Measured at profile smoke: the command and the notebook's process with torch; an executed notebook with its
# page. Estimated: a process that reads or loads beside it; what CUDA takes on the card, and beside it.
PROCESSES, WORKER, PAGES = 0.8e9, 0.35e9, 4e6
CUDA_ON_CARD, CUDA_ON_MACHINE = 1.5e9, 2.5e9
COPIES = 3  # of a study's pixels in 32 bits while it is read, resampled and cut
LANDMARK_ROW, PROBABILITY_ROW = 130, 75  # bytes of a line of landmarks.csv, and of a table of probabilities
CROP_INDEX = N_TOKENS * (8 * 3 + 8 + 1)  # bytes of a study beside its pictures, and for each cached slice:
SLICE_INDEX = N_TOKENS * (4 + 1)


@dataclass(frozen=True)
class Costs:
    """Prices the steps: a profile, the costs of its models, its mean study and the pixels of its largest one."""

    profile: Profile
    models: ProfileCosts
    study: StudyCounts
    largest_pixels: float
    size: CohortSize

    def parts(self, folds: Sequence[int]) -> list[Part]:
        """All steps for these folds, one after the other on one machine."""
        return [
            self._part(Step.START, "studies", 0, disk_bytes=PAGES, decodes=self._middles, memory_bytes=self._readers),
            *self._localization(folds),
            *(part for _ in folds for part in (*self._crops(), *self._transformer())),
            *self._submission(len(folds)),
            *self._inference(len(folds)),
        ]

    def _part(self, step: Step, setting: str, flop: float = 0.0, **others: float) -> Part:
        """A part of a step; memory is what it takes beside the notebook, memory of the card what its models take."""
        others["memory_bytes"] = PROCESSES + others.get("memory_bytes", 0.0)
        if flop:
            others["memory_bytes"] += CUDA_ON_MACHINE
            others["gpu_bytes"] = CUDA_ON_CARD + others.get("gpu_bytes", 0.0)
        return Part(step, setting, StepCost(flop, **others))

    def _localization(self, folds: Sequence[int]) -> Iterator[Part]:
        """Notebook 03: slices to the store, three UNets, the landmarks of all studies."""
        recipe, size, study = self.profile.localizer, self.size, self.study
        trained, predicted = 0.0, 0.0
        for kind, cost in self.models.localizers.items():
            slices = round(study.trained_slices[kind] * size.trained)
            slices = min(slices, recipe.slices or slices)
            training = replace(recipe.train, epochs=recipe.epochs(max(1, slices)))
            trained += _items_shown(training, slices) * cost.train_flop
            again = (1 if kind == AXIAL_T2 else 2) * min(COMPARED, size.unseen)
            studies = self._all + min(size.trained, MIN_STUDIES_FOR_SPREAD) + again
            predicted += studies * study.slices[kind] * cost.forward_flop
        costs, n = self.models.localizers.values(), len(folds)
        stored, decodes = self._stored(folds)
        shown, grids = n * self._shown(Step.LOCALIZATION), "localizer.sagittal, axial"
        pixels = 3 * max(math.prod(grid.shape_rc) for grid in (recipe.sagittal, recipe.axial))
        yield self._part(
            Step.LOCALIZATION,
            f"{grids}: slices in the store",
            slices_bytes=stored * study.store_bytes,
            decodes=decodes * study.files + shown,
            memory_bytes=self._readers,
        )
        yield self._part(
            Step.LOCALIZATION,
            f"{grids}, decoder_channels, train: training of the UNets",
            n * trained,
            gpu_bytes=max(cost.step_bytes(recipe.train.batch_size) for cost in costs),
            memory_bytes=self._loaders(recipe.train, pixels),
            disk_bytes=n * sum(4 * cost.parameters for cost in costs),
        )
        yield self._part(
            Step.LOCALIZATION,
            f"{grids}: landmarks of all studies",
            n * predicted,
            gpu_bytes=max(4 * cost.parameters + SLICES_AT_ONCE * cost.forward_bytes for cost in costs),
            disk_bytes=n * (self._all * len(TARGETS) * LANDMARK_ROW + PAGES),
        )

    def _crops(self) -> Iterator[Part]:
        """Notebook 04 of a fold: crops and sandwiches of all studies, a classifier of each."""
        recipe, study = self.profile.grader, self.study
        crops = ("crops", self.models.crops, recipe.crops, study.crop_pictures)
        sandwiches = ("sandwiches", self.models.sandwiches, recipe.sandwiches, study.sandwich_pictures)
        training = recipe.crop_training
        for name, cost, cut, pictures in (crops, sandwiches):
            bytes_each = pictures * cut.cached_px**2 + CROP_INDEX + cut.slices * SLICE_INDEX
            yield self._part(
                Step.CROPS,
                f"grader.{name}: size_px, margin_px, slices",
                disk_bytes=self._all * bytes_each,
                decodes=self._all * study.files if cut is recipe.crops else 0.0,  # the sandwiches: in the same pass
                memory_bytes=self._readers,
            )
            shown, again = _items_shown(training, round(study.graded_crops * self.size.trained)), self._again(training)
            yield self._part(
                Step.CROPS,
                f"grader.encoder, crop_training: training on {name}",
                shown * cost.train_flop + again * study.crops * cost.forward_flop,
                gpu_bytes=max(cost.step_bytes(training.batch_size), self._predicting(cost, study.crops)),
                memory_bytes=self._loaders(training, cut.slices * cut.cached_px**2),
                disk_bytes=4 * cost.parameters + self._table(self.size.unseen),
            )
        yield self._part(Step.CROPS, "pages", disk_bytes=PAGES, decodes=self._shown(Step.CROPS))

    def _transformer(self) -> Iterator[Part]:
        """Notebook 05 of a fold: the transformer over all crops, its predictions and their uncertainty."""
        recipe, cost, training = self.profile.grader, self._sequence, self.profile.grader.sequence_training
        again = self._again(training) + (len(shifted_views(recipe.crops)) + 1) * self.size.unseen
        yield self._part(
            Step.SEQUENCE,
            "grader.encoder, width, layers, sequence_training: training of the transformer",
            _items_shown(training, self.size.trained) * cost.train_flop + again * cost.forward_flop,
            gpu_bytes=max(cost.step_bytes(training.batch_size), self._predicting(cost)),
            memory_bytes=self._loaders(training, self._cached) + 2 * BATCH_STUDIES * self._cached,
            disk_bytes=4 * cost.parameters + 2 * self._table(self.size.unseen) + PAGES,
            decodes=self._shown(Step.SEQUENCE),
        )

    def _submission(self, folds: int) -> Iterator[Part]:
        """Notebook 06: the crops of each fold graded by its models, and blended."""
        studies = folds * (self.size.unseen)
        yield self._part(
            Step.SUBMISSION,
            "grader: predictions of each fold",
            studies * self._graded,
            gpu_bytes=self._predicting(self._sequence),
            memory_bytes=self._reader + 2 * BATCH_STUDIES * self._cached,
            disk_bytes=4 * self._table(studies) + PAGES,
            decodes=self._shown(Step.SUBMISSION),
        )

    def _inference(self, folds: int) -> Iterator[Part]:
        """Notebook 20: the submitted studies from their files to grades, by the models of all folds."""
        study, submitted, localizers = self.study, self.size.submitted, self.models.localizers
        located = sum(study.slices[kind] * cost.forward_flop for kind, cost in localizers.items())
        models = [*localizers.values(), self.models.crops, self._sequence]
        weights = folds * sum(4 * cost.parameters for cost in models)
        at_once = [SLICES_AT_ONCE * cost.forward_bytes for cost in localizers.values()]
        yield self._part(
            Step.KAGGLE,
            "localizer, grader: grading of the test half",
            submitted * folds * (located + self._graded),
            gpu_bytes=weights + max(*at_once, self._sequence.forward_bytes),
            memory_bytes=weights + self._reader,
            disk_bytes=2 * self._table(submitted) + PAGES,
            decodes=(submitted + min(submitted, SHOWN[Step.KAGGLE])) * study.files,
        )

    @property
    def _all(self) -> int:
        return self.size.graded + self.size.test

    @property
    def _sequence(self) -> ModelCost:
        return self.models.sequence(self.study.crops)

    @property
    def _cached(self) -> int:
        """Bytes of the crops of a study."""
        crops = self.profile.grader.crops
        return N_TOKENS * crops.slices * crops.cached_px**2

    @property
    def _graded(self) -> float:
        """FLOP that grade a study once it is cut: both models, each on the study as it is and flipped."""
        return 2 * (self.study.crops * self.models.crops.forward_flop + self._sequence.forward_flop)

    @property
    def _middles(self) -> float:
        """Files whose pixels notebook 00 compares between studies, and those of the study that it shows."""
        return self._all * self.study.series * MIDDLE_SLICES + self._shown(Step.START)

    @property
    def _reader(self) -> float:
        """Bytes in which the largest study is read."""
        return COPIES * 4 * self.largest_pixels

    @property
    def _readers(self) -> float:
        """Bytes of the processes that read studies side by side."""
        return READERS * (WORKER + self._reader)

    def _loaders(self, training: TrainRecipe, item_bytes: float) -> float:
        """Bytes of the processes that load batches: each has two ready, as torch does."""
        return training.workers * (WORKER + 2 * training.batch_size * item_bytes)

    def _again(self, training: TrainRecipe) -> float:
        """How often a fold's unseen studies are predicted: the held-out ones after each epoch, all of them at the end,
        each as it is and flipped."""
        return 2.0 * (training.epochs * (self.size.graded - self.size.trained) + self.size.unseen)

    def _predicting(self, cost: ModelCost, items: float = 1.0) -> float:
        """Bytes on the card of a batch of studies that are predicted."""
        return 4 * cost.parameters + min(BATCH_STUDIES, self._all) * items * cost.forward_bytes

    def _shown(self, step: Step) -> float:
        """Files of the studies that are read again to be shown."""
        return min(SHOWN[step], self._all) * self.study.files

    def _table(self, studies: float) -> float:
        """Bytes of a table of probabilities."""
        return studies * len(TARGETS) * PROBABILITY_ROW

    def _stored(self, folds: Sequence[int]) -> tuple[int, int]:
        """Of how many studies the store has the slices in the end, and how many studies are decoded for it in all."""
        sizes = dict.fromkeys(range(self._all), int(self.study.store_bytes))
        stored: set[int] = set()
        outlined: set[int] = set()
        decodes = 0
        for fold in folds:
            kept = kept_within(MAX_BYTES, sizes, [i for i in range(self.size.graded) if i % N_FOLDS != fold])
            read = {i for i in sizes if i not in outlined or (i in kept and i not in stored)}
            stored, outlined = stored | (kept & read), outlined | read
            decodes += len(read) + len(sizes) - len(stored)  # the landmarks of those that are not stored: once more
        return len(stored), decodes


def _items_shown(training: TrainRecipe, items: int) -> int:
    """How many items a training shows: whole batches alone."""
    batch = min(training.batch_size, items)
    return training.epochs * (items // batch) * batch if batch else 0
