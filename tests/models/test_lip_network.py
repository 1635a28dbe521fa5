"""LIP's network: the counts of the specification, what is remembered, where gradients go."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.models.lip import BEST, SIZE, clip, parameters, state_hash, target, tiny
from tests.rounding import assert_rounded
from vosbench.models.layers.recurrent import ConvGRU
from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.pyramid import PyramidMemory, down
from vosbench.models.lip.widths import TINY


def meta(**keys):
    with torch.device("meta"):
        return LIPNet(**keys)


def levels(frames, channels=TINY.channels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    shapes = [(1, frames, channels, *size) for size in sizes]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def tiny_memory(seed=0, **keys):
    torch.manual_seed(seed)
    return PyramidMemory(TINY, **keys).double()


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
        return ConvGRU(16, 16, 3, bias=False, norm=partial(nn.GroupNorm, 4)).double()

    def test_from_a_zero_state_only_the_input_counts(self):
        unit, x = self.unit(), torch.randn(2, 1, 16, 5, 6).double()
        inputs = F.conv2d(x[:, 0], unit.inputs.weight, padding=1)
        update = unit.norms[1](inputs[:, unit.rows("update")]).sigmoid()
        candidate = unit.norms[2](inputs[:, unit.rows("candidate")]).tanh()
        hidden, _ = unit(x)
        assert_rounded(hidden[:, 0], update * candidate)
        other = copy.deepcopy(unit)
        nn.init.normal_(other.hidden.weight)
        assert torch.equal(other(x)[0], hidden)
        assert not torch.allclose(other(x, hidden[:, 0])[0], unit(x, hidden[:, 0])[0])

    @pytest.mark.parametrize(("per", "unchanged"), [("group", True), ("channel", False)])
    def test_gates_do_not_see_a_constant_added_to_a_group(self, per, unchanged):
        unit, x = self.unit(), torch.randn(1, 1, 16, 5, 6).double()
        state = torch.randn(1, 16, 5, 6).double()
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
            for a, b in zip(alone, of_all, strict=True):
                assert_rounded(a[:, 0], b[:, t])
        remembered, _ = dynamic(x)
        assert not torch.allclose(remembered[0][:, 1], of_all[0][:, 1], atol=1e-3)

    def test_going_on_from_a_state_is_as_if_nobody_had_stopped(self):
        memory, x = tiny_memory(), levels(4)
        whole, last = memory(x)
        _, state = memory([level[:, :3] for level in x])
        rest, after = memory([level[:, 3:] for level in x], state)
        assert [each.shape for each in state] == [level[:, 0].shape for level in x]
        for a, b in zip([*rest, *after], [*(level[:, 3:] for level in whole), *last], strict=True):
            assert_rounded(a, b)

    def test_levels_are_added_from_fine_to_coarse(self):
        x = levels(2)
        hidden, _ = tiny_memory(bottom_up=False)(x)
        path, state = tiny_memory()(x)
        assert_rounded(path[0], hidden[0])
        for index in range(1, 5):
            finer = path[index - 1][..., ::2, ::2]
            assert_rounded(path[index], hidden[index] + finer)
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
            maps = tiny().backbone(torch.randn(1, 3, 97, 131)).values()
            path, _ = tiny_memory()([each[:, None].double() for each in maps])
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
            assert_rounded(a, b)

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
            assert_rounded(values, every[name][kept])

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
