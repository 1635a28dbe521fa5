"""Networks as files: what comes out of a file is what the method sees, and the file says what goes in."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from vosbench.errors import InputError
from vosbench.export import export_network, network_of, read_contract, write
from vosbench.export.write import example_inputs
from vosbench.models import build
from vosbench.models.baselines import BASELINES
from vosbench.video import Video

HEIGHT, WIDTH = 64, 96


@pytest.fixture
def video():
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(5)]
    flow = [random.normal(0, 3, (2, HEIGHT, WIDTH)).astype(np.float32) for _ in range(4)]
    return Video("bear", frames, tuple(f"{i:05d}" for i in range(5)), {}, flow)


def made(name, **switches):
    torch.manual_seed(0)
    return build(name, "tiny", **switches).eval()


class Exported(NamedTuple):
    method: Any
    network: Any
    file: Path
    difference: float
    loaded: Any


@pytest.fixture(scope="module", autouse=True)
def traced_once():
    """Trace every network once, whichever formats are written of it."""
    programs, trace = [], write._traced

    def traced(network):
        known = next((program for other, program in programs if other is network), None)
        if known is None:
            known = trace(network)
            programs.append((network, known))
        return known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "_traced", traced)
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a function: name and switches of a method -> its file of torch, written and read once."""
    files = {}

    def get(name, **switches):
        key = name, *switches.items()
        if key not in files:
            method = made(name, **switches)
            network = network_of(method, HEIGHT, WIDTH)
            file = tmp_path_factory.mktemp("export") / "network.pt2"
            difference = export_network(network, "torch", file, {"name": name}).difference
            files[key] = Exported(method, network, file, difference, torch.export.load(file).module())
        return files[key]

    return get


def inputs_of(video, names):
    frame = torch.from_numpy(video.frames[1]).permute(2, 0, 1)[None].float()
    following = torch.from_numpy(video.frames[2]).permute(2, 0, 1)[None].float()
    known = {"frame": frame, "following": following, "flow": torch.from_numpy(video.flow[1])[None]}
    return [known[name] for name in names]


CASES = [
    ("mpnet", {"test_short_side": HEIGHT}, ["flow"]),
    ("mpnet", {"test_short_side": HEIGHT, "input": "rgb_pair"}, ["frame", "following"]),
    ("fusionseg", {}, ["frame", "flow"]),
    ("fusionseg", {"stream": "appearance"}, ["frame"]),
    ("fusionseg", {"stream": "motion"}, ["flow"]),
]


@pytest.mark.parametrize(("name", "switches", "names"), CASES)
def test_the_file_gives_the_probability_that_the_method_segments_with(video, exported, name, switches, names):
    written = exported(name, **switches)
    assert [item.name for item in written.network.inputs] == names
    found = written.loaded(*inputs_of(video, names))[0, 0].detach().numpy()
    np.testing.assert_allclose(found, written.method.probability(video, 1), atol=1e-5)
    assert written.difference < 1e-5


def test_the_contract_is_in_the_file(exported):
    written = exported("fusionseg")
    contract = read_contract(written.file)
    frame, flow = contract["inputs"]
    assert (frame["name"], frame["shape"], frame["dtype"]) == ("frame", [1, 3, HEIGHT, WIDTH], "float32")
    assert frame["meaning"] == "RGB, 0 to 255, not normalised"
    assert frame["dynamic"] == {"2": [64, 4096], "3": [64, 4096]}
    assert "in pixels" in flow["meaning"]
    assert contract["output"]["meaning"] == "of the foreground, 0 to 1"
    assert contract["name"] == "fusionseg"
    assert "a pixel above 0.5 is foreground" in contract["notes"]
    # an axis that the contract calls dynamic takes another size
    found = written.loaded(torch.zeros(1, 3, 80, 128), torch.zeros(1, 2, 80, 128))
    assert found.shape == (1, 1, 80, 128)


def test_stcnn_sees_past_frames(exported):
    _, network, _, _, loaded = exported("stcnn")
    assert [(item.name, item.shape) for item in network.inputs] == [
        ("past", (1, 12, HEIGHT, WIDTH)),
        ("frame", (1, 3, HEIGHT, WIDTH)),
    ]
    given = example_inputs(network, 7)
    torch.testing.assert_close(loaded(*given), network.graph(*given), atol=1e-5, rtol=0)
    assert not torch.allclose(loaded(given[0] * 0, given[1]), loaded(*given), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "switches"), [("mpnet", {"test_short_side": HEIGHT}), ("fusionseg", {}), ("stcnn", {})]
)
def test_onnx_gives_what_the_network_gives(tmp_path, exported, name, switches):
    pytest.importorskip("onnxscript", reason="needs the extra export")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    network = exported(name, **switches).network
    file = tmp_path / "network.onnx"
    export_network(network, "onnx", file, {"name": name})
    given = example_inputs(network, 7)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == [item.name for item in network.inputs]
    named = {item.name: values.numpy() for item, values in zip(network.inputs, given, strict=True)}
    (found,) = session.run(None, named)
    np.testing.assert_allclose(found, network.graph(*given).detach().numpy(), atol=1e-4)
    assert read_contract(file)["name"] == name


def test_a_file_that_gives_something_else_is_not_kept(tmp_path, monkeypatch):
    wrong = {"torch": lambda *_: lambda inputs: torch.full((1, 1, HEIGHT, WIDTH), torch.nan)}
    monkeypatch.setattr("vosbench.export.write._WRITERS", wrong)
    file = tmp_path / "network.pt2"
    with pytest.raises(InputError, match=r"network.pt2 was not kept: it differs from the network by nan"):
        export_network(network_of(made("mpnet"), HEIGHT, WIDTH), "torch", file, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lip", "lvo", "motion_maskrcnn"])
def test_methods_without_such_a_network_are_refused_by_one_line(name):
    with pytest.raises(
        InputError, match=rf"{name} cannot be exported: .*choose from fusionseg, mpnet, stcnn"
    ):
        network_of(made(name))
    with pytest.raises(InputError, match="centre_box has no network to export"):
        network_of(BASELINES["centre_box"](), name="centre_box")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "a.onnx"), "a.onnx: write a file *.pt2 for --format torch"),
        (("--out", "a.pt2", "--height", "64"), "export: give height and width, or none of the two"),
        (("--out", "a.pt2", "--set", "stream=sideways"), "sideways"),
    ],
)
def test_mistakes_are_one_line(run, words, message):
    status, out, err = run("export", "mpnet" if "stream" not in f"{words}" else "fusionseg", *words)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_the_command_prints_the_contract(run, tmp_path):
    status, out, err = run(
        "export", "mpnet", "--size", "tiny", "--height", 64, "--width", 96, "--out", "m.pt2"
    )
    assert status == 0
    first, given, *_ = out.splitlines()
    assert first.startswith("m.pt2  mpnet (tiny), torch, ")
    assert given == (
        "input   flow (1, 2, 64, 96) float32: optical flow to the next frame, x above y, in pixels of this "
        "height and width"
    )
    assert "note: vosbench resizes to a shorter side of 144 pixels" in err
    contract = read_contract(tmp_path / "m.pt2")
    assert contract["weights"] == "mpnet-tiny.safetensors"
    assert len(contract["sha256"]) == 64
