"""DataModules: whole videos under a protocol for the test, clips for training, nothing in both."""

import numpy as np
import pytest

from vosbench import data
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.loading.clips import ClipSettings
from vosbench.data.loading.datamodule import Loading
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.scoring.evaluate import ProtocolVideo

MODULES = {
    "DAVIS16DataModule": "davis16-unsupervised",
    "DAVIS17DataModule": "davis17-semi-supervised",
    "FBMSDataModule": "fbms-proposed",
    "SegTrackDataModule": "segtrack-iou",
    "YouTubeObjectsDataModule": "youtube-objects-unsupervised",
    "FT3DDataModule": "ft3d-iou",
}


TRAINED_ON = [name for name in MODULES if CATALOGUE[getattr(data, name).dataset].train_split]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in MODULES:
        write_mini(getattr(data, name).dataset, root, scenes=2, frames=6, size=(32, 48))
    return root


@pytest.mark.parametrize(("name", "protocol"), MODULES.items())
def test_a_test_step_is_a_whole_video_under_the_usual_protocol(root, name, protocol):
    module = getattr(data, name)(root)
    module.prepare_data()
    module.setup("test")
    steps = list(module.test_dataloader())
    videos = module.test_videos()
    assert [step.video.name for step in steps] == [video.name for video in videos]
    assert all(isinstance(step, ProtocolVideo) and step.protocol.id == protocol for step in steps)
    first = steps[0].video
    assert set(first.annotations) == set(videos[0].annotations)
    # frames come with their flow, which is computed when it is read
    assert first.flow is not None
    assert first.flow[0].shape == (2, *first.frames[0].shape[:2])


@pytest.mark.parametrize("name", TRAINED_ON)
def test_training_clips_are_of_another_split_than_the_test(root, name):
    module = getattr(data, name)(root, clips=ClipSettings(masks="any"), loading=Loading(batch_size=1))
    module.setup("fit")
    batch = next(iter(module.train_dataloader()))
    assert batch["frames"].shape[-3:] == (3, 32, 48)
    assert module.train_split != module.split


def test_what_is_held_out_is_validated_and_not_trained_on(root):
    module = data.DAVIS16DataModule(root, hold_out=0.5)
    module.setup("fit")
    names = {video.name for video in data.DAVIS16DataModule(root, split="train").test_videos()}
    held = {video.name for video in module.val_videos()}
    assert held
    assert held < names
    assert {video.name for video in module._training[0]} == names - held


def test_a_data_set_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match="vosbench data download davis16"):
        data.DAVIS16DataModule(tmp_path).setup("test")


def test_a_miniature_is_rendered_when_asked_for(tmp_path):
    module = data.SegTrackDataModule(tmp_path, prepare="mini", scenes=1)
    module.prepare_data()
    assert module.test_videos()
    assert (tmp_path / "segtrack" / "MINI.json").is_file()


def test_semi_supervised_protocols_come_with_the_first_mask(root):
    [step, *_] = data.DAVIS17DataModule(root, "davis17-semi-supervised").test_dataloader()
    assert step.given.frame == 0
    assert np.array_equal(step.given.ids, step.video.annotations[0])
    [blind, *_] = data.DAVIS17DataModule(root, "davis17-unsupervised").test_dataloader()
    assert blind.given is None


def test_flow_without_a_cache_is_computed_once_and_removed_with_the_video(root):
    [step, *_] = data.DAVIS16DataModule(root).test_dataloader()
    first = step.video.flow[0]
    estimator = step.flow._estimator
    assert np.array_equal(step.video.flow[0], first)
    assert estimator.pairs == 1
    assert step.flow.describe()["estimator"] == "dis"
