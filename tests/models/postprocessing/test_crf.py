import sys

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.models.postprocessing.crf import CrfSettings, parse_crf, refine, require_crf


@pytest.fixture
def library():
    return pytest.importorskip("pydensecrf.densecrf", reason="extra crf is not installed")


def scene(height=12, width=14, seed=0):
    """A bright box on dark ground, both noisy, and a vague probability of the box."""
    random = np.random.default_rng(seed)
    box = np.zeros((height, width), bool)
    box[3:9, 4:11] = True
    image = np.where(box[..., None], 190, 50) + random.integers(-12, 13, (height, width, 3))
    probability = np.clip(np.where(box, 0.65, 0.35) + random.normal(0, 0.2, box.shape), 0.02, 0.98)
    return image.astype(np.uint8), probability.astype(np.float32), box


def mean_field(image, probability, settings):
    """The formulas of Krähenbühl and Koltun with every pair of pixels, in double precision."""
    height, width = probability.shape
    place = np.indices((height, width)).reshape(2, -1).T.astype(np.float64)
    colour = image.reshape(-1, 3).astype(np.float64)

    def kernel(features):
        squares = ((features[:, None] - features[None]) ** 2).sum(-1)
        weights = np.exp(-squares / 2)
        sums = weights.sum(1)
        return weights / np.sqrt(sums[:, None] * sums[None])

    near = kernel(place / settings.gaussian_xy)
    alike = kernel(np.hstack([place / settings.bilateral_xy, colour / settings.bilateral_rgb]))
    pull = settings.gaussian_weight * near + settings.bilateral_weight * alike
    p = probability.astype(np.float64).ravel()
    if settings.normalise:
        p = (p - p.min()) / (p.max() - p.min())
    score = np.log(np.maximum(np.stack([1 - p, p], 1), settings.floor))
    belief = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    for _ in range(settings.iterations):
        # Potts: agreement with a label is worth what disagreement with it costs
        energy = score + pull @ belief
        energy = np.exp(energy - energy.max(1, keepdims=True))
        belief = energy / energy.sum(1, keepdims=True)
    return belief[:, 1].reshape(height, width)


def test_published_settings():
    settings = CrfSettings()
    assert settings.normalise
    assert (settings.gaussian_xy, settings.gaussian_weight) == (3, 3)
    assert (settings.bilateral_xy, settings.bilateral_rgb, settings.bilateral_weight) == (50, 10, 5)
    assert settings.iterations == 5


def test_without_inference_it_is_the_probability_stretched(library):
    image, probability, _ = scene()
    still = refine(image, probability, CrfSettings(iterations=0))
    low, high = probability.min(), probability.max()
    np.testing.assert_allclose(still, (probability - low) / (high - low), atol=2e-5)
    as_it_is = refine(image, probability, CrfSettings(iterations=0, normalise=False))
    np.testing.assert_allclose(as_it_is, probability, atol=2e-5)


def test_equal_probabilities_are_not_stretched(library):
    image, probability, _ = scene()
    refined = refine(image, np.full_like(probability, 0.3), CrfSettings(iterations=0))
    np.testing.assert_allclose(refined, 0.3, atol=1e-6)
    assert (refine(image, np.zeros_like(probability)) < 0.5).all()
    assert (refine(image, np.ones_like(probability)) > 0.5).all()


@pytest.mark.parametrize("iterations", [1, 5])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("weights", [(3, 0), (0, 5), (3, 5)])
def test_agrees_with_every_pair_of_pixels(library, seed, weights, iterations):
    image, probability, _ = scene(seed=seed)
    settings = CrfSettings(gaussian_weight=weights[0], bilateral_weight=weights[1], iterations=iterations)
    ours, exact = refine(image, probability, settings), mean_field(image, probability, settings)
    # the library's lattice approximates the Gaussians: 0.036 at most and 0.005 on average here
    assert np.abs(ours - exact).max() < 0.06
    assert np.abs(ours - exact).mean() < 0.008
    assert np.array_equal(ours > 0.5, exact > 0.5)


def test_noise_goes_and_edges_stay(library):
    image, probability, box = scene()
    assert ((probability > 0.5) == box).mean() < 0.85
    refined = refine(image, probability)
    assert (refined.dtype, refined.shape) == (np.float32, box.shape)
    assert np.array_equal(refined > 0.5, box)


def test_inputs_stay_as_they_are(library):
    image, probability, _ = scene()
    image.flags.writeable = probability.flags.writeable = False
    before = image.copy(), probability.copy()
    refine(image[::-1], probability[::-1])
    assert np.array_equal(image, before[0])
    assert np.array_equal(probability, before[1])


def test_sizes_and_values_are_checked():
    image, probability, _ = scene()
    with pytest.raises(ValueError, match="differ in size"):
        refine(image[1:], probability)
    with pytest.raises(ValueError, match="uint8"):
        refine(image.astype(np.float32), probability)
    with pytest.raises(ValueError, match=r"outside of 0\.\.1"):
        refine(image, probability * 3, CrfSettings(normalise=False))
    with pytest.raises(ValueError, match=r"outside of 0\.\.1"):
        refine(image, np.full_like(probability, np.nan))


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    match = r"needs pydensecrf2: pip install 'vosbench\[crf\]'"
    with pytest.raises(InputError, match=match):
        require_crf()
    image, probability, _ = scene()
    with pytest.raises(InputError, match=match):
        refine(image, probability)


def test_key_of_a_method():
    assert parse_crf(None) is parse_crf(False) is None
    assert parse_crf(True) == CrfSettings()
    assert parse_crf({"iterations": 10}) == CrfSettings(iterations=10)
    assert parse_crf(CrfSettings(floor=0.1)) == CrfSettings(floor=0.1)
    with pytest.raises(InputError, match="unknown crf setting 'iteration': did you mean iterations"):
        parse_crf({"iteration": 10})
    with pytest.raises(InputError, match="crf is 'yes': give true, false, or settings"):
        parse_crf("yes")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("normalise", "x", "true or false"),
        ("gaussian_xy", 0, "a number above 0"),
        ("bilateral_rgb", "10", "a number above 0"),
        ("bilateral_weight", -1, "a number of at least 0"),
        ("iterations", 2.5, "a whole number"),
        ("floor", 0.0, "a number between 0 and 0.5"),
    ],
)
def test_values_that_cannot_be(key, value, wanted):
    with pytest.raises(InputError, match=f"crf: {key} is {value!r}, it must be {wanted}"):
        CrfSettings(**{key: value})
