"""Lets ``import torchvision`` succeed where its build does not fit a CPU-only torch.

torchvision wheels of some registries are built for CUDA. Beside a torch without CUDA they cannot load their compiled
operators, and ``import torchvision`` stops at the first operator it describes, ``torchvision::nms``, although nothing
here uses it. timm and segmentation-models-pytorch import torchvision unguarded. ``import_torchvision()`` has to run
before them; where torchvision is intact it only imports it, and every other error is raised.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_SYMPTOM = "operator torchvision::nms does not exist"
_SCHEMAS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a schema lives as long as the Library object that declared it


def import_torchvision() -> ModuleType:
    """torchvision, imported; calling ``torchvision.ops.nms`` still raises where its operators are missing."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if _SYMPTOM not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _SCHEMAS:
        library.define(name + _SIGNATURE)
    _declared.append(library)
    return importlib.import_module("torchvision")
