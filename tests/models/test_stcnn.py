"""STCNN on videos: what it learns of one, and that nothing of it is left for the next."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from vosbench.errors import InputError
from vosbench.method import Inspection, Method
from vosbench.models import build
from vosbench.models.pretrained.author_weights import translate
from vosbench.models.stcnn import online
from vosbench.models.stcnn.module import STCNN
from vosbench.models.stcnn.online import STCNNOnlineSettings, TrainingPictures, learn_object, object_seed
from vosbench.models.stcnn.tracking import merge
from vosbench.video import Video

CHECKPOINTS = Path(__file__).parents[1] / "golden" / "checkpoints"
HEIGHT, WIDTH = 48, 64


def stcnn(**switches):
    torch.manual_seed(1)
    return build("stcnn", "tiny", **({"online_iterations": 2, "online_images": 2} | switches))


def video(name="a", frames=4, seed=0, objects=1):
    """Squares that move over noise, and the ids of the first frame."""
    random = np.random.default_rng(seed)
    background = random.integers(0, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pictures, ids = [], []
    for t in range(frames):
        picture, mask = background.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        for number in range(objects):
            window = (slice(6 + 20 * number, 22 + 20 * number), slice(8 + 2 * t, 30 + 2 * t))
            picture[window], mask[window] = (220, 60 + 150 * number, 60), 2 + number
        pictures.append(picture)
        ids.append(mask)
    return Video(name, pictures, tuple(map(str, range(frames)))), ids[0], ids


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def probabilities(module, shown, mask):
    """Of the only object, before the threshold."""
    found = []

    def keep(values, threshold):
        found.extend(values.values())
        return merge(values, threshold)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vosbench.models.stcnn.tracking.merge", keep)
        module.segment(shown, mask).stack()
    return np.stack(found)


def test_it_is_a_semi_supervised_method_without_flow():
    method = stcnn()
    assert isinstance(method, Method)
    assert (method.task, method.needs_flow) == ("semi-supervised", False)


def test_the_first_frame_is_what_was_given():
    shown, mask, _ = video()
    mask[0, :5] = 255
    found = stcnn().segment(shown, mask).stack()
    assert found.shape == (4, HEIGHT, WIDTH)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], np.where(mask == 255, 0, mask))
    assert set(np.unique(found)) <= {0, 2}


def test_online_training_learns_the_object():
    shown, mask, wanted = video(frames=3)
    offline = stcnn(train_phase="offline_only").segment(shown, mask).stack()
    online = stcnn(online_iterations=60, online_images=10, online_lr=0.01).segment(shown, mask).stack()

    def iou(found):
        return np.mean(
            [
                ((f > 0) & (w > 0)).sum() / ((f > 0) | (w > 0)).sum()
                for f, w in zip(found[1:], wanted[1:], strict=True)
            ]
        )

    assert iou(online) > 0.7 > iou(offline)


def test_nothing_of_a_video_reaches_the_next():
    """B after A is B alone, and the weights are those from before A."""
    first, first_mask, _ = video("a", frames=3, seed=3)
    second, second_mask, _ = video("b", frames=3, seed=4)
    alone = probabilities(stcnn(), second, second_mask)
    module = stcnn()
    before = weights(module)
    after_first = probabilities(module, first, first_mask)
    assert same(weights(module), before)
    np.testing.assert_array_equal(probabilities(module, second, second_mask), alone)
    np.testing.assert_array_equal(probabilities(module, first, first_mask), after_first)


def test_a_video_that_is_given_up_leaves_nothing():
    shown, mask, _ = video(frames=3)
    module = stcnn()
    before, wanted = weights(module), probabilities(module, shown, mask)
    paused = iter(module.segment(*video("other", seed=9)[:2]))
    next(paused), next(paused)
    np.testing.assert_array_equal(probabilities(module, shown, mask), wanted)
    broken = Video("broken", [shown.frames[0], np.zeros((0, 0, 3), np.uint8)], ("0", "1"))
    with pytest.raises((RuntimeError, ValueError, InputError)):
        module.segment(broken, mask).stack()
    assert same(weights(module), before)
    assert all(each.grad is None for each in module.parameters())
    np.testing.assert_array_equal(probabilities(module, shown, mask), wanted)


def test_the_result_follows_from_the_seed_alone():
    shown, mask, _ = video(frames=2)
    module = stcnn()
    first = probabilities(module, shown, mask)
    torch.manual_seed(5)
    np.testing.assert_array_equal(probabilities(module, shown, mask), first)
    assert not np.array_equal(probabilities(stcnn(online_seed=1), shown, mask), first)
    assert object_seed(0, 1) != object_seed(0, 2) != object_seed(1, 2)


@pytest.mark.parametrize(("online", "twice"), [({}, 2), ({"train_phase": "offline_only"}, 1)])
def test_each_object_is_followed_by_itself(online, twice, monkeypatch):
    """What is found of an object does not depend on the others; without learning all share one look."""
    shown, mask, _ = video(frames=2, objects=2)
    module = stcnn(**online)
    together = probabilities(module, shown, mask)
    for index, number in enumerate((2, 3)):
        other = mask == (3 if number == 2 else 2)
        settings = module.tracking.online
        if settings is not None:
            module.eval()
            alone = np.where(other, 0, mask).astype(np.uint8)
            np.testing.assert_array_equal(probabilities(module, shown, alone)[0], together[index])
    calls = []
    forward = type(module.network.segmentation).forward
    monkeypatch.setattr(
        type(module.network.segmentation), "forward", lambda *args: calls.append(1) or forward(*args)
    )
    module.segment(shown, mask).stack()
    learning = 0 if online else 2 * 2
    assert len(calls) - learning == twice


def test_a_pixel_belongs_to_the_most_probable_object():
    first = np.array([[0.9, 0.6, 0.5, 0.7]], np.float32)
    second = np.array([[0.8, 0.7, 0.4, 0.7]], np.float32)
    assert merge({4: first, 9: second}, 0.5).tolist() == [[4, 9, 0, 4]]


@pytest.mark.parametrize("start", ["paper", "code"])
def test_the_past_at_the_start(start, monkeypatch):
    """Frame 2 of delta 4: frames 0, 0, 0, 1; the released code has the frame itself at the end."""
    shown, mask, _ = video(frames=6)
    module = stcnn(train_phase="offline_only", start=start)
    seen = []
    predict = module.network.predict
    monkeypatch.setattr(module.network, "predict", lambda past: seen.append(past.clone()) or predict(past))
    module.segment(shown, mask).stack()

    def stack(*numbers):
        frames = np.concatenate([shown.frames[number].transpose(2, 0, 1) for number in numbers])
        return torch.from_numpy(frames / 127.5 - 1).float()[None]

    early = {
        "paper": [(0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 2)],
        "code": [(0, 0, 0, 1), (0, 0, 1, 2), (0, 1, 2, 3)],
    }
    for past, numbers in zip(seen, [*early[start], (0, 1, 2, 3), (1, 2, 3, 4)], strict=True):
        torch.testing.assert_close(past, stack(*numbers))


def test_without_temporal_branch_the_past_does_not_matter():
    shown, mask, _ = video(frames=4)
    module = stcnn(tcb=False, train_phase="offline_only", spatial_gate=False)
    found = probabilities(module, shown, mask)
    backwards = Video("b", [shown.frames[0], *shown.frames[:0:-1]], shown.frame_names)
    np.testing.assert_array_equal(probabilities(module, backwards, mask), found[::-1])


def test_the_gate_keeps_to_the_last_place():
    shown, mask, _ = video(frames=3)
    free = probabilities(stcnn(train_phase="offline_only", spatial_gate=False), shown, mask)
    gated = probabilities(stcnn(train_phase="offline_only", gate_reach=5), shown, mask)
    near = np.zeros_like(mask, bool)
    near[4:24, 6:32] = True
    assert (gated[0][~near] == 0).all()
    np.testing.assert_array_equal(gated[0][10:18, 12:26], free[0][10:18, 12:26])
    assert (free > 0).all()
    ignored = probabilities(stcnn(train_phase="offline_only", gate_least=10**6), shown, mask)
    np.testing.assert_array_equal(ignored, free)


def test_frames_are_read_once():
    shown, mask, _ = video(frames=9)
    read = []

    class Frames(list):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    module = stcnn(train_phase="offline_only")
    module.segment(Video("a", Frames(shown.frames), shown.frame_names), mask).stack()
    assert read == list(range(9))


def test_the_released_statistics_are_those_of_the_frame():
    shown, mask, _ = video(frames=2)
    stored, batch = (stcnn(train_phase="offline_only", tcb_bn_test_mode=mode) for mode in ("stored", "batch"))
    with torch.no_grad():
        for module in (stored, batch):
            module.network.segmentation.decoder.joins[0][0].weight.mul_(20)
    before = weights(batch)
    assert not np.array_equal(probabilities(stored, shown, mask), probabilities(batch, shown, mask))
    assert same(weights(batch), before)


def test_pictures_to_learn_from_are_dreams_or_the_frame_itself():
    shown, mask, _ = video()
    ids = (mask > 0).astype(np.uint8)
    still = TrainingPictures(shown.frames[0], ids, STCNNOnlineSettings(lucid=False))
    assert len(still) == 1
    np.testing.assert_array_equal(still[0].frames[0].permute(1, 2, 0).numpy(), shown.frames[0])
    dreams = TrainingPictures(shown.frames[0], ids, STCNNOnlineSettings(images=7, seed=3))
    assert len(dreams) == 7
    assert not torch.equal(dreams[0].frames, dreams[1].frames)
    again = TrainingPictures(shown.frames[0], ids, STCNNOnlineSettings(images=7, seed=3))
    # each follows from its number, whichever was made before
    assert torch.equal(again[1].frames, dreams[1].frames)
    assert dreams[0].masks.shape == (1, HEIGHT, WIDTH)


@pytest.mark.parametrize("tcb", [True, False])
@pytest.mark.parametrize("lucid", [True, False])
def test_learning_an_object_changes_a_copy_of_the_spatial_branch_but_no_statistics(tcb, lucid):
    shown, mask, _ = video()
    network = stcnn(tcb=tcb).eval().network
    before = weights(network)
    learned = learn_object(
        network, shown.frames[0], (mask > 0).astype(np.uint8), STCNNOnlineSettings(2, 2, lucid, lr=0.1)
    )
    assert same(weights(network), before)
    found, given = weights(learned), weights(network.segmentation)
    assert {name for name in found if not torch.equal(found[name], given[name])}.isdisjoint(
        name for name, _ in network.segmentation.named_buffers()
    )
    assert not torch.equal(found["decoder.fuse.1.weight"], given["decoder.fuse.1.weight"])


def test_pictures_made_while_the_network_learns_are_those_made_before(monkeypatch):
    shown, mask, _ = video()
    network = stcnn().eval().network
    object_of = shown.frames[0], (mask > 0).astype(np.uint8), STCNNOnlineSettings(8, 3, lr=0.1, dreams=0.5)
    threads, changed, batches = set(), online.changed, online._batches

    def noted(*arguments):
        threads.add(threading.get_ident())
        return changed(*arguments)

    monkeypatch.setattr(online, "changed", noted)
    beside = weights(learn_object(network, *object_of))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    monkeypatch.setattr(online, "_batches", lambda *arguments: iter(list(batches(*arguments))))
    assert same(weights(learn_object(network, *object_of)), beside)
    assert threading.get_ident() in threads


def test_maps_of_attention_and_the_predicted_frame_can_be_seen():
    shown, mask, _ = video(frames=2, objects=2)
    module = stcnn(train_phase="offline_only")
    seen = {}
    module.inspection = Inspection(
        ("attention", "predicted"), (), lambda index, title, values: seen.update({(index, title): values})
    )
    module.segment(shown, mask).stack()
    titles = {f"attention {level} of object {number}" for level in (1, 2, 3) for number in (2, 3)}
    assert {title for _, title in seen} == titles | {"predicted"}
    assert {index for index, _ in seen} == {1}
    assert all(values.ndim == 2 and 0 <= values.min() <= values.max() <= 1 for values in seen.values())
    assert seen[1, "predicted"].shape == (HEIGHT // 4, WIDTH // 4)


@pytest.mark.parametrize(("switch", "name"), [("attention", "attention"), ("tcb", "predicted")])
def test_maps_that_are_not_there_cannot_be_seen(switch, name):
    module = stcnn(**{switch: False})
    module.inspection = Inspection((name,), (), lambda *_: None)
    with pytest.raises(InputError, match=f"{switch}=false"):
        module.segment(*video()[:2])


def test_a_mask_with_an_object_is_needed():
    shown, mask, _ = video()
    with pytest.raises(InputError, match="needs the first mask"):
        stcnn().segment(shown)
    with pytest.raises(InputError, match="no object"):
        stcnn().segment(shown, np.full_like(mask, 255))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train_phase", "never", "train_phase"),
        ("delta", 2, "3, 4, 5, 6"),
        ("topdown", "crop", "topdown"),
        ("tcb", 1, "tcb"),
        ("online_iterations", 0, "online_iterations"),
        ("online_lr", -1.0, "online_lr"),
        ("gate_threshold", 2, "gate_threshold"),
        ("d_outputs", 3, "d_outputs"),
        ("temporal_size", [480], "temporal_size"),
        ("norm", "batch", "norm"),
    ],
)
def test_keys_outside_their_choices_say_so(key, value, said):
    with pytest.raises(InputError, match=said):
        build("stcnn", "tiny", **{key: value})


def test_published_settings_of_the_full_size():
    """Section 3.3: 400 iterations on 100 dreams, SGD with 1e-4."""
    with torch.device("meta"):
        module = build("stcnn")
    online = module.tracking.online
    assert (online.iterations, online.images, online.lr, online.lucid) == (400, 100, 1e-4, True)
    assert sum(each.numel() for each in module.parameters()) == 129_662_792
    assert (module.norm, module.temporal_size, module.joint_generator_lr) == ("frozen", (480, 854), 1e-8)


@pytest.mark.parametrize(("layout", "switches"), [("stcnn_joint", {}), ("stcnn_seg_branch", {"tcb": False})])
def test_released_files_cover_the_whole_method(layout, switches):
    """Every tensor has a place, and the discriminator, which was not released, is not asked for."""
    shapes = json.loads((CHECKPOINTS / f"{layout}.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        released = {name: torch.empty(shape) for name, shape in shapes.items()}
        wanted = build("stcnn", **STCNN.released_switches, **switches).state_dict()
    state, accounting = translate("stcnn", released, wanted)
    assert accounting.complete
    assert state.keys() == wanted.keys()
