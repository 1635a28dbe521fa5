"""Stages do not build on random weights unless asked to; what weights do not fill is named."""

import urllib.error
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.layers.deeplab import LargeFOV
from vosbench.models.layers.pretrained import load_pretrained
from vosbench.models.lip import module as lip
from vosbench.models.motion_maskrcnn import network as motion_maskrcnn
from vosbench.models.motion_maskrcnn import options as motion_options
from vosbench.models.motion_maskrcnn.weights import AppearanceDetector, load_appearance
from vosbench.models.random_weights import RandomWeights
from vosbench.models.stcnn import keys as stcnn_keys

IMAGENET = "ResNet101_Weights.IMAGENET1K_V1"
COCO = "MaskRCNN_ResNet50_FPN_Weights.COCO_V1"


def test_weights_are_random_until_something_fills_them():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    random = RandomWeights(network)
    assert random.left(network, "") == ["0.weight", "1.weight"]
    network.load_state_dict({"1.weight": torch.ones(2, 4), "1.bias": network[1].bias.detach()}, strict=False)
    assert random.left(network, "") == ["0.weight"]
    assert random.left(network, "1.") == []
    with pytest.raises(InputError, match=r"^stage A keeps weights that are random \(0\.weight\): give some$"):
        random.refuse(network, {"1.": "no", "0.": "give some"}, "A")


def started(name, stage, **keys):
    """Return a method ready for a stage, and what tells which of its weights are random."""
    torch.manual_seed(0)
    module = build(name, "tiny", **keys)
    random = RandomWeights(module)
    module.configure_stage(stage)
    module._trainer = SimpleNamespace(ckpt_path=None)
    module.setup("fit")
    return module, random


@pytest.fixture
def frozen_bodies(monkeypatch):
    """Tiny detectors with the frozen stages and norms of the full ones."""
    tiny = replace(motion_maskrcnn.TINY, norm="frozen", frozen_stages=2)
    monkeypatch.setitem(motion_options.WIDTHS, "tiny", tiny)
    monkeypatch.setitem(lip.WIDTHS, "tiny", replace(lip.WIDTHS["tiny"], frozen_stages=2))


@pytest.mark.parametrize(
    ("name", "stage", "keys", "message"),
    [
        ("lvo", "memory", {}, r"network\.appearance\.body.*model\.appearance_weights=random"),
        ("lvo", "memory", {"appearance": "deeplab_v1_fc6"}, r"network\.appearance\.features"),
        ("lvo", "appearance", {"appearance_norm": "frozen"}, r"model\.appearance_norm=trained"),
        ("fusionseg", "joint", {}, r"network\.appearance\..*write model\.appearance_weights"),
        ("fusionseg", "joint", {"appearance_weights": "random"}, r"network\.motion\..*model\.motion_weights"),
        (
            "fusionseg",
            "appearance",
            {"norm": "frozen"},
            r"write model\.appearance_weights=.*model\.norm=trained",
        ),
        ("fusionseg", "motion", {"norm": "frozen"}, r"write model\.motion_weights=.*model\.norm=trained"),
        (
            "fusionseg",
            "motion",
            {"motion_network": "mpnet", "motion_weights": "random"},
            r"network\.motion\.network",
        ),
        ("stcnn", "spatial", {"norm": "frozen"}, r"segmentation\.encoder.*model\.encoder_weights=ResNet101"),
        ("stcnn", "joint", {"norm": "frozen"}, r"init=CHECKPOINT or model\.norm=trained"),
        ("lip", "vos", {}, r"network\.backbone.*write init=CHECKPOINT of stage coco"),
        ("motion_maskrcnn", "J1", {}, r"backbone\.appearance.*write model\.appearance_weights=CHECKPOINT"),
        ("motion_maskrcnn", "J2", {"freeze": ["appearance"]}, r"backbone\.appearance"),
        (
            "motion_maskrcnn",
            "J1",
            {"freeze": ["mask"], "static_objects": False},
            r"roi_heads\.mask_head.*model\.freeze=\[appearance,motion\]",
        ),
    ],
)
def test_a_stage_does_not_keep_random_weights(name, stage, keys, message):
    module, random = started(name, stage, **keys)
    with pytest.raises(InputError, match=message) as error:
        random.refuse(module, module.kept, stage)
    assert "\n" not in str(error.value)
    # of any other values it is not said that they are random
    other = build(name, "tiny", **keys)
    other.configure_stage(stage)
    if name == "lip":
        other.network.heads.replace_ids(module.network.heads.ids)
    module.load_state_dict(other.state_dict())
    random.refuse(module, module.kept, stage)


