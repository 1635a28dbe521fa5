"""Published weights: from a file, by torchvision's name, or none; every tensor accounted for."""

import functools
import hashlib
import http.server
import threading
import types
import urllib.error

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from vosbench.errors import InputError
from vosbench.models.layers.deeplab import DeepLabV2, LargeFOV
from vosbench.models.layers.pretrained import load_pretrained
from vosbench.models.layers.resnet import ResNet, repeat_stem

BLOCKS = (1, 1, 1, 1)


def resnet(seed=0, **settings):
    torch.manual_seed(seed)
    return ResNet(BLOCKS, width=4, **settings)


def classifier(seed=1):
    """The tensors of a network that classifies images."""
    return resnet(seed).state_dict() | {"fc.weight": torch.zeros(10, 128), "fc.bias": torch.zeros(10)}


def saved(path, state):
    torch.save(state, path)
    return path


def same(module, state):
    own = module.state_dict()
    return all(torch.equal(own[key], value) for key, value in state.items())


def test_a_file_of_a_classifier(tmp_path):
    state = classifier()
    path = saved(tmp_path / "a.pth", state)
    network = resnet()
    loaded = load_pretrained(network, str(path))
    assert same(network, resnet(1).state_dict())
    assert loaded.weights == "a.pth"
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.tensors == len(network.state_dict())
    assert loaded.fresh == ()
    assert loaded.unused == ("fc.weight", "fc.bias")


def test_none_leaves_the_network_as_it_is():
    network = resnet()
    loaded = load_pretrained(network, None)
    assert same(network, resnet().state_dict())
    assert (loaded.weights, loaded.sha256, loaded.tensors) == ("none", None, 0)
    assert loaded.fresh == tuple(network.state_dict())


FORMATS = {
    "a.pt": torch.save,
    "a.ckpt": lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path),
    "a.pth": lambda state, path: torch.save({"model": state}, path),
    "b.pth": lambda state, path: torch.save({f"module.{k}": v for k, v in state.items()}, path),
    "old.pth": functools.partial(torch.save, _use_new_zipfile_serialization=False),
    "a.safetensors": save_file,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_of_file(tmp_path, name):
    FORMATS[name](classifier(), tmp_path / name)
    network = resnet()
    load_pretrained(network, tmp_path / name)
    assert same(network, resnet(1).state_dict())


def test_counters_of_batches_do_not_matter(tmp_path):
    full = resnet(1).state_dict()
    bare = {key: value for key, value in full.items() if not key.endswith("num_batches_tracked")}
    loaded = load_pretrained(resnet(), saved(tmp_path / "a.pth", bare))
    assert loaded.tensors == len(bare)
    assert len(loaded.fresh) == len(full) - len(bare)
    frozen = resnet(norm=torchvision.ops.FrozenBatchNorm2d)
    loaded = load_pretrained(frozen, saved(tmp_path / "b.pth", full))
    assert same(frozen, bare)
    assert len(loaded.unused) == len(full) - len(bare)


def test_the_stem_for_stacked_frames(tmp_path):
    network = resnet(in_channels=12)
    path = saved(tmp_path / "a.pth", classifier())
    load_pretrained(network, path, adapt=functools.partial(repeat_stem, times=4))
    assert torch.equal(network.conv1.weight[:, 9:], resnet(1).conv1.weight)


def tiny_deeplab(seed=0):
    torch.manual_seed(seed)
    return DeepLabV2(width=4, blocks=BLOCKS)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_deeplab_v2_from_a_classifier_or_a_segmenter(tmp_path, prefix):
    state = {f"{prefix}{key}": value for key, value in resnet(1).state_dict().items()}
    extra = {"classifier.0.convs.0.0.weight": torch.zeros(1), "aux_classifier.0.weight": torch.zeros(1)}
    network = tiny_deeplab()
    before = {key: value.clone() for key, value in network.branches.state_dict().items()}
    loaded = load_pretrained(network, saved(tmp_path / "a.pth", state | extra))
    assert same(network.body, resnet(1).state_dict())
    assert same(network.branches, before)
    assert loaded.unused == tuple(extra)
    assert {key.split(".")[0] for key in loaded.fresh} == {"branches", "prediction"}


