"""The layers of a dream: objects cut out of a frame, in another light, pasted at another position."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.data.lucid.warp import Points, Warp, Window, displacement, knot_step
from vosbench.video import Frame, IdMap

Curve = tuple[float, float, float]
"""a, b, c of ``a x^b + c``."""

_STRAIGHT: Curve = (1.0, 1.0, 0.0)
_SAMPLES = 400
_LEAST_MARGIN = 8


@dataclass(frozen=True)
class Tone:
    """A change of light: curves of saturation and value, ``a x^b + c`` cut to [0, 1].

    The offset of the saturation fades to nothing for grey pixels, which have no hue to show more of [ours].
    """

    saturation: Curve = _STRAIGHT
    value: Curve = _STRAIGHT

    @property
    def changes(self) -> bool:
        """True when it changes any colour."""
        return (self.saturation, self.value) != (_STRAIGHT, _STRAIGHT)

    def __call__(self, picture: Frame) -> Frame:
        """Return the (H, W, 3) uint8 picture in this light."""
        if not self.changes:
            return picture
        colours = cv2.cvtColor(picture.astype(np.float32) * (1 / 255), cv2.COLOR_RGB2HSV)
        gain, gamma, offset = self.saturation
        old = colours[..., 1]
        faded = np.minimum(old * 10, 1) * offset
        colours[..., 1] = np.clip(gain * cv2.pow(old, gamma) + faded, 0, 1)
        gain, gamma, offset = self.value
        colours[..., 2] = np.clip(gain * cv2.pow(colours[..., 2], gamma) + offset, 0, 1)
        return np.asarray((cv2.cvtColor(colours, cv2.COLOR_HSV2RGB) * 255 + 0.5).astype(np.uint8))


@dataclass(frozen=True)
class Edge:
    """Side of an object that the frame border cuts.

    Attributes:
        outward: (2,) direction out of the frame.
        points: (N, 2) pixels of the object at that border.
    """

    outward: NDArray[np.float64]
    points: Points


@dataclass(frozen=True)
class Layer:
    """An object without its surroundings.

    Attributes:
        id: its value in the id map.
        window: the part of the frame that the patches cover.
        colours: (h, w, 3) uint8; around the object its own colours go on.
        alpha: (h, w) uint8 opacity, with a soft rim.
        mask: (h, w) uint8, 255 on the object.
        box: the object alone.
        outline: (N, 2) pixels at its border.
        samples: (M, 2) some of its pixels, spread evenly.
        edges: where the frame cuts it.
    """

    id: int
    window: Window
    colours: Frame
    alpha: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    box: Window
    outline: Points
    samples: Points
    edges: tuple[Edge, ...]

    @property
    def centre(self) -> Points:
        """(2,) middle of the box."""
        top, left, height, width = self.box
        return np.array([left + (width - 1) / 2, top + (height - 1) / 2])

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Return (N,) bool, True where the object is at a source point."""
        columns, rows = np.rint(points).astype(int).T - [[self.window.left], [self.window.top]]
        inside = (rows >= 0) & (rows < self.window.height) & (columns >= 0) & (columns < self.window.width)
        covered = np.zeros(len(points), bool)
        covered[inside] = self.mask[rows[inside], columns[inside]] > 0
        return covered


