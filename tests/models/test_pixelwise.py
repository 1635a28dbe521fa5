import torch

from vosbench.models.pixelwise import enlarge, frame_iou, mean_over_known, shrink_masks


def test_iou_by_hand_leaves_void_out():
    predicted = torch.tensor([[[True, True], [True, False]]])
    masks = torch.tensor([[[1, 0], [255, 7]]], dtype=torch.uint8)
    # shared: one; union: three of the known pixels
    assert frame_iou(predicted, masks).tolist() == [torch.tensor(1 / 3).item()]


def test_iou_of_nothing_and_nothing_is_one():
    assert frame_iou(torch.zeros(1, 2, 2, dtype=torch.bool), torch.zeros(1, 2, 2, dtype=torch.uint8)) == 1


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