def test_its_own_file_fills_it_whole(tmp_path):
    network = tiny_deeplab()
    other = tiny_deeplab(1).state_dict()
    loaded = load_pretrained(network, saved(tmp_path / "a.pth", other))
    assert same(network, other)
    assert loaded.fresh == loaded.unused == ()


def test_a_prediction_of_other_classes_stays_as_it_is(tmp_path):
    state = tiny_deeplab(1).state_dict()
    state |= {"prediction.weight": torch.zeros(91, 32, 1, 1), "prediction.bias": torch.zeros(91)}
    network = tiny_deeplab()
    loaded = load_pretrained(network, saved(tmp_path / "a.pth", state))
    assert same(network.prediction, tiny_deeplab().prediction.state_dict())
    assert loaded.fresh == loaded.unused == ("prediction.weight", "prediction.bias")


def test_vgg16_fills_the_convolutions_of_large_fov(tmp_path):
    torch.manual_seed(1)
    other = LargeFOV(width=2)
    state = {key: value for key, value in other.state_dict().items() if key.startswith("features.")}
    extra = {"classifier.0.weight": torch.zeros(8, 49), "classifier.0.bias": torch.zeros(8)}
    network = LargeFOV(width=2)
    before = network.fc6.weight.clone()
    loaded = load_pretrained(network, saved(tmp_path / "a.pth", state | extra))
    assert same(network.features, other.features.state_dict())
    assert torch.equal(network.fc6.weight, before)
    assert loaded.unused == tuple(extra)
    assert {key.split(".")[0] for key in loaded.fresh} == {"fc6", "fc7", "fc8"}


@pytest.mark.parametrize(
    ("theirs", "ours", "part"),
    [
        (torchvision.models.resnet101, DeepLabV2, "body."),
        (
            functools.partial(
                torchvision.models.segmentation.deeplabv3_resnet101, weights_backbone=None, aux_loss=True
            ),
            DeepLabV2,
            "body.",
        ),
        (torchvision.models.vgg16, LargeFOV, ("features.", "fc6.", "fc7.")),
    ],
)
def test_published_names_and_shapes_have_their_place(theirs, ours, part):
    with torch.device("meta"):
        state, network = theirs(weights=None).state_dict(), ours()
    adapted = getattr(network, "adapt", dict)(state)
    placed = {key: value.shape for key, value in adapted.items() if not key.startswith(ours.spare)}
    assert placed == {key: value.shape for key, value in network.state_dict().items() if key.startswith(part)}


def test_a_tensor_of_another_shape_is_named_with_both(tmp_path):
    path = saved(tmp_path / "a.pth", classifier() | {"layer1.0.conv2.weight": torch.zeros(2, 4, 3, 3)})
    network = resnet()
    with pytest.raises(
        InputError,
        match=r"a\.pth: layer1\.0\.conv2\.weight is 2x4x3x3 in the file and 4x4x3x3 in the network",
    ):
        load_pretrained(network, path)
    assert same(network, resnet().state_dict())


def test_what_is_missing_or_foreign_is_named(tmp_path):
    state = classifier()
    del state["conv1.weight"]
    state |= {f"head.{number}": torch.zeros(1) for number in range(5)}
    network = resnet()
    with pytest.raises(
        InputError,
        match=(
            r"a\.pth: not weights of ResNet: 1 of its tensors are missing \(conv1\.weight\) "
            r"and 5 do not belong \(head\.0, head\.1, head\.2, \.\.\.\)"
        ),
    ):
        load_pretrained(network, saved(tmp_path / "a.pth", state))
    assert same(network, resnet().state_dict())


