"""LVO at size lite: the appearance stream of FusionSeg, maps of one size for all frames, cached features."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.rounding import assert_rounded
from vosbench.config import StageConfig
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.lvo.feature_cache import FeatureCache
from vosbench.models.lvo.lite import cut_clip, lite_grid, on_fine_grid, picture_size, to_fine_grid
from vosbench.models.lvo.network import LITE
from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video


def lite(**variant):
    torch.manual_seed(0)
    return build("lvo", "lite", **{"appearance": "none", "motion_short_side": 32} | variant)


def video(frames=4, height=41, width=61):
    random = np.random.default_rng(0)
    fields = [3 * random.normal(size=(2, height, width)).astype(np.float32) for _ in range(frames - 1)]
    images = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(frames)]
    return Video("v", images, tuple(f"{index:05d}" for index in range(frames)), flow=fields)


def clips(frames=3, height=48, width=64):
    torch.manual_seed(1)
    return {
        "frames": torch.randint(0, 255, (1, frames, 3, height, width), dtype=torch.uint8),
        "flow": torch.randn(1, frames, 2, height, width),
        "masks": torch.randint(0, 2, (1, frames, height, width), dtype=torch.uint8),
    }


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("appearance", [None, LITE, "cnn2", "rgb", "none"])
def test_every_appearance_trains_and_segments(appearance):
    model = lite(appearance=appearance).train()
    model.training_step(clips(), 0).backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    masks = model.segment(video()).stack()
    assert masks.shape == (4, 41, 61)
    assert set(np.unique(masks)) <= {0, 1}


def test_the_memory_works_on_maps_of_one_size_whatever_the_size_of_the_frames():
    assert picture_size(480, 854) == picture_size(240, 427) == (257, 449)
    assert lite_grid(480, 854) == lite_grid(240, 427) == (65, 113)
    assert lite_grid(427, 240) == (113, 65)
    model = lite(appearance=LITE)
    for size in ((48, 64), (96, 128)):
        assert model(torch.zeros(1, 2, 3, *size), torch.zeros(1, 2, 2, *size)).shape[-2:] == (65, 89)


def test_the_appearance_stream_is_that_of_fusionseg(tmp_path):
    torch.manual_seed(3)
    fusionseg = build("fusionseg", "lite", stream="appearance").eval()
    weights = checkpoint(tmp_path / "fusionseg.ckpt", fusionseg)
    model = lite(appearance=LITE, appearance_weights=weights, motion_weights="random")
    model.configure_stage("memory")
    picture = normalise(torch.randint(0, 255, (1, 3, 257, 289)), "torchvision")
    stream = fusionseg.network.appearance
    with torch.no_grad():
        expected = stream.head.pyramid(stream.body(picture))
        assert_rounded(model.network.appearance_map(picture), expected)
    again = lite(appearance=LITE, appearance_weights=checkpoint(tmp_path / "lvo.ckpt", model))
    again.configure_stage("memory")
    for key, value in model.network.appearance.state_dict().items():
        assert torch.equal(again.network.appearance.state_dict()[key], value)


def test_appearance_weights_of_something_else(tmp_path):
    weights = checkpoint(tmp_path / "mpnet.ckpt", build("mpnet", "tiny"))
    with pytest.raises(InputError, match=r"mpnet\.ckpt: not weights of fusionseg or lvo of size lite"):
        lite(appearance=LITE, appearance_weights=weights).configure_stage("memory")


@pytest.mark.parametrize(
    ("size", "variant", "message"),
    [
        ("lite", {"appearance": "deeplab_v2"}, "size=lite has no appearance=deeplab_v2"),
        ("tiny", {"appearance": LITE}, "size=tiny has no appearance=efficientnet_lite0"),
        ("tiny", {"map_crop": 0.5}, "size=tiny has no map_crop"),
        ("full", {"shortest_clip": 3}, "size=full has no shortest_clip"),
    ],
)
def test_switches_go_with_a_size(size, variant, message):
    with pytest.raises(InputError, match=message):
        build("lvo", size, **variant)


def test_the_loss_is_the_cross_entropy_of_known_pixels_on_a_grid_twice_as_fine_as_the_maps():
    model, batch = lite().eval(), clips()
    batch["masks"][..., 50:] = 255
    with torch.no_grad():
        logits = model(batch["frames"], batch["flow"])[0]
        loss = model.training_step(batch, 0)
    assert logits.shape[-2:] == (65, 89)
    fine = F.interpolate(logits, (129, 177), mode="bilinear", align_corners=True)
    rows, columns = (np.round(np.linspace(0, side - 1, count)) for side, count in ((48, 129), (64, 177)))
    target = batch["masks"][0][:, rows][:, :, columns].long()
    assert_rounded(loss, F.cross_entropy(fine, target, ignore_index=255))


def test_fine_grids_share_their_corners_with_maps():
    masks = torch.arange(9, dtype=torch.uint8).expand(1, 5, 9)
    assert on_fine_grid(masks, (3, 3))[0, 0].tolist() == [0, 2, 4, 6, 8]
    ramp = torch.linspace(0, 8, 3).expand(1, 1, 3, 3)
    assert to_fine_grid(ramp)[0, 0, 0].tolist() == [0, 2, 4, 6, 8]


def test_training_clips_are_cut_in_time_and_space_and_masks_with_them():
    places = torch.stack(torch.meshgrid(torch.arange(6), torch.arange(9), torch.arange(11), indexing="ij"))
    maps = places.permute(1, 0, 2, 3)[None].float()
    masks = to_fine_grid(maps[0, :, 1:].float())[None].sum(dim=2)
    torch.manual_seed(0)
    seen = []
    for _ in range(40):
        x, target = cut_clip(maps, masks, shortest=2, share=0.5)
        frames = x.shape[1]
        assert x.shape == (1, frames, 3, 4, 6)
        assert target.shape == (1, frames, 7, 11)
        assert_rounded(target[0, :, ::2, ::2], x[0, :, 1] + x[0, :, 2])
        assert (x[0, 1:, 0] - x[0, :-1, 0] == 1).all()
        seen.append((frames, int(x[0, 0, 0, 0, 0]), int(x[0, 0, 1, 0, 0]), int(x[0, 0, 2, 0, 0])))
    counts, firsts, tops, lefts = (set(values) for values in zip(*seen, strict=True))
    assert counts == {2, 3, 4, 5, 6}
    assert len(firsts) > 2
    assert max(tops) == 5
    assert max(lefts) == 5


def test_cached_features_are_those_of_the_streams_and_are_computed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path))
    plain = lite(appearance=LITE).eval()
    cached = lite(appearance=LITE, cache_features=True).eval()
    batch = clips()
    with torch.no_grad():
        expected = plain.training_step(batch, 0)
        assert torch.allclose(cached.training_step(batch, 0), expected, atol=1e-3)
        assert len(list(tmp_path.rglob("*.npy"))) == 6
        first = cached.training_step(batch, 0)
    monkeypatch.setattr(cached.network.appearance, "forward", None)
    monkeypatch.setattr(cached.network.motion, "forward", None)
    with torch.no_grad():
        assert torch.equal(cached.training_step(batch, 0), first)


def test_features_of_other_weights_or_settings_are_others(tmp_path):
    network = torch.nn.Conv2d(1, 1, 1)
    value = torch.ones(1, 1, 2, 2)
    asked = []

    def compute(x):
        asked.append(x)
        return network(x)

    for _ in range(2):
        FeatureCache(tmp_path, network, {"side": 1}).maps(value, compute)
    assert len(asked) == 1
    FeatureCache(tmp_path, network, {"side": 2}).maps(value, compute)
    torch.nn.init.constant_(network.weight, 3.0)
    FeatureCache(tmp_path, network, {"side": 1}).maps(value, compute)
    assert len(asked) == 3


def test_a_broken_entry_is_computed_again(tmp_path):
    network, value = torch.nn.Identity(), torch.ones(1, 1, 2, 2)
    cache = FeatureCache(tmp_path, network, {})
    cache.maps(value, network)
    (entry,) = tmp_path.rglob("*.npy")
    entry.write_bytes(b"not an array")
    assert torch.equal(cache.maps(value, network), value)
    assert torch.equal(cache.maps(value, torch.neg), value)


def test_the_checkpoint_says_how_long_the_clips_were_and_longer_windows_are_warned_of(tmp_path, caplog):
    model = lite(motion_weights="random", window=9, step=9)
    settings = StageConfig()
    settings.clip.length = 2
    model.configure_stage("memory", settings)
    loaded, described = load_method("lvo", checkpoint=Path(checkpoint(tmp_path / "lvo.ckpt", model)))
    assert described["variant"]["trained_frames"] == 2
    with caplog.at_level(logging.WARNING):
        loaded.segment(video(8))
        assert not caplog.records
        loaded.segment(video(9))
    assert "clips of at most 2 frames and looks at 9 at once" in caplog.text
