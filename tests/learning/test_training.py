"""The training loop: it learns, it repeats itself to the byte, and a stop in between changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from tiny_training import RECIPE, tiny_data, tiny_loss, tiny_model
from torch import nn
from torch.utils.data import DataLoader

from spinekit.learning import recipe, training
from spinekit.learning.training import Diverged, FitOptions, fit


def _times(factor: float) -> training.Loss:
    return lambda model, batch: factor * tiny_loss(model, batch)


def _bytes(folder: Path) -> tuple[bytes, bytes]:
    return (folder / training.MODEL).read_bytes(), (folder / training.HISTORY).read_bytes()


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_learns(tmp_path: Path, precision: str) -> None:
    model = tiny_model()
    history = fit(model, tiny_data(), tiny_loss, replace(RECIPE, epochs=15, precision=precision), tmp_path)
    assert history["loss"].iloc[-1] < 0.5 * history["loss"].iloc[0]
    assert not model.training
    images, labels = tiny_data().tensors
    with torch.no_grad():
        assert ((model(images)[:, 0] > 0) == (labels > 0)).float().mean() > 0.9  # the averaged weights have learnt it


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.rand(17)  # what was drawn before must not matter
        fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path / name, FitOptions(seed))
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    assert _bytes(tmp_path / "a")[0] != _bytes(tmp_path / "c")[0]


class _Stopped(Exception):
    pass


def _stop_in_epoch(epoch: int) -> training.Validate:
    seen: list[int] = []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(1)
        if len(seen) > epoch:
            raise _Stopped
        return {}

    return validate


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    steep = (
        _times(2000.0) if precision == "fp16" else tiny_loss
    )  # the first steps overflow: the scale has to be kept too
    fit(tiny_model(), tiny_data(), steep, recipe, tmp_path / "whole", FitOptions(5))
    with pytest.raises(_Stopped):
        fit(tiny_model(), tiny_data(), steep, recipe, tmp_path / "halves", FitOptions(5, _stop_in_epoch(3)))
    assert (tmp_path / "halves" / training.CHECKPOINT).is_file()
    fit(tiny_model(), tiny_data(), steep, recipe, tmp_path / "halves", FitOptions(5))
    assert _bytes(tmp_path / "whole") == _bytes(tmp_path / "halves")
    assert not (tmp_path / "halves" / training.CHECKPOINT).exists()


def test_a_checkpoint_of_another_training_is_ignored(tmp_path: Path) -> None:
    with pytest.raises(_Stopped):
        fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path, FitOptions(5, _stop_in_epoch(3)))
    history = fit(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, learning_rate=0.01), tmp_path, FitOptions(5))
    assert history["learning_rate"].max() <= 0.01
    fit(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, learning_rate=0.01), tmp_path / "new", FitOptions(5))
    assert _bytes(tmp_path) == _bytes(tmp_path / "new")


def test_average_lags_behind_the_last_weights(tmp_path: Path) -> None:
    averaged, last = tiny_model(), tiny_model()
    fit(averaged, tiny_data(), tiny_loss, RECIPE, tmp_path / "a")
    fit(last, tiny_data(), tiny_loss, replace(RECIPE, ema_decay=0.0), tmp_path / "b")
    assert not torch.equal(averaged[0].weight, last[0].weight)


def test_validation_joins_the_history(tmp_path: Path) -> None:
    fit(
        tiny_model(),
        tiny_data(),
        tiny_loss,
        replace(RECIPE, epochs=2),
        tmp_path,
        FitOptions(validate=lambda m: {"error": float(m.training)}),
    )
    assert pd.read_csv(tmp_path / training.HISTORY)["error"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_a_loss_that_is_no_number_stops_at_once(tmp_path: Path, precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    with pytest.raises(Diverged, match="the loss became nan in epoch 0: lower learning_rate"):
        fit(tiny_model(), tiny_data(), lambda m, b: m(b[0]).sum() * float("nan"), recipe, tmp_path)
    assert not (tmp_path / training.MODEL).exists()


def _state(job: training._Training) -> list[torch.Tensor]:
    """All that a step moves, save what the forward pass does to the buffers of normalisation."""
    moments = [value for state in job.optimizer.state_dict()["state"].values() for value in state.values()]
    tensors = [*job.model.parameters(), *job.averaged.state_dict().values(), *moments]
    return [tensor.detach().clone() for tensor in tensors]


def test_a_step_whose_gradients_overflow_moves_nothing_but_the_scale() -> None:
    job = training._Training(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, precision="fp16"), seed=0)
    batch = next(iter(job.loader))
    while not job.step:
        job._step(batch, 0)
    before, scale, rate = _state(job), job.scaler.get_scale(), job.schedule.get_last_lr()
    job.loss_fn = _times(1e6)
    assert torch.isfinite(job._step(batch, 0))
    assert all(torch.equal(old, new) for old, new in zip(before, _state(job), strict=True))
    assert (job.step, job.schedule.get_last_lr(), job.scaler.get_scale()) == (1, rate, scale / 2)
    job.loss_fn = tiny_loss
    job._step(batch, 0)
    assert not any(torch.equal(old, new) for old, new in zip(before[:2], _state(job)[:2], strict=True))
    assert job.step == 2 and job.schedule.get_last_lr() != rate


def _no_gradient(model: nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    return tiny_loss(model, batch) + (0 * model(batch[0])).sum().sqrt()  # finite itself; its slope is not


@pytest.mark.parametrize(("epochs", "message"), [(6, "at every scale"), (1, "in each of few steps")])
def test_gradients_that_always_overflow_end_the_training(tmp_path: Path, epochs: int, message: str) -> None:
    with pytest.raises(Diverged, match=message):
        fit(tiny_model(), tiny_data(), _no_gradient, replace(RECIPE, precision="fp16", epochs=epochs), tmp_path)
    assert not (tmp_path / training.MODEL).exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, None])
def test_auto_trains_and_scales_by_that_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None
) -> None:
    name = {torch.bfloat16: "bf16", torch.float16: "fp16", None: "no"}[dtype]
    fit(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, precision=name), tmp_path / "named")
    decide = recipe.autocast_dtype
    for module in (recipe, training):
        monkeypatch.setattr(module, "autocast_dtype", lambda d, p="auto": dtype if p == "auto" else decide(d, p))
    job = training._Training(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, precision="auto"), seed=0)
    assert job.scaler.is_enabled() == (dtype is torch.float16)
    fit(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, precision="auto"), tmp_path / "auto")
    assert _bytes(tmp_path / "named") == _bytes(tmp_path / "auto")


def test_a_checkpoint_of_another_precision_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = replace(RECIPE, precision="auto")
    monkeypatch.setattr(recipe, "cpu_has_bf16", lambda: False)
    with pytest.raises(_Stopped):
        fit(tiny_model(), tiny_data(), tiny_loss, auto, tmp_path, FitOptions(validate=_stop_in_epoch(3)))
    monkeypatch.setattr(recipe, "cpu_has_bf16", lambda: True)
    fit(tiny_model(), tiny_data(), tiny_loss, auto, tmp_path)
    fit(tiny_model(), tiny_data(), tiny_loss, replace(RECIPE, precision="bf16"), tmp_path / "new")
    assert _bytes(tmp_path) == _bytes(tmp_path / "new")


def test_a_callers_accelerator_is_left_as_it_was(tmp_path: Path) -> None:
    fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path / "before")
    caller = Accelerator(mixed_precision="bf16", gradient_accumulation_steps=4)  # refused if `fit` had fixed another
    loader = caller.prepare(DataLoader(tiny_data(), 60))
    for _ in loader:
        with pytest.raises(_Stopped) as caught:  # its traceback keeps the stopped training alive
            fit(tiny_model(), tiny_data(), _stop, RECIPE, tmp_path / "stopped")
        fit(tiny_model(), tiny_data(), tiny_loss, RECIPE, tmp_path / "within")
        assert caller.gradient_state.active_dataloader is loader and caller.gradient_state.end_of_dataloader
    assert caught.value is not None
    assert (caller.mixed_precision, caller.gradient_accumulation_steps) == ("bf16", 4)
    assert _bytes(tmp_path / "before") == _bytes(tmp_path / "within")


def _stop(model: nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    raise _Stopped
