"""Recipes of a training that no training accepts are refused, and each device computes in the type that suits it."""

from __future__ import annotations

import pytest
import torch

from spinekit.artifacts import from_json
from spinekit.learning import recipe
from spinekit.learning.recipe import BadRecipe, TrainRecipe, autocast, autocast_dtype


@pytest.mark.parametrize(
    ("device", "native", "expected"),
    [
        ("cuda", True, torch.bfloat16),
        ("cuda", False, torch.float16),  # a T4: its bf16 is emulated
        ("cpu", True, torch.bfloat16),
        ("cpu", False, None),
        ("mps", True, None),
    ],
)
def test_auto_takes_what_the_device_has_instructions_for(
    monkeypatch: pytest.MonkeyPatch, device: str, native: bool, expected: torch.dtype | None
) -> None:
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(recipe, "cpu_has_bf16", lambda: native)
    assert autocast_dtype(torch.device(device)) == expected
    assert autocast_dtype(torch.device(device), "no") is None
    assert autocast_dtype(torch.device(device), "bf16") == torch.bfloat16


def test_autocast_computes_in_the_type_of_the_recipe() -> None:
    x = torch.rand(4, 4)
    for precision, dtype in (("bf16", torch.bfloat16), ("no", torch.float32)):
        with autocast(torch.device("cpu"), precision):
            assert (x @ x).dtype == dtype


def test_recipes_refuse_unknown_keys_and_values() -> None:
    assert from_json(TrainRecipe, {"epochs": 3}, BadRecipe).epochs == 3
    with pytest.raises(BadRecipe, match="epoch_count"):
        from_json(TrainRecipe, {"epoch_count": 3}, BadRecipe)
    with pytest.raises(BadRecipe, match="fp8"):
        TrainRecipe(precision="fp8")
    with pytest.raises(BadRecipe):
        TrainRecipe(learning_rate=0)
