"""Weights are read from safetensors alone: damaged, pickled and non-finite ones are refused with the file's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model
from torch import nn

from spinekit.learning import training
from spinekit.learning.stored_weights import BadWeights, load_weights, read_weights
from spinekit.learning.training import fit


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    model = tiny_model()
    fit(model, tiny_data(), tiny_loss, replace(RECIPE, epochs=1), tmp_path)
    assert torch.equal(load_weights(tiny_model(1), tmp_path / training.MODEL)[0].weight, model[0].weight)
    with pytest.raises(BadWeights, match="another model"):
        load_weights(nn.Linear(2, 2), tmp_path / training.MODEL)
    with pytest.raises(BadWeights, match="gone"):
        load_weights(tiny_model(), tmp_path / "gone.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(BadWeights, match="broken"):
        load_weights(tiny_model(), tmp_path / "broken.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"0.weight": torch.tensor([[1.0, value, value]], dtype=dtype), "count": torch.tensor(3)}, file)
    with pytest.raises(BadWeights, match=r"model.safetensors: 2 of 3 weights of 0.weight are NaN or infinite"):
        read_weights(file)
    with pytest.raises(BadWeights, match="NaN or infinite"):
        load_weights(nn.Linear(3, 1), file)


class Harm:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.place,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_file_is_refused_and_not_opened(tmp_path: Path, zipped: bool) -> None:
    for number, content in enumerate((tiny_model().state_dict(), Harm(tmp_path / "harm"))):
        file = tmp_path / f"{number}.safetensors"
        torch.save(content, file, _use_new_zipfile_serialization=zipped)
        with pytest.raises(BadWeights, match=f"{number}.safetensors is pickled: it may run code"):
            read_weights(file)
    assert not (tmp_path / "harm").exists()
