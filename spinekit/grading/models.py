"""Two graders: a classifier that sees one crop at a time, and a transformer over all crops of a study.

Both share an image encoder (timm). Shapes: ``b`` studies or crops, 30 tokens (``tokens.TOKENS``), 25 targets, 3 grades,
``f`` features of the encoder, ``d`` width of the transformer. Crops come from ``augmentation``, in 0..1.

The order of ``TARGETS`` matters here: tokens 0 to 24 are the targets, and levels run fastest, so that five condition
and side groups of five levels make 25 targets, and six groups make 30 tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinekit._compat import import_torchvision
from spinekit.anatomy import LEVELS, SIDES
from spinekit.grading.recipes import GraderRecipe
from spinekit.grading.tokens import (
    LEVEL_INDEX,
    N_GRADES,
    N_TARGETS,
    N_TOKENS,
    SIDE_INDEX,
    TOKEN_TARGETS,
    VIEW_INDEX,
    VIEWS,
)
from spinekit.learning.encoders import load_encoder, pretrained_file

import_torchvision()

import timm  # noqa: E402  (it imports torchvision, which has to be made importable first)

# Thresholds have to move by whole units in the few hundred steps in which a weight moves by tenths.
THRESHOLD_SPACING_RATE = 10.0
GROUPS_OF_TARGETS = N_TARGETS // len(LEVELS)  # 5 at each level: canal, two foramina, two recesses
GROUPS_OF_TOKENS = N_TOKENS // len(LEVELS)  # 6 at each level: the same, and the axial canal


class CropClassifier(nn.Module):
    """One encoder for all crops, a linear head for each view (spinal, foraminal, subarticular, canal on axial).

    Each view and level has a separate bias, initialised from the weighted prior: the appearance of a grade is the same
    at all levels, its frequency is not. ``by_level`` gives every level a separate head, which a sandwich needs: it
    shows all levels, and only the head knows which one is graded. ``ordinal``: the head gives one severity, added to
    both cumulative logits of that prior (McCullagh 1980). The thresholds of the prior are close together; a crop needs
    them more widely spaced, by a distance trained for each view.
    """

    view: Tensor
    level: Tensor

    def __init__(
        self, encoder: str, channels: int, pretrained: str = "", by_level: bool = False, ordinal: bool = False
    ) -> None:
        super().__init__()
        self.encoder = timm.create_model(encoder, in_chans=channels, num_classes=0)
        if pretrained:  # timm itself would silently skip weights that do not fit
            load_encoder(self.encoder, pretrained_file(pretrained, encoder))
        # Some encoders (mobilenetv3, lcnet) end in a layer wider than their last features.
        self.features: int = self.encoder.head_hidden_size  # type: ignore[assignment]
        self.by_level = by_level
        outputs = 1 if ordinal else N_GRADES
        self.head = nn.Linear(self.features, len(VIEWS) * (len(LEVELS) if by_level else 1) * outputs)
        self.bias = nn.Parameter(torch.zeros(len(VIEWS), len(LEVELS), N_GRADES))
        self.threshold_spacing = nn.Parameter(torch.zeros(len(VIEWS))) if ordinal else None
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("view", torch.tensor(VIEW_INDEX), persistent=False)
        self.register_buffer("level", torch.tensor(LEVEL_INDEX), persistent=False)

    def start_from(self, prior: NDArray[np.float64]) -> None:
        """Set the biases to the log of a prior (25, 3), sides averaged."""
        log_p = torch.from_numpy(np.log(np.clip(prior, 1e-3, None))).float()[TOKEN_TARGETS]
        with torch.no_grad():
            for view in range(len(VIEWS)):
                for level in range(len(LEVELS)):
                    self.bias[view, level] = log_p[(self.view == view) & (self.level == level)].mean(0)

    def encode(self, x: Tensor) -> Tensor:
        """(b, window, size, size) to features (b, f); each crop is standardised, as coils and scanners differ."""
        if len(x) == 0:  # studies without a single crop have no standard deviation
            return x.new_zeros(0, self.features)
        mean, sd = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        x = (x - mean) / (sd + 1e-3)
        return self.encoder(x.contiguous(memory_format=torch.channels_last))

    def grade(self, features: Tensor, token: Tensor) -> Tensor:
        """Logits (b, 3) of features (b, f) of the tokens (b,)."""
        view, level = self.view[token], self.level[token]
        rows = torch.arange(len(token), device=token.device)
        levels, outputs = len(LEVELS) if self.by_level else 1, N_GRADES if self.threshold_spacing is None else 1
        logits = self.head(features).float().view(len(token), len(VIEWS), levels, outputs)  # (b, 4, 5 or 1, 3 or 1)
        logits = logits[rows, view, level if self.by_level else 0]  # (b, 3), or (b, 1) severity
        if self.threshold_spacing is None:
            return logits + self.bias[view, level]
        return cumulative_logits(logits, self.bias[view, level], THRESHOLD_SPACING_RATE * self.threshold_spacing[view])

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        return self.grade(self.encode(x), token)


def cumulative_logits(severity: Tensor, prior: Tensor, spacing: Tensor) -> Tensor:
    """Log probabilities (b, 3) of an ordinal model: ``severity`` (b, 1) is added to the log odds of "at least Moderate"
    and of "Severe" under the logits ``prior`` (b, 3), once these were moved from each other by ``spacing`` (b,)."""
    p = prior.softmax(-1)
    above = torch.logit(torch.stack([p[:, 1] + p[:, 2], p[:, 2]], -1), eps=1e-6) + severity  # (b, 2)
    moderate, severe = (above + 0.5 * torch.stack([spacing, -spacing], -1)).sigmoid().unbind(-1)
    return torch.stack([1 - moderate, moderate - severe, severe], -1).clamp_min(1e-6).log()


class CrossLevelAttention(nn.Module):
    """Attention across the five levels of a study: features and logits of a level together become one token.

    Features (b, 30, d) and logits (b, 25, 3) of the targets to a correction (b, 25, 3), which starts at zero.
    """

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        narrow = d // 4
        self.narrow = nn.Linear(d, narrow)
        self.join = nn.Linear(GROUPS_OF_TOKENS * narrow + GROUPS_OF_TARGETS * N_GRADES, d)
        self.level = nn.Parameter(torch.zeros(len(LEVELS), d))
        nn.init.normal_(self.level, std=0.02)
        self.across = nn.TransformerEncoderLayer(d, heads, 2 * d, dropout, "gelu", batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(d)
        self.residual_head = nn.Linear(d, GROUPS_OF_TARGETS * N_GRADES)
        for parameter in self.residual_head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        narrow, grades = _by_level(self.narrow(features)), _by_level(logits.softmax(-1))  # (b, 5, 6 d/4), (b, 5, 15)
        levels = self.join(torch.cat([narrow, grades.to(narrow)], -1)) + self.level  # (b, 5, d)
        correction = self.residual_head(self.norm(self.across(levels))).float()  # (b, 5, 15)
        # (b, 5 levels, 5 groups, 3) to (b, 5 groups, 5 levels, 3) to (b, 25, 3), the order of TARGETS
        return correction.unflatten(-1, (-1, N_GRADES)).transpose(1, 2).flatten(1, 2)


def _by_level(x: Tensor) -> Tensor:
    """(b, n * 5, d), levels running fastest, to (b, 5, n * d)."""
    return x.unflatten(1, (-1, len(LEVELS))).transpose(1, 2).flatten(2)  # (b, n, 5, d) to (b, 5, n, d) to (b, 5, n d)


class SequenceGrader(nn.Module):
    """A transformer over the tokens of a study, on the encoder and heads of a crop classifier.

    A target's logits are those of its own crops plus a correction from the transformer, and one from attention across
    the levels. Both start at zero: before the first step it grades as the crop classifier does. Any token may be
    missing: none attends to it, a trained vector stands in its place, and its target starts from the prior.
    """

    token_view: Tensor
    token_level: Tensor
    token_side: Tensor
    shows: Tensor

    def __init__(self, classifier: CropClassifier, recipe: GraderRecipe) -> None:
        super().__init__()
        self.classifier, self.frozen = classifier, recipe.frozen
        if recipe.frozen:
            classifier.requires_grad_(False)
        d = recipe.width
        self.project = nn.Sequential(nn.LayerNorm(classifier.features), nn.Linear(classifier.features, d))
        self.project_grades = nn.Linear(N_GRADES, d)
        self.position = nn.Sequential(nn.Linear(3, d), nn.GELU(), nn.Linear(d, d))
        self.view, self.level = nn.Embedding(len(VIEWS), d), nn.Embedding(len(LEVELS), d)
        self.side = nn.Embedding(len(SIDES) + 1, d)  # and none
        self.missing = nn.Parameter(torch.zeros(d))
        layer = nn.TransformerEncoderLayer(
            d, recipe.heads, 4 * d, recipe.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, recipe.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(d)
        self.residual_head = nn.Linear(d, N_GRADES)
        self.level_attention = CrossLevelAttention(d, recipe.heads, recipe.dropout) if recipe.levels else None
        for parameter in self.residual_head.parameters():
            nn.init.zeros_(parameter)
        for embedding in (self.view, self.level, self.side):
            nn.init.normal_(embedding.weight, std=0.02)
        for name, values in (("token_view", VIEW_INDEX), ("token_level", LEVEL_INDEX), ("token_side", SIDE_INDEX)):
            self.register_buffer(name, torch.tensor(values), persistent=False)
        shows = torch.zeros(N_TARGETS, N_TOKENS)
        shows[torch.from_numpy(TOKEN_TARGETS), torch.arange(N_TOKENS)] = 1
        self.register_buffer("shows", shows, persistent=False)  # which tokens show which target

    def train(self, mode: bool = True) -> SequenceGrader:
        super().train(mode)
        if self.frozen:
            self.classifier.eval()  # its batch statistics stay as they are
        return self

    def forward(self, x: Tensor, present: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (b, 30, window, size, size), present (b, 30), positions (b, 30, 3) to logits of the targets
        (b, 25, 3) and of the single crops (b, 30, 3)."""
        features, alone = self.encode_crops(x, present)
        return self.attend(features, alone, present, positions), alone

    def encode_crops(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Features (b, 30, f) and logits (b, 30, 3) of each crop by itself; 0 where it is missing."""
        b = len(x)
        token = torch.arange(N_TOKENS, device=x.device).expand(b, -1)[present]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            encoded = self.classifier.encode(x[present])  # (m, f), m crops in all studies
            graded = self.classifier.grade(encoded, token)  # (m, 3)
        features = encoded.new_zeros(b, N_TOKENS, self.classifier.features)
        alone = graded.new_zeros(b, N_TOKENS, N_GRADES)
        features[present], alone[present] = encoded, graded
        return features, alone

    def attend(self, features: Tensor, alone: Tensor, present: Tensor, positions: Tensor) -> Tensor:
        """Logits of the targets (b, 25, 3) from what each crop gave by itself."""
        prior = self.classifier.bias[self.token_view, self.token_level]  # (30, 3)
        alone = torch.where(present[..., None], alone, prior)
        content = self.project(features) + self.project_grades(alone.softmax(-1))  # (b, 30, d)
        tokens = torch.where(present[..., None], content, self.missing.to(content.dtype))
        kind = self.view(self.token_view) + self.level(self.token_level) + self.side(self.token_side)  # (30, d)
        ignored = ~present & present.any(1, keepdim=True)  # where all are missing, attention needs something
        out = self.norm(self.layers(tokens + kind + self.position(positions), src_key_padding_mask=ignored))
        # Tokens 0 to 24 are the targets, in their order: (b, 25, d) to (b, 25, 3).
        logits = self._own_crops(alone, present) + self.residual_head(out[:, :N_TARGETS]).float()
        return logits if self.level_attention is None else logits + self.level_attention(out, logits)

    def _own_crops(self, alone: Tensor, present: Tensor) -> Tensor:
        """(b, 25, 3) mean logits of each target's own crops, of those present; the prior where none is."""
        weights = self.shows * present[:, None, :]  # (b, 25, 30)
        weights = torch.where(weights.sum(-1, keepdim=True) > 0, weights, self.shows)
        return torch.einsum("bij,bjk->bik", weights / weights.sum(-1, keepdim=True), alone)


def build_classifier(recipe: GraderRecipe, sandwiches: bool = False) -> CropClassifier:
    """A crop classifier with random weights (or ImageNet's, where the recipe names them)."""
    crops = recipe.sandwiches if sandwiches else recipe.crops
    return CropClassifier(recipe.encoder, crops.window, recipe.pretrained, sandwiches, recipe.ordinal)
