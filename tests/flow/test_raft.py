import hashlib
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from tests.rounding import assert_rounded
from vosbench.errors import InputError
from vosbench.flow.estimators import FlowEstimator, build_estimator
from vosbench.flow.raft import RAFT, renamed
from vosbench.formats.flo import read_flo
from vosbench.formats.image import read_frame
from vosbench.tensor_files import read_tensors


def random_frames(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3)).astype(np.uint8)


def encoder_names(prefix, *, norm, layers):
    """Names of the tensors of the authors' encoders: `layers` convolutions per block."""
    kinds = ("weight", "bias")
    norms = (*kinds, "running_mean", "running_var", "num_batches_tracked") if norm else ()
    names = [f"{prefix}.{layer}.{kind}" for layer in ("conv1", "conv2") for kind in kinds]
    names += [f"{prefix}.norm1.{kind}" for kind in norms]
    for block in (f"{prefix}.layer{level}.{index}" for level in (1, 2, 3) for index in (0, 1)):
        for number in range(1, layers + 1):
            names += [f"{block}.conv{number}.{kind}" for kind in kinds]
            names += [f"{block}.norm{number}.{kind}" for kind in norms]
        if block.endswith(".0") and ".layer1." not in block:
            names += [f"{block}.downsample.0.{kind}" for kind in kinds]
            names += [f"{block}.norm{layers + 1}.{kind}" for kind in norms]
            names += [f"{block}.downsample.1.{kind}" for kind in norms]
    return names


def authors_names(variant):
    """Names in the authors' files; the norm of a shortcut is in them twice."""
    large = variant == "large"
    layers = 2 if large else 3
    names = encoder_names("fnet", norm=False, layers=layers) + encoder_names(
        "cnet", norm=large, layers=layers
    )
    encoder = ["convc1", *(["convc2"] if large else []), "convf1", "convf2", "conv"]
    gates = [f"conv{gate}{way}" for way in (("1", "2") if large else ("",)) for gate in "zrq"]
    modules = [f"encoder.{name}" for name in encoder] + [f"gru.{name}" for name in gates]
    modules += ["flow_head.conv1", "flow_head.conv2"] + (["mask.0", "mask.2"] if large else [])
    return names + [f"update_block.{name}.{kind}" for name in modules for kind in ("weight", "bias")]


@pytest.mark.parametrize(("variant", "network"), [("small", raft_small), ("large", raft_large)])
def test_every_name_of_the_authors_has_its_place(variant, network):
    names = authors_names(variant)
    found = renamed({f"module.{name}": torch.zeros(1) for name in names})
    assert set(found) == set(network().state_dict())


def test_names_of_torchvision_stay():
    state = raft_large().state_dict()
    assert list(renamed(state)) == list(state)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return raft_small().eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("raft") / "small.pth"
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def estimator(weights):
    return RAFT(weights, iterations=2, device="cpu")


def test_a_file_of_the_authors_gives_the_network_of_torchvision(network, estimator, tmp_path):
    theirs = {key: name for name in authors_names("small") for key in renamed({name: torch.zeros(1)})}
    state = {f"module.{theirs[key]}": value for key, value in network.state_dict().items()}
    torch.save(state, tmp_path / "theirs.pth")
    first, second = random_frames(128, 136)
    assert np.array_equal(
        RAFT(str(tmp_path / "theirs.pth"), iterations=2, device="cpu")(first, second),
        estimator(first, second),
    )


def test_large_frames_are_seen_small_and_their_flow_is_in_pixels_of_the_frame(weights, estimator):
    small = RAFT(weights, iterations=2, device="cpu", short_side=128)
    frames = random_frames(128, 144)
    assert np.array_equal(small(*frames), estimator(*frames))
    large = np.stack([frame.repeat(2, axis=0).repeat(2, axis=1) for frame in frames])
    flow = small(*large)
    assert flow.shape == (2, 256, 288)
    # antialiasing blurs repeated pixels a little, so that the flow is near, not equal
    expected = 2 * estimator(*frames).repeat(2, axis=1).repeat(2, axis=2)
    assert np.corrcoef(flow.ravel(), expected.ravel())[0, 1] > 0.9
    assert np.abs(flow - expected).mean() < 0.5 * np.abs(expected).mean()
    assert small.settings["short_side"] == 128
    assert "short_side" not in estimator.settings


def test_frames_that_fit_are_scaled_and_not_padded(network, estimator):
    frames = random_frames(128, 144)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert images.min() == -1
    assert images.max() == 1
    with torch.inference_mode():
        expected = network(images[:1], images[1:], num_flow_updates=2)[-1][0]
    flow = estimator(*frames)
    assert flow.dtype == np.float32
    assert flow.shape == (2, 128, 144)
    assert_rounded(flow, expected)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (131, 130), (129, 40)])
def test_any_size_gives_a_field_of_its_size(estimator, size):
    flow = estimator(*random_frames(*size))
    assert flow.shape == (2, *size)
    assert np.isfinite(flow).all()


def test_padding_repeats_the_edge_half_on_each_side(estimator):
    frames = random_frames(130, 128)
    padded = np.pad(frames, ((0, 0), (3, 3), (0, 0), (0, 0)), mode="edge")
    assert np.array_equal(estimator(*frames), estimator(*padded)[:, 3:-3])


