"""LIP's network: the counts of the specification, what is remembered, what is learnt, what is copied."""

import copy
import hashlib
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vosbench.models.layers.recurrent import ConvGRU
from vosbench.models.lip.heads import ONLINE, IdLoss, LIPHeads
from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.pyramid import Backbone, PyramidMemory, down
from vosbench.models.lip.rules import Rules, select
from vosbench.models.lip.widths import TINY

SIZE = (64, 96)
BOXES = [[20.0, 10.0, 60.0, 40.0], [60.0, 20.0, 90.0, 50.0]]
LOSSES = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
BEST = partial(select, previous=None, rules=Rules())


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def meta(**keys):
    with torch.device("meta"):
        return LIPNet(**keys)


def tiny(ids=3, seed=0, **keys):
    torch.manual_seed(seed)
    return LIPNet(ids, widths=TINY, **keys)


def clip(frames, seed=0):
    return torch.randn(1, frames, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def target(ids=(1, 3)):
    masks = torch.zeros(len(ids), *SIZE, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES, strict=False):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = 1
    boxes = torch.tensor(BOXES[: len(ids)]).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor(ids, dtype=torch.int64), "masks": masks}


def levels(frames, channels=TINY.channels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    return [torch.randn(1, frames, channels, *size, generator=generator) for size in sizes]


def tiny_memory(seed=0, **keys):
    torch.manual_seed(seed)
    return PyramidMemory(TINY, **keys)


def state_hash(module):
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


class TestCounts:
    def test_the_whole_and_its_parts(self):
        network = meta()
        heads = network.heads.roi_heads
        assert parameters(network) == 82_068_404
        assert parameters(network.backbone.body) == 42_500_160
        assert parameters(network.backbone.fpn) == 3_346_432
        assert parameters(network.memory) == 17_702_400
        assert parameters(network.heads.rpn) == 596_505
        assert parameters(heads.box_head) == 15_207_424
        assert parameters(heads.box_predictor.cls_score) == 83_025
        assert parameters(heads.box_predictor.bbox_pred) == 8_200
        assert parameters(heads.mask_predictor.mask_fcn_logits) == 514
        assert parameters(heads.mask_head) + parameters(heads.mask_predictor) == 2_623_744 + 514

    @pytest.mark.parametrize(
        ("keys", "less"),
        [
            ({"gru_on_p6": False}, 3_540_480),
            ({"mask_deconv": False}, 256 * 256 * 4 + 256),
            ({"ids": 4}, 76 * 1025),
            ({"memory": "zero", "bottom_up": False, "shortcut": False}, 0),
        ],
    )
    def test_variants(self, keys, less):
        assert parameters(meta(**keys)) == 82_068_404 - less

    def test_heads_of_one_video_have_a_box_and_a_mask_per_id(self):
        heads = meta().heads
        specific = heads.specialise(3)
        assert (
            parameters(heads) - parameters(specific) == (81 - 4) * 1025 + (8 - 4 * 4) * 1025 + (2 - 4) * 257
        )

    def test_a_memory_has_no_bias_but_group_norms(self):
        unit = meta().memory.units[0]
        assert parameters(unit) == 3_540_480
        assert [module.bias for module in unit.modules() if isinstance(module, nn.Conv2d)] == [None, None]
        assert [norm.num_groups for norm in unit.norms] == [32, 32, 32]

    @pytest.mark.parametrize(
        ("stage", "count"),
        [
            # the stem with its norm, and res2
            ("coco", 82_068_404 - 9_408 - 128 - 215_808),
            ("vos", 82_068_404 - 42_500_160 - 3_346_432),
            ("online", 82_068_404 - 42_500_160 - 3_346_432 - 17_702_400),
        ],
    )
    def test_what_a_stage_trains(self, stage, count):
        network = meta()
        network.train_stage(stage)
        assert sum(each.numel() for each in network.parameters() if each.requires_grad) == count
        assert parameters(network.backbone.body.layer1) == 215_808


class TestMemory:
    def unit(self):
        torch.manual_seed(0)
        return ConvGRU(16, 16, 3, bias=False, norm=partial(nn.GroupNorm, 4))

    def test_from_a_zero_state_only_the_input_counts(self):
        unit, x = self.unit(), torch.randn(2, 1, 16, 5, 6)
        inputs = F.conv2d(x[:, 0], unit.inputs.weight, padding=1)
        update = unit.norms[1](inputs[:, unit.rows("update")]).sigmoid()
        candidate = unit.norms[2](inputs[:, unit.rows("candidate")]).tanh()
        hidden, _ = unit(x)
        torch.testing.assert_close(hidden[:, 0], update * candidate)
        other = copy.deepcopy(unit)
        nn.init.normal_(other.hidden.weight)
        assert torch.equal(other(x)[0], hidden)
        assert not torch.allclose(other(x, hidden[:, 0])[0], unit(x, hidden[:, 0])[0])

    @pytest.mark.parametrize(("per", "unchanged"), [("group", True), ("channel", False)])
    def test_gates_do_not_see_a_constant_added_to_a_group(self, per, unchanged):
        unit, x = self.unit(), torch.randn(1, 1, 16, 5, 6)
        state = torch.randn(1, 16, 5, 6)
        shifted, plain = [], []
        unit(x, state, watch=lambda t, seen: plain.append(seen))
        shift = torch.arange(4.0).repeat_interleave(4) if per == "group" else torch.arange(16.0)
        for norm in unit.norms:
            norm.register_forward_pre_hook(lambda module, given: (given[0] + shift[:, None, None],))
        unit(x, state, watch=lambda t, seen: shifted.append(seen))
        for gate in ("reset", "update"):
            assert torch.allclose(shifted[0][gate], plain[0][gate], atol=1e-5) is unchanged

    def test_one_frame_is_what_a_zero_memory_makes_of_it(self):
        dynamic, zero = tiny_memory(), tiny_memory(memory="zero")
        x = levels(3)
        of_all, state = zero(x)
        assert state == []
        for t in range(3):
            alone, _ = dynamic([level[:, t : t + 1] for level in x])
            assert all(
                torch.allclose(a[:, 0], b[:, t], atol=1e-6) for a, b in zip(alone, of_all, strict=True)
            )
        remembered, _ = dynamic(x)
        assert not torch.allclose(remembered[0][:, 1], of_all[0][:, 1], atol=1e-3)

    def test_going_on_from_a_state_is_as_if_nobody_had_stopped(self):
        memory, x = tiny_memory(), levels(4)
        whole, last = memory(x)
        _, state = memory([level[:, :3] for level in x])
        rest, after = memory([level[:, 3:] for level in x], state)
        assert [each.shape for each in state] == [level[:, 0].shape for level in x]
        for a, b in zip([*rest, *after], [*(level[:, 3:] for level in whole), *last], strict=True):
            torch.testing.assert_close(a, b)

    def test_levels_are_added_from_fine_to_coarse(self):
        x = levels(2)
        hidden, _ = tiny_memory(bottom_up=False)(x)
        path, state = tiny_memory()(x)
        torch.testing.assert_close(path[0], hidden[0])
        for index in range(1, 5):
            finer = path[index - 1][..., ::2, ::2]
            torch.testing.assert_close(path[index], hidden[index] + finer)
        # what is remembered of a level knows nothing of finer ones
        assert torch.equal(state[4], hidden[4][:, -1])

    @pytest.mark.parametrize("bottom_up", [False, True])
    def test_without_a_memory_of_its_own_the_coarsest_level_is_subsampled(self, bottom_up):
        path, state = tiny_memory(on_p6=False, bottom_up=bottom_up)(levels(2))
        assert len(state) == 4
        assert torch.equal(path[4], path[3][..., ::2, ::2])

    def test_there_is_no_other_memory(self):
        with pytest.raises(ValueError, match="'dynamic' or 'zero', got 'static'"):
            tiny_memory(memory="static")


class TestSizes:
    def test_sizes_round_up_at_every_level(self):
        torch.manual_seed(0)
        with torch.no_grad():
            maps = Backbone(TINY)(torch.randn(1, 3, 97, 131))
            path, _ = tiny_memory()([each[:, None] for each in maps])
        sizes = [(25, 33), (13, 17), (7, 9), (4, 5), (2, 3)]
        assert [tuple(each.shape[-2:]) for each in maps] == sizes
        assert [tuple(each.shape[-2:]) for each in path] == sizes

    def test_down_takes_every_second_value_and_the_nearest_to_another_size(self):
        x = torch.arange(7.0).repeat(7, 1)[None, None]
        assert down(x, (4, 4))[0, 0, 0].tolist() == [0, 2, 4, 6]
        assert down(x, (4, 3))[0, 0, 0].tolist() == [0, 2, 4]
        assert down(x, (4, 5))[0, 0, 0].tolist() == [0, 0, 2, 4, 6]

    @pytest.mark.parametrize(("deconv", "side"), [(True, 56), (False, 28)])
    def test_masks_have_the_side_of_regions_or_twice_it(self, deconv, side):
        network = tiny(mask_deconv=deconv).eval()
        with torch.no_grad():
            images, _ = network.prepare([clip(1)[0, 0]])
            (seen,), _ = network.features(images.tensors[None])
            (regions,) = network.heads.find(images, seen)
            few = {name: values[:2] for name, values in regions.found.items()}
            (drawn,) = network.heads.draw(images, seen, [few])
        assert drawn["masks"].shape == (2, 1, side, side)


class TestGradient:
    def last_frame_on_first_ones(self, recurrence):
        network, frames = tiny(), clip(8).requires_grad_()
        seen, _ = network.features(frames, recurrence=recurrence)
        sum(level.square().sum() for level in seen[7].values()).backward()
        return frames.grad[0].abs().amax(dim=(1, 2, 3))

    def test_it_stops_between_the_fourth_and_the_fifth_frame(self):
        moved = self.last_frame_on_first_ones(4)
        assert (moved[:4] == 0).all()
        assert (moved[4:] > 0).all()

    def test_without_a_limit_it_reaches_the_first_frame(self):
        assert (self.last_frame_on_first_ones(None) > 0).all()

    def test_the_cut_changes_no_value(self):
        network = tiny()
        with torch.no_grad():
            cut, whole = (network.features(clip(6), recurrence=limit) for limit in (4, None))
        for a, b in zip(cut[0][5].values(), whole[0][5].values(), strict=True):
            torch.testing.assert_close(a, b)

    @pytest.mark.parametrize(
        ("stage", "trained"),
        [("coco", {"backbone", "memory", "heads"}), ("vos", {"memory", "heads"}), ("online", {"heads"})],
    )
    def test_a_step_changes_what_a_stage_trains(self, stage, trained):
        network = tiny()
        network.train_stage(stage)
        before = {name: state_hash(part) for name, part in network.named_children()}
        optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.01)
        losses = network.losses(clip(2), [[target(), target()]])
        sum(loss.mean() for loss in losses.values()).backward()
        optimizer.step()
        after = {name: state_hash(part) for name, part in network.named_children()}
        assert {name for name in before if before[name] != after[name]} == trained


