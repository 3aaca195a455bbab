"""What synthetic crops gain: the curve over the number of studies, and the generated crops themselves.

Evaluated on studies that nothing was trained on (``evaluation.evaluation_set``).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from spinekit.evaluation.evaluation_set import EvaluationSet
from spinekit.experiments import synthetic
from spinekit.experiments.synthetic import GENERATED, GENERATED_ALONE, MIXED, PRETRAINED, REAL, Setting, Trial
from spinekit.geometry import Floats
from spinekit.grading.augmentation import centre_views
from spinekit.grading.crop_cache import CropSet
from spinekit.grading.datasets import CropItems
from spinekit.grading.generation import GeneratedItems, reduced
from spinekit.grading.grader import Grader
from spinekit.grading.models import CropClassifier
from spinekit.grading.tokens import TOKEN_TARGETS, TOKENS, VIEWS
from spinekit.scoring.bootstrap import over_seeds, summary

MIN_OF_GRADE = 5  # crops of a grade below which no area under the ROC curve is given
NEIGHBOURS = 400  # crops whose nearest training crop is looked for
BATCH = 512
VIEW_OF = np.array([VIEWS.index(token.view) for token in TOKENS])


def curve(evaluation_set: EvaluationSet, predictions: Mapping[tuple[str, int], Floats]) -> pd.DataFrame:
    """A row for each arm and number of studies of ``predictions`` (seeds, k, 25, 3): skill in total,
    its gain over the real studies alone, that of each seed, and which studies it was evaluated on.

    Intervals (95 %) are over resampled evaluation studies and resampled seeds, each with its own training studies.
    Gains are paired: the same seed, the same training and evaluation studies.
    """
    draws = {key: evaluation_set.skill_draws(p)[..., -1] for key, p in predictions.items()}
    rows = []
    for (arm, n), own in draws.items():
        row = {"arm": arm, "studies": n, **summary(over_seeds(own), "skill"), "by_seed": own[0].tolist()}
        alone = draws.get((REAL, n))
        if arm != REAL and alone is not None:
            row |= summary(over_seeds(own - alone), "gain")
        rows.append(row)
    return pd.DataFrame(rows).assign(judged_on=evaluation_set.studies)


def predictions_by_arm(setting: Setting, seeds: Sequence[int], judged: slice) -> dict[tuple[str, int], Floats]:
    """Predictions (seeds, k, 25, 3) of all trials on the evaluation studies, by arm and number of studies."""
    keys = dict.fromkeys((trial.arm, trial.n) for trial in synthetic.trials(setting, seeds))
    return {(arm, n): synthetic.predictions(setting, arm, n, seeds)[:, judged] for arm, n in keys}


def worth_in_studies(table: pd.DataFrame) -> pd.DataFrame:
    """How many studies alone are as good as each number of studies with help, read off the curve of the real ones
    between its points (in log studies); infinite beyond its end, 0 below its smallest number of studies."""
    alone = table[table["arm"] == REAL].sort_values("studies")
    skill = np.maximum.accumulate(alone["skill"].to_numpy(float))
    helped = table[table["arm"].isin([GENERATED, PRETRAINED, MIXED])]
    logs = np.interp(helped["skill"], skill, np.log(alone["studies"].to_numpy(float)), left=-np.inf, right=np.inf)
    return helped.assign(worth=np.exp(logs)).pivot(index="arm", columns="studies", values="worth")


@torch.inference_mode()
def severity(grader: Grader, pixels: NDArray[np.uint8], token: NDArray[np.int64]) -> Floats:
    """(m,) how much more Severe than Normal a classifier finds crops (m, slices, px, px), by what they show alone: what
    is usual at their level is set aside."""
    model = copy.deepcopy(grader.model).cpu().eval()
    assert isinstance(model, CropClassifier)
    model.bias.zero_()
    differences = []
    for part, token_part in zip(_parts(pixels), _parts(token), strict=True):
        tokens = torch.from_numpy(np.asarray(token_part))
        x = centre_views(torch.from_numpy(np.asarray(part)), grader.crop_recipe)
        logits = model(x, tokens)
        differences.append((logits[:, 2] - logits[:, 0]).numpy())
    return np.concatenate(differences).astype(np.float64)


def _parts(array: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    return [array[i : i + BATCH] for i in range(0, len(array), BATCH)]


def graded_crops(crops: CropSet, rows: NDArray[np.intp], labels: NDArray[np.int64]) -> GeneratedItems:
    """The real crops of some studies that are Normal/Mild, Moderate or Severe by ``labels`` (n, 25)."""
    grade = labels[:, TOKEN_TARGETS]
    study, token = np.nonzero((grade >= 0) & crops.present[rows])
    return GeneratedItems(crops.pixels[rows[study], token], token, grade[study, token])


def separability(grader: Grader, items: GeneratedItems) -> dict[str, float]:
    """Area under the ROC curve of Severe against Normal/Mild crops, view by view: 0.5 where the grade cannot be seen.
    NaN where there are fewer than ``MIN_OF_GRADE`` crops of one of the two grades: their order is chance."""
    differences, aucs = severity(grader, items.pixels, items.token), {}
    for number, view in enumerate(VIEWS):
        chosen = (VIEW_OF[items.token] == number) & (items.grade != 1)
        severe = items.grade[chosen] == 2
        enough = min(severe.sum(), (~severe).sum()) >= MIN_OF_GRADE
        aucs[view] = float(roc_auc_score(severe, differences[chosen])) if enough else np.nan
    return aucs


def severe_crops(items: GeneratedItems) -> dict[str, int]:
    """How many Severe crops each view has."""
    return {view: int(((VIEW_OF[items.token] == i) & (items.grade == 2)).sum()) for i, view in enumerate(VIEWS)}


def nearest(items: GeneratedItems, train: CropItems, size_px: int) -> pd.DataFrame:
    """For each crop the most alike training crop of the same view, [distance, index]: index into ``train``, distance
    0 for the same crop up to brightness and contrast, 1 for an unrelated one (1 - correlation, in the middle slices).
    """
    own, training = _standardised(items.pixels, size_px), _standardised_training(train, size_px)
    theirs = VIEW_OF[np.array([token for _, _, token in train.items])]
    alike = own @ training.T
    alike[VIEW_OF[items.token][:, None] != theirs[None]] = -1
    return pd.DataFrame({"distance": 1 - alike.max(1), "index": alike.argmax(1)})


def _standardised_training(train: CropItems, size_px: int) -> NDArray[np.float32]:
    """Part by part: the crops of many studies are large."""
    parts = [train.items[i : i + BATCH] for i in range(0, len(train), BATCH)]
    stacks = (np.stack([train.pixels[row, token] for _, row, token in part]) for part in parts)
    return np.concatenate([_standardised(stack, size_px) for stack in stacks])


def _standardised(pixels: NDArray[np.uint8], size_px: int) -> NDArray[np.float32]:
    """(m, values) of the three middle slices, each crop of zero mean and unit length."""
    middle = pixels.shape[1] // 2
    x = reduced(torch.from_numpy(np.ascontiguousarray(pixels[:, middle - 1 : middle + 2])), size_px).flatten(1).numpy()
    x -= x.mean(1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


def some(items: GeneratedItems, count: int = NEIGHBOURS, seed: int = 0) -> GeneratedItems:
    """``count`` of the items at random."""
    pick = np.random.default_rng(seed).permutation(len(items))[:count]
    return GeneratedItems(items.pixels[pick], items.token[pick], items.grade[pick])


def nearness(trial: Trial, real: GeneratedItems, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``nearest`` of some crops of the trial's generator, and of some ``real`` crops of unseen patients. These are
    brought to the generator's resolution first: a crop without noise is more like any other."""
    train, generator = synthetic.items_of(trial.fold_data()), synthetic.generator_of(trial)
    drawn, unseen = some(synthetic.generated(trial), seed=seed), some(real, seed=seed)
    unseen = GeneratedItems(generator.coarse(unseen.pixels, unseen.token), unseen.token, unseen.grade)
    size_px = generator.recipe.size_px
    return nearest(drawn, train, size_px), nearest(unseen, train, size_px)


