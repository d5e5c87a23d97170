"""The results that Masuda et al. 2024 reported, for comparison."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """The reported accuracies of one network."""

    network: str  # as the authors name it
    timm: str  # as timm names it, without the tag of its weights
    eca: tuple[float, float]  # exact class accuracy, share of hips, and the number after its plus-minus
    onca: tuple[float, float]  # one-neighbour class accuracy, likewise


PUBLISHED = (
    Published("ViT-B/16", "vit_base_patch16_224", (0.648, 0.129), (0.953, 0.131)),
    Published("VGG16", "vgg16", (0.637, 0.148), (0.947, 0.161)),
    Published("DenseNet161", "densenet161", (0.622, 0.154), (0.944, 0.160)),
)
"""Mean and a spread whose meaning is not stated; 396 hips of 198 cases, 4 folds x 15 repeats, 200 epochs.

Source: slides of Masuda et al., "Multi-index automatic classification of hip osteoarthritis based on
digitally reconstructed radiographs using deep learning".
"""

FOLDS = ((0.673, 0.980), (0.650, 0.930), (0.561, 0.929), (0.650, 1.000))
"""ECA and ONCA of the four folds of one repeat of ViT-B/16. Source: the same slides."""

CITATION = (
    "Masuda M, Soufi M, Otake Y, Uemura K, Kono S, Takashima K, Hamada H, Gu Y, Takao M, Okada S, Sugano N, "
    "Sato Y. Automatic hip osteoarthritis grading with uncertainty estimation from computed tomography using "
    "digitally-reconstructed radiographs. "
    "Int J Comput Assist Radiol Surg, 2024. doi:10.1007/s11548-024-03087-1; and the authors' slides."
)
