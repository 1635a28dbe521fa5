"""Batches of detectors, as a stage's configuration asks for them."""

from dataclasses import replace

import pytest
import torch

from vosbench.composition import compose_fit
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.training.stage_data import check_data, open_sets, stage_data

SHORT = ("workers=0", "recipe.A.epoch_length=8", "recipe.J2.epoch_length=8")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_mini("coco", root, scenes=2, size=(48, 64))
    write_mini("davis17", root, scenes=2, frames=3, size=(48, 64))
    write_mini("davis16", root, scenes=4, frames=3, size=(48, 64))
    return root


def batches(root, *overrides):
    config = compose_fit(["model=motion_maskrcnn", "size=tiny", f"data_root={root}", *SHORT, *overrides])
    name = next(line for line in overrides if line.startswith("data=")).removeprefix("data=")
    stage = config.recipe["A" if name == "coco" else "J2"]
    return stage_data(config, stage, [config.data], needs_flow=name != "coco")


def test_targets_have_the_classes_of_the_data_set(root):
    data = batches(root, "data=coco")
    batch = next(iter(data.train_dataloader()))
    assert [frames.shape[:2] for frames in batch["frames"]] == [(1, 3), (1, 3)]
    labels = torch.cat([target["labels"] for (target,) in batch["targets"]])
    assert labels.min() >= 1
    assert len(labels.unique()) > 1
    (target,) = next(iter(data.val_dataloader()))["targets"][0]
    assert set(target) == {"boxes", "labels", "masks", "ids", "void", "labelled"}


def test_without_classes_all_are_one(root):
    batch = next(iter(batches(root, "data=coco", "recipe.A.clip.classes=false").train_dataloader()))
    assert all((target["labels"] == 1).all() for (target,) in batch["targets"])


def test_a_frame_comes_with_the_flow_to_the_next_and_the_last_frame_not_at_all(root):
    data = batches(root, "data=davis16_instances")
    batch = next(iter(data.train_dataloader()))
    assert all(flow.shape == (1, 2, 48, 64) for flow in batch["flow"])
    starts = {int(batch["start"][0]) for batch in data.val_dataloader()}
    assert starts == {0}
    starts = {int(start) for batch in data.train_dataloader() for start in batch["start"]}
    assert starts == {0, 1}


@pytest.mark.parametrize(("masks", "validates"), [("all", True), ("none", False)])
def test_what_is_held_out_of_clips_without_masks_is_not_validated_on(root, masks, validates):
    config = compose_fit(
        [
            *(
                "model=stcnn",
                "size=lite",
                "recipe=stcnn_lite",
                "data=davis16",
                f"data_root={root}",
                "workers=0",
            ),
            *("recipe.temporal.clip.length=2", f"recipe.temporal.clip.masks={masks}"),
        ]
    )
    data = stage_data(config, config.recipe["temporal"], [config.data], needs_flow=False)
    assert data.validates == validates
    assert [len(opened.train) for opened in open_sets(config, [config.data])] == [3]


def test_clips_are_the_usual_batches(root):
    batch = next(iter(batches(root, "data=coco", "recipe.A.collate=clips").train_dataloader()))
    assert batch["frames"].shape[:3] == (2, 1, 3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=davis16_instances", "recipe.J2.clip.classes=true"], "davis17 names no classes"),
        (["data=coco", "recipe.A.collate=detections"], "did you mean detection"),
    ],
)
def test_mistakes_are_one_line(root, overrides, message):
    with pytest.raises(InputError, match=message):
        batches(root, *overrides)


def test_a_miniature_of_more_scenes_leaves_the_default_one_alone(root, tmp_path, monkeypatch):
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(
        "vosbench.data.mini.ensure_mini",
        lambda name, home, scenes, waiting: (
            asked.append((home.name, scenes)) or write_mini(name, home, scenes=1, size=(48, 64))
        ),
    )
    batches(root, "data=coco", "data.edition=mini", "data.scenes=30")
    batches(root, "data=coco", "data.edition=mini")
    assert set(asked) == {("mini-30", 30), ("mini", None)}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.scenes=3"], "data.scenes says how much to render: it needs data.edition=mini"),
        (["data.scenes=0", "data.edition=mini"], "data.scenes is 0"),
    ],
)
def test_what_cannot_be_rendered_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        check_data(compose_fit(["model=motion_maskrcnn", "data=coco", *overrides]).data)


def names(videos):
    return {video.name for video in videos}


def opened(root, *overrides):
    lines = ["model=motion_maskrcnn", "size=tiny", f"data_root={root}", *overrides]
    config = compose_fit(lines)
    check_data(config.data)
    return open_sets(config, [config.data])[0]


def test_held_out_videos_are_validated_on_and_not_trained_on(root):
    everything = opened(root, "data=davis16_480p", "data.val_split=null")
    assert (everything.val_split, names(everything.val)) == (None, set())
    found = opened(root, "data=davis16_480p")
    assert found.val_split == "train"
    assert names(found.val)
    assert names(found.train) | names(found.val) == names(everything.train)
    assert not names(found.train) & names(found.val)


def test_held_out_videos_may_be_named(root):
    name = min(names(opened(root, "data=davis16_480p").train))
    assert names(opened(root, "data=davis16_480p", f"data.hold_out=[{name}]").val) == {name}


def test_of_several_sets_each_holds_out_what_it_has_of_the_named_videos(root):
    base = ["model=motion_maskrcnn", "size=tiny", f"data_root={root}"]
    alone = names(opened(root, "data=davis16_480p").train) - names(opened(root, "data=davis17").train)
    held = f"data.hold_out=[{min(alone)}]"
    config, other = (compose_fit([*base, data, held]) for data in ("data=davis16_480p", "data=davis17"))
    first, second = open_sets(config, [config.data, other.data])
    assert names(first.val) == {min(alone)}
    assert (names(second.val), second.val_split) == (set(), None)
    with pytest.raises(InputError, match="unknown video to hold out 'nowhere'"):
        open_sets(config, [replace(item.data, hold_out=["nowhere"]) for item in (config, other)])


def test_another_split_may_be_validated_on_and_all_of_the_first_be_trained_on(root):
    found = opened(root, "data=davis16_480p", "data.val_split=val")
    assert found.val_split == "val"
    assert names(found.train) == names(opened(root, "data=davis16_480p", "data.val_split=null").train)


def test_where_nothing_is_validated_nothing_is_held_out(root):
    found = opened(root, "data=davis16_480p", "trainer.limit_val_batches=0")
    assert (found.val_split, names(found.val)) == (None, set())
    assert names(found.train) == names(opened(root, "data=davis16_480p", "data.val_split=null").train)


def test_what_one_set_of_a_stage_holds_out_the_others_do_not_train_on(root):
    """As DAVIS 2016 and 2017, they have videos of the same names."""
    base = ["model=motion_maskrcnn", "size=tiny", f"data_root={root}", "data=davis16_480p"]
    configs = [compose_fit(base), compose_fit([*base, "data.val_split=null"])]
    first, second = open_sets(configs[0], [config.data for config in configs])
    assert names(first.val)
    assert names(second.train) == names(first.train)
    assert names(second.val) == set()


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1.5", "[]", "true", "bear", "[1]"])
def test_a_share_to_hold_out_is_above_0_and_below_1(root, value):
    with pytest.raises(InputError, match=r"data\.hold_out is .*val_split=null holds nothing out"):
        opened(root, "data=davis16_480p", f"data.hold_out={value}")
