"""Large kernels in fewer multiplications give what the library's convolution gives."""

import pytest
import torch
from torch.nn import functional as F

from tests.rounding import assert_rounded
from vosbench.models.layers import fast_convolution
from vosbench.models.layers.fast_convolution import (
    Tiling,
    Transformed,
    best_tiling,
    convolve,
    matrices,
    pays,
    prepare,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def always(monkeypatch):
    """The transform for every kernel and size, also in double precision."""
    monkeypatch.setattr(fast_convolution, "pays", lambda x, weight: True)


@pytest.mark.parametrize(("length", "kernel"), [(8, 7), (9, 5), (16, 7), (21, 7), (36, 7), (12, 1), (7, 7)])
def test_the_matrices_correlate(length, kernel):
    analysis, factors, synthesis = matrices(length, kernel)
    tiling = Tiling(kernel, length, 0, length)
    assert len(analysis) == len(factors) == synthesis.shape[1] == tiling.products
    data, taps = torch.randn(length, dtype=torch.float64), torch.randn(kernel, dtype=torch.float64)
    found = synthesis @ ((analysis @ data) * (factors @ taps))
    expected = F.conv1d(data[None, None], taps[None, None])[0, 0]
    assert_rounded(found, expected)


@pytest.mark.parametrize("inputs", [1, 6, 7, 10, 11, 60])
@pytest.mark.parametrize("padding", [3, 4])
def test_tiles_cover_all_outputs_once(inputs, padding):
    tiling = Tiling(kernel=7, length=16, padding=padding, inputs=inputs)
    written = [row for tile in range(tiling.tiles) for row in range(tiling.outputs)[tiling.written(tile)]]
    assert written == list(range(tiling.outputs))
    for tile in range(tiling.tiles):
        rows, inside = tiling.read(tile)
        assert rows.stop - rows.start == inside.stop - inside.start >= 0
        # all real rows under a kernel of the tile are read
        first = tiling.written(tile).start - padding
        last = tiling.written(tile).stop - 1 - padding + 6
        assert rows.start <= max(first, 0)
        assert rows.stop >= min(last + 1, inputs)


def test_longer_tiles_are_chosen_for_more_pixels():
    one, many = (best_tiling(7, 3, 60, frames * 107) for frames in (1, 14))
    assert one.length <= many.length
    # seven products per row in the direct way
    assert many.products * many.tiles < 2 * 60 < one.products * one.tiles * 2 < 7 * 60


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [
        ((2, 3, 60, 107), (7, 7), None),
        ((1, 4, 33, 17), (5, 5), None),
        ((3, 2, 3, 2), (7, 7), None),
        ((1, 1, 1, 1), (7, 7), None),
        ((2, 3, 19, 23), (7, 3), (3, 1)),
        ((2, 3, 19, 23), (5, 7), (0, 0)),
        ((1, 3, 20, 9), (6, 4), (5, 2)),
    ],
)
def test_values_and_gradients_are_those_of_the_library(shape, kernel, padding):
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(5, shape[1], *kernel, requires_grad=True)
    bias = torch.randn(5, requires_grad=True)
    whole = (kernel[0] // 2, kernel[1] // 2)
    found = Transformed(x, weight, bias, padding)(x) if padding else convolve(x, weight, bias)
    expected = F.conv2d(x, weight, bias, padding=padding or whole)
    assert_rounded(found, expected)
    upstream = torch.randn_like(expected)
    pairs = zip(
        *(torch.autograd.grad(y, (x, weight, bias), upstream) for y in (found, expected)), strict=True
    )
    for gradient, other in pairs:
        assert_rounded(gradient, other)


@pytest.mark.usefixtures("always")
def test_gradients_in_double_precision():
    x, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in [(2, 2, 9, 4), (3, 2, 5, 5), (3,)]
    )
    assert torch.autograd.gradcheck(convolve, (x, weight, bias))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kernel", [5, 7])
def test_double_precision_is_exact_to_its_last_digits(kernel):
    x, weight = torch.randn(1, 8, 40, 30).double(), torch.randn(8, 8, kernel, kernel).double()
    assert_rounded(convolve(x, weight), F.conv2d(x, weight, padding=kernel // 2), 64)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("grad", [True, False])
def test_memory_is_bounded_by_doing_some_images_at_a_time(monkeypatch, grad):
    x, weight = torch.randn(5, 16, 40, 30), torch.randn(16, 16, 7, 7)
    monkeypatch.setattr(fast_convolution, "CHUNK_BYTES", 2**21)
    with torch.set_grad_enabled(grad):
        prepared = prepare(x, weight)
        assert 1 < prepared.images < 5
        assert_rounded(prepared(x), F.conv2d(x, weight, padding=3))


@pytest.mark.usefixtures("always")
def test_a_prepared_kernel_serves_many_inputs_of_a_size():
    x, weight = torch.randn(3, 16, 40, 30), torch.randn(16, 16, 7, 7)
    prepared = prepare(x, weight)
    for some in (x[:1], 2 * x):
        assert_rounded(prepared(some), F.conv2d(some, weight, padding=3))
        with torch.no_grad():
            assert_rounded(prepared(some), F.conv2d(some, weight, padding=3))
            # in memory of their own
            first, second = prepared(some), prepared(3 * some)
            assert_rounded(second, 3 * first)
    with pytest.raises(ValueError, match="prepared for 40 rows, got 20"):
        prepared(x[:, :, :20])


def test_where_the_transform_pays():
    x, weight = torch.zeros(1, 64, 60, 107), torch.zeros(64, 64, 7, 7)
    assert pays(x, weight)
    # too small a kernel, too few channels, rows or pixels
    assert not pays(x, weight[..., :5, :5])
    assert not pays(x[:, :1], weight[:, :1])
    assert not pays(torch.zeros(1, 64, 8, 1000), weight)
    assert not pays(x[..., :60], weight)
    # more channels make up for it
    assert pays(torch.zeros(1, 128, 60, 107), torch.zeros(128, 128, 5, 5))
    assert pays(torch.zeros(1, 128, 48, 60), torch.zeros(192, 128, 7, 7))
    assert not pays(torch.zeros(1, 256, 60, 107), torch.zeros(256, 256, 3, 3))
    assert not pays(x.double(), weight.double())
    assert not pays(x.to("meta"), weight.to("meta"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not pays(x, weight)


def test_it_is_used_where_it_pays_and_nowhere_else():
    x, weight = torch.randn(1, 64, 60, 107), torch.randn(64, 64, 7, 7)
    assert isinstance(prepare(x, weight), Transformed)
    assert_rounded(convolve(x, weight), F.conv2d(x, weight, padding=3))
    assert torch.equal(convolve(x[..., :9], weight), F.conv2d(x[..., :9], weight, padding=3))
