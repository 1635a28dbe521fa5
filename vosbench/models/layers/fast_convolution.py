"""Convolution with large kernels in fewer multiplications: `convolve`, or `prepare` to use a kernel often.

On a CPU the columns of an image are cut into overlapping tiles of n rows and transformed by a discrete
Fourier transform. There a column of the kernel is one factor per frequency, so a k x k convolution becomes
one 1 x k convolution per frequency, over tiles instead of rows. A complex product takes three real ones
(Gauss), hence about 1.5 n of these give n - k + 1 rows of the result: for k = 7 and 60 rows 1.9 instead
of 7 per row, and these still run at nearly the rate of the library's direct convolution; products per
frequency of both axes would be fewer, but ran at a third of it. Transforms are products with small
matrices on contiguous memory.

The result is that of `torch.nn.functional.conv2d` up to rounding (1e-6 of its scale in single precision).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

SMALLEST_KERNEL = 5
SMALLEST_HEIGHT = 16
FEWEST_CHANNELS = 48
LEAST_WORK = 2_100_000
"""Channels x kernel rows x pixels of an image. Below, the library is as quick on the CPU measured (one
thread, AVX-512): with 7 x 7 kernels and 64 channels from 4700 pixels on, with 128 from 2300 on."""
LONGEST_TILE = 48
GROUP_COST = 170
"""Pixels whose products take as long as starting a convolution of one frequency."""

CHUNK_BYTES = 64 * 2**20
"""Working memory; more images are done in parts."""

Convolution = Callable[[Tensor], Tensor]


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with stride 1 and half the kernel as padding, quicker than `torch` where that is possible.

    Args:
        x: (N, in_channels, H, W).
        weight: (out_channels, in_channels, kh, kw).
        bias: (out_channels,).

    Returns:
        (N, out_channels, H, W) where the kernel is odd.
    """
    return prepare(x, weight, bias)(x)


def prepare(like: Tensor, weight: Tensor, bias: Tensor | None = None) -> Convolution:
    """Return `convolve` for inputs of one size; what depends on the kernel alone is done now.

    Args:
        like: an input, for its size, type and device.
        weight: as for `convolve`; its present values are used ever after.
        bias: likewise.
    """
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    if pays(like, weight):
        return Transformed(like, weight, bias, padding)

    def direct(x: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias, padding=padding)

    return direct


