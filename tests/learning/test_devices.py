"""The device that was asked for is used, here and in processes started from here; one that is not there is refused."""

import pytest
import torch

from spinekit.learning import devices
from spinekit.learning.devices import NoDevice
from spinekit.parallel import mapper


@pytest.fixture(autouse=True)
def unchosen(monkeypatch):
    monkeypatch.setenv(devices.VARIABLE, "")  # restored afterwards, whatever a test leaves in it


def gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    gpus(monkeypatch, 0)
    assert devices.use("auto").type == devices.device().type == "cpu" and devices.chosen() == "auto"
    gpus(monkeypatch, 2)
    assert devices.use("auto").type == "cuda" and devices.use("cpu").type == "cpu"
    assert str(devices.use("cuda:1")) == str(devices.device()) == "cuda:1"


@pytest.mark.parametrize(
    ("name", "count", "told"),
    [
        ("cuda", 0, "no NVIDIA GPU here. Use --device cpu"),
        ("cuda:2", 2, "2 GPUs here"),
        ("mps", 0, "no Apple GPU here. Use --device cpu"),
        ("gpu", 1, "none of auto, cpu, cuda"),
        ("cuda:x", 1, "none of auto, cpu, cuda"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, name, count, told):
    gpus(monkeypatch, count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(NoDevice, match=told):
        devices.use(name)
    assert devices.chosen() == "auto"
    monkeypatch.setenv(devices.VARIABLE, name)
    with pytest.raises(NoDevice, match=told):
        devices.device()


def chosen_there(_):
    return devices.chosen()


def test_processes_started_from_here_use_it_too():
    devices.use("cpu")
    with mapper(2) as run:
        assert list(run(chosen_there, range(2))) == ["cpu", "cpu"]
