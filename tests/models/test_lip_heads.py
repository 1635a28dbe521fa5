"""LIP's heads: their losses, the shortcut, the copies for the ids of one video."""

import pytest
import torch
from torch import nn

from tests.models.lip import BEST, SIZE, clip, state_hash, target, tiny
from tests.rounding import assert_rounded
from vosbench.data.loading.collate import detection_targets
from vosbench.models.lip.adaptation import EarlyStopping
from vosbench.models.lip.heads import ONLINE, IdLoss, LIPHeads
from vosbench.models.lip.rules import id_map
from vosbench.models.lip.training import expanded
from vosbench.models.lip.widths import TINY

LOSSES = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}


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
        assert_rounded(IdLoss(focal=True)(logits, labels), wanted)
        assert_rounded(IdLoss()(logits, labels), -p.log().mean())
        flat = IdLoss(focal=True, gamma=0, alpha=1)
        assert_rounded(flat(logits, labels), -p.log().mean())

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
            assert_rounded(heads.box_head(x), rest(y + x))
            heads.box_head.shortcut = False
            assert_rounded(heads.box_head(x), rest(y))

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
                assert_rounded(new[:, number], old[:, 1])
            assert_rounded(new[:, 0], old[:, 0])
            drawn = agnostic.mask_predictor(features), own.mask_predictor(features)
        assert (drawn[0].shape[1], drawn[1].shape[1]) == (2, 4)
        for number, row in enumerate((0, 1, 1, 1)):
            assert_rounded(drawn[1][:, number], drawn[0][:, row])

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
            assert_rounded(after[name], before[name])

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


@pytest.mark.slow
def test_a_frame_that_was_learnt_is_segmented():
    ids = torch.zeros(SIZE, dtype=torch.uint8)
    ids[10:40, 20:56], ids[20:50, 60:90] = 1, 2
    frame = 0.3 * clip(1)[0, 0]
    for number, colour in ((1, (2.0, -1.0, -1.0)), (2, (-1.0, -1.0, 2.0))):
        frame[:, ids == number] += torch.tensor(colour)[:, None]
    wanted = expanded(detection_targets(ids[None])[0])
    wanted["labels"] = wanted["ids"]
    network = tiny()
    network.train_stage("vos")
    heads = network.heads.specialise(2)
    trained = [*heads.parameters(), *network.memory.parameters()]
    optimizer = torch.optim.SGD(trained, lr=0.02, momentum=0.9)
    stopping = EarlyStopping()
    for _ in range(150):
        losses = network.losses([frame[None]], [[wanted]], heads=heads)
        active = stopping.active({name: loss.mean() for name, loss in losses.items()})
        if stopping.stopped:
            break
        optimizer.zero_grad()
        sum(active.values()).backward()
        nn.utils.clip_grad_norm_(trained, 10)
        optimizer.step()
    network.eval()
    heads.eval()
    with torch.inference_mode():
        found = network(frame, choose=BEST, heads=heads).found
    assert set(found["labels"].tolist()) == {1, 2}
    result = id_map(found)
    for number in (1, 2):
        overlap = ((result == number) & (ids == number)).sum() / ((result == number) | (ids == number)).sum()
        assert overlap > 0.75
