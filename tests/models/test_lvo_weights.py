import pytest
import torch
from torch import nn

from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.pretrained.zoo import WEIGHTS, load_method


def tiny(**variant):
    """A small LVO with random weights; by default its appearance is cheap."""
    torch.manual_seed(0)
    return build("lvo", "tiny", **{"appearance": "rgb", "motion_short_side": 32} | variant)


def test_the_motion_network_that_comes_with_the_package_is_loaded_for_training():
    state = load_method("mpnet", "tiny")[0].network.state_dict()
    name = "classifier.weight"
    model = tiny()
    assert not torch.equal(model.network.motion.state_dict()[name], state[name])
    model.configure_stage("memory")
    own = model.network.motion.state_dict()
    assert all(torch.equal(own[key], value) for key, value in state.items())


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


def test_motion_weights_of_a_checkpoint(tmp_path):
    trained = build("mpnet", "tiny")
    model = tiny(motion_weights=checkpoint(tmp_path / "mpnet.ckpt", trained))
    model.configure_stage("memory")
    expected = trained.network.state_dict()
    assert all(torch.equal(v, expected[key]) for key, v in model.network.motion.state_dict().items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: tiny(), "name=lvo, lvo needs name=mpnet"),
        (lambda: build("mpnet", "tiny", input="flow"), "input=flow, lvo needs input=angle_field"),
        (lambda: build("mpnet", "tiny", decoder_units=1), "decoder_units=1, lvo needs decoder_units=4"),
        (lambda: build("mpnet", "tiny", angle="signed"), "angle=signed, lvo needs angle=unsigned"),
    ],
)
def test_motion_weights_of_something_else(tmp_path, other, message):
    model = tiny(motion_weights=checkpoint(tmp_path / "other.ckpt", other()))
    with pytest.raises(InputError, match=rf"other\.ckpt: .*{message}"):
        model.configure_stage("memory")


def test_missing_weights(tmp_path):
    with pytest.raises(InputError, match=r"no weights file nowhere\.ckpt"):
        tiny(motion_weights="nowhere.ckpt").configure_stage("memory")
    with pytest.raises(InputError, match="unknown weights"):
        tiny(appearance="deeplab_v2", appearance_weights="ResNet_Weights").configure_stage("memory")


def test_full_size_asks_for_motion_weights():
    def full(weights):
        with torch.device("meta"):
            return build("lvo", appearance="none", motion_weights=weights)

    if (WEIGHTS / "mpnet-full.safetensors").is_file():
        full("zoo").configure_stage("memory")
    else:
        with pytest.raises(InputError, match="no mpnet of size full comes with the package"):
            full("zoo").configure_stage("memory")
    full("random").configure_stage("memory")


def test_appearance_weights_of_a_file(tmp_path):
    trained = tiny(appearance="deeplab_v1_fc6").network.appearance
    nn.init.constant_(trained.fc6.bias, 3.0)
    torch.save(trained.state_dict(), tmp_path / "deeplab.pth")
    model = tiny(appearance="deeplab_v1_fc6", appearance_weights=str(tmp_path / "deeplab.pth"))
    assert not (model.network.appearance.fc6.bias == 3).any()
    model.configure_stage("memory")
    assert (model.network.appearance.fc6.bias == 3).all()


def test_appearance_weights_of_a_run(tmp_path):
    """Stage appearance is run once; every variant of the memory starts from it."""
    trained = tiny(appearance="deeplab_v1_fc6", motion="none")
    weights = checkpoint(tmp_path / "lvo.ckpt", trained)
    model = tiny(appearance="deeplab_v1_conv5", appearance_weights=weights)
    model.configure_stage("memory")
    expected = trained.network.appearance.state_dict()
    assert all(torch.equal(v, expected[key]) for key, v in model.network.appearance.state_dict().items())
    with pytest.raises(InputError, match=r"lvo\.ckpt: its lvo has another appearance network"):
        tiny(appearance="deeplab_v2", appearance_weights=weights).configure_stage("memory")


def test_a_checkpoint_holds_all_weights_and_no_paths(tmp_path):
    weights = checkpoint(tmp_path / "mpnet.ckpt", build("mpnet", "tiny"))
    model = tiny(motion_weights=weights, window=5, step=2)
    model.configure_stage("memory")
    checkpoint(tmp_path / "lvo.ckpt", model)
    (tmp_path / "mpnet.ckpt").unlink()
    loaded, provenance = load_method("lvo", checkpoint=tmp_path / "lvo.ckpt")
    assert str(tmp_path) not in str(provenance)
    assert (loaded.window, loaded.step, loaded.motion_short_side) == (5, 2, 32)
    own = model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in loaded.state_dict().items())


def test_other_motion_weights_at_inference(tmp_path):
    """Table 5: the memory is trained with one motion network and tested with another."""
    model, other = tiny(), build("mpnet", "tiny")
    checkpoint(tmp_path / "lvo.ckpt", model)
    weights = checkpoint(tmp_path / "other.ckpt", other)
    loaded, _ = load_method("lvo", checkpoint=tmp_path / "lvo.ckpt", settings={"motion_test": weights})
    assert torch.equal(loaded.network.motion.classifier.weight, other.network.classifier.weight)
    assert torch.equal(loaded.network.classifier.weight, model.network.classifier.weight)