@pytest.mark.parametrize(
    ("name", "stage", "keys", "message"),
    [
        ("motion_maskrcnn", "A", {}, r"backbone\.appearance\.body.*model\.body_weights=ResNet50"),
        ("motion_maskrcnn", "M1", {"stream": "motion"}, r"backbone\.body.*model\.body_weights=ResNet50"),
        ("motion_maskrcnn", "J1", {"freeze": [], "static_objects": False}, r"backbone\.appearance\.body"),
        ("lip", "coco", {}, r"backbone\.body\.conv1.*model\.body_weights=FILE"),
    ],
)
@pytest.mark.usefixtures("frozen_bodies")
def test_frozen_stages_and_statistics_need_weights(name, stage, keys, message):
    module, random = started(name, stage, **keys)
    with pytest.raises(InputError, match=message):
        random.refuse(module, module.kept, stage)


@pytest.mark.parametrize(
    ("name", "stage", "keys"),
    [
        ("lvo", "memory", {"appearance_weights": "random"}),
        ("lvo", "memory", {"appearance": "cnn2"}),
        ("lvo", "appearance", {}),
        ("fusionseg", "appearance", {}),
        ("fusionseg", "motion", {"motion_network": "mpnet"}),
        ("fusionseg", "joint", {"appearance_weights": "random", "motion_weights": "random"}),
        ("stcnn", "temporal", {"norm": "frozen"}),
        ("stcnn", "spatial", {}),
        ("lip", "coco", {}),
        ("motion_maskrcnn", "A", {}),
        ("motion_maskrcnn", "M1", {}),
        ("motion_maskrcnn", "J1", {"freeze": [], "static_objects": False}),
    ],
)
def test_what_is_trained_or_asked_for_may_be_random(name, stage, keys):
    module, random = started(name, stage, **keys)
    random.refuse(module, module.kept, stage)


def test_classification_alone_does_not_fill_a_deeplab(tmp_path):
    donor = build("lvo", "tiny").network.appearance
    state = {key: value + 1 for key, value in donor.body.state_dict().items()}
    torch.save(state, tmp_path / "resnet.pth")
    module, random = started("lvo", "memory", appearance_weights=str(tmp_path / "resnet.pth"))
    with pytest.raises(InputError, match=r"network\.appearance\.branches\.0\.weight"):
        random.refuse(module, module.kept, "memory")


def test_heads_of_other_classes_are_not_kept_in_a_joint_stage(tmp_path):
    donor = motion_maskrcnn.MotionMaskRCNNNet("appearance", classes=91, widths=motion_maskrcnn.TINY)
    torch.save(donor.state_dict(), tmp_path / "coco.pth")
    motion = motion_maskrcnn.MotionMaskRCNNNet("motion", widths=motion_maskrcnn.TINY)
    torch.save(motion.state_dict(), tmp_path / "motion.pth")
    files = {
        "appearance_weights": str(tmp_path / "coco.pth"),
        "motion_weights": str(tmp_path / "motion.pth"),
        "norm_eps": 0,
    }
    module, random = started("motion_maskrcnn", "J1", **files)
    with pytest.raises(InputError, match=r"static\.roi_heads\.box_predictor.*weights of COCO have more"):
        random.refuse(module, module.kept, "J1")
    # the other way out: nothing of these heads is kept
    free, random = started(
        "motion_maskrcnn", "J1", **files, static_objects=False, freeze=["appearance", "motion"]
    )
    random.refuse(free, free.kept, "J1")
    with pytest.raises(InputError, match="a mask head of 80 classes cannot be kept"):
        started("motion_maskrcnn", "J1", **files, coco_classes="class_specific")