class TestLosses:
    def test_there_are_five_for_each_frame(self):
        network = tiny()
        losses = network.losses(clip(3), [[target(), target(()), target()]])
        assert set(losses) == LOSSES
        assert all(loss.shape == (3,) and loss.isfinite().all() for loss in losses.values())
        # nothing to fit or draw where there is no object, but nothing must be found either
        empty = {name: loss[1].item() for name, loss in losses.items()}
        assert empty["loss_box_reg"] == empty["loss_mask"] == empty["loss_rpn_box_reg"] == 0
        assert empty["loss_classifier"] > 0
        assert empty["loss_objectness"] > 0

    def test_nothing_is_learnt_of_frames_without_labels(self):
        network = tiny()
        unknown = target(()) | {"labelled": torch.tensor(False)}
        losses = network.losses(clip(3), [[target(), unknown, target()]])
        assert {loss.shape for loss in losses.values()} == {(2,)}
        assert network.losses(clip(2), [[unknown, unknown]]) == {}

    def test_clips_of_several_sizes_make_a_batch(self):
        network = tiny()
        small = torch.randn(1, 3, 48, 80)
        masks = torch.zeros(1, 48, 80, dtype=torch.uint8)
        masks[0, 8:30, 10:50] = 1
        other = {
            "boxes": torch.tensor([[10.0, 8.0, 50.0, 30.0]]),
            "labels": torch.tensor([2]),
            "masks": masks,
        }
        losses = network.losses([clip(1)[0], small], [[target()], [other]])
        assert all(loss.shape == (1,) and loss.isfinite().all() for loss in losses.values())

    def test_they_fall_when_the_network_learns_a_frame(self):
        network = tiny()
        network.train_stage("online")
        optimizer = torch.optim.SGD(network.heads.parameters(), lr=0.02, momentum=0.9)
        totals = []
        for _ in range(12):
            losses = network.losses(clip(1), [[target()]])
            total = sum(loss.mean() for loss in losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            totals.append(total.item())
        assert totals[-1] < 0.7 * totals[0]

    def test_heads_learn_in_training_only(self):
        with pytest.raises(ValueError, match="call train"):
            tiny().eval().losses(clip(1), [[target()]])

    def test_the_focal_loss_is_the_plain_one_with_weights(self):
        logits, labels = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]]), torch.tensor([0, 2])
        p = logits.softmax(dim=1)[[0, 1], labels]
        wanted = (-0.25 * (1 - p) ** 2 * p.log()).mean()
        torch.testing.assert_close(IdLoss(focal=True)(logits, labels), wanted)
        torch.testing.assert_close(IdLoss()(logits, labels), -p.log().mean())
        flat = IdLoss(focal=True, gamma=0, alpha=1)
        torch.testing.assert_close(flat(logits, labels), -p.log().mean())

    def test_online_the_loss_of_ids_changes_their_last_layer_only(self):
        network = tiny()
        network.losses(clip(1), [[target()]], id_loss=ONLINE)["loss_classifier"].sum().backward()
        moved = {name for name, each in network.named_parameters() if each.grad is not None}
        layer = "heads.roi_heads.box_predictor.cls_score."
        assert moved == {layer + "weight", layer + "bias"}


