"""One training loop for every model.

``fit`` knows nothing of the model: it takes a dataset, and a function that gives the loss of a batch. It does mixed
precision, warm-up and cosine decay, gradient clipping, an exponential moving average (EMA) of the weights, and resumes
where it was stopped. Everything random is drawn from torch's own generator, seeded anew at each epoch from the seed
and the epoch: on the CPU the same call gives the same bytes, whether or not it was stopped in between.

Several processes that a launcher started (``distributed``) train one model: each takes its share of every batch, and
the first one validates, reports and writes.

What it leaves in the folder: ``model.safetensors``, the EMA weights after the last epoch (nothing is selected on the
held-out studies, so that their score stays unbiased), and ``history.csv``, a row for each epoch.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import PartialState
from torch import nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from spinekit import artifacts
from spinekit.artifacts import package_digest
from spinekit.errors import SpinekitError
from spinekit.learning import devices, distributed
from spinekit.learning.distributed import Loss
from spinekit.learning.recipe import TrainRecipe, autocast, autocast_dtype
from spinekit.learning.watching import Reports
from spinekit.parallel import tracked

MIN_SCALE = 1.0  # of an fp16 loss: gradients that overflow even so are no accident of its scale
MODEL, HISTORY, CHECKPOINT = "model.safetensors", "history.csv", "checkpoint.pt"

Validate = Callable[[nn.Module], Mapping[str, float]]


class Diverged(SpinekitError):
    """The loss, or every gradient of it, is no longer a number. Lower the learning rate, or set precision to no."""


@dataclass(frozen=True)
class FitOptions:
    """What a training takes besides its recipe. ``validate(model)`` is called with the averaged model in evaluation
    mode after each epoch; its numbers join the history. ``progress`` labels the progress bar; empty: none."""

    seed: int = 0
    validate: Validate | None = None
    progress: str = ""


def fit(
    model: nn.Module,
    data: Dataset,
    loss_fn: Loss,
    recipe: TrainRecipe,
    folder: Path,
    options: FitOptions = FitOptions(),  # noqa: B008  (frozen)
) -> pd.DataFrame:
    """Train ``model`` in place on ``data`` (map-style, tensors in its items) and return the history.

    ``loss_fn(model, batch)`` gives the mean loss of a batch, on the model's device. Augmentation belongs there or in
    the dataset, and draws from torch's global generator.

    Each of several launched processes has to make this call, and ends with the same model and history. A batch, in all,
    has ``recipe.batch_size`` items whatever their number; where it cannot be shared evenly some processes take one item
    more, and count for more. Losses that compare the items of a batch, or weight them by its sum, do so within a share.
    A checkpoint is resumed by any number of processes.

    Raises: `Diverged` if the loss or the gradients are no numbers; `SeveralProcesses` where launched processes cannot
    train together, `ProcessFailed` where the first of them stopped.
    """
    distributed.join()
    folder.mkdir(parents=True, exist_ok=True)
    job = _Training(model, data, loss_fn, recipe, options.seed)
    validate, first = options.validate, distributed.is_first()
    progress = options.progress if first else ""
    history: list[dict[str, float]] = job.resume(folder / CHECKPOINT)
    total, start, saved = recipe.epochs * len(job.loader), len(history), time.monotonic()
    reports = Reports(progress, folder, total, start * len(job.loader))
    with tracked(total=total, initial=start * len(job.loader), desc=progress, unit="step", show=bool(progress)) as bar:
        for epoch in range(start, recipe.epochs):
            loss = job.epoch(epoch, bar, reports)
            row = {"epoch": epoch, "loss": loss, "learning_rate": float(job.schedule.get_last_lr()[0])}
            scores = distributed.from_first(lambda: dict(validate(job.averaged.eval())) if validate else {})
            history.append(row | scores)
            if not first:
                continue
            reports.epoch(loss, scores)
            if epoch + 1 < recipe.epochs and time.monotonic() - saved >= recipe.checkpoint_seconds:
                job.save(folder / CHECKPOINT, history)
                saved = time.monotonic()
    job.finish()
    table = pd.DataFrame(history)
    distributed.from_first(lambda: _write(folder, model, table))
    return table


def _write(folder: Path, model: nn.Module, history: pd.DataFrame) -> None:
    artifacts.save_model(folder / MODEL, model)
    artifacts.write_table(folder / HISTORY, history)
    (folder / CHECKPOINT).unlink(missing_ok=True)


class _Training:
    """The state of one training: model, average, optimizer, schedule."""

    def __init__(self, model: nn.Module, data: Dataset, loss_fn: Loss, recipe: TrainRecipe, seed: int) -> None:
        self.recipe, self.seed, self.loss_fn = recipe, seed, loss_fn
        # Not an Accelerator: a process has one precision for all of them, which would bind a caller's own, or be bound.
        self.device = PartialState().device if devices.chosen() == devices.AUTO else devices.device()
        self.dtype = autocast_dtype(self.device, recipe.precision)
        self.fingerprint = _fingerprint(model, data, recipe, seed, self.dtype)
        distributed.agree(self.fingerprint)
        self.loader = distributed.shared_loader(data, recipe, self.device, seed)
        self.model = _channels_last(model.to(self.device))
        self.loss_of = distributed.loss_of(self.model, self.loader)
        # Fused: on a CPU a plain update of eleven million weights takes as long as half a small batch.
        groups = _decay_groups(model, recipe.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, _warmup_cosine(recipe, len(self.loader)))
        self.averaged = copy.deepcopy(self.model)
        self.step = 0

    def epoch(self, epoch: int, bar: tqdm, reports: Reports) -> float:
        """One pass over the data; the mean loss."""
        torch.manual_seed(self.seed * 1_000_003 + epoch + 10_007 * distributed.rank())
        self.loader.set_epoch(epoch)
        self.model.train()
        total = torch.zeros((), device=self.device)
        try:
            for batch in self.loader:
                loss = self._step(batch, epoch)
                total += loss
                bar.update()
                if distributed.is_first():
                    reports.step(loss)
        finally:
            self.loader.end()  # after an error accelerate would take it for the loader that a caller reads from
        distributed.average_statistics(self.model, self.averaged)
        mean = float(total / len(self.loader))
        bar.set_postfix(epoch=epoch + 1, loss=f"{mean:.4f}")
        return mean

    def _step(self, batch: Any, epoch: int) -> torch.Tensor:
        with autocast(self.device, self.recipe.precision):
            loss = self.loss_of(self.loss_fn, batch)
        mean = distributed.mean(loss.detach())
        if not torch.isfinite(mean):
            raise Diverged(f"the loss became {mean.item()} in epoch {epoch}: lower learning_rate, now {self.recipe}")
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        if self._weights_moved():
            self.schedule.step()
            self.step += 1
            _average(self.averaged, self.model, self._decay())
        return mean

    def _weights_moved(self) -> bool:
        """Step the optimizer. Where a gradient overflows in fp16, it leaves the weights and the scale is halved."""
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # Asked of the scale: a fused optimizer is called either way and skips the step by itself.
        moved = self.scaler.get_scale() >= scale
        if not moved and scale <= MIN_SCALE:
            raise Diverged(f"the gradients overflow at every scale: lower learning_rate, now {self.recipe}")
        return moved

    def _decay(self) -> float:
        return min(self.recipe.ema_decay, self.step / (self.step + 10))

    def finish(self) -> None:
        """The average's weights go into the caller's model, in evaluation mode."""
        if not self.step:
            raise Diverged(f"the gradients overflowed in each of few steps: set precision to no, now {self.recipe}")
        self.model.load_state_dict(self.averaged.state_dict())
        self.model.eval()

    def save(self, file: Path, history: list[dict[str, float]]) -> None:
        state = {"fingerprint": self.fingerprint, "history": history, "step": self.step}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        with artifacts.atomic(file) as part:
            torch.save(state | parts, part)

    def resume(self, file: Path) -> list[dict[str, float]]:
        """Load a checkpoint of exactly this training and return its history; any other one is ignored."""
        state = distributed.from_first(lambda: self._stored(file))
        if not state:
            return []
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]
        return state["history"]

    def _stored(self, file: Path) -> dict[str, Any]:
        """The state in a checkpoint of this training, on the CPU, whence it is sent to the others; empty if none."""
        state = torch.load(file, map_location="cpu", weights_only=True) if file.is_file() else {}
        return state if state.get("fingerprint") == self.fingerprint else {}

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "averaged": self.averaged,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
        }


def _channels_last(model: nn.Module) -> nn.Module:
    """The model with the weights of its 2D convolutions stored with the channels last, which is faster on most devices.
    ``Module.to`` refuses models that have 3D ones."""
    for weights in model.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.to(memory_format=torch.channels_last)
    return model


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: norms, biases and single vectors are not decayed.

    Own code: timm's ``param_groups_weight_decay`` goes by names too, and would spare a classifier's table of biases.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _warmup_cosine(recipe: TrainRecipe, steps_per_epoch: int) -> Callable[[int], float]:
    # Torch's SequentialLR computes each rate from the one before, so that their last digits differ from these.
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
    # Torch's AveragedModel copies the first step whole, and timm's ModelEmaV3 grows its decay otherwise.
    for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new.to(old), 1 - decay)
        else:
            old.copy_(new)


def _fingerprint(model: nn.Module, data: Dataset, recipe: TrainRecipe, seed: int, dtype: torch.dtype | None) -> str:
    """Digest of what decides the result, the package's code and the first weights included."""
    settings = {**asdict(recipe), "checkpoint_seconds": 0, "precision": str(dtype)}  # of this device, not "auto"
    inputs = json.dumps([settings, seed, len(data), package_digest()])  # type: ignore[arg-type]
    digest = hashlib.sha256(inputs.encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