def test_classes_of_coco_are_taken_without_the_ids_that_stand_for_none(tmp_path):
    """torchvision's weights have a row for each of the ids 0 to 90 of COCO, of which ten have no category."""
    donor = motion_maskrcnn.MotionMaskRCNNNet("appearance", classes=91, widths=motion_maskrcnn.TINY)
    ids = torch.arange(91.0)
    with torch.no_grad():
        donor.roi_heads.box_predictor.cls_score.bias.copy_(ids)
        donor.roi_heads.box_predictor.bbox_pred.bias.copy_(ids.repeat_interleave(4))
        donor.roi_heads.mask_predictor.mask_fcn_logits.bias.copy_(ids)
    torch.save(donor.state_dict(), tmp_path / "coco.pth")
    network = motion_maskrcnn.MotionMaskRCNNNet("appearance", classes=81, widths=motion_maskrcnn.TINY)
    assert not load_appearance(network, tmp_path / "coco.pth").fresh
    rows = network.roi_heads.box_predictor.cls_score.bias.tolist()
    # person, stop sign, parking meter, toothbrush are classes 1, 12, 13 and 80
    assert (len(rows), rows[0], rows[1], rows[12], rows[13], rows[80]) == (81, 0, 1, 13, 14, 90)
    assert network.roi_heads.box_predictor.bbox_pred.bias.tolist() == [row for row in rows for _ in range(4)]
    assert network.roi_heads.mask_predictor.mask_fcn_logits.bias.tolist() == rows


def test_tensors_that_a_file_leaves_random_are_named(tmp_path, caplog):
    donor = motion_maskrcnn.MotionMaskRCNNNet("appearance", classes=91, widths=motion_maskrcnn.TINY)
    torch.save(donor.state_dict(), tmp_path / "coco.pth")
    network = motion_maskrcnn.MotionMaskRCNNNet("appearance", widths=motion_maskrcnn.TINY)
    loaded = load_appearance(network, tmp_path / "coco.pth")
    (said,) = caplog.messages
    assert said.startswith(
        f"coco.pth does not fill all of {AppearanceDetector.__name__}, this stays random: "
    )
    assert said.split(": ")[1].split(", ") == list(loaded.fresh)
    assert len(loaded.fresh) == 6


def test_fully_connected_layers_of_vgg16_are_decimated(tmp_path):
    network = LargeFOV("fc7", width=1)
    first, second = torch.randn(64, 8 * 49), torch.randn(64, 64)
    state = {
        **{key: value for key, value in network.state_dict().items() if key.startswith("features.")},
        "classifier.0.weight": first,
        "classifier.0.bias": torch.arange(64.0),
        "classifier.3.weight": second,
        "classifier.3.bias": -torch.arange(64.0),
        "classifier.6.weight": torch.zeros(10, 64),
    }
    torch.save(state, tmp_path / "vgg.pth")
    assert load_pretrained(network, tmp_path / "vgg.pth").fresh == ("fc8.weight", "fc8.bias")
    assert network.fc6.weight[3, 2, 1, 2] == first[12, 2 * 49 + 3 * 7 + 6]
    assert network.fc6.bias.tolist() == list(range(0, 64, 4))
    assert torch.equal(network.fc7.weight[:, :, 0, 0], second[::4, ::4])
    assert network.fc7.bias.tolist() == list(range(0, -64, -4))


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("stcnn", {"encoder_weights": IMAGENET, "stride_in": "1x1"}, r"write model\.stride_in=3x3"),
        ("stcnn", {"encoder_weights": "a/resnet101-63fe2227.pth", "stride_in": "1x1"}, "stride_in=3x3"),
        ("lvo", {"appearance_weights": IMAGENET, "convention": "caffe"}, "write convention=torchvision"),
        ("fusionseg", {"motion_weights": IMAGENET, "convention": "caffe"}, "write convention=torchvision"),
        (
            "motion_maskrcnn",
            {"body_weights": "ResNet50_Weights.IMAGENET1K_V1", "convention": "detectron"},
            "body_weights=ResNet50_Weights.IMAGENET1K_V1 is of torchvision, write convention=torchvision",
        ),
        ("motion_maskrcnn", {"appearance_weights": COCO}, "trained with norm_eps=0"),
        (
            "motion_maskrcnn",
            {"appearance_weights": "a/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"},
            "trained with norm_eps=0",
        ),
    ],
)
def test_weights_of_torchvision_want_their_own_network(name, keys, message):
    with pytest.raises(InputError, match=message):
        build(name, "tiny", **keys)


