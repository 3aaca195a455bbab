"""How to train: the numbers of a training, and the precision that a device computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from spinekit.errors import SpinekitError

PRECISIONS = ("auto", "bf16", "fp16", "no")


class BadRecipe(SpinekitError):
    """A recipe with a value that no training accepts. Give one within the bounds that the message names."""


@dataclass(frozen=True)
class TrainRecipe:
    """How to train. ``precision``: ``bf16`` or ``fp16`` autocast, or ``no``; ``auto`` asks ``autocast_dtype``.
    ``ema_decay`` 0 switches the average off; it grows towards its value, so that a short training is not dominated by
    the first weights."""

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


def autocast_dtype(device: torch.device, precision: str = "auto") -> torch.dtype | None:
    """The type that a device multiplies in, None for its usual 32 bits. ``auto``: bf16 on a GPU and a CPU that have
    instructions for it, where plain convolutions run twice as fast; fp16 on any other GPU."""
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16, "no": None}[precision]
    if device.type == "cuda":
        # Emulated bf16, which counts as supported by default (torch 2.4 and later can leave it out), is slow.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_has_bf16() else None


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[Any]:
    """The context that computes in ``autocast_dtype``."""
    dtype = autocast_dtype(device, precision)
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def cpu_has_bf16() -> bool:
    """Whether bf16 is fast on this processor."""
    is_supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not public; torch 2.4 lacks it
    return bool(is_supported and is_supported())
