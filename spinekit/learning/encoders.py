"""The heat-map UNet, and pretrained encoders from a file or from the hub."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from spinekit._compat import import_torchvision
from spinekit.errors import SpinekitError
from spinekit.learning.stored_weights import BadWeights, read_weights

import_torchvision()
import segmentation_models_pytorch as smp  # noqa: E402  needs a torchvision that imports
from timm.models import adapt_input_conv  # noqa: E402

HUB = "hub"  # as a value of ``pretrained``: ImageNet weights from the Hugging Face hub
HUB_FILE = "model.safetensors"
HUB_TIMEOUT_S = 5.0
START_PROBABILITY = 0.02  # of a heat-map before training: nearly everything is background


class PretrainedMissing(SpinekitError):
    """Pretrained weights that are not available, or do not fit. Give a file of weights as ``pretrained``, or leave it
    empty to train from scratch."""


class HeatmapUNet(nn.Module):
    """Slices (n, 3, rows, columns) in 0..1 to logits of heat-maps (n, classes, rows, columns)."""

    def __init__(self, encoder: str, classes: int, decoder_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.unet = smp.Unet(
            encoder,
            encoder_depth=len(decoder_channels),
            encoder_weights=None,
            decoder_channels=decoder_channels,
            in_channels=3,
            classes=classes,
        )
        bias = self.unet.segmentation_head[0].bias
        nn.init.constant_(bias, float(torch.logit(torch.tensor(START_PROBABILITY))))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.unet((images - 0.25) / 0.25)  # about the mean and spread of a slice


def heatmap_unet(encoder: str, classes: int, decoder_channels: tuple[int, ...], pretrained: str = "") -> HeatmapUNet:
    """A UNet with fresh weights, or with an encoder from a file or from the hub (see ``pretrained_file``).

    Raises: `PretrainedMissing` where these weights are not available, or do not fit.
    """
    model = HeatmapUNet(encoder, classes, decoder_channels)
    if pretrained:
        load_encoder(model.unet.encoder, pretrained_file(pretrained, encoder))
    return model


def pretrained_file(pretrained: str, encoder: str) -> Path:
    """Local file of ImageNet weights for an encoder of timm's names: the given path, or ``hub``.

    Looks into the local cache of the hub first, then asks the network once, for a few seconds.

    Raises: `PretrainedMissing` where there is no such file, or the hub cannot be reached.
    """
    if pretrained != HUB:
        file = Path(pretrained).expanduser()
        if not file.is_file():
            raise PretrainedMissing(
                f"{file}: no such file of pretrained weights. Give a .safetensors, or leave `pretrained` empty"
            )
        return file
    return _from_hub(f"timm/{encoder}.a1_in1k")


def _from_hub(name: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    cached = try_to_load_from_cache(name, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    try:
        get_hf_file_metadata(hf_hub_url(name, HUB_FILE), timeout=HUB_TIMEOUT_S)  # a download would retry for 25 s
        return Path(hf_hub_download(name, HUB_FILE))
    except Exception as error:  # of the hub, of the network, of the proxy: all mean the same to the user
        raise PretrainedMissing(
            f"pretrained weights {name} are not in the cache, and the hub cannot be reached ({error}). Fetch "
            f"{HUB_FILE} of huggingface.co/{name} where there is a network and give its path as `pretrained`, or "
            "leave `pretrained` empty to train from scratch"
        ) from error


def load_encoder(encoder: nn.Module, file: Path) -> None:
    """Weights of a classifier's file into an encoder of the same architecture; its last layer is left out.

    Raises: `PretrainedMissing` where the file does not hold such weights.
    """
    try:
        weights = read_weights(file)
        fitting = {name: _as_wide(weights[name], old) for name, old in encoder.state_dict().items() if name in weights}
        missing = [name for name in encoder.state_dict() if name not in fitting]
        if missing:
            raise KeyError(missing[0])
        nn.Module.load_state_dict(encoder, fitting)
    except (BadWeights, KeyError, RuntimeError) as error:
        raise PretrainedMissing(f"{file} does not hold weights of this encoder ({error}): give another file") from error


def _as_wide(weights: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """A first layer's weights for colour images as weights for as many slices as ``old`` has, of the same strength."""
    if weights.ndim == 4 and weights.shape[1] == 3 != old.shape[1]:
        return adapt_input_conv(old.shape[1], weights)
    return weights
