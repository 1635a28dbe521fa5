"""LIP on videos: what it learns of one, and that nothing of it is left for the next."""

import numpy as np
import pytest
import torch

from tests.models.lip import state_hash
from vosbench.errors import InputError
from vosbench.method import Method
from vosbench.models import build
from vosbench.models.lip import tracking
from vosbench.models.lip.adaptation import IdTuning
from vosbench.models.lip.network import FrameResult
from vosbench.video import Video

HEIGHT, WIDTH = 48, 80


def lip(**switches):
    torch.manual_seed(1)
    few = {"online_iterations": 2, "id_tuning_iterations": 2, "train_sides": [48, 56], "test_side": 56}
    return build("lip", "tiny", **(few | switches))


def video(name="a", frames=3, seed=0, objects=2):
    """Rectangles that move over noise, and the ids of the frames: 2 and 5."""
    random = np.random.default_rng(seed)
    background = random.integers(0, 100, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pictures, ids = [], []
    for t in range(frames):
        picture, mask = background.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        for place, number in enumerate((2, 5)[:objects]):
            window = (slice(6 + 18 * place, 22 + 18 * place), slice(8 + 2 * t, 40 + 2 * t))
            picture[window], mask[window] = (220, 40 + 180 * place, 60), number
        pictures.append(picture)
        ids.append(mask)
    return Video(name, pictures, tuple(map(str, range(frames)))), ids[0], ids


def details(module, shown, mask):
    """What the heads said of every frame: scores and vectors, which ids on a map would hide."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        look = tracking.LIPTracker._look

        def keep(*arguments):
            seen.append(look(*arguments))
            return seen[-1]

        patch.setattr(tracking.LIPTracker, "_look", keep)
        module.segment(shown, mask).stack()
    return [
        torch.cat([each.vectors.flatten(), each.found["scores"], *map(flat, each.state)]) for each in seen
    ]


def flat(values):
    return values.flatten()


def equal(first, second):
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_it_is_a_semi_supervised_method_without_flow():
    method = lip()
    assert isinstance(method, Method)
    assert (method.task, method.needs_flow) == ("semi-supervised", False)


def test_the_first_frame_is_what_was_given():
    shown, mask, _ = video()
    mask[0, :5] = 255
    found = lip().segment(shown, mask).stack()
    assert found.shape == (3, HEIGHT, WIDTH)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], np.where(mask == 255, 0, mask))
    assert set(np.unique(found)) <= {0, 2, 5}


@pytest.mark.parametrize("switches", [{}, {"online": False}, {"memory": "zero"}])
def test_nothing_of_a_video_reaches_the_next(switches):
    """B after A is B alone, and the weights are those from before A."""
    first, second = video("a", seed=3), video("b", seed=4, objects=1)
    alone = details(lip(**switches), *second[:2])
    module = lip(**switches)
    before = state_hash(module)
    details(module, *first[:2])
    assert equal(details(module, *second[:2]), alone)
    assert state_hash(module) == before
    assert all(each.grad is None for each in module.parameters())
    assert all(each.requires_grad for each in module.parameters())


def test_a_video_that_is_given_up_leaves_nothing():
    shown, mask, _ = video()
    module = lip()
    wanted, before = details(module, shown, mask), state_hash(module)
    paused = iter(module.segment(*video("other", seed=9)[:2]))
    next(paused), next(paused)
    assert equal(details(module, shown, mask), wanted)
    assert state_hash(module) == before


def test_the_result_follows_from_the_seed_alone():
    shown, mask, _ = video()
    module = lip()
    first = details(module, shown, mask)
    torch.manual_seed(5)
    assert equal(details(module, shown, mask), first)
    assert not equal(details(lip(online_seed=1), shown, mask), first)


def test_the_memory_makes_a_frame_depend_on_those_before():
    shown, mask, _ = video()
    other = Video("b", [shown.frames[0], 255 - shown.frames[1], shown.frames[2]], shown.frame_names)
    last = {
        memory: [
            details(lip(memory=memory, inference_id_tuning=False), each, mask)[-1] for each in (shown, other)
        ]
        for memory in ("dynamic", "zero")
    }
    assert torch.equal(*last["zero"])
    assert not torch.equal(*last["dynamic"])


def test_without_online_learning_heads_stay_but_the_last_layer_of_ids(monkeypatch):
    module, (shown, mask, _) = lip(online=False, inference_id_tuning=False), video(frames=2)
    made = []
    learn = tracking.learn_video
    monkeypatch.setattr(tracking, "learn_video", lambda *args: made.append(learn(*args)) or made[-1])
    module.segment(shown, mask).stack()
    (heads,) = made
    assert heads.ids == 2
    given = module.network.heads.state_dict()
    changed = {
        name
        for name, value in heads.state_dict().items()
        if value.shape != given[name].shape or not torch.equal(value, given[name])
    }
    rows = {"roi_heads.box_predictor.bbox_pred", "roi_heads.mask_predictor.mask_fcn_logits"}
    layers = {*rows, "roi_heads.box_predictor.cls_score"}
    assert changed == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    for row in rows:
        # of these there are more, all the same
        repeated = heads.state_dict()[f"{row}.weight"]
        per_id = len(repeated) // 3
        assert torch.equal(repeated[per_id : 2 * per_id], repeated[2 * per_id :])


class TestTuning:
    def frame(self, scores):
        """Two regions on each of two objects and two on none; what is believed has these scores."""
        proposals = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 40, 40], [20, 20, 40, 39]])
        proposals = torch.cat([proposals, torch.tensor([[60.0, 0, 70, 10], [60, 20, 70, 30]])])
        vectors = torch.randn(6, 128, generator=torch.Generator().manual_seed(0))
        believed = {
            "boxes": proposals[[0, 2]],
            "labels": torch.tensor([1, 2]),
            "scores": torch.tensor(scores),
        }
        return FrameResult({}, [], proposals, vectors), believed

    def labels(self, scores, monkeypatch):
        seen = []
        monkeypatch.setattr(
            tracking, "tune_ids", lambda layer, vectors, labels, settings: seen.append(labels)
        )
        heads = lip().network.heads.specialise(2)
        tracking.tune(heads, *self.frame(scores), IdTuning())
        return seen[0].tolist()

    @pytest.mark.parametrize(
        ("scores", "wanted"),
        [
            ([0.5, 0.6], [1, 1, 2, 2, 0, 0]),
            # an id that is not sure is neither truth nor background
            ([0.5, 0.4], [1, 1, -1, -1, 0, 0]),
        ],
    )
    def test_detections_with_high_scores_are_the_truth(self, scores, wanted, monkeypatch):
        assert self.labels(scores, monkeypatch) == wanted

    def test_only_the_last_layer_of_ids_changes(self):
        heads = lip().network.heads.specialise(2)
        before = {name: value.clone() for name, value in heads.state_dict().items()}
        tracking.tune(heads, *self.frame([0.5, 0.6]), IdTuning(iterations=3, lr=0.1))
        moved = {name for name, value in heads.state_dict().items() if not torch.equal(value, before[name])}
        layer = "roi_heads.box_predictor.cls_score."
        assert moved == {layer + "weight", layer + "bias"}

    @pytest.mark.parametrize(("wanted", "count"), [(True, 2), (False, 0)])
    def test_it_can_be_left_out(self, wanted, count, monkeypatch):
        called = []
        monkeypatch.setattr(tracking, "tune", lambda *args: called.append(1))
        lip(inference_id_tuning=wanted).segment(*video()[:2]).stack()
        assert len(called) == count


def test_rules_are_keys():
    rules = lip(least_score=0.3, candidates=4, trusted_score=0.6, least_iou=0.5, rule_order="maximum_first")
    found = rules.tracking.rules
    assert (found.least_score, found.candidates, found.trusted_score, found.least_iou) == (0.3, 4, 0.6, 0.5)
    assert (found.order, found.one_maximum) == ("maximum_first", True)
    free = lip(one_maximum=False, location_continuity=False).tracking.rules
    assert (free.one_maximum, free.least_iou) == (False, 0)


def test_published_settings_of_the_full_size():
    """Section 5.1."""
    with torch.device("meta"):
        module = build("lip")
    online, tuning, rules = module.tracking.online, module.tracking.tuning, module.tracking.rules
    assert (online.iterations, online.momentum, online.weight_decay) == (1000, 0.9, 1e-4)
    assert online.sides == module.sides == tuple(range(320, 641, 32))
    assert len(online.sides) == 11
    assert online.id_loss.focal
    assert online.id_loss.last_layer_only
    assert (tuning.iterations, module.hparams["recurrence"]) == (500, 4)
    assert (rules.least_score, rules.candidates, rules.trusted_score, rules.least_iou) == (0.2, 10, 0.4, 0.3)
    assert sum(each.numel() for each in module.parameters()) == 82_068_404


def test_a_mask_with_an_object_is_needed():
    shown, mask, _ = video()
    with pytest.raises(InputError, match="needs the first mask"):
        lip().segment(shown)
    with pytest.raises(InputError, match="no object"):
        lip().segment(shown, np.full_like(mask, 255))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("memory", "static", "memory"),
        ("shortcut", 1, "shortcut"),
        ("convention", "caffe", "convention"),
        ("rule_order", "any", "rule_order"),
        ("least_iou", 3, "least_iou"),
        ("recurrence", 0, "recurrence"),
        ("vos_ids", 0, "vos_ids"),
        ("train_sides", [], "train_sides"),
        ("online_lr", -1.0, "online_lr"),
        ("online_iterations", 0, "online_iterations"),
    ],
)
def test_keys_outside_their_choices_say_so(key, value, said):
    with pytest.raises(InputError, match=said):
        build("lip", "tiny", **{key: value})
