import pytest
import torch

from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.training import fit


@pytest.mark.slow
def test_three_stages_on_rendered_scenes(tmp_path, monkeypatch):
    """Each stage changes its part and hands the rest on; the last checkpoint holds the whole method."""
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    stages = ("appearance", "motion", "joint")
    run = fit(
        [
            *("model=fusionseg", "size=tiny", "recipe=fusionseg_tiny", "data.edition=mini", "stage=all"),
            *(f"recipe.{stage}.epochs=1" for stage in stages),
            *("trainer.limit_train_batches=2", "trainer.limit_val_batches=2", "trainer.accelerator=cpu"),
            *("trainer.enable_progress_bar=false", "workers=0", f"runs={tmp_path / 'runs'}"),
        ]
    )
    states = [read_state(run / stage / "checkpoints/last.ckpt")[0] for stage in stages]
    for part, before, after in (
        ("motion", states[0], states[1]),
        ("fusion", states[1], states[2]),
    ):
        changed = {key.split(".")[1] for key in after if not torch.equal(before[key], after[key])}
        assert changed == {part}
    for stream in stages:
        method, _ = load_method(
            "fusionseg", checkpoint=run / "joint/checkpoints/last.ckpt", settings={"stream": stream}
        )
        assert method.needs_flow == (stream != "appearance")
