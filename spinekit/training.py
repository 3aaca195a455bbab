"""One training loop for every model.

``fit`` knows nothing of the model: it takes a dataset, and a function that gives the loss of a batch. It does mixed
precision, warm-up and cosine decay, gradient clipping, an exponential moving average (EMA) of the weights, and goes on
where it was stopped. Everything random is drawn from torch's own generator, seeded anew at each epoch from the seed
and the epoch: on the CPU the same call gives the same bytes, whether or not it was stopped in between.

What it leaves in the folder: ``model.safetensors``, the EMA weights after the last epoch (nothing is selected on the
held-out studies, so that their score stays honest), and ``history.csv``, a row for each epoch.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from spinekit import runs
from spinekit.artifacts import package_digest
from spinekit.errors import SpinekitError

PRECISIONS = ("auto", "bf16", "no")
MODEL, HISTORY, CHECKPOINT = "model.safetensors", "history.csv", "checkpoint.pt"

Loss = Callable[[nn.Module, Any], torch.Tensor]
Validate = Callable[[nn.Module], Mapping[str, float]]
AnyModel = TypeVar("AnyModel", bound=nn.Module)


class BadRecipe(SpinekitError):
    """A recipe with an unknown key or a value that no training accepts."""


class Diverged(SpinekitError):
    """The loss is no longer a number."""


class SeveralProcesses(SpinekitError):
    """Several processes were started for one training."""


class BadWeights(SpinekitError):
    """A file of weights that is missing, damaged, or belongs to another model."""


@dataclass(frozen=True)
class TrainRecipe:
    """How to train. ``precision``: ``bf16`` or ``no`` autocast; ``auto`` takes bf16 on a GPU and on a CPU with bf16
    instructions, where plain convolutions run twice as fast. ``ema_decay`` 0 switches the average off; it grows
    towards its value, so that a short training is not dominated by the first weights."""

    epochs: int = 10
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of all steps
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    precision: str = "auto"
    workers: int = 0
    checkpoint_seconds: float = 60.0  # least time between two checkpoints, written after an epoch

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise BadRecipe(f"epochs, batch_size and learning_rate must be positive: {self}")
        if not (0 <= self.warmup < 1 and 0 <= self.ema_decay < 1):
            raise BadRecipe(f"warmup and ema_decay must lie in 0..1, below 1: {self}")
        if self.precision not in PRECISIONS:
            raise BadRecipe(f"precision {self.precision!r} is unknown: use one of {', '.join(PRECISIONS)}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainRecipe:
        """A recipe read from JSON; unknown keys raise."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise BadRecipe(f"unknown keys in a training recipe: {', '.join(unknown)}")
        return cls(**values)


