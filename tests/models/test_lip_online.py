"""What LIP learns of a first frame: from what, for how long, and what a step leaves out."""

import pytest
import torch

from tests.models.lip import SIZE, clip, state_hash, tiny
from tests.models.test_lip_rules import found
from vosbench.models.lip.adaptation import THRESHOLDS
from vosbench.models.lip.heads import ONLINE
from vosbench.models.lip.network import SAMPLED, LIPNet
from vosbench.models.lip.online import FirstFrame, LIPOnlineSettings, learn_heads, learn_video
from vosbench.models.lip.rules import DetectionRules, select

SIDES = (48, 64)


def first_frame(network):
    labels = torch.zeros(SIZE, dtype=torch.uint8)
    labels[10:40, 20:60], labels[45:60, 60:90], labels[:4] = 1, 2, 255
    return FirstFrame(network, clip(1)[0, 0], labels)


def learnt(first, network, **keys):
    heads = network.heads.specialise(2, torch.Generator().manual_seed(0))
    before = state_hash(heads)
    torch.manual_seed(0)
    stopping = learn_heads(heads, first, LIPOnlineSettings(sides=SIDES, **keys))
    return stopping, state_hash(heads) != before


def test_objects_are_labelled_from_1_in_larger_boxes():
    first = first_frame(tiny().eval())
    assert first.objects == 2
    assert first.boxes.tolist() == [[18.0, 8.5, 62.0, 41.5], [58.5, 44.25, 91.5, 60.75]]


def test_features_of_a_size_are_computed_once_without_gradients(monkeypatch):
    network, seen = tiny().eval(), []
    features = LIPNet.features
    monkeypatch.setattr(LIPNet, "features", lambda *args: seen.append(args[1].shape) or features(*args))
    first = first_frame(network)
    learnt(first, network, iterations=6)
    assert len(seen) == 2
    images, levels, target = first.at(48)
    assert images.image_sizes == [(48, 72)]
    assert target["boxes"][0].tolist() == pytest.approx([13.5, 6.375, 46.5, 31.125])
    assert not any(level.requires_grad for level in levels.values())


def test_learning_ends_when_every_loss_is_low():
    network = tiny().eval()
    low = dict.fromkeys(THRESHOLDS, 100.0)
    stopping, changed = learnt(first_frame(network), network, iterations=5, thresholds=low)
    assert (stopping.steps, stopping.stopped, changed) == (1, True, False)
    stopping, changed = learnt(first_frame(network), network, iterations=5)
    assert (stopping.steps, stopping.stopped, changed) == (5, False, True)


def test_what_is_learnt_lowers_the_losses():
    network = tiny().eval()
    first = first_frame(network)

    def total(heads):
        torch.manual_seed(3)
        images, levels, target = first.at(64)
        with torch.no_grad():
            return sum(heads.train().learn(images, levels, [target], ONLINE).values())

    after, before = (
        learn_video(network, first, LIPOnlineSettings(iterations=count, lr=0.02, sides=SIDES), 64)
        for count in (25, 1)
    )
    assert total(after) < 0.8 * total(before)


def test_a_loss_that_is_low_teaches_nothing():
    network = tiny().eval()
    high = {name: 100.0 if name == "loss_mask" else 0.0 for name in THRESHOLDS}
    heads = network.heads.specialise(2)
    before = {name: value.clone() for name, value in heads.state_dict().items()}
    settings = LIPOnlineSettings(sides=SIDES, iterations=2, thresholds=high, weight_decay=0.0)
    learn_heads(heads, first_frame(network), settings)
    moved = {name for name, value in heads.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("roi_heads.mask") for name in moved)


def test_heads_of_a_video_are_a_copy_with_the_shortcut_and_the_regions_of_that_stage():
    network = tiny().eval()
    network.train_stage("coco")
    before = state_hash(network)
    heads = learn_video(network, first_frame(network), LIPOnlineSettings(iterations=1, sides=SIDES), 64)
    assert heads.ids == 2
    assert heads.roi_heads.box_head.shortcut
    assert heads.roi_heads.fg_bg_sampler.batch_size_per_image == SAMPLED["online"]
    assert not heads.training
    assert state_hash(network) == before
    assert not network.heads.roi_heads.box_head.shortcut


def test_without_the_one_maximum_all_that_is_near_is_believed():
    now = found((1, 0.5), (2, 0.3), (1, 0.7), (2, 0.1), (1, 0.6, [50.0, 50.0, 60.0, 60.0]))
    assert select(now, found((1, 0.9)), DetectionRules(one_maximum=False)).tolist() == [2, 0, 1]
