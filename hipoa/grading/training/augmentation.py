"""Random augmentation: zoom, rotation, blur, brightness, contrast, coarse dropout.

Every image of a batch is augmented independently, on the device. Nothing is ever flipped: a flip would mix
left and right hips. Source: the kinds of augmentation, Masuda et al. 2024; the strengths are settings.
"""

from __future__ import annotations

import math

import torch
from kornia import augmentation
from torch import Tensor, nn

from hipoa.grading.settings import TrainSettings

HOLE_SHARE = 0.1
"""Side of a square of the coarse dropout, a share of the image's: about 2 cm, less than a femoral head."""


def build_augmentation(settings: TrainSettings) -> nn.Sequential:
    """A module that augments images (n, 1, H, W) of grey values 0-1, drawing from torch's generator."""
    steps: list[nn.Module] = []
    if settings.rotate_deg or settings.zoom:
        scale = (1 - settings.zoom, 1 + settings.zoom)
        # The border is repeated: black corners would give the angle away.
        steps.append(
            augmentation.RandomAffine(settings.rotate_deg, scale=scale, padding_mode="border", p=1.0)
        )
    if settings.blur_sigma_px:
        width = 2 * math.ceil(3 * settings.blur_sigma_px) + 1
        sigma = (0.1 * settings.blur_sigma_px, settings.blur_sigma_px)
        steps.append(augmentation.RandomGaussianBlur((width, width), sigma, p=0.5))
    if change := settings.brightness_contrast:
        steps.append(augmentation.RandomContrast((1 - change, 1 + change), p=1.0))
        steps.append(augmentation.RandomBrightness((1 - change, 1 + change), p=1.0))
    if settings.holes:
        steps.append(CoarseDropout(settings.holes, HOLE_SHARE))
    return nn.Sequential(*steps)


class CoarseDropout(nn.Module):
    """Erases up to a number of squares, whose side is a share of the image's, at random positions.

    Kornia's RandomErasing makes one square and loops over the images; this handles a batch at once.
    """

    def __init__(self, holes: int, share: float) -> None:
        super().__init__()
        self.holes, self.share = holes, share

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 1, H, W) with squares."""
        n, _, height, width = images.shape
        draws = torch.rand(3, n, self.holes, device=images.device)
        rows = _within(draws[0], height, self.share) & (draws[2] < 0.5)[..., None]
        columns = _within(draws[1], width, self.share)
        # A product of matrices counts the squares over each pixel, far cheaper than a mask for each square.
        covered = rows.float().transpose(1, 2) @ columns.float()
        return images.masked_fill(covered[:, None] > 0, 0.0)


def _within(draw: Tensor, size: int, share: float) -> Tensor:
    """Which of the pixels of a side the squares cover, (n, holes, size) bool; draws (n, holes) of 0-1."""
    side = max(1, round(share * size))
    start = (draw * (size - side + 1)).floor()[..., None]
    pixel = torch.arange(size, device=draw.device)
    return (pixel >= start) & (pixel < start + side)
