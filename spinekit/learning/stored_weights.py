"""Weights read from safetensors alone: what is damaged, not finite, pickled or of another model is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from spinekit.errors import SpinekitError

AnyModel = TypeVar("AnyModel", bound=nn.Module)
_PICKLED = (b"PK\x03\x04", b"\x80")  # what torch.save writes, now and before; to unpickle a file may run what is in it


class BadWeights(SpinekitError):
    """A file of weights that is missing, damaged, not finite, pickled, or of another model. Train again, or name
    another run."""


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The arrays of a safetensors file by name, all of them finite.

    Raises: `BadWeights` where the file is missing, damaged or pickled, or holds a number that is not finite.
    """
    try:
        if not file.is_file():
            raise FileNotFoundError("no such file")
        with file.open("rb") as stream:
            start = stream.read(8)
        pickled = start.startswith(_PICKLED) and any(start[5:])  # safetensors begin with a length, which is no terabyte
        weights = {} if pickled else load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadWeights(f"{file} cannot be read as weights ({error}): train again, or name another run") from error
    if pickled:
        raise BadWeights(f"{file} is pickled: it may run code when it is read. Save its weights as safetensors")
    for name, values in weights.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            bad = int((~torch.isfinite(values)).sum())
            raise BadWeights(
                f"{file}: {bad} of {values.numel()} weights of {name} are NaN or infinite: train again, or name "
                "another run"
            )
    return weights


def load_weights(model: AnyModel, file: Path) -> AnyModel:
    """The model with the weights of a ``model.safetensors``, in evaluation mode.

    Raises: `BadWeights` as `read_weights` does, and where they are of another model.
    """
    weights = read_weights(file)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise BadWeights(f"{file} holds the weights of another model ({first[0].strip()}): train again") from error
    return model.eval()