class TestStcnn:
    """What training starts from."""

    def keys(self, **changed):
        found = stcnn_keys.resolved(build("stcnn", "tiny").hparams | {"size": "full"} | changed)
        return found["encoder_weights"], found["stride_in"], found["norm"]

    def test_the_full_network_starts_from_imagenet(self):
        assert self.keys() == (IMAGENET, "3x3", "frozen")
        assert self.keys(released=True) == (IMAGENET, "1x1", "frozen")

    def test_statistics_of_random_weights_are_trained(self):
        assert self.keys(encoder_weights="random")[2] == "trained"
        assert self.keys(encoder_weights="random", norm="frozen")[2] == "frozen"

    @pytest.fixture
    def offline(self, tmp_path, monkeypatch):
        """No network, and a tiny STCNN that wants what the full one wants."""

        def refused(url, *place, **options):
            raise urllib.error.URLError("no network")

        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
        full = {key: stcnn_keys.BY_SIZE["full"][key] for key in ("encoder_weights", "discriminator_weights")}
        monkeypatch.setitem(stcnn_keys.BY_SIZE, "tiny", stcnn_keys.BY_SIZE["tiny"] | full)

    def ready(self, ckpt_path=None, **keys):
        module = build("stcnn", "tiny", **keys)
        module.configure_stage("spatial")
        module._trainer = SimpleNamespace(ckpt_path=ckpt_path)
        return module

    @pytest.mark.usefixtures("offline")
    def test_without_a_network_the_key_and_the_folder_are_named(self, tmp_path):
        message = rf"resnet101-63fe2227\.pth.*put the file into {tmp_path}.*model\.encoder_weights=FILE"
        with pytest.raises(InputError, match=message) as error:
            self.ready(stride_in="3x3").setup("fit")
        assert "\n" not in str(error.value)

    @pytest.mark.usefixtures("offline")
    def test_strides_of_other_weights_want_other_weights(self):
        with pytest.raises(InputError, match=r"is of torchvision, write model\.stride_in=3x3"):
            self.ready(released=True).setup("fit")

    @pytest.mark.usefixtures("offline")
    def test_checkpoints_need_nothing_else(self):
        module = self.ready()
        module.load_state_dict(self.ready().state_dict())
        module.setup("fit")
        self.ready("last.ckpt").setup("fit")
        self.ready(encoder_weights="random", discriminator_weights="random").setup("fit")

    @pytest.mark.usefixtures("offline")
    def test_a_checkpoint_without_discriminator_leaves_that_to_imagenet(self):
        module = self.ready()
        state = {key: value for key, value in module.state_dict().items() if key.startswith("network.")}
        module.load_state_dict(state)
        with pytest.raises(InputError, match=r"model\.discriminator_weights=FILE"):
            module.setup("fit")
