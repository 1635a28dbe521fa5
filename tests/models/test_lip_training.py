"""LIP in training: its stages, the ids of a training set, what a checkpoint says."""

import pytest
import torch

from vosbench.composition import load_stage
from vosbench.config import ClipConfig, StageConfig
from vosbench.data import open_dataset
from vosbench.data.loading.collate import detection_targets
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.training import ObjectLabels
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.training import fit

LAST = "network.heads.roi_heads.box_predictor.cls_score.weight"


def lip(**switches):
    torch.manual_seed(1)
    return build("lip", "tiny", **switches)


class TestRoster:
    def test_objects_are_numbered_as_they_are_seen(self):
        object_labels = ObjectLabels(4)
        object_labels.enter([(7, 2), (7, 1), (3, 1)])
        object_labels.enter([(3, 1), (7, 2), (0, 9)])
        assert object_labels.labels(7, torch.tensor([1, 2])).tolist() == [2, 1]
        assert object_labels.labels(3, torch.tensor([1])).tolist() == [3]
        assert object_labels.objects == [(7, 2), (7, 1), (3, 1), (0, 9)]
        again = ObjectLabels(4, object_labels.objects)
        assert again.labels(0, torch.tensor([9])).tolist() == [4]

    def test_too_many_say_which_key_to_raise(self):
        with pytest.raises(InputError, match=r"more than 1 objects, raise model\.vos_ids"):
            ObjectLabels(1).enter([(0, 1), (0, 2)])


class TestStages:
    def batch(self, frames=2, video=5):
        masks = torch.zeros(frames, 40, 64, dtype=torch.uint8)
        masks[:, 10:30, 10:50] = 3
        return {
            "frames": [torch.randint(0, 255, (frames, 3, 40, 64), dtype=torch.uint8)],
            "targets": [detection_targets(masks)],
            "video": [torch.tensor(video)],
        }

    def learnt(self, stage, monkeypatch, **keys):
        """Return what the network is asked to learn from a batch."""
        module, seen = lip(**keys), []
        monkeypatch.setattr(
            LIPNet, "losses", lambda self, clips, targets, **more: seen.append((clips, targets, more)) or {}
        )
        module.configure_stage(stage)
        module.training_step(self.batch(), 0)
        return seen[0]

    def test_videos_have_ids_of_the_whole_set_and_larger_boxes(self, monkeypatch):
        clips, ((first, second),), more = self.learnt("vos", monkeypatch, train_sides=[48])
        assert clips[0].shape == (2, 3, 40, 64)
        assert first["labels"].tolist() == second["labels"].tolist() == [1]
        assert first["boxes"].tolist() == [[8, 9, 52, 31]]
        assert more == {"short_side": 48, "recurrence": 4}

    def test_pictures_have_classes_and_boxes_as_they_are(self, monkeypatch):
        _, ((first, _),), _ = self.learnt("coco", monkeypatch)
        assert first["boxes"].tolist() == [[10, 10, 50, 30]]

    def test_sides_are_those_of_the_key(self, monkeypatch):
        found = {self.learnt("coco", monkeypatch, train_sides=[48, 56])[2]["short_side"]}
        found |= {
            self.learnt("coco", monkeypatch, train_sides=[48, 56], ids=ids)[2]["short_side"]
            for ids in range(1, 12)
        }
        assert found == {48, 56}

    def test_there_are_two(self):
        with pytest.raises(InputError, match="stage of lip"):
            lip().configure_stage("online")

    def test_objects_of_several_sets_cannot_be_told_apart(self):
        both = StageConfig(data=["davis17", "davis16_480p"], clip=ClipConfig(length=8))
        with pytest.raises(InputError, match="in one data set"):
            lip().configure_stage("vos", both)

    def test_a_body_with_batch_normalisation_does_not_fit(self, tmp_path):
        module = lip()
        state = module.network.backbone.body.state_dict()
        torch.save(state | {"bn1.running_mean": torch.zeros(16)}, tmp_path / "body.pth")
        other = lip(body_weights=str(tmp_path / "body.pth"))
        with pytest.raises(InputError, match=r"do not belong \(bn1\.running_mean\)"):
            other.configure_stage("coco")
        torch.save({name: value + 1 for name, value in state.items()}, tmp_path / "body.pth")
        other.configure_stage("coco")
        found = other.network.backbone.body.state_dict()
        assert all(torch.equal(found[name], value + 1) for name, value in state.items())

    def test_the_recipe_is_that_of_the_paper(self):
        coco, vos = (load_stage("lip", name) for name in ("coco", "vos"))
        assert coco.batch_size * coco.accumulate == 16
        assert coco.epochs * coco.epoch_length // 16 == 270_000
        assert [each * coco.epoch_length // 16 for each in coco.schedule.milestones] == [210_000, 250_000]
        assert vos.epochs * vos.epoch_length == 12_000
        assert [each * vos.epoch_length for each in vos.schedule.milestones] == [8_000, 10_000]
        assert (coco.optimizer.lr, vos.optimizer.lr) == (0.02, 0.002)
        assert (coco.clip.length, vos.clip.length) == (1, 8)
        assert {coco.optimizer.weight_decay, vos.optimizer.weight_decay} == {1e-4}


def test_weights_bring_their_number_of_ids():
    module = lip(ids=3)
    module.load_state_dict(lip(ids=7).state_dict())
    assert module.network.heads.ids == 7


@pytest.mark.slow
def test_a_network_goes_through_all_stages(tmp_path):
    for name in ("coco", "davis17"):
        write_mini(name, tmp_path, scenes=2, size=(72, 128), **({} if name == "coco" else {"frames": 9}))
    short = [f"recipe.{stage}.{key}" for stage in ("coco", "vos") for key in ("epochs=1", "epoch_length=8")]
    arguments = [
        *("model=lip", "size=tiny", "recipe=lip_tiny", "stage=all", f"data_root={tmp_path}", "workers=0"),
        *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "model.train_sides=[72,80]"),
        *(f"run={tmp_path / 'run'}", *short),
    ]
    run = fit(arguments)
    before, said = read_state(run / "coco/checkpoints/last.ckpt")
    after, last = read_state(run / "vos/checkpoints/last.ckpt")
    assert (said["variant"]["ids"], last["variant"]["ids"]) == (80, 200)
    assert (said["variant"]["shortcut"], last["variant"]["shortcut"]) == (False, True)
    for key, value in before.items():
        if key.startswith("network.backbone."):
            assert torch.equal(after[key], value), key
        elif value.ndim > 1:
            assert after[key].shape != value.shape or not torch.equal(after[key], value), key
    assert len(after[LAST]) == 201
    method, _ = load_method(
        "lip", checkpoint=run / "vos/checkpoints/best.ckpt", settings={"online_iterations": 2}
    )
    video = open_dataset("davis17", tmp_path, "val")[0]
    assert method.segment(video, video.annotations[0]).stack().shape == (9, 72, 128)
    # a run goes on with the ids it had: objects keep their numbers
    longer = [each for each in arguments if "recipe.vos.epochs" not in each] + ["recipe.vos.epochs=2"]
    (run / "vos" / "finished.yaml").unlink()
    first = torch.load(run / "vos/checkpoints/last.ckpt", weights_only=True)["objects"]
    fit(longer)
    second = torch.load(run / "vos/checkpoints/last.ckpt", weights_only=True)
    assert second["objects"][: len(first)] == first
    assert second["epoch"] == 1