class TestShortcut:
    def test_it_adds_the_features_of_a_region_to_the_fourth_convolution(self):
        heads = tiny().heads.roi_heads
        x = torch.randn(2, TINY.channels, 7, 7)
        with torch.no_grad():
            y = x
            for layer in list(heads.box_head)[:4]:
                y = layer(y)
            rest = nn.Sequential(*list(heads.box_head)[4:])
            torch.testing.assert_close(heads.box_head(x), rest(y + x))
            heads.box_head.shortcut = False
            torch.testing.assert_close(heads.box_head(x), rest(y))

    @pytest.mark.parametrize(("wanted", "stages"), [(True, {"vos", "online"}), (False, set())])
    def test_it_is_there_from_the_second_stage_on(self, wanted, stages):
        network = tiny(shortcut=wanted)
        for stage in ("coco", "vos", "online"):
            network.train_stage(stage)
            heads = network.heads.roi_heads
            assert heads.box_head.shortcut is heads.mask_head.shortcut is (stage in stages)


class TestCopies:
    def heads(self):
        torch.manual_seed(0)
        return LIPHeads(7, TINY)

    def test_every_id_starts_with_the_box_and_the_mask_of_all(self):
        heads = self.heads()
        specific = heads.specialise(3)
        vectors, features = torch.randn(5, TINY.hidden), torch.randn(5, TINY.channels, 28, 28)
        agnostic, own = heads.roi_heads, specific.roi_heads
        with torch.no_grad():
            old = agnostic.box_predictor(vectors)[1].reshape(5, 8, 4)
            new = own.box_predictor(vectors)[1].reshape(5, 4, 4)
            for number in range(1, 4):
                torch.testing.assert_close(new[:, number], old[:, 1])
            torch.testing.assert_close(new[:, 0], old[:, 0])
            drawn = agnostic.mask_predictor(features), own.mask_predictor(features)
        assert (drawn[0].shape[1], drawn[1].shape[1]) == (2, 4)
        for number, row in enumerate((0, 1, 1, 1)):
            torch.testing.assert_close(drawn[1][:, number], drawn[0][:, row])

    def test_boxes_and_masks_of_a_frame_are_the_same_right_after(self):
        network = tiny().eval()
        nn.init.normal_(network.heads.roi_heads.box_predictor.bbox_pred.weight, std=0.1)
        specific = network.heads.specialise(3)
        # the same ids, so that only boxes and masks could differ
        layer = network.heads.roi_heads.box_predictor.cls_score
        specific.roi_heads.box_predictor.cls_score.load_state_dict(layer.state_dict())
        with torch.no_grad():
            before, after = (network(clip(1)[0, 0], heads=heads).found for heads in (None, specific))
        assert len(before["labels"]) > 0
        assert torch.equal(after["labels"], before["labels"])
        for name in ("boxes", "masks", "scores"):
            torch.testing.assert_close(after[name], before[name])

    def test_the_network_keeps_its_own_heads(self):
        network = tiny()
        network.train_stage("online")
        before = state_hash(network)
        heads = network.heads.specialise(2)
        optimizer = torch.optim.SGD(heads.parameters(), lr=0.01)
        losses = network.losses(clip(1), [[target((1, 2))]], id_loss=ONLINE, heads=heads)
        sum(loss.mean() for loss in losses.values()).backward()
        optimizer.step()
        assert heads.ids == 2
        assert state_hash(network) == before
        assert state_hash(heads) != state_hash(network.heads.specialise(2))

    def test_each_id_learns_its_own_box_and_mask(self):
        network = tiny()
        heads = network.heads.specialise(3)
        network.losses(clip(1), [[target((2,))]], heads=heads)["loss_mask"].sum().backward()
        gradient = heads.roi_heads.mask_predictor.mask_fcn_logits.weight.grad.abs().amax(dim=(1, 2, 3))
        assert (gradient > 0).tolist() == [False, False, True, False]

    def test_heads_of_a_video_are_not_made_from_those_of_another(self):
        with pytest.raises(ValueError, match="specific to 3 ids already"):
            self.heads().specialise(3).specialise(2)

    def test_new_ids_are_random_by_their_seed_and_change_nothing_else(self):
        heads, others = self.heads(), []
        name = "roi_heads.box_predictor.cls_score."
        before = {key: value.clone() for key, value in heads.state_dict().items() if name not in key}
        for seed in (1, 1, 2):
            heads.replace_ids(4, torch.Generator().manual_seed(seed))
            others.append(heads.roi_heads.box_predictor.cls_score.weight.detach().clone())
        assert heads.ids == 4
        assert torch.equal(others[0], others[1])
        assert not torch.equal(others[0], others[2])
        assert all(torch.equal(heads.state_dict()[key], value) for key, value in before.items())


