"""Methods of other packages, the example package beside the tests among them."""

import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from vosbench import plugins
from vosbench.benchmark import compare
from vosbench.composition import compose_fit
from vosbench.errors import InputError
from vosbench.leaderboard.build import write_report
from vosbench.models import build
from vosbench.models.pretrained import zoo
from vosbench.video import Video

EXAMPLE = Path(__file__).parents[1] / "example_method"


def install(site, name, methods):
    """Write what an installer writes: the metadata that says which methods a package has."""
    folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{method} = {path}" for method, path in methods.items()]
    (folder / "entry_points.txt").write_text("\n".join(["[vosbench.methods]", *lines, ""]))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder that packages are found in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    plugins._declared.cache_clear()
    yield folder
    plugins._declared.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("vosbench_example", "broken")]:
        del sys.modules[name]


@pytest.fixture
def example(site):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(site, project["name"], project["entry-points"]["vosbench.methods"])
    shutil.copytree(EXAMPLE / "vosbench_example", site / "vosbench_example")
    return site


def test_a_method_of_another_package_is_found_with_its_switches(example):
    assert {"frame_difference", "colour"} < set(zoo.method_names())
    method, provenance = zoo.load_method("frame_difference", settings={"threshold": 3})
    assert provenance == {
        "weights": "none",
        "package": "vosbench-example 1.0",
        "variant": {"threshold": 3},
    }
    frames = [np.full((2, 2, 3), grey, np.uint8) for grey in (0, 3, 5)]
    masks = list(method.segment(Video("v", frames, ("0", "1", "2"))))
    assert [mask.max() for mask in masks] == [1, 0, 0]
    with pytest.raises(InputError, match="unknown switch of frame_difference 'thresold': did you mean thres"):
        zoo.load_method("frame_difference", settings={"thresold": 3})
    with pytest.raises(InputError, match="FrameDifference has no weights: leave the checkpoint out"):
        zoo.load_method("frame_difference", checkpoint=Path("a.ckpt"))


def test_it_is_compared_and_enters_the_table(example, tmp_path, make_davis):
    root = make_davis(tmp_path / "data")
    result = compare(
        models=["frame_difference", "centre_box"],
        data_root=root,
        out=tmp_path / "out",
        workers=1,
        metrics=["j"],
    )
    assert result.counts == {"computed": 6}
    record = next(item for item in result.records if item.model == "frame_difference")
    assert record.provenance["weights"]["package"] == "vosbench-example 1.0"
    table = write_report(tmp_path / "out", pictures=False)[0].read_text()
    assert "frame_difference" in table


def test_a_network_of_another_package_is_trained_and_used(example, tmp_path, monkeypatch):
    from vosbench.training import fit

    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    overrides = ["model=colour", "data=mini", "size=tiny", "workers=0", f"runs={tmp_path}/runs"]
    trainer = ["trainer.accelerator=cpu", "trainer.devices=1", "trainer.enable_progress_bar=false"]
    assert compose_fit(overrides).recipe["A"].epoch_length == 4
    run = fit([*overrides, *trainer, "data.scenes=2"])
    checkpoint = run / "A/checkpoints/last.ckpt"
    with pytest.raises(InputError, match=r"the zoo has no weights of colour"):
        zoo.load_method("colour")
    method, provenance = zoo.load_method("colour", checkpoint=checkpoint, settings={"threshold": 0})
    assert (provenance["name"], provenance["size"]) == ("colour", "tiny")
    [mask] = method.segment(Video("v", [np.zeros((4, 5, 3), np.uint8)], ("0",)))
    assert mask.shape == (4, 5)
    assert mask.all()
    zoo.export(checkpoint, {}, example / "vosbench_example/weights")
    assert zoo.load_method("colour")[1]["weights"] == "colour-tiny.safetensors"


def test_a_recipe_that_changed_on_disk_is_read_again(example):
    recipe = example / "vosbench_example/configs/recipe/colour.yaml"
    assert compose_fit(["model=colour"]).recipe["A"].epoch_length == 4
    recipe.write_text(recipe.read_text().replace("epoch_length: 4", "epoch_length: 7"))
    assert compose_fit(["model=colour"]).recipe["A"].epoch_length == 7


def test_what_has_no_weights_cannot_be_trained(example):
    with pytest.raises(InputError, match="frame_difference has no weights: there is nothing to build"):
        build("frame_difference")


def test_a_name_is_taken_once(site):
    install(site, "another-package", {"mpnet": "another:Net"})
    with pytest.raises(
        InputError, match="packages vosbench and another-package both have a method called mpnet"
    ):
        zoo.load_method("centre_box")


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("nowhere:Net", "", "nowhere:Net cannot be loaded (ModuleNotFoundError: No module named 'nowhere')"),
        ("broken:Net", "", "broken:Net cannot be loaded (AttributeError: module 'broken' has no"),
        ("broken:Net", "raise OSError('no\\ndriver')", "(OSError: no driver); repair that package"),
        ("broken:Net", "class Net: ...", "broken:Net is no class with a method segment"),
        ("broken:Net", "class Net:\n  def segment(self): ...", "lacks task or needs_flow"),
    ],
)
def test_a_broken_method_is_one_line_and_leaves_the_others(site, path, content, reason):
    (site / "broken.py").write_text(content)
    install(site, "shaky-package", {"shaky": path})
    with pytest.raises(InputError) as caught:
        zoo.load_method("shaky")
    assert "shaky-package" in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert zoo.load_method("centre_box")