def test_a_module_that_declares_nothing_takes_its_own_tensors_only(tmp_path):
    path = saved(tmp_path / "a.pth", {"weight": torch.ones(2, 3), "fc.bias": torch.ones(2)})
    with pytest.raises(InputError, match=r"1 of its tensors are missing \(bias\) and 1 do not belong"):
        load_pretrained(nn.Linear(3, 2), path)


class Harmful:
    def __reduce__(self):
        return print, ("this runs when it is unpickled",)


@pytest.mark.parametrize("content", [Harmful(), [1, 2], {"a": 1}, {"state_dict": 3}])
def test_other_files_are_refused(tmp_path, capsys, content):
    with pytest.raises(InputError, match=r"a\.pth: not a "):
        load_pretrained(resnet(), saved(tmp_path / "a.pth", content))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path, name, part):
    FORMATS.get(name, torch.save)(classifier(), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=rf"{name}: not a "):
        load_pretrained(resnet(), tmp_path / name)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("none.pth", r"none\.pth: no such file of weights"),
        ("folder/none", r"folder/none: no such file of weights"),
        ("ResNet101_Weights.IMAGENET1K_V3", "did you mean .*ResNet101_Weights.IMAGENET1K_V"),
        ("ResNet101_Weight.IMAGENET1K_V2", "did you mean .*ResNet101_Weights.IMAGENET1K_V2"),
        ("resnet", "unknown weights .nor is there such a file. 'resnet'"),
    ],
)
def test_wrong_choices_are_explained(weights, message):
    with pytest.raises(InputError, match=message):
        load_pretrained(resnet(), weights)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch.hub's cache, empty."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder / "checkpoints"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ResNet101_Weights.IMAGENET1K_V2", r"resnet101-[0-9a-f]{8}\.pth: ResNet101"),
        ("VGG16_Weights.IMAGENET1K_V1", r"vgg16-[0-9a-f]{8}\.pth: VGG16"),
        (
            "DeepLabV3_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1",
            r"deeplabv3_resnet101_coco-[0-9a-f]{8}\.pth: DeepLabV3_ResNet101",
        ),
    ],
)
def test_without_a_network_the_file_and_its_place_are_named(hub, monkeypatch, name, file):
    def refused(url, *place, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    with pytest.raises(
        InputError, match=rf"^{file} weights cannot be downloaded \(no network\); put the file into .*hub"
    ):
        load_pretrained(resnet(), name)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with the weights `Some_Weights.V1`; its requests are listed in `asked`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *details):
            asked.append(self.path)

        def log_error(self, *details):
            pass

    asked = []
    folder = tmp_path / "served"
    folder.mkdir()
    content = saved(folder / "a.pth", classifier()).read_bytes()
    path = folder / f"some-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (folder / "a.pth").rename(path)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}/{path.name}"
        monkeypatch.setattr(torchvision.models, "get_weight", lambda _: types.SimpleNamespace(url=url))
        yield types.SimpleNamespace(path=path, asked=asked)
        running.shutdown()


def test_a_name_is_downloaded_once(hub, server, capsys):
    for _ in range(2):
        network = resnet()
        loaded = load_pretrained(network, "Some_Weights.V1")
        assert same(network, resnet(1).state_dict())
        assert loaded.weights == server.path.name
    assert server.asked == [f"/{server.path.name}"]
    assert (hub / server.path.name).read_bytes() == server.path.read_bytes()
    output = capsys.readouterr()
    assert output.out == output.err == ""


def test_a_damaged_download_is_refused_and_not_kept(hub, server):
    server.path.write_bytes(b"other" + server.path.read_bytes()[5:])
    with pytest.raises(InputError, match=r"some-.*\.pth: Some weights cannot be downloaded \(invalid hash"):
        load_pretrained(resnet(), "Some_Weights.V1")
    assert list(hub.iterdir()) == []


def test_a_file_that_is_gone_is_explained(hub, server):
    server.path.unlink()
    with pytest.raises(InputError, match=r"cannot be downloaded \(File not found\)"):
        load_pretrained(resnet(), "Some_Weights.V1")
