"""LIP at size lite: the encoder of FusionSeg, pictures without padding, learning of changed first frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.lip import parameters
from tests.models.test_lip_rules import found
from tests.rounding import assert_rounded
from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.lip.lite import LiteBackbone, placed, prepare_fitted
from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.online import FirstFrame, LIPOnlineSettings, learn_video, moved
from vosbench.models.lip.pyramid import PyramidMemory
from vosbench.models.lip.rules import DetectionRules, select
from vosbench.models.lip.tracking import boxes_of_masks
from vosbench.models.lip.training import grown
from vosbench.models.lip.widths import LITE
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.training import fit
from vosbench.video import Video

SMALL = replace(LITE, short_side=97)
SIZE = (90, 160)
FITTED = (97, 161)
OBJECT = (slice(20, 60), slice(30, 90))


def lite(**switches):
    torch.manual_seed(0)
    few = {
        "online_iterations": 2,
        "online_views": 2,
        "train_sides": [97],
        "test_side": 97,
        "gru_on_p6": False,
    }
    return build("lip", "lite", **(few | switches))


def network(**keys):
    torch.manual_seed(0)
    return LIPNet(1, widths=SMALL, gru_on_p6=False, **keys)


def labels():
    result = torch.zeros(SIZE, dtype=torch.uint8)
    result[OBJECT] = 1
    return result


def picture(seed=0):
    """A red rectangle on noise, normalised pixels."""
    values = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(seed))
    values[:, *OBJECT] = torch.tensor([2.0, -1.0, -1.0])[:, None, None]
    return values


def video(frames=4):
    random = np.random.default_rng(0)
    background = random.integers(0, 90, (*SIZE, 3), dtype=np.uint8)
    pictures, masks = [], []
    for t in range(frames):
        shown, mask = background.copy(), np.zeros(SIZE, np.uint8)
        window = (slice(20, 60), slice(30 + 3 * t, 90 + 3 * t))
        shown[window], mask[window] = (230, 60, 40), 3
        pictures.append(shown)
        masks.append(mask)
    return Video("v", pictures, tuple(map(str, range(frames)))), masks


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


class TestNetwork:
    def test_levels_have_their_corners_on_those_of_the_picture(self):
        backbone = LiteBackbone().eval()
        levels = backbone(torch.zeros(1, 3, 97, 161))
        sizes = [tuple(level.shape[-2:]) for level in levels.values()]
        assert sizes == [(25, 41), (13, 21), (7, 11), (4, 6), (2, 3)]
        assert {level.shape[1] for level in levels.values()} == {64}

    def test_what_is_not_shared_with_fusionseg_fits_three_megabytes_of_half_precision(self):
        net = network()
        assert 2 * (parameters(net) - parameters(net.backbone)) < 3e6
        assert parameters(net.memory) == 4 * (6 * 64 * 64 * 9 + 3 * 2 * 64 + 64)

    @pytest.mark.parametrize("stage", ["coco", "vos"])
    def test_no_stage_changes_the_backbone_or_its_statistics(self, stage):
        net = network()
        net.train_stage(stage)
        before = {name: value.clone() for name, value in net.backbone.state_dict().items()}
        net.train()
        target = {"boxes": torch.tensor([[30.0, 20, 90, 60]]), "labels": torch.ones(1).long()}
        losses = net.losses([picture()[None]], [[target | {"masks": labels()[None]}]])
        torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
        trained = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
        assert {"memory.gains.0", "heads.roi_heads.mask_predictor.mask_fcn_logits.weight"} <= trained
        assert not any(name.startswith("backbone.") for name in trained)
        assert net.heads.roi_heads.mask_head.shortcut
        for name, value in net.backbone.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_a_memory_with_a_gain_starts_as_the_pyramid(self):
        levels = [torch.rand(1, 2, 64, side, side) for side in (16, 8, 4, 2, 1)]
        memory = PyramidMemory(SMALL, on_p6=False, bottom_up=False)
        path, state = memory(levels)
        for level, seen in zip(levels[:4], path, strict=False):
            assert torch.equal(seen, level)
        torch.nn.init.constant_(memory.gains[0], 0.5)
        again, _ = memory(levels)
        assert_rounded(again[0][:, 1], levels[0][:, 1] + 0.5 * state[0])

    def test_masks_of_objects_of_any_size_are_pooled_from_the_finest_level(self):
        net = network().eval()
        images, _ = net.prepare([picture()])
        (levels,), _ = net.features(images.tensors[None])
        boxes = {"boxes": torch.tensor([[0.0, 0, 20, 20], [0, 0, 160, 96]]), "labels": torch.ones(2).long()}
        (drawn,) = net.heads.draw(images, levels, [boxes])
        coarse = {name: level if name == "0" else torch.zeros_like(level) for name, level in levels.items()}
        (again,) = net.heads.draw(images, coarse, [boxes])
        assert drawn["masks"].shape == (2, 1, 56, 56)
        assert torch.equal(drawn["masks"], again["masks"])


class TestPictures:
    def test_pictures_are_resized_without_padding_and_targets_with_them(self):
        target = {"boxes": torch.tensor([[30.0, 20, 90, 60]]), "masks": labels()[None]}
        images, targets = prepare_fitted([picture()], [target], 97)
        assert images.tensors.shape == (1, 3, *FITTED)
        assert images.image_sizes == [FITTED]
        scale = torch.tensor([161 / 160, 97 / 90] * 2)
        assert_rounded(targets[0]["boxes"][0], torch.tensor([30.0, 20, 90, 60]) * scale)
        assert targets[0]["masks"].dtype == torch.uint8
        assert targets[0]["masks"].float().mean().item() == pytest.approx(2400 / 14400, abs=0.005)

    def test_large_frames_are_smoothed(self):
        stripes = torch.zeros(3, 480, 640)
        stripes[:, ::2] = 1
        images, _ = prepare_fitted([stripes], None, 97)
        middle = images.tensors[0, :, 10:-10]
        assert (middle - 0.5).abs().max() < 0.1

    def test_masks_lie_where_their_boxes_are(self):
        mask = torch.zeros(1, 1, 4, 4)
        mask[..., :2] = 1
        boxes = torch.tensor([[20.0, 10, 60, 50]])
        shown = placed({"boxes": boxes, "masks": mask}, (100, 100), (200, 300))
        assert shown["boxes"].tolist() == [[60, 20, 180, 100]]
        drawn = shown["masks"][0, 0] > 0.5
        assert drawn.shape == (200, 300)
        rows, columns = drawn.nonzero().unbind(1)
        assert [int(columns.min()), int(columns.max())] == [60, 119]
        assert [int(rows.min()), int(rows.max())] == [20, 99]

    def test_no_detection_has_no_mask(self):
        nothing = {"boxes": torch.zeros(0, 4), "masks": torch.zeros(0, 1, 56, 56)}
        assert placed(nothing, (97, 161), SIZE)["masks"].shape == (0, 1, *SIZE)


class TestFirstFrame:
    def test_a_change_moves_picture_and_labels_alike(self):
        shown = labels().float()[None].expand(3, -1, -1)
        for number in range(6):
            changed, target = moved(shown, labels(), torch.Generator().manual_seed(number))
            seen = changed[0] > 0.5 * changed[0].max()
            assert (seen != target.bool()).float().mean() < 0.02
            assert 0.02 < target.float().mean() < 0.4
            assert (target != labels()).float().mean() > 0.01

    def test_changes_are_seen_after_the_frame_itself(self):
        net = network().eval()
        torch.nn.init.constant_(net.memory.gains[0], 1.0)
        first = FirstFrame(net, picture(), labels())
        images, levels, target = first.changed(3, 97)
        (alone,), _ = net.features(images.tensors[None])
        _, state = net.features(first.at(97)[0].tensors[None])
        (after,), _ = net.features(images.tensors[None], state)
        assert torch.equal(levels["0"], after["0"])
        assert not torch.allclose(levels["0"], alone["0"])
        assert target["masks"].shape[-2:] == FITTED
        assert first.changed(3, 97)[1] is levels

    def test_learning_the_first_frame_improves_the_mask_in_the_next(self):
        net = network().eval()
        first = FirstFrame(net, picture(), labels())

        def overlap(heads):
            box = torch.tensor([[28.0, 18, 92, 62]])
            images, _ = net.prepare([picture(seed=1)])
            (levels,), _ = net.features(images.tensors[None])
            inside = box * torch.tensor([161 / 160, 97 / 90] * 2)
            (drawn,) = heads.draw(images, levels, [{"boxes": inside, "labels": torch.ones(1).long()}])
            mask = placed(drawn, FITTED, SIZE)["masks"][0, 0] > 0.5
            both, either = mask & labels().bool(), mask | labels().bool()
            return (both.sum() / either.sum()).item()

        settings = LIPOnlineSettings(iterations=40, lr=0.02, sides=(97,), views=4)
        with torch.no_grad():
            before = overlap(net.heads.specialise(1).eval())
            after = overlap(learn_video(net, first, settings, 97))
        assert after > max(0.8, before)


class TestRules:
    def test_overlap_with_the_last_box_counts_in_the_order(self):
        near, far = [0.0, 0.0, 10.0, 10.0], [3.0, 0.0, 13.0, 10.0]
        now, before = found((1, 0.6, near), (1, 0.7, far)), found((1, 0.3, near))
        assert select(now, before, DetectionRules()).tolist() == [1]
        assert select(now, before, DetectionRules(overlap_weight=0.5)).tolist() == [0]

    def test_an_id_of_low_scores_stays_near_its_last_box(self):
        near, off, far = [1.0, 0.0, 11.0, 10.0], [4.0, 0.0, 14.0, 10.0], [50.0, 50.0, 60.0, 60.0]
        now = found((1, 0.1, near), (1, 0.12, off), (1, 0.19, far), (2, 0.15, near))
        before = found((1, 0.9, [0.0, 0.0, 10.0, 10.0]))
        assert select(now, before, DetectionRules()).tolist() == []
        assert select(now, before, DetectionRules(follow=True)).tolist() == [0]
        assert select(now, None, DetectionRules(follow=True)).tolist() == []

    def test_an_id_that_is_believed_is_not_followed_too(self):
        here = [0.0, 0.0, 10.0, 10.0]
        now, before = found((1, 0.1, here), (1, 0.5, here)), found((1, 0.9, here))
        assert select(now, before, DetectionRules(follow=True)).tolist() == [1]


class TestMargin:
    def test_boxes_of_masks_are_as_large_as_those_of_training_and_stay_without_a_mask(self):
        masks = torch.zeros(2, 1, 100, 200)
        masks[0, 0, 20:60, 50:150] = 0.9
        seen = {"boxes": torch.tensor([[0.0, 0, 9, 9], [1, 2, 3, 4]]), "masks": masks}
        assert boxes_of_masks(seen).tolist() == [[45, 18, 155, 62], [1, 2, 3, 4]]

    def test_boxes_gain_a_margin_before_their_masks_are_drawn(self):
        net = network().eval()
        with torch.no_grad():
            tight, wide = (net(picture(), margin=margin).found["boxes"] for margin in (0.0, 0.2))
        assert_rounded(wide, grown(tight, 0.2, SIZE))
        assert (wide[:, 2:] - wide[:, :2] > tight[:, 2:] - tight[:, :2]).any()


class TestModule:
    def test_videos_of_any_size_are_segmented(self):
        shown, masks = video()
        result = lite().segment(shown, masks[0]).stack()
        assert result.shape == (4, *SIZE)
        assert set(np.unique(result)) <= {0, 3}

    def test_an_id_is_shown_in_every_frame_however_little_is_known_of_it(self):
        shown, masks = video()
        result = lite(least_score=1.0).segment(shown, masks[0]).stack()
        assert [bool((mask == 3).any()) for mask in result] == [True] * 4
        lost = lite(least_score=1.0, follow=False).segment(shown, masks[0]).stack()
        assert [bool((mask == 3).any()) for mask in lost] == [True, False, False, False]

    def test_encoder_and_pyramid_are_those_of_fusionseg(self, tmp_path):
        torch.manual_seed(3)
        fusionseg = build("fusionseg", "lite", stream="appearance")
        model = lite(appearance_weights=checkpoint(tmp_path / "fusionseg.ckpt", fusionseg))
        model.configure_stage("coco")
        stream, own = fusionseg.network.appearance, model.network.backbone
        for part, wanted in ((own.body, stream.body), (own.pyramid, stream.head.pyramid)):
            for name, value in wanted.state_dict().items():
                assert torch.equal(part.state_dict()[name], value), name
        assert not own.body.training

    def test_weights_of_something_else_are_refused(self, tmp_path):
        weights = checkpoint(tmp_path / "mpnet.ckpt", build("mpnet", "tiny"))
        with pytest.raises(InputError, match=r"mpnet\.ckpt: not weights of fusionseg or lvo of size lite"):
            lite(appearance_weights=weights).configure_stage("coco")

    @pytest.mark.parametrize(
        ("size", "switches", "message"),
        [
            ("lite", {"convention": "detectron"}, "size=lite has convention=torchvision"),
            ("lite", {"body_weights": "a.pth"}, "size=lite has no body_weights"),
            ("tiny", {"appearance_weights": "zoo"}, "size=tiny has no appearance_weights"),
            ("lite", {"overlap_weight": 2}, "overlap_weight is 2"),
            ("lite", {"online_views": -1}, "online_views is -1"),
            ("lite", {"mask_growths": -1}, "mask_growths is -1"),
            ("lite", {"follow": 1}, "follow is 1"),
        ],
    )
    def test_switches_go_with_a_size(self, size, switches, message):
        with pytest.raises(InputError, match=message):
            build("lip", size, **switches)


@pytest.mark.slow
def test_the_recipe_trains_all_but_the_backbone(tmp_path):
    for name in ("duts", "davis16"):
        write_mini(name, tmp_path, scenes=2, size=SIZE, **({} if name == "duts" else {"frames": 5}))
    fusionseg = checkpoint(tmp_path / "fusionseg.ckpt", build("fusionseg", "lite", stream="appearance"))
    run = fit(
        [
            *("model=lip", "size=lite", "recipe=lip_lite", "stage=all", f"data_root={tmp_path}", "workers=0"),
            *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "data.scale=1.0"),
            *(f"recipe.{stage}.{key}" for stage in ("coco", "vos") for key in ("epochs=1", "epoch_length=4")),
            *("recipe.coco.augment.crop=[65,97]", "data.val_split=val", "model.train_sides=[97]"),
            *("model.test_side=97", f"model.appearance_weights={fusionseg}"),
            f"run={tmp_path / 'run'}",
        ]
    )
    given = read_state(Path(fusionseg))[0]
    stream = {key.replace(".head.", "."): value for key, value in given.items()}
    coco, vos = (read_state(run / stage / "checkpoints/last.ckpt")[0] for stage in ("coco", "vos"))
    backbone = "network.backbone."
    assert any(key.startswith(backbone) for key in vos)
    for key, value in vos.items():
        if key.startswith(backbone):
            assert torch.equal(value, stream[f"network.appearance.{key.removeprefix(backbone)}"]), key
        elif value.ndim > 1:
            assert value.shape != coco[key].shape or not torch.equal(value, coco[key]), key
    method, provenance = load_method(
        "lip", checkpoint=run / "vos/checkpoints/last.ckpt", settings={"online_iterations": 2}
    )
    assert provenance["size"] == "lite"
    shown = open_dataset("davis16", tmp_path, "val")[0]
    assert method.segment(shown, shown.annotations[0]).stack().shape == (5, *SIZE)
