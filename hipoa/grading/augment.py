"""Random changes of the training images: resize, rotate, blur, brightness, contrast, coarse dropout.

Every image of a batch is changed on its own, on the device. Nothing is ever flipped: a flip would mix
left and right hips. Source: the names; the strengths are settings.
"""

from __future__ import annotations

import math

from kornia import augmentation
from torch import nn

from hipoa.grading.settings import TrainSettings


def build_augmentation(settings: TrainSettings) -> nn.Sequential:
    """A module that changes images (n, 1, H, W) of grey values 0-1, drawing from torch's generator."""
    steps: list[nn.Module] = []
    if settings.rotate_deg or settings.zoom:
        scale = (1 - settings.zoom, 1 + settings.zoom)
        # The border is repeated: black corners would tell nothing about a hip, but tell the angle.
        steps.append(
            augmentation.RandomAffine(settings.rotate_deg, scale=scale, padding_mode="border", p=1.0)
        )
    if settings.blur_sigma_px:
        width = 2 * math.ceil(3 * settings.blur_sigma_px) + 1
        sigma = (0.1 * settings.blur_sigma_px, settings.blur_sigma_px)
        steps.append(augmentation.RandomGaussianBlur((width, width), sigma, p=0.5))
    if settings.contrast:
        contrast = (1 - settings.contrast, 1 + settings.contrast)
        steps.append(augmentation.RandomContrast(contrast, p=1.0))
    if settings.brightness:
        brightness = (1 - settings.brightness, 1 + settings.brightness)
        steps.append(augmentation.RandomBrightness(brightness, p=1.0))
    area = settings.hole_share**2
    steps += [
        augmentation.RandomErasing((area, area), (1.0, 1.0), value=0.0, p=0.5) for _ in range(settings.holes)
    ]
    return nn.Sequential(*steps)