class TestFrames:
    def test_results_are_in_pixels_of_the_frame(self):
        network = tiny().eval()
        with torch.no_grad():
            result = network(clip(1)[0, 0])
        found = result.found
        number = len(found["labels"])
        assert number > 0
        assert found["masks"].shape == (number, 1, *SIZE)
        assert found["boxes"].amax(dim=0)[2:].tolist() <= [SIZE[1], SIZE[0]]
        assert found["boxes"].amax() > SIZE[0]
        assert found["labels"].amin() >= 1
        assert result.vectors.shape == (len(result.proposals), TINY.hidden)
        assert (result.proposals[:, 2] <= SIZE[1]).all()

    def test_masks_are_drawn_of_what_is_chosen(self):
        network = tiny().eval()
        with torch.no_grad():
            every = network(clip(1)[0, 0]).found
            few = network(clip(1)[0, 0], choose=BEST).found
        kept = BEST(every)
        assert 0 < len(kept) < len(every["labels"])
        for name, values in few.items():
            torch.testing.assert_close(values, every[name][kept])

    def test_nothing_chosen_is_no_mask(self):
        network = tiny().eval()
        with torch.no_grad():
            found = network(clip(1)[0, 0], choose=lambda found: torch.zeros(0, dtype=torch.int64)).found
        assert found["masks"].shape == (0, 1, *SIZE)

    def test_nothing_goes_from_one_video_to_another(self):
        network = tiny().eval()

        def last(video):
            state = None
            for frame in video[0]:
                result = network(frame, state, choose=BEST)
                state = result.state
            return result

        with torch.no_grad():
            alone = last(clip(2, seed=2))
            last(clip(2, seed=1))
            again = last(clip(2, seed=2))
            fresh = network(clip(2, seed=2)[0, 1], choose=BEST)
        assert all(torch.equal(again.found[name], alone.found[name]) for name in alone.found)
        assert all(torch.equal(a, b) for a, b in zip(again.state, alone.state, strict=True))
        # the memory was at work, there was something to carry over
        assert not torch.allclose(fresh.vectors, alone.vectors)
