"""The heat-map UNet and pretrained encoders, without a network."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spinekit.learning.encoders import PretrainedMissing, heatmap_unet, load_encoder, pretrained_file

DECODER = (32, 16, 16, 16)


def test_maps_have_the_slices_size_and_start_empty() -> None:
    torch.manual_seed(0)
    model = heatmap_unet("resnet18", 5, DECODER).eval()
    with torch.no_grad():
        maps = torch.sigmoid(model(torch.rand(2, 3, 112, 80)))
    assert maps.shape == (2, 5, 112, 80)
    assert maps.median() < 0.1


def test_encoder_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = heatmap_unet("resnet18", 5, DECODER)
    weights = {name: tensor.clone() for name, tensor in source.unet.encoder.state_dict().items()}
    save_file(weights | {"fc.weight": torch.zeros(3, 3)}, tmp_path / "encoder.safetensors")
    model = heatmap_unet("resnet18", 2, DECODER, str(tmp_path / "encoder.safetensors"))
    assert torch.equal(model.unet.encoder.conv1.weight, source.unet.encoder.conv1.weight)
    torch.save(weights, tmp_path / "encoder.pth")
    with pytest.raises(PretrainedMissing, match="encoder.pth is pickled"):
        heatmap_unet("resnet18", 2, DECODER, str(tmp_path / "encoder.pth"))


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    encoder = heatmap_unet("resnet18", 5, DECODER).unet.encoder
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    for name in ("other.safetensors", "broken.pth"):
        with pytest.raises(PretrainedMissing, match=name):
            load_encoder(encoder, tmp_path / name)
    with pytest.raises(PretrainedMissing, match="gone.pth"):
        pretrained_file(str(tmp_path / "gone.pth"), "resnet18")


def test_without_a_network_the_hub_is_given_up_soon_and_says_how_to_help(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError("name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *names: None)
    start = time.monotonic()
    with pytest.raises(PretrainedMissing, match="give its path as `pretrained`"):
        heatmap_unet("resnet18", 5, DECODER, "hub")
    assert time.monotonic() - start < 5
    cached = tmp_path / "model.safetensors"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *names: str(cached))
    assert pretrained_file("hub", "resnet18") == cached