def pays(x: Tensor, weight: Tensor) -> bool:
    """Return True where the transform is faster: in single precision on a CPU, for large kernels and inputs.

    Compiled programs and reduced precision keep the library's convolution.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.shape[2] >= SMALLEST_KERNEL
        and min(weight.shape[:2]) >= FEWEST_CHANNELS
        and x.shape[2] >= SMALLEST_HEIGHT
        and min(weight.shape[:2]) * weight.shape[2] * x.shape[2] * x.shape[3] >= LEAST_WORK
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


@dataclass(frozen=True)
class Tiling:
    """Overlapping tiles along one axis.

    Tile i reads inputs from i * step - padding on, `length` of them, zeros where there are none, and gives
    outputs from i * step on, `step` of them or what is left.
    """

    kernel: int
    length: int
    padding: int
    inputs: int

    @property
    def step(self) -> int:
        """Outputs per tile."""
        return self.length - self.kernel + 1

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.inputs + 2 * self.padding - self.kernel + 1

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return ceil(self.outputs / self.step)

    @property
    def products(self) -> int:
        """Real products per tile."""
        return (3 * self.length - 1) // 2 if self.length % 2 else 3 * self.length // 2 - 1

    def read(self, tile: int) -> tuple[slice, slice]:
        """Return the inputs that a tile reads, and their place in the tile; the rest is padding."""
        start = tile * self.step - self.padding
        first, last = (min(max(row, 0), self.inputs) for row in (start, start + self.length))
        return slice(first, last), slice(first - start, last - start)

    def written(self, tile: int) -> slice:
        """Return the outputs of a tile."""
        return slice(tile * self.step, min((tile + 1) * self.step, self.outputs))


def best_tiling(kernel: int, padding: int, inputs: int, pixels: int) -> Tiling:
    """The tiling with the fewest products.

    Args:
        kernel: its length along the axis.
        padding: zeros at either end.
        inputs: length of the axis.
        pixels: along all other axes, images included.
    """

    def cost(tiling: Tiling) -> int:
        return tiling.products * (tiling.tiles * pixels + GROUP_COST)

    lengths = range(kernel + 1, LONGEST_TILE + 1)
    return min((Tiling(kernel, length, padding, inputs) for length in lengths), key=cost)


@lru_cache(maxsize=64)
def matrices(length: int, kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices D, E and A with A (D d * E k) = correlation of d with k, where it needs no padding.

    Returns:
        (products, length), (products, kernel) and (length - kernel + 1, products), float64.
    """
    analysis, factors, synthesis = [], [], []
    inputs, taps, outputs = np.arange(length), np.arange(kernel), np.arange(length - kernel + 1)
    for frequency in range(length // 2 + 1):
        angle = 2 * np.pi * frequency / length
        real, imaginary = np.cos(angle * inputs), -np.sin(angle * inputs)
        # correlation: the kernel's transform conjugated
        c, d = np.cos(angle * taps), np.sin(angle * taps)
        cosine, sine = np.cos(angle * outputs) / length, np.sin(angle * outputs) / length
        if 2 * frequency % length == 0:
            analysis += [real]
            factors += [c]
            synthesis += [cosine]
            continue
        # (a + ib)(c + id) = c(a + b) - b(c + d) + i(c(a + b) + a(d - c))
        analysis += [real + imaginary, real, imaginary]
        factors += [c, d - c, c + d]
        synthesis += [2 * (cosine - sine), -2 * sine, -2 * cosine]
    stacked: Sequence[NDArray[np.float64]] = (np.stack(analysis), np.stack(factors), np.stack(synthesis, 1))
    first, second, third = (torch.from_numpy(matrix) for matrix in stacked)
    return first, second, third


class Transformed:
    """A convolution that transforms columns; images are (N, H, W * channels) inside.

    Without gradients, working memory is kept from call to call: asking the system for fresh memory can
    take as long as the work done in it.
    """

    def __init__(self, like: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> None:
        images, _, height, width = like.shape
        out_channels, in_channels, rows, columns = weight.shape
        self.padding = padding[1]
        self.channels = out_channels
        self.width = width + 2 * padding[1] - columns + 1
        tiling = best_tiling(rows, padding[0], height, images * width)
        per_image = tiling.products * tiling.tiles * (width * in_channels + 2 * self.width * out_channels)
        self.images = max(1, min(images, CHUNK_BYTES // (per_image * like.element_size())))
        self.tiling = best_tiling(rows, padding[0], height, self.images * width)
        self.analysis, factors, self.synthesis = (
            matrix.to(weight.dtype) for matrix in matrices(self.tiling.length, rows)
        )
        spectrum = factors @ weight.permute(2, 0, 3, 1).reshape(rows, -1)
        spectrum = spectrum.view(-1, out_channels, 1, columns, in_channels)
        self.kernels = [kernel.permute(0, 3, 1, 2) for kernel in spectrum.unbind(0)]
        # the first product is the sum over the tile, of which every row gets 1/length
        self.bias = None if bias is None else bias * self.tiling.length
        self.workspace: dict[str, Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve (N, in_channels, H, W), H and W as prepared for; N may differ."""
        images, _, height, width = x.shape
        if height != self.tiling.inputs:
            raise ValueError(f"prepared for {self.tiling.inputs} rows, got {height}")
        rows = x.permute(0, 2, 3, 1).reshape(images, height, -1)
        starts = range(0, images, self.images)
        if torch.is_grad_enabled():
            parts = [self._recorded(rows[start : start + self.images], width) for start in starts]
            y = parts[0] if len(parts) == 1 else torch.cat(parts)
        else:
            y = x.new_empty(images, self.tiling.outputs, self.width * self.channels)
            for start in starts:
                part = slice(start, start + self.images)
                self._unrecorded(rows[part], width, y[part])
        return y.view(images, -1, self.width, self.channels).permute(0, 3, 1, 2)

    def _recorded(self, x: Tensor, width: int) -> Tensor:
        """(N, H, W * in_channels) to (N, new H, new W * out_channels)."""
        spectra: Tensor = _Analysis.apply(x, self.analysis, self.tiling)
        products = torch.stack(self._products(spectra, width))
        y: Tensor = _Synthesis.apply(products, self.synthesis, self.tiling)
        return y

    def _unrecorded(self, x: Tensor, width: int, y: Tensor) -> None:
        spectra = self._kept("spectra", x, x.shape[2])
        _analyse(x, self.analysis, self.tiling, spectra)
        products = self._kept("products", x, y.shape[2])
        torch.stack(self._products(spectra, width), out=products)
        _synthesise(products, self.synthesis, self.tiling, y)

    def _products(self, spectra: Tensor, width: int) -> list[Tensor]:
        """The convolutions of all frequencies, each to (N, tiles, new W * out_channels)."""
        images = spectra.view(*spectra.shape[:3], width, -1).permute(0, 1, 4, 2, 3).unbind(0)
        products = []
        for number, (image, kernel) in enumerate(zip(images, self.kernels, strict=True)):
            bias = self.bias if number == 0 else None
            product = F.conv2d(image, kernel, bias, padding=(0, self.padding))
            products.append(product.permute(0, 2, 3, 1).flatten(2))
        return products

    def _kept(self, name: str, like: Tensor, values: int) -> Tensor:
        shape = (self.tiling.products, len(like), self.tiling.tiles, values)
        if name not in self.workspace or self.workspace[name].shape != shape:
            self.workspace[name] = like.new_empty(shape)
        return self.workspace[name]


def _analyse(x: Tensor, matrix: Tensor, tiling: Tiling, spectra: Tensor) -> None:
    for tile in range(tiling.tiles):
        rows, inside = tiling.read(tile)
        for image in range(len(x)):
            torch.mm(matrix[:, inside], x[image, rows], out=spectra[:, image, tile])


def _synthesise(products: Tensor, matrix: Tensor, tiling: Tiling, y: Tensor) -> None:
    for tile in range(tiling.tiles):
        rows = tiling.written(tile)
        for image in range(len(y)):
            torch.mm(matrix[: rows.stop - rows.start], products[:, image, tile], out=y[image, rows])


class _Analysis(torch.autograd.Function):
    """Rows of (N, H, values) to (products, N, tiles, values)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, tiling: Tiling) -> Tensor:
        ctx.matrix, ctx.tiling = matrix, tiling
        spectra = x.new_empty(tiling.products, len(x), tiling.tiles, x.shape[2])
        _analyse(x, matrix, tiling, spectra)
        return spectra

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        tiling: Tiling = ctx.tiling
        _, images, tiles, values = gradient.shape
        result = gradient.new_zeros(images, tiling.inputs, values)
        for tile in range(tiles):
            rows, inside = tiling.read(tile)
            for image in range(images):
                result[image, rows].addmm_(ctx.matrix[:, inside].T, gradient[:, image, tile])
        return result, None, None


class _Synthesis(torch.autograd.Function):
    """(products, N, tiles, values) to rows of (N, H, values)."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, matrix: Tensor, tiling: Tiling) -> Tensor:
        ctx.matrix, ctx.tiling = matrix, tiling
        y = products.new_empty(products.shape[1], tiling.outputs, products.shape[3])
        _synthesise(products, matrix, tiling, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        tiling: Tiling = ctx.tiling
        images, _, values = gradient.shape
        result = gradient.new_empty(tiling.products, images, tiling.tiles, values)
        for tile in range(tiling.tiles):
            rows = tiling.written(tile)
            part = ctx.matrix[: rows.stop - rows.start].T
            for image in range(images):
                torch.mm(part, gradient[image, rows], out=result[:, image, tile])
        return result, None, None
