"""STCNN at size lite: it starts as the appearance stream of FusionSeg, and sees frames of any size alike."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.rounding import assert_rounded
from vosbench.data.transforms.clip_transforms import Clip
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.layers import efficientnet_lite
from vosbench.models.layers.efficientnet_lite import EfficientNetLite0
from vosbench.models.pretrained.zoo import load_method
from vosbench.models.stcnn.gate import GateSettings, SpatialGate, gate
from vosbench.models.stcnn.losses import segmentation_loss
from vosbench.models.stcnn.online import LITE_ONLINE, learn_object, pan, seen_first
from vosbench.training import fit
from vosbench.video import Video

HEIGHT, WIDTH = 48, 64


def lite(**switches):
    torch.manual_seed(0)
    return build("stcnn", "lite", **({"online_iterations": 1, "online_images": 2, "lucid": True} | switches))


def inputs(height=65, width=97, count=1):
    torch.manual_seed(1)
    return torch.rand(count, 12, height, width) * 2 - 1, torch.randn(count, 3, height, width)


def video(frames=3, seed=0):
    random = np.random.default_rng(seed)
    pictures = [random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(frames)]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 20:40] = 1
    return Video("v", pictures, tuple(map(str, range(frames)))), mask


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


@pytest.fixture(scope="module")
def appearance(tmp_path_factory):
    """A FusionSeg of appearance alone, and its checkpoint."""
    torch.manual_seed(3)
    fusionseg = build("fusionseg", "lite", stream="appearance").eval()
    return fusionseg, checkpoint(tmp_path_factory.mktemp("fusionseg") / "fusionseg.ckpt", fusionseg)


def test_five_maps_of_logits_and_a_predicted_frame_at_a_quarter():
    network = lite().network.eval()
    past, frame = inputs(97, 131)
    with torch.no_grad():
        found = network(past, frame)
        prediction = network.predict(past)
    assert [level.shape for level in found.logits] == [(1, 1, 97, 131)] * 5
    # 97 x 131 is seen as 97 x 129
    assert prediction.frame.shape == (1, 3, 25, 33)
    assert prediction.frame.abs().max() <= 1
    assert [tuple(level.shape[1:]) for level in prediction.features] == [
        (64, 7, 9),
        (48, 13, 17),
        (32, 25, 33),
    ]
    with torch.no_grad():
        sizes = [tuple(level.shape[-2:]) for level in network.segment(frame)]
    assert sizes == [(4, 5), (7, 9), (13, 17), (25, 33), (25, 33)]


def test_weights_as_float16_are_smaller_than_8_megabytes():
    assert 2 * sum(value.numel() for value in lite().state_dict().values()) < 8e6


def test_a_new_network_finds_what_the_appearance_stream_finds(appearance):
    fusionseg, weights = appearance
    model = lite(appearance_weights=weights, encoder_weights="random")
    model.configure_stage("spatial")
    past, frame = inputs()
    with torch.no_grad():
        background, foreground = fusionseg.network.appearance(frame)[0]
        wanted = foreground - background
        for seen in (past, None):
            assert_rounded(model.network.eval()(seen, frame).logits[-1][0, 0], wanted)


def test_parts_that_start_at_zero_learn(appearance):
    """Joins, attention and coarser maps get a gradient at the start, and then change what is found."""
    model = lite(appearance_weights=appearance[1], encoder_weights="random")
    model.configure_stage("joint")
    decoder = model.network.segmentation.decoder
    past, frame = inputs()
    masks = torch.zeros(1, *frame.shape[-2:], dtype=torch.uint8)
    masks[:, 20:40, 30:60] = 1
    segmentation_loss(model.network(past, frame).logits, masks).backward()
    layers = [*decoder.joins, *(block.last for block in decoder.attentions), *decoder.fuse]
    assert all(layer.weight.abs().max() == 0 < layer.weight.grad.abs().max() for layer in layers)
    before = model.network(past, frame).logits[-1]
    with torch.no_grad():
        decoder.joins[0].weight.normal_()
    other = model.network(-past, frame).logits[-1]
    assert not torch.equal(model.network(past, frame).logits[-1], before)
    assert not torch.equal(model.network(past, frame).logits[-1], other)


def test_the_segmentation_does_not_train_the_temporal_branch():
    network = lite().network
    past, frame = inputs()
    with torch.no_grad():
        network.segmentation.decoder.joins[0].weight.normal_()
    network(past, frame).logits[-1].sum().backward()
    assert all(parameter.grad is None for parameter in network.generator.parameters())


@pytest.mark.parametrize("switches", [{"tcb": False}, {"attention": False}, {"delta": 3}])
def test_the_switches_of_table_3(switches):
    model = lite(**switches)
    assert model.segment(*video()).stack().shape == (3, HEIGHT, WIDTH)


def test_attention_weighs_by_the_coarser_map(appearance):
    """Where the coarser map is sure that there is nothing, attention changes nothing."""
    model = lite(appearance_weights=appearance[1], encoder_weights="random")
    model.configure_stage("joint")
    decoder = model.network.segmentation.decoder
    _, frame = inputs()
    with torch.no_grad():
        before = model.network.segment(frame)[1]
        decoder.attentions[2].last.bias.fill_(1)
        decoder.scores[-1].weight.zero_()
        for bias, changes in ((-1e4, False), (0.0, True)):
            decoder.scores[-1].bias.fill_(bias)
            assert torch.equal(model.network.segment(frame)[1], before) != changes


def test_the_first_kernel_is_repeated_for_every_past_frame(tmp_path, monkeypatch):
    torch.manual_seed(0)
    whole = EfficientNetLite0()
    torch.save(whole.state_dict(), tmp_path / "imagenet.pth")
    monkeypatch.setattr("vosbench.models.stcnn.lite.imagenet_weights", lambda key: tmp_path / "imagenet.pth")
    network = lite(delta=3).network
    network.load_encoders("efficientnet_lite0")
    stem = whole.stem[0].weight
    assert torch.equal(network.generator.encoder.stem[0].weight, torch.cat([stem] * 3, dim=1))
    last = "blocks.10.project.0.weight"
    for part in (network.generator, network.segmentation):
        assert torch.equal(part.encoder.state_dict()[last], whole.state_dict()[last])


def test_missing_imagenet_weights_name_the_key(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(InputError, match=r"model\.encoder_weights=random"):
        lite().network.load_encoders("efficientnet_lite0", "model.encoder_weights")


@pytest.mark.parametrize("size", [(48, 64), (120, 160), (37, 90)])
def test_frames_of_any_size_are_seen_with_a_short_side_of_257(size):
    network = lite().network
    seen = network.seen(torch.zeros(1, 3, *size, dtype=torch.uint8))
    assert min(seen.shape[-2:]) == 257
    assert all(side % 32 == 1 for side in seen.shape[-2:])
    assert seen.dtype == torch.uint8


def test_the_same_scene_in_twice_the_size_gives_the_same_masks_in_twice_the_size():
    """Nothing counts in pixels of the frame, the gate included."""
    model = lite(train_phase="offline_only", gate_reach=200, gate_least=100, gate_threshold=0.5)
    with torch.no_grad():
        # sure of everything, so that the gate alone decides
        model.network.segmentation.decoder.classifiers[0].bias.fill_(50)
    shown, mask = video()
    large = Video("v", [f.repeat(2, 0).repeat(2, 1) for f in shown.frames], shown.frame_names)
    gates = [model.tracking.gate.fitted(factor * HEIGHT, factor * WIDTH) for factor in (1, 2)]
    assert tuple(settings.reach for settings in gates) == (20, 40)
    assert tuple(settings.least for settings in gates) == (1, 4)
    first, second = (
        model.segment(shown, mask).stack(),
        model.segment(large, mask.repeat(2, 0).repeat(2, 1)).stack(),
    )
    assert second.shape == (3, 2 * HEIGHT, 2 * WIDTH)
    assert (first == second[:, ::2, ::2]).mean() > 0.97


def test_a_gate_in_pixels_of_any_frame_stays_as_it_is():
    settings = GateSettings()
    assert settings.fitted(135, 240) is settings
    assert GateSettings(80, 50, 0.4, short_side=480).fitted(480, 854) == GateSettings()
    assert GateSettings(80, 50, 0.4, short_side=480).fitted(240, 427) == GateSettings(40, 12)
    first = np.zeros((120, 213), np.uint8)
    assert SpatialGate(first, GateSettings(80, 48, short_side=480)).settings == GateSettings(20, 3)


def test_whole_parts_pass_the_gate_where_they_begin_inside():
    previous = np.zeros((20, 200), bool)
    previous[:, :20] = True
    probability = np.zeros((20, 200), np.float32)
    probability[:, 15:100], probability[:, 120:140], probability[:, 110:112] = 0.9, 0.9, 0.3
    settings = GateSettings(reach=20)
    cut, whole = (gate(probability, previous, dataclasses.replace(settings, whole=w)) for w in (False, True))
    assert cut[10, 15:29].min() == np.float32(0.9)
    assert cut[10, 31:].max() == 0
    np.testing.assert_array_equal(whole[:, :100], probability[:, :100])
    assert whole[:, 100:].max() == 0


def test_online_training_learns_a_copy_by_its_seed_alone():
    model = lite(online_seed=4).eval()
    shown, mask = video()
    settings = dataclasses.replace(model.tracking.online, iterations=2, view=0.5)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    first, again = (learn_object(model.network, shown.frames[0], mask, settings) for _ in range(2))
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    changed = {
        name.split(".")[0]
        for name, value in first.named_parameters()
        if not torch.equal(value, before[f"segmentation.{name}"])
    }
    assert changed == {"encoder", "decoder"}
    kept = ("decoder.joins.", "decoder.attentions.")
    for name, value in first.named_parameters():
        if name.startswith(kept):
            assert torch.equal(value, before[f"segmentation.{name}"])
    statistics = {name: value for name, value in first.named_buffers() if ".running_" in name}
    assert statistics
    assert all(torch.equal(value, before[f"segmentation.{name}"]) for name, value in statistics.items())


def test_an_object_of_one_pixel_is_learned_too():
    frame, mask = np.zeros((600, 800, 3), np.uint8), np.zeros((600, 800), np.uint8)
    mask[301, 401] = 1
    seen, labels = seen_first(lite().network, frame, mask)
    assert seen.shape == (257, 353, 3)
    assert labels[301 * 257 // 600, 401 * 353 // 800] == 1
    assert labels.sum() <= 4


def test_the_window_of_a_still_picture_moves_evenly():
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(80), indexing="ij")
    picture = torch.stack([rows, columns, rows * 0]).to(torch.uint8)[None]
    for _ in range(20):
        seen = pan(Clip(picture, (rows + columns).to(torch.uint8)[None]), 0.5, 5)
        assert seen.frames.shape == (5, 3, 30, 40)
        # rows and columns of the picture are its colours, and the mask is their sum
        assert torch.equal(seen.masks, seen.frames[:, 0] + seen.frames[:, 1])
        corners = seen.frames[:, :2, 0, 0].int()
        assert (corners.diff(dim=0).abs().amax(dim=0) <= torch.tensor([2, 2])).all()


def test_the_window_of_a_clip_that_moves_stays():
    clip = Clip(
        torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 20, 20), torch.zeros(5, 20, 20)
    )
    seen = pan(clip, 0.5, 5)
    assert seen.frames[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("key", "value"), [("released", True), ("topdown", "code_crop"), ("stride_in", "1x1")]
)
def test_keys_of_residual_networks_are_refused(key, value):
    with pytest.raises(InputError, match=f"size=lite has no {key}"):
        lite(**{key: value})


def test_weights_of_another_network_are_refused(tmp_path):
    other = checkpoint(tmp_path / "other.ckpt", build("fusionseg", "tiny"))
    model = lite(appearance_weights=other, encoder_weights="random")
    with pytest.raises(InputError, match="not weights of fusionseg or lvo of size lite"):
        model.configure_stage("spatial")
    with pytest.raises(InputError, match="size=tiny has no appearance_weights"):
        build("stcnn", "tiny", appearance_weights=other)


@pytest.mark.slow
def test_all_stages_train_on_miniatures(tmp_path, appearance):
    run = fit(
        [
            *("model=stcnn", "size=lite", "recipe=stcnn_lite", "stage=all", "data.edition=mini"),
            *(f"model.appearance_weights={appearance[1]}", "model.encoder_weights=random"),
            *("data.scenes=8", f"data_root={tmp_path}", f"run={tmp_path / 'run'}", "workers=0"),
            *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.limit_val_batches=1"),
            *(f"recipe.{stage}.epochs=1" for stage in ("temporal", "spatial", "joint")),
            *(f"recipe.{stage}.epoch_length=2" for stage in ("temporal", "spatial", "joint")),
            *(f"recipe.{stage}.batch_size=2" for stage in ("temporal", "spatial", "joint")),
            *(f"recipe.{stage}.augment.crop=[65,97]" for stage in ("temporal", "spatial", "joint")),
        ]
    )
    model, _ = load_method("stcnn", checkpoint=run / "joint" / "checkpoints" / "last.ckpt")
    assert model.hparams["size"] == "lite"
    expected = dataclasses.replace(LITE_ONLINE, iterations=50, images=20, lr=2e-4, lucid=False)
    assert model.tracking.online == expected
    assert model.hparams["appearance_weights"] is None