def cut_out(frame: Frame, ids: IdMap, value: int, feather: float) -> Layer:
    """Cut an object out of an annotated frame, with a rim of `feather` pixels."""
    height, width = ids.shape
    whole = (ids == value).astype(np.uint8)
    left, top, box_width, box_height = cv2.boundingRect(whole)
    box = Window(top, left, box_height, box_width)
    margin = max(_LEAST_MARGIN, math.ceil(4 * feather))
    first_row, first_column = max(top - margin, 0), max(left - margin, 0)
    last_row = min(top + box_height + margin, height)
    last_column = min(left + box_width + margin, width)
    window = Window(first_row, first_column, last_row - first_row, last_column - first_column)
    solid = np.ascontiguousarray(whole[window.slices])
    mask = solid * np.uint8(255)
    # The frame border is no border of the object.
    inner = cv2.erode(solid, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)
    colours, alpha = np.ascontiguousarray(frame[window.slices]), mask
    if feather > 0:
        colours = _continued(colours, solid, np.asarray(inner))
        alpha = np.asarray(cv2.GaussianBlur(mask, (0, 0), feather, borderType=cv2.BORDER_REPLICATE))
    origin = np.array([window.left, window.top])
    outline = _points(solid & ~(inner > 0)) + origin
    pixels = _points(solid) + origin
    if not len(outline):
        # An object that fills the frame ends nowhere else.
        outline = pixels[_at_border(pixels, height, width)]
    samples = pixels[:: max(1, len(pixels) // _SAMPLES)]
    return Layer(value, window, colours, alpha, mask, box, outline, samples, _edges(pixels, height, width))


def paste(picture: Frame, labels: IdMap, owners: IdMap, layer: Layer, warp: Warp, owner: int) -> None:
    """Put a warped object into a picture, its ids and its owners, in place.

    At least one pixel of an object that lies in the frame gets its id, however small it is.
    """
    window = _landing(layer.window, warp, labels.shape)
    if window is None:
        return
    part = window.slices
    x, y = _lookup(layer, warp, window)
    colours = cv2.remap(layer.colours, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    shape = cv2.remap(np.dstack([layer.alpha, layer.mask]), x, y, cv2.INTER_LINEAR)
    alpha, solid = shape[..., 0], shape[..., 1] >= 128
    if not solid.any():
        _dot(solid, layer, warp, window)
        alpha = np.where(solid, np.uint8(255), alpha)
    opacity = alpha[..., None].astype(np.float32) * (1 / 255)
    under = picture[part].astype(np.float32)
    picture[part] = (under + (colours - under) * opacity + 0.5).astype(np.uint8)
    labels[part][solid] = layer.id
    owners[part][solid] = owner


def _lookup(layer: Layer, warp: Warp, window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y in the patches of a layer for every pixel of a window of the image."""
    moved = displacement(warp.to_source, window, knot_step(layer.box))
    columns = np.arange(window.width, dtype=np.float32) + (window.left - layer.window.left)
    rows = np.arange(window.height, dtype=np.float32)[:, None] + (window.top - layer.window.top)
    return moved[..., 0] + columns, moved[..., 1] + rows


def _landing(window: Window, warp: Warp, size: tuple[int, ...]) -> Window | None:
    """Return the part of the image that a source window can reach; None outside."""
    along = np.linspace(0, 1, 17)
    zeros, ones = np.zeros(17), np.ones(17)
    x = window.left + np.concatenate([along, along, zeros, ones]) * (window.width - 1)
    y = window.top + np.concatenate([zeros, ones, along, along]) * (window.height - 1)
    reached = warp.to_image(np.stack([x, y], axis=-1))
    left, top = np.maximum(np.floor(reached.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.ceil(reached.max(axis=0)).astype(int) + 3
    right, bottom = min(right, size[1]), min(bottom, size[0])
    if right <= left or bottom <= top:
        return None
    return Window(int(top), int(left), int(bottom - top), int(right - left))


def _dot(solid: NDArray[np.bool_], layer: Layer, warp: Warp, window: Window) -> None:
    column, row = warp.to_image(layer.samples[len(layer.samples) // 2][None])[0]
    row, column = round(row) - window.top, round(column) - window.left
    if 0 <= row < window.height and 0 <= column < window.width:
        solid[row, column] = True


def _continued(picture: Frame, solid: NDArray[np.uint8], inner: NDArray[np.uint8]) -> Frame:
    """Continue the colours of an object beyond its border.

    The outermost pixels of a mask are mixed with what was behind; they are made new from inside, but
    where the object is too thin to have an inside.
    """
    weight = inner.astype(np.float32) + solid * np.float32(1e-3)
    colours = picture.astype(np.float32)
    around = np.dstack([colours * weight[..., None], weight])
    for sigma in (1.5, 4.0):
        blurred = cv2.GaussianBlur(around, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        share = blurred[..., 3:]
        fresh = np.where(share > 1e-6, blurred[..., :3] / np.maximum(share, 1e-6), colours)
        trusted = np.minimum(weight, 1)[..., None]
        colours = trusted * colours + (1 - trusted) * fresh
        weight = np.maximum(weight, (share[..., 0] > 1e-4).astype(np.float32))
        around = np.dstack([colours * weight[..., None], weight])
    return np.asarray(np.clip(colours.round(), 0, 255).astype(np.uint8))


def _edges(pixels: Points, height: int, width: int) -> tuple[Edge, ...]:
    edges = []
    for axis, value, outward in ((0, 0, -1), (0, width - 1, 1), (1, 0, -1), (1, height - 1, 1)):
        touching = pixels[pixels[:, axis] == value]
        if len(touching):
            direction = np.zeros(2)
            direction[axis] = outward
            edges.append(Edge(direction, touching))
    return tuple(edges)


def _at_border(pixels: Points, height: int, width: int) -> NDArray[np.bool_]:
    x, y = pixels.T
    return np.asarray((x == 0) | (x == width - 1) | (y == 0) | (y == height - 1))


def _points(mask: NDArray[np.uint8] | NDArray[np.bool_]) -> Points:
    return np.argwhere(mask)[:, ::-1].astype(np.float64)