def fit(
    model: nn.Module,
    data: Dataset,
    loss_fn: Loss,
    recipe: TrainRecipe,
    folder: Path,
    *,
    seed: int = 0,
    validate: Validate | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Train ``model`` in place on ``data`` (map-style, tensors in its items) and return the history.

    ``loss_fn(model, batch)`` gives the mean loss of a batch, on the model's device. Augmentation belongs there or in
    the dataset, and draws from torch's global generator. ``validate(model)`` is called with the averaged model in
    evaluation mode after each epoch; its numbers join the history. ``progress`` labels the progress bar; empty: none.

    Raises: `SeveralProcesses` under a launcher of several; `Diverged` if the loss is no number.
    """
    _refuse_several_processes()
    folder.mkdir(parents=True, exist_ok=True)
    job = _Training(model, data, loss_fn, recipe, seed)
    history: list[dict[str, float]] = job.resume(folder / CHECKPOINT)
    total, start, saved = recipe.epochs * len(job.loader), len(history), time.monotonic()
    with tqdm(total=total, initial=start * len(job.loader), desc=progress, unit="step", disable=not progress) as bar:
        for epoch in range(start, recipe.epochs):
            row = {"epoch": epoch, "loss": job.epoch(epoch, bar), "learning_rate": float(job.schedule.get_last_lr()[0])}
            history.append(row | (dict(validate(job.averaged.eval())) if validate else {}))
            if epoch + 1 < recipe.epochs and time.monotonic() - saved >= recipe.checkpoint_seconds:
                job.save(folder / CHECKPOINT, history)
                saved = time.monotonic()
    job.finish()
    table = pd.DataFrame(history)
    runs.save_model(folder / MODEL, model)
    runs.write_table(folder / HISTORY, table)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return table


class _Training:
    """The state of one training: model, average, optimizer, schedule."""

    def __init__(self, model: nn.Module, data: Dataset, loss_fn: Loss, recipe: TrainRecipe, seed: int) -> None:
        self.recipe, self.seed, self.loss_fn = recipe, seed, loss_fn
        self.fingerprint = _fingerprint(model, data, recipe, seed)
        self.accelerator = _accelerator(recipe.precision, seed)
        batch = min(recipe.batch_size, len(data))  # type: ignore[arg-type]
        # A last batch of one would break batch normalisation.
        loader = DataLoader(data, batch, shuffle=True, drop_last=True, num_workers=recipe.workers)
        self.model = _channels_last(model.to(self.accelerator.device))
        # Fused: on a CPU a plain update of eleven million weights takes as long as half a small batch.
        optimizer = torch.optim.AdamW(_decayed(model, recipe.weight_decay), lr=recipe.learning_rate, fused=True)
        self.optimizer, self.loader = self.accelerator.prepare(optimizer, loader)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warmup_cosine(recipe, len(self.loader)))
        self.averaged = copy.deepcopy(self.model)
        self.step = 0

    def epoch(self, epoch: int, bar: tqdm) -> float:
        """One pass over the data; the mean loss."""
        torch.manual_seed(self.seed * 1_000_003 + epoch)
        self.loader.set_epoch(epoch)
        self.model.train()
        total = torch.zeros((), device=self.accelerator.device)
        for batch in self.loader:
            total += self._step(batch, epoch)
            bar.update()
        mean = float(total / len(self.loader))
        bar.set_postfix(epoch=epoch + 1, loss=f"{mean:.4f}")
        return mean

    def _step(self, batch: Any, epoch: int) -> torch.Tensor:
        with self.accelerator.autocast():
            loss = self.loss_fn(self.model, batch)
        if not torch.isfinite(loss):
            raise Diverged(f"the loss became {loss.item()} in epoch {epoch}: lower learning_rate, now {self.recipe}")
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        _average(self.averaged, self.model, self._decay())
        return loss.detach()

    def _decay(self) -> float:
        return min(self.recipe.ema_decay, self.step / (self.step + 10))

    def finish(self) -> None:
        """The average's weights go into the caller's model, in evaluation mode."""
        self.model.load_state_dict(self.averaged.state_dict())
        self.model.eval()

    def save(self, file: Path, history: list[dict[str, float]]) -> None:
        state = {"fingerprint": self.fingerprint, "history": history, "step": self.step}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        with runs.atomic(file) as part:
            torch.save(state | parts, part)

    def resume(self, file: Path) -> list[dict[str, float]]:
        """Take up a checkpoint of this very training and return its history; any other one is ignored."""
        if not file.is_file():
            return []
        state = torch.load(file, map_location=self.accelerator.device, weights_only=True)
        if state["fingerprint"] != self.fingerprint:
            return []
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]
        return state["history"]

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "averaged": self.averaged,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def _channels_last(model: nn.Module) -> nn.Module:
    """The model with the weights of its 2D convolutions stored with the channels last, which is faster on most devices.
    ``Module.to`` refuses models that have 3D ones."""
    for weights in model.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.to(memory_format=torch.channels_last)
    return model


def _refuse_several_processes() -> None:
    # A launcher tells its processes by WORLD_SIZE; without a GPU accelerate does not count them.
    launched = int(os.environ.get("WORLD_SIZE") or 1)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        launched = max(launched, torch.distributed.get_world_size())
    if launched > 1:
        raise SeveralProcesses(
            f"{launched} processes were launched for one training (torchrun, accelerate launch), and each would end "
            "with a model of its own: start a single one, and use several cards by training several folds side by side"
        )


def _accelerator(precision: str, seed: int) -> Accelerator:
    if precision == "auto":
        precision = "bf16" if torch.cuda.is_available() or cpu_has_bf16() else "no"
    AcceleratorState._reset_state()  # it is shared by a process, and refuses a second training of other precision
    loading = DataLoaderConfiguration(use_seedable_sampler=True, data_seed=seed)
    return Accelerator(mixed_precision=precision, dataloader_config=loading)


def cpu_has_bf16() -> bool:
    """Whether bf16 is worth its while on this processor."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not public; torch 2.4 lacks it
    return bool(asked and asked())


def _decayed(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: norms, biases and single vectors are not decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _warmup_cosine(recipe: TrainRecipe, steps_per_epoch: int) -> Callable[[int], float]:
    total = recipe.epochs * steps_per_epoch
    warmup = max(1, round(recipe.warmup * total))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return factor


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model: parameters and the buffers of normalisation; counters are copied."""
    for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new.to(old), 1 - decay)
        else:
            old.copy_(new)


def _fingerprint(model: nn.Module, data: Dataset, recipe: TrainRecipe, seed: int) -> str:
    """Digest of what decides the result, the package's code and the first weights included."""
    settings = {**asdict(recipe), "checkpoint_seconds": 0}
    known = json.dumps([settings, seed, len(data), package_digest()])  # type: ignore[arg-type]
    digest = hashlib.sha256(known.encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_weights(model: AnyModel, file: Path) -> AnyModel:
    """The model with the weights of a ``model.safetensors``, in evaluation mode; raises ``BadWeights``."""
    try:
        model.load_state_dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise BadWeights(f"{file} cannot be read as weights ({error}): train again, or name another run") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise BadWeights(f"{file} holds the weights of another model ({first[0].strip()}): train again") from error
    return model.eval()
