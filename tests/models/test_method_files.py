"""Methods of one's own without a package: a class in a file, or an object in Python."""

import importlib.util
import inspect
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vosbench import plugins
from vosbench.ablations.load import load_suite
from vosbench.benchmark import compare
from vosbench.benchmark.method_spec import choose_methods
from vosbench.errors import InputError
from vosbench.formats.png import read_ids
from vosbench.leaderboard.build import write_report
from vosbench.method_files import source_hash, split_reference
from vosbench.models import use_file
from vosbench.models.pretrained import zoo
from vosbench.models.pretrained.own_methods import own_weights
from vosbench.new_method import new_method
from vosbench.video import Segmentation, Video

RIGHT = """
import numpy as np
from vosbench.video import Segmentation

from shade import LEVEL


class Right:
    task = "unsupervised"
    needs_flow = False

    def __init__(self, share: float = 0.5):
        self.share = share

    def segment(self, video, first_mask=None):
        ids = np.zeros(video.frames[0].shape[:2], np.uint8)
        ids[:, int(ids.shape[1] * (1 - self.share)) :] = LEVEL
        return Segmentation((ids for _ in range(len(video))), len(video))
"""

NETWORK = """
import numpy as np
import torch
from vosbench.video import Segmentation


class Bright(torch.nn.Module):
    task, needs_flow, name = "unsupervised", False, "bright"

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(300.0))

    def segment(self, video, first_mask=None):
        assert not self.training
        masks = ((frame.mean(axis=2) > self.level.item()).astype(np.uint8) for frame in video.frames)
        return Segmentation(masks, len(video))
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Forget the files of a test, and what was imported from them."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    plugins._used.clear()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("vosbench_method_", "shade", "ripple")):
            del sys.modules[name]


@pytest.fixture
def files(tmp_path, monkeypatch, make_davis):
    """The working folder: right.py with the module it imports, bright.py, and data/davis16."""
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "shade.py").write_text("LEVEL = 1\n")
    (tmp_path / "bright.py").write_text(NETWORK)
    make_davis(tmp_path / "data", {"dog": 4, "cat": 3})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run_compare(models, **options):
    return compare(models=models, datasets=["davis16"], out=options.pop("out"), metrics=["j"], **options)


def test_a_class_in_a_file_is_compared_beside_the_others(files):
    result = run_compare(
        ["right.py:Right", "wide=right.py:Right", "centre_box"], out=files / "out", workers=1
    )
    assert result.counts == {"computed": 6}
    record = next(item for item in result.records if item.model == "wide")
    weights = record.provenance["weights"]
    assert (record.provenance["config"]["model"], weights["weights"], weights["file"]) == (
        "Right",
        "none",
        "right.py",
    )
    assert len(weights["source"]) == 64
    table = write_report(files / "out", pictures=False)[0].read_text()
    assert "wide" in table
    assert "Right" in table


def test_switches_of_the_class_can_be_set(files):
    result = run_compare(
        ["a=right.py:Right", "b=right.py:Right"], out=files / "out", workers=1, settings={"b.share": 1.0}
    )
    masks = {record.model: record.provenance["content"]["masks"] for record in result.records}
    assert masks["a"] != masks["b"]
    assert result.records[-1].provenance["weights"]["variant"] == {"share": 1.0}
    with pytest.raises(InputError, match="--set shear: none of Right has this switch"):
        run_compare(["right.py:Right"], out=files / "out", settings={"shear": 1})


def test_changed_code_is_computed_again_and_unchanged_code_is_not(files):
    first = source_hash(files / "right.py")
    assert run_compare(["right.py:Right"], out=files / "out", workers=1).counts == {"computed": 2}
    assert run_compare(["right.py:Right"], out=files / "out", workers=1).counts == {"kept": 2}
    (files / "bright.py").write_text("# nothing that right.py imports\n")
    assert source_hash(files / "right.py") == first
    (files / "shade.py").write_text("LEVEL = 2  # other code\n")
    assert source_hash(files / "right.py") != first
    assert run_compare(["right.py:Right"], out=files / "out", workers=1).counts == {"computed": 2}
    assert read_ids(files / "out/masks/davis16/Right/dog/00000.png").max() == 2


def test_weights_of_a_network_of_ones_own_are_loaded_into_it(files):
    torch.save({"state_dict": {"level": torch.tensor(150.0)}}, files / "bright.pth")
    method, provenance = zoo.load_method(use_file("bright.py:Bright").name, checkpoint=files / "bright.pth")
    assert provenance["weights"] == "bright.pth"
    assert method.level.item() == 150
    frame = np.full((2, 3, 3), 120, np.uint8)
    frame[0] = 180
    [mask] = method.segment(Video("v", [frame], ("0",)))
    assert mask.tolist() == [[1] * 3, [0] * 3]
    specs, _ = choose_methods(["mine=bright.py:Bright:bright.pth"], None, {}, "cpu")
    assert (specs[0].label, specs[0].name, specs[0].checkpoint.name) == ("mine", "bright", "bright.pth")
    torch.save({"other": torch.zeros(1)}, files / "other.pth")
    with pytest.raises(InputError, match=r"other.pth: not weights of Bright"):
        choose_methods(["bright.py:Bright:other.pth"], None, {}, "cpu")


@pytest.mark.parametrize(
    "saved",
    [
        lambda state: {f"network.{key}": value for key, value in state.items()},
        lambda state: state,
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"_orig_mod.module.network.{key}": value for key, value in state.items()},
        lambda state: {"model_state_dict": state, "epoch": 3},
    ],
    ids=["class", "network", "data parallel", "compiled", "checkpoint"],
)
def test_weights_of_the_network_in_a_class_are_those_of_the_class(tmp_path, saved):
    """A trained network is there first, the class around it comes later."""
    network, method = torch.nn.Conv2d(3, 1, 1), Wrapped()
    torch.save(saved(network.state_dict()), tmp_path / "mine.pth")
    assert own_weights(method, tmp_path / "mine.pth")["weights"] == "mine.pth"
    assert torch.equal(method.network.weight, network.weight)
    assert torch.equal(method.network.bias, network.bias)


class Wrapped(torch.nn.Module):
    def __init__(self, parts=1):
        super().__init__()
        self.network = torch.nn.Conv2d(3, 1, 1)
        if parts > 1:
            self.other = torch.nn.Conv2d(3, 1, 1)


@pytest.mark.parametrize(("parts", "left_out"), [(2, ()), (1, ("bias",))])
def test_weights_of_a_part_alone_are_refused(tmp_path, parts, left_out):
    state = torch.nn.Conv2d(3, 1, 1).state_dict()
    torch.save({key: state[key] for key in state if key not in left_out}, tmp_path / "mine.pth")
    with pytest.raises(InputError, match=r"mine\.pth: not weights of Wrapped"):
        own_weights(Wrapped(parts), tmp_path / "mine.pth")


def test_a_whole_network_in_a_file_is_not_run(tmp_path):
    torch.save(torch.nn.Conv2d(3, 1, 1), tmp_path / "mine.pth")
    with pytest.raises(InputError, match=r"save weights alone, torch\.save\(network\.state_dict\(\), FILE\)"):
        own_weights(Wrapped(), tmp_path / "mine.pth")


def test_the_weights_that_a_class_loads_by_itself_are_in_its_provenance(files):
    name = use_file("bright.py:Bright").name
    first = zoo.load_method(name)[1]
    assert first["weights"] == "own"
    (files / "bright.py").write_text(NETWORK.replace("300.0", "200.0"))
    second = zoo.load_method(use_file("bright.py:Bright").name)[1]
    assert second["state"] != first["state"]


def test_predict_takes_a_class_in_a_file(files, run):
    status, out, _ = run(
        "predict", "davis16", "--data-root", "data", "--model", "right.py:Right", "--out", "mine"
    )
    assert status == 0
    assert "mine/dog  4 masks" in out


class Left:
    """A method that is defined in Python, here."""

    task = "unsupervised"
    needs_flow = False

    def __init__(self, share=0.5):
        self.share = share

    def segment(self, video, first_mask=None):
        ids = np.zeros(video.frames[0].shape[:2], np.uint8)
        ids[:, : int(ids.shape[1] * self.share)] = 1
        return Segmentation((ids for _ in range(len(video))), len(video))


def test_a_method_itself_is_compared_in_this_process(files):
    result = run_compare([Left(), "centre_box"], out=files / "out")
    assert result.counts == {"computed": 4}
    weights = next(item for item in result.records if item.model == "Left").provenance["weights"]
    assert weights["variant"] == {"share": 0.5}
    assert weights["source"] == source_hash(Path(__file__))
    assert run_compare([Left()], out=files / "out").counts == {"kept": 2}
    assert run_compare([Left(share=0.25)], out=files / "out").counts == {"computed": 2}


class Box(Left):
    name = "centre_box"


def test_a_method_that_is_called_like_a_packaged_one_stands_beside_it(files):
    result = run_compare([Box(), "centre_box"], out=files / "out")
    assert {record.model for record in result.records} == {"centre_box", "centre_box-own"}
    assert result.counts == {"computed": 4}


def test_what_is_no_method_is_refused(files):
    with pytest.raises(InputError, match="lacks task or needs_flow"):
        run_compare([object()], out=files / "out")
    with pytest.raises(InputError, match="lacks task or needs_flow"):
        run_compare([Left], out=files / "out")
    with pytest.raises(InputError, match="'Left' is another one already"):
        run_compare([Left(), Left(0.1)], out=files / "out")


@pytest.mark.parametrize(
    ("text", "content", "message"),
    [
        ("mine.py:Mine", None, r"mine.py: no such file; write FILE.py:CLASS"),
        (
            "mine.py:Mine",
            "import nowhere",
            r"mine.py: cannot be imported .ModuleNotFoundError: No module",
        ),
        ("mine.py:Mine", "class Mine: pass", "mine.py:Mine is no class with a method segment"),
        ("right.py:Rigth", None, r"unknown class of .*right.py 'Rigth': did you mean Right"),
        ("mine.py:Mine", "x = 1", r"mine.py: no class with a method segment"),
        (
            "mine.py:mpnet",
            "class mpnet:\n  def segment(self): ...",
            "is called mpnet, as a method of vosb",
        ),
        ("right.py:Right:w.pth", None, "Right has no weights: leave the checkpoint out"),
        (
            "mine.py:Mine",
            "class Mine:\n  def __init__(self, a): ...\n  def segment(self): ...",
            r"method Mine: .*mine.py:Mine cannot be built .TypeError: .*'a'",
        ),
        (
            "mine.py:Mine",
            "class Mine:\n  task, needs_flow = 'alone', False\n  def segment(self): ...",
            r"unknown task of method Mine: .*mine.py:Mine 'alone': choose from",
        ),
    ],
)
def test_mistakes_are_one_line(files, text, content, message):
    if content is not None:
        (files / "mine.py").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        choose_methods([text], None, {}, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["right.py", "right"])
def test_a_file_without_its_class_is_refused_with_the_way_to_write_it(files, run, name):
    status, _, err = run("compare", "--models", name, "--datasets", "davis16", "--data-root", "data")
    assert (status, err.splitlines()[-1]) == (
        2,
        f"vosbench: unknown model '{name}': a method of one's own is written right.py:Right[:WEIGHTS]",
    )


def test_fit_names_the_classes_of_a_file(files, run):
    classes = "".join(f"class {name}:\n    def segment(self): ...\n" for name in "AB")
    (files / "two.py").write_text(f"raise SystemExit  # never run\n{classes}")
    status, out, err = run("fit", "model=two.py")
    assert (status, out) == (2, "")
    assert "written two.py:CLASS[:WEIGHTS], CLASS being A or B" in err


def test_an_error_in_the_file_of_a_user_has_its_line(files):
    text = RIGHT.replace("        return Segmentation", "        len(video) / 0\n        return Segmentation")
    (files / "wrong.py").write_text(text)
    result = run_compare(["wrong.py:Right"], out=files / "out", workers=1)
    line = 1 + text.splitlines().index("        len(video) / 0")
    assert {failure.message for failure in result.failures} == {
        f"ZeroDivisionError: division by zero (wrong.py, line {line})"
    }
    (files / "syntax.py").write_text("x = 1\nclass Mine(\n")
    with pytest.raises(InputError, match=r"\(SyntaxError: '\(' was never closed \(syntax\.py, line 2\)\)$"):
        use_file("syntax.py:Mine")


def test_a_reference_has_a_file_a_class_and_weights():
    assert split_reference("mine.py:Mine") == ("mine.py:Mine", "")
    assert split_reference("~/a/mine.py:Mine:w/x.ckpt") == ("~/a/mine.py:Mine", "w/x.ckpt")
    assert split_reference("mpnet:mine.py") is None
    assert split_reference("mpnet:epoch=3.ckpt") is None


def test_no_suite_and_no_record_runs_a_file(files):
    (files / "mine.py").write_text("raise SystemExit('the file was run')")
    suite = inspect.cleandoc("""
        id: mine
        title: A suite that names a file
    """)
    (files / "suite.yaml").write_text(f"{suite}\nrows: [{{name: a, model: 'mine.py:Mine'}}]\n")
    with pytest.raises(InputError):
        load_suite(files / "suite.yaml")
    run_compare(["centre_box"], out=files / "out", workers=1)
    for path in (files / "out/records").rglob("*.json"):
        record = json.loads(path.read_text())
        record["model"] = record["provenance"]["config"]["model"] = "mine.py:Mine"
        path.write_text(json.dumps(record))
    write_report(files / "out", pictures=False)
    with pytest.raises(InputError, match=r"unknown model 'mine.py:Mine'"):
        zoo.load_method("mine.py:Mine")


def test_a_new_method_passes_its_tests_learns_and_is_compared(files, run):
    status, out, _ = run("new", "method", "ripple")
    assert status == 0
    assert "vosbench fit model=ripple/ripple/module.py:Ripple size=tiny" in out
    fit = ("fit", "model=ripple/ripple/module.py:Ripple", "size=tiny", "workers=0", "data.scenes=2")
    trainer = ("trainer.accelerator=cpu", "trainer.devices=1", "trainer.enable_progress_bar=false")
    status, out, err = run(*fit, *trainer, "recipe.A.epochs=1")
    assert status == 0, err
    checkpoint = f"{out.strip()}/A/checkpoints/last.ckpt"
    result = run_compare([f"ripple/ripple/module.py:Ripple:{checkpoint}"], out=files / "out", workers=1)
    assert [(record.model, record.size) for record in result.records] == [("ripple", "tiny")] * 2
    spec = importlib.util.spec_from_file_location("ripple_tests", files / "ripple/tests/test_ripple.py")
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    tests.test_it_learns_a_bright_square()
    tests.test_every_frame_has_a_mask_of_its_size()
    tests.test_it_is_compared_on_data_of_ones_own(files / "mine")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Method", "'My-Method' cannot name a method"),
        ("class", "'class' cannot name a method"),
        ("mpnet", "there is a method mpnet"),
        ("torch", "there is a Python package torch"),
        ("there", "there: is there already"),
    ],
)
def test_names_that_cannot_be_used_are_refused(tmp_path, name, message):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=message):
        new_method(name, tmp_path, zoo.method_names())
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_new_package_declares_its_method(tmp_path):
    folder = new_method("ripple", tmp_path, ())
    assert 'ripple = "ripple.module:Ripple"' in (folder / "pyproject.toml").read_text()
    assert not [path for path in folder.rglob("*") if path.is_file() and "$" in path.read_text()]
    shutil.rmtree(folder)
