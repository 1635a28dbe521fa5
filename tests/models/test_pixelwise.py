import torch

from vosbench.models.pixelwise import enlarge, mean_over_known, shrink_masks


def test_mean_over_known_by_hand():
    losses = torch.tensor([[[1.0, 2.0], [30.0, 3.0]]], requires_grad=True)
    masks = torch.tensor([[[0, 1], [255, 0]]], dtype=torch.uint8)
    mean = mean_over_known(losses, masks)
    assert mean == 2
    mean.backward()
    torch.testing.assert_close(losses.grad, torch.tensor([[[1, 1], [0, 1]]]) / 3)
    assert mean_over_known(losses, torch.full_like(masks, 255)) == 0


def test_sizes():
    assert enlarge(torch.rand(2, 1, 3, 5), (9, 11)).shape == (2, 1, 9, 11)
    masks = torch.tensor([[[1, 1, 255, 255], [1, 1, 255, 255]]], dtype=torch.uint8)
    assert shrink_masks(masks, (1, 2)).tolist() == [[[1, 255]]]
