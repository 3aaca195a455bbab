"""Small trainings for several processes, and a script that makes all of them in each process that a launcher started.

``python launched_training.py FOLDER``: each process leaves what came of them in a JSON file of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model
from torch import nn

from spinekit.errors import SpinekitError
from spinekit.learning import distributed
from spinekit.learning.distributed import Loss
from spinekit.learning.training import CHECKPOINT, FitOptions, fit

# Those of the guide, which start this script as they start any other.
COMMANDS = ("torchrun --nproc-per-node 2 train.py", "accelerate-launch --multi_gpu --num_processes 2 train.py")
LONG_S = 120.0
PLAIN = replace(RECIPE, learning_rate=0.05, batch_size=10)  # of a model with nothing random in it
UNEVEN = replace(PLAIN, batch_size=7)
HALF = replace(RECIPE, precision="fp16")


class Stopped(Exception):
    """A training was stopped on purpose."""


class Plain(nn.Module):
    """A model without batch normalisation and dropout, of which a loss calls more than ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.rarely = nn.Linear(25, 16), nn.Linear(16, 1), nn.Linear(16, 1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.first(images.flatten(1)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.features(images))


def plain_loss(model: Any, batch: list[torch.Tensor]) -> torch.Tensor:
    """Calls a method of the bare model, and the model twice."""
    images, labels = batch
    loss = nn.functional.binary_cross_entropy_with_logits(model(images)[:, 0], labels)
    return loss + 0.01 * model.features(images).square().mean() + 0.01 * model(-images).square().mean()


def rare_loss(model: Any, batch: list[torch.Tensor]) -> torch.Tensor:
    """Uses some weights in one process alone."""
    loss = plain_loss(model, batch)
    return loss if distributed.rank() else loss + model.rarely(model.features(batch[0])).square().mean()


def steep_loss(model: Any, batch: list[torch.Tensor]) -> torch.Tensor:
    """Overflows in fp16 at first, and in the second process alone."""
    return tiny_loss(model, batch) * (3000.0 if distributed.rank() else 1.0)


def broken_loss(model: Any, batch: list[torch.Tensor]) -> torch.Tensor:
    """No number, in the last process alone."""
    last = distributed.rank() == distributed.processes() - 1
    return tiny_loss(model, batch) * (float("nan") if last else 1.0)


def stop_in_epoch(epoch: int) -> Callable[[nn.Module], dict[str, float]]:
    """A validation that stops the training there."""
    calls: list[int] = []

    def validate(model: nn.Module) -> dict[str, float]:
        calls.append(1)
        if len(calls) > epoch:
            raise Stopped("on purpose")
        return {"calls": float(len(calls))}

    return validate


def train(loss: Loss, folder: Path) -> None:
    """One training, for ``launch``."""
    fit(Plain(), tiny_data(), loss, PLAIN, folder, FitOptions(3))


def fail() -> None:
    """Fails in the second process; the first one waits."""
    distributed.join()
    if distributed.rank():
        raise Stopped("on purpose")
    time.sleep(LONG_S)


def digest(model: nn.Module) -> str:
    """Digest of a model's weights and buffers."""
    tensors = [tensor.numpy().tobytes() for tensor in model.state_dict().values()]
    return hashlib.sha256(b"".join(tensors)).hexdigest()


def _outcome(folder: Path, model: nn.Module, loss: Loss, recipe: Any, options: FitOptions) -> dict[str, Any]:
    """What a training came to in this process: digest and history, or its error."""
    try:
        history = fit(model, tiny_data(), loss, recipe, folder, options)
    except (SpinekitError, Stopped) as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"digest": digest(model), "history": history.to_dict("list")}


def train_all(folder: Path) -> dict[str, Any]:
    """Every training below; ``folder/resumed`` holds a checkpoint of another number of processes."""
    usual = FitOptions(3)
    counted: list[int] = []
    counting = FitOptions(3, lambda model: counted.append(1) or {"score": float(distributed.rank())}, "tiny")  # type: ignore[func-returns-value]
    rank = distributed.rank
    distributed.join()
    assert (folder / "resumed" / CHECKPOINT).is_file()
    outcomes = {
        "tiny": _outcome(folder / "tiny", tiny_model(), tiny_loss, RECIPE, counting),
        "still": _outcome(folder / "still", tiny_model(), tiny_loss, replace(RECIPE, learning_rate=1e-9), usual),
        "plain": _outcome(folder / "plain", Plain(), plain_loss, PLAIN, usual),
        "uneven": _outcome(folder / "uneven", Plain(), plain_loss, UNEVEN, usual),
        "rare": _outcome(folder / "rare", Plain(), rare_loss, PLAIN, usual),
        "half": _outcome(folder / "half", tiny_model(), steep_loss, HALF, usual),
        "broken": _outcome(folder / "broken", tiny_model(), broken_loss, RECIPE, usual),
        "stopped": _outcome(folder / "stopped", Plain(), plain_loss, PLAIN, FitOptions(3, stop_in_epoch(3))),
        "resumed": _outcome(folder / "resumed", Plain(), plain_loss, PLAIN, FitOptions(3, stop_in_epoch(9))),
        "different": _outcome(folder / "different", tiny_model(rank()), tiny_loss, RECIPE, usual),
        "too few": _outcome(folder / "few", tiny_model(), tiny_loss, replace(RECIPE, batch_size=1), usual),
    }
    return outcomes | {"validated": len(counted)}


if __name__ == "__main__":
    home = Path(sys.argv[1])
    came_to = train_all(home)
    (home / f"{distributed.rank()}.json").write_text(json.dumps(came_to))
