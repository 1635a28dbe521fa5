"""Dense CRF, which fits a foreground probability to the edges of its frame.

Fully connected CRF with Gaussian edge potentials (Krähenbühl and Koltun, NIPS 2011), run by their code
through pydensecrf2. The settings are those of the code that MP-Net and LVO were released with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, shown, unknown_name
from vosbench.video import Frame


@dataclass(frozen=True)
class CrfSettings:
    """Ranges and weights of the pairwise terms.

    Attributes:
        normalise: stretch the probabilities of a frame to 0..1 first, unless they are all equal. The
            released code does, the papers do not say so.
        gaussian_xy: standard deviation in pixels of the potential that sees only distance.
        gaussian_weight: of that potential; 0 leaves it out.
        bilateral_xy: standard deviation in pixels of the potential that sees distance and colour.
        bilateral_rgb: its standard deviation in levels of 0..255 of each colour.
        bilateral_weight: of that potential; 0 leaves it out.
        iterations: of mean-field inference.
        floor: the least probability of either class, so that its logarithm exists; the library's default.

    Raises:
        InputError: a value that is no number of the kind, or too small.
    """

    normalise: bool = True
    gaussian_xy: float = 3.0
    gaussian_weight: float = 3.0
    bilateral_xy: float = 50.0
    bilateral_rgb: float = 10.0
    bilateral_weight: float = 5.0
    iterations: int = 5
    floor: float = 1e-5

    def __post_init__(self) -> None:
        _require(isinstance(self.normalise, bool), "normalise", self.normalise, "true or false")
        for key in ("gaussian_xy", "bilateral_xy", "bilateral_rgb"):
            value = getattr(self, key)
            _require(_is_number(value) and value > 0, key, value, "a number above 0")
        for key in ("gaussian_weight", "bilateral_weight"):
            value = getattr(self, key)
            _require(_is_number(value) and value >= 0, key, value, "a number of at least 0")
        whole = type(self.iterations) is int and self.iterations >= 0
        _require(whole, "iterations", self.iterations, "a whole number of at least 0")
        small = _is_number(self.floor) and 0 < self.floor < 0.5
        _require(small, "floor", self.floor, "a number between 0 and 0.5")


def parse_crf(value: object) -> CrfSettings | None:
    """Return what the key ``crf`` of a method means.

    Args:
        value: false or None for no CRF, true for the usual settings, or a mapping of some of them.

    Raises:
        InputError: anything else, an unknown setting, or a value that it cannot have.
    """
    if value is None or value is False:
        return None
    if value is True:
        return CrfSettings()
    if isinstance(value, CrfSettings):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f"crf is {shown(value)}: give true, false, or settings of the CRF")
    known = [item.name for item in fields(CrfSettings)]
    for key in value:
        if key not in known:
            raise unknown_name("crf setting", str(key), known)
    return CrfSettings(**value)


def require_crf() -> ModuleType:
    """Return the library, so that a method can ask for it before it starts.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module("pydensecrf.densecrf")
    except ImportError:
        raise InputError(
            "the dense CRF needs pydensecrf2: pip install 'vosbench[crf]' (builds it, so a C++ compiler is "
            "needed), or set crf=false"
        ) from None


def refine(
    image: Frame, probability: NDArray[np.float32], settings: CrfSettings | None = None
) -> NDArray[np.float32]:
    """Return the foreground probability of each pixel after mean-field inference.

    Args:
        image: (H, W, 3) uint8 RGB.
        probability: (H, W) of being foreground, in 0..1.
        settings: the usual ones when None.

    Returns:
        (H, W) float32; above 0.5 where foreground is the likelier of the two.

    Raises:
        InputError: the library is not installed.
        ValueError: sizes differ, or a probability is outside of 0..1.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image is (H, W, 3) uint8, not {image.shape} {image.dtype}")
    if image.shape[:2] != probability.shape:
        raise ValueError(f"image {image.shape[:2]} and probability {probability.shape} differ in size")
    chosen = settings or CrfSettings()
    foreground = _stretched(probability) if chosen.normalise else probability.astype(np.float64)
    # written so that NaN fails
    if not ((foreground >= 0) & (foreground <= 1)).all():
        raise ValueError("probabilities are outside of 0..1")
    library = require_crf()
    height, width = probability.shape
    crf: Any = library.DenseCRF2D(width, height, 2)
    crf.setUnaryEnergy(_unary(foreground, chosen.floor))
    symmetric = {"kernel": library.DIAG_KERNEL, "normalization": library.NORMALIZE_SYMMETRIC}
    if chosen.gaussian_weight:
        crf.addPairwiseGaussian(sxy=chosen.gaussian_xy, compat=float(chosen.gaussian_weight), **symmetric)
    if chosen.bilateral_weight:
        # the library writes no pixels, but takes no array that is read-only
        crf.addPairwiseBilateral(
            sxy=chosen.bilateral_xy,
            srgb=chosen.bilateral_rgb,
            rgbim=np.array(image, order="C"),
            compat=float(chosen.bilateral_weight),
            **symmetric,
        )
    classes = np.array(crf.inference(chosen.iterations), np.float32)
    refined: NDArray[np.float32] = classes[1].reshape(height, width)
    return refined


def _stretched(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    values = probability.astype(np.float64)
    low, high = values.min(), values.max()
    return values if low == high else (values - low) / (high - low)


def _unary(foreground: NDArray[np.float64], floor: float) -> NDArray[np.float32]:
    """Energies of background and foreground, (2, H * W)."""
    classes = np.stack([1 - foreground.ravel(), foreground.ravel()])
    energies: NDArray[np.float32] = -np.log(np.maximum(classes, floor)).astype(np.float32)
    return energies


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require(right: bool, key: str, value: object, wanted: str) -> None:
    if not right:
        raise InputError(f"crf: {key} is {shown(value)}, it must be {wanted}")