def test_pairs_in_several_threads_are_not_mixed_up(estimator):
    pairs = [random_frames(128, 128, seed) for seed in range(4)]
    alone = [estimator(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: estimator(*pair), pairs))
    for first, second in zip(alone, together, strict=True):
        assert_rounded(first, second)


def test_settings_tell_what_decides_the_result(estimator, weights):
    digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    assert isinstance(estimator, FlowEstimator)
    assert estimator.name == "raft"
    assert estimator.settings["sha256"] == digest
    assert estimator.settings["iterations"] == 2
    assert estimator.settings["variant"] == "small"
    assert estimator.settings["device"] == "cpu"
    assert estimator.settings["torch"] == torch.__version__
    assert "torchvision" in estimator.settings


def test_build_by_name(weights):
    assert build_estimator("raft_small", weights=weights, iterations=3).settings["iterations"] == 3
    with pytest.raises(InputError, match="weights of raft_small, not of raft_large"):
        build_estimator("raft_large", weights=weights)


class Harmful:
    def __reduce__(self):
        return print, ("this runs when it is unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Harmful(), "not a PyTorch file of weights that can be read safely"),
        ([1, 2], "not a state dict"),
        ({"state": {"a": torch.zeros(1)}}, "not a state dict"),
        (
            {"a": torch.zeros(1)},
            r"not the weights of raft_small: 106 tensors are missing .*1 do not belong",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=rf"a\.pth: {message}"):
        RAFT(str(tmp_path / "a.pth"))
    assert capsys.readouterr().out == ""


def test_a_tensor_of_another_shape_is_named(network, tmp_path):
    state = network.state_dict()
    state["context_encoder.conv.weight"] = torch.zeros(1, 2, 3, 4)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(
        InputError, match=r"a\.pth: not the weights of raft_small: .*context_encoder\.conv\.weight"
    ):
        RAFT(str(tmp_path / "a.pth"))


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_cut_file_is_refused(weights, tmp_path, part):
    content = Path(weights).read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"a\.pth: "):
        RAFT(str(tmp_path / "a.pth"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "none.pth"}, r"none\.pth: no such file of weights"),
        ({"weights": "C_T_V3"}, "unknown weights of raft .*'C_T_V3': did you mean C_T_V"),
        ({"weights": "Raft_Small_Weights.C_T_SKHT_V1"}, "unknown weights of raft"),
        ({"iterations": 0}, "iterations is 0; it must be at least 1"),
        ({"short_side": 100}, "short_side is 100; it must be 0 or at least 128"),
        ({"variant": "tiny"}, "unknown variant of raft"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not available here"),
    ],
)
def test_wrong_choices_are_explained(settings, message):
    with pytest.raises(InputError, match=message):
        RAFT(**settings)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder of downloads, and no network."""

    def refused(url, *place, **options):
        asked.append(url.rpartition("/")[2])
        raise urllib.error.URLError("no network")

    asked = []
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    return asked


@pytest.mark.parametrize(
    ("settings", "file"),
    [
        ({}, "raft_large_C_T_V2"),
        ({"variant": "small"}, "raft_small_C_T_V2"),
        ({"weights": "C_T_SKHT_V2"}, "raft_large_C_T_SKHT_V2"),
        ({"weights": "Raft_Small_Weights.C_T_V1"}, "raft_small_C_T_V1"),
    ],
)
def test_without_a_network_the_file_and_its_place_are_named(hub, capsys, settings, file):
    with pytest.raises(
        InputError, match=rf"{file}.*\.pth: .*cannot be downloaded \(no network\); put the file"
    ):
        RAFT(**settings)
    assert hub[0].startswith(file)
    assert capsys.readouterr().err == ""


def test_a_downloaded_file_is_used_again(hub, tmp_path, weights):
    with pytest.raises(InputError):
        RAFT(variant="small")
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "checkpoints" / hub[0]).write_bytes(Path(weights).read_bytes())
    assert RAFT(variant="small").settings["weights"] == hub[0]
    assert len(hub) == 1


@pytest.mark.real_data
@pytest.mark.parametrize(("pair", "error"), [("00001", 1.14), ("00002", 0.58), ("00003", 1.50)])
def test_the_authors_weights_on_flying_chairs(real_data, pair, error):
    root = real_data("weights")
    folder = real_data("flyingchairs_sample") / "flyingchairs_sample"
    first, second = (read_frame(folder / f"{pair}_img{number}.ppm") for number in (1, 2))
    flow = RAFT(str(root / "weights" / "raft-small.pth"), device="cpu")(first, second)
    truth = read_flo(folder / f"{pair}_flow.flo")
    assert round(float(np.hypot(*(flow - truth)).mean()), 2) == error


@pytest.mark.real_data
def test_the_authors_file_fills_the_network(real_data):
    state = renamed(read_tensors(real_data("weights") / "weights" / "raft-small.pth"))
    assert state.keys() == raft_small().state_dict().keys()
    assert sum(tensor.numel() for tensor in state.values()) == 990_162