def copied_share(generated: pd.DataFrame, unseen: pd.DataFrame) -> float:
    """Share of generated crops that lie nearer to a training crop than all but 1 % of unseen patients' crops do, by
    their ``nearest``: 0.01 where nothing is copied."""
    return float((generated["distance"] < unseen["distance"].quantile(0.01)).mean())


def asked_both_ways(setting: Setting, seed: int, real: GeneratedItems, made: GeneratedItems) -> dict[str, dict]:
    """``separability`` by the classifier of most real studies: of ``real`` crops of unseen patients, as they are and as
    coarse as generated ones, and of crops ``made`` to order; and of real ones by a classifier of generated crops."""
    many = setting.scale.studies[-1]
    of_real = synthetic.kept_grader(Trial(setting, REAL, many, seed))
    of_generated = synthetic.kept_grader(Trial(setting, GENERATED_ALONE, many, seed))
    generator = synthetic.generator_of(Trial(setting, GENERATED, many, seed))
    coarse = GeneratedItems(generator.coarse(real.pixels, real.token), real.token, real.grade)
    return {
        "real crops": separability(of_real, real),
        "real crops, as coarse as generated ones": separability(of_real, coarse),
        "generated crops": separability(of_real, made),
        "real crops, by a classifier of generated ones": separability(of_generated, real),
    }
