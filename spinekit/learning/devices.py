"""The processor that models run on: one that was asked for, or the GPU if there is one, or else the CPU.

The choice lies in the environment, so that worker processes and the kernels of notebooks have it too.
"""

from __future__ import annotations

import os

import torch

from spinekit.errors import SpinekitError

VARIABLE = "SPINEKIT_DEVICE"
AUTO = "auto"


class NoDevice(SpinekitError):
    """A device that this machine, or this installation of torch, does not have. Use ``--device cpu``, or ``auto``."""


def use(name: str) -> torch.device:
    """Choose ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` for this process and those that it starts.

    ``auto`` leaves a choice that the environment made before as it is.

    Raises: `NoDevice` where the device is not there.
    """
    if name != AUTO:
        os.environ[VARIABLE] = _checked(name)
    return device()


def use_there(name: str) -> None:
    """Choose a device for workers on other machines; they look for it themselves."""
    if name != AUTO:
        os.environ[VARIABLE] = name


def chosen() -> str:
    """What was asked for; ``auto`` if nothing was."""
    return os.environ.get(VARIABLE) or AUTO


def device() -> torch.device:
    """The device that models are moved to. ``auto`` takes CUDA or the CPU; ``mps`` has to be asked for.

    Raises: `NoDevice` where the one that was asked for is not there.
    """
    if chosen() == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(_checked(chosen()))


def _checked(name: str) -> str:
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise NoDevice(f"device {name!r} is none of auto, cpu, cuda, cuda:N and mps. Name one of these")
    if kind == "cuda" and not torch.cuda.is_available():
        raise NoDevice(f"device {name}: torch {torch.__version__} sees no NVIDIA GPU here. Use --device cpu, or auto")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise NoDevice(f"device {name}: there are {torch.cuda.device_count()} GPUs here, counted from cuda:0")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise NoDevice(f"device {name}: torch {torch.__version__} sees no Apple GPU here. Use --device cpu, or auto")
    return name
