"""How much a face crop tells about identity. Pure functions; all figures are 0..1, more is better."""

from __future__ import annotations

import cv2
import numpy as np

from facereel.store.model.records import Image


def sharpness(crop: Image) -> float:
    """Sharpness of an aligned crop (112, 112, 3): 1 is in focus, 0 is a smear.

    Strength of detail after a slight blur, relative to the crop's own contrast, so that neither noise nor light counts.
    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000 (variance of the Laplacian).
    """
    grey = cv2.cvtColor(crop[16:104, 20:92], cv2.COLOR_BGR2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    detail = float(cv2.Laplacian(smooth, cv2.CV_32F).std())
    contrast = float(smooth.std())
    return min(detail / max(contrast, 4.0) / 0.25, 1.0)


def size_quality(face_width: float) -> float:
    """Quality of a face's width in source pixels: recognisers take 112 px and recognise little below 20."""
    return min(max((face_width - 12.0) / 68.0, 0.0), 1.0)


def crop_quality(face_width: float, sharp: float, frontal: float, score: float) -> float:
    """Quality of a crop before it is embedded. A product, so that one weak property is not made up for by others."""
    size = 0.25 + 0.75 * size_quality(face_width)
    return size * (0.4 + 0.6 * sharp) * (0.3 + 0.7 * frontal) * min(max(score, 0.0), 1.0)


def exemplar_quality(crop: float, face_confidence: float) -> float:
    """Quality of an exemplar: its crop's quality, weighted by how much of a face the recogniser sees in it."""
    return crop * max(face_confidence, 0.02)
