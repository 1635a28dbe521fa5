"""The discriminator of STCNN, and all that its branches learn from."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import inception_v3

from tests.rounding import assert_rounded
from vosbench.models.layers.pretrained import load_pretrained
from vosbench.models.stcnn.discriminator import Discriminator
from vosbench.models.stcnn.losses import (
    Balance,
    discriminator_losses,
    generator_loss,
    segmentation_loss,
    shrink_frames,
    side_weight,
)


@pytest.mark.parametrize("width", [None, 8])
@pytest.mark.parametrize("outputs", [1, 2])
def test_discriminator_gives_one_logit_per_frame(width, outputs):
    torch.manual_seed(0)
    judge = Discriminator(outputs, width=width).eval()
    frames = torch.rand(2, 3, 30, 41) * 2 - 1
    with torch.inference_mode():
        found = judge(frames)
        assert found.shape == (2,)
        assert found.isfinite().all()
        if outputs == 2 and width:
            assert_rounded(found.sigmoid(), judge.body(frames).softmax(dim=1)[:, 1])


def test_remapping_takes_the_frame_for_one_of_imagenet():
    torch.manual_seed(0)
    remapped, plain = (Discriminator(remap=remap).eval().double() for remap in (True, False))
    plain.load_state_dict(remapped.state_dict())
    frame = torch.rand(1, 3, 80, 96, dtype=torch.float64) * 2 - 1
    mean = torch.tensor([0.485, 0.456, 0.406]).double()[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225]).double()[:, None, None]
    with torch.inference_mode():
        wanted = plain((frame * deviation + mean - 0.5) / 0.5)
        assert_rounded(remapped(frame), wanted, 2**16)


def test_discriminator_starts_from_weights_of_torchvision(tmp_path):
    published = inception_v3(weights=None, init_weights=False)
    torch.save(published.state_dict(), tmp_path / "inception.pth")
    judge = Discriminator()
    loaded = load_pretrained(judge, tmp_path / "inception.pth")
    assert loaded.fresh == ("body.fc.weight", "body.fc.bias")
    assert torch.equal(judge.body.Mixed_7c.branch1x1.conv.weight, published.Mixed_7c.branch1x1.conv.weight)


def test_adversarial_losses_by_hand():
    """D = 0.8 of a predicted frame, 0.9 of a real one."""
    fake, real = torch.tensor([0.8]).logit(), torch.tensor([0.9]).logit()
    losses = discriminator_losses(fake, real)
    assert [each.item() for each in losses] == pytest.approx([-math.log(0.2), -math.log(0.9)])
    predicted, target = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    assert generator_loss(predicted, target, fake).item() == pytest.approx(0.25 - 0.001 * math.log(0.8))
    assert generator_loss(predicted, target, fake, weight=1).item() == pytest.approx(0.25 - math.log(0.8))


def test_target_of_the_predicted_frame():
    frame = torch.ones(1, 3, 97, 131) * 0.25
    shrunk = shrink_frames(frame, (25, 33))
    torch.testing.assert_close(shrunk, torch.full((1, 3, 25, 33), 0.25))


def test_segmentation_loss_by_hand():
    """Cross entropy is log 2 for a logit of 0, log(1 + e^-3) for 3 on the object; void counts nowhere."""
    masks = torch.tensor([[[1, 2, 255]]], dtype=torch.uint8)
    side, fused = torch.zeros(1, 1, 1, 3), torch.tensor([[[[3.0, 3.0, -50.0]]]])
    alone = math.log(1 + math.exp(-3))
    maps = [side] * 4 + [fused]
    assert segmentation_loss(maps, masks).item() == pytest.approx(alone + 4 * math.log(2))
    assert segmentation_loss(maps, masks, side=0.5).item() == pytest.approx(alone + 2 * math.log(2))
    assert segmentation_loss(maps, masks, side=0).item() == pytest.approx(alone)


def test_side_maps_fade_out():
    assert [side_weight(it, 40) for it in (0, 10, 40, 50)] == [1, 0.75, 0, 0]


def test_a_loss_beyond_the_margin_lets_one_of_the_adversaries_rest():
    both = Balance()
    assert both.after(0.2, 0.5) == Balance(generator=True, discriminator=False)
    assert both.after(0.5, 0.2) == Balance(generator=True, discriminator=False)
    assert both.after(0.5, 0.8) == Balance(generator=False, discriminator=True)
    assert both.after(0.2, 0.8) == both
    assert both.after(0.3, 0.7) == both
    assert Balance(margin=0.1).after(0.2, 0.8) == Balance(margin=0.1)


def test_a_cleared_flag_stays_cleared_until_both_are_then_both_are_set():
    balance = Balance().after(0.2, 0.5)
    assert balance.after(0.5, 0.5) == balance == Balance(discriminator=False)
    assert balance.after(0.2, 0.2) == balance
    assert balance.after(0.5, 0.8) == Balance()
    waiting = Balance(generator=False)
    assert waiting.after(0.5, 0.5) == waiting.after(0.9, 0.5) == waiting
    assert waiting.after(0.5, 0.1) == Balance()


@given(
    generator=st.booleans(),
    losses=st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), max_size=20),
)
def test_flags_follow_the_released_rule(generator, losses):
    """The rule as the released loop states it, step by step."""
    balance = Balance(generator=generator)
    learns = {"generator": generator, "discriminator": True}
    for fake, real in losses:
        if fake < 0.3 or real < 0.3:
            learns["discriminator"] = False
        if fake > 0.7 or real > 0.7:
            learns["generator"] = False
        if not any(learns.values()):
            learns = dict.fromkeys(learns, True)
        balance = balance.after(fake, real)
        assert balance == Balance(**learns)
