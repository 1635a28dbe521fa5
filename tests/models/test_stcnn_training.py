"""Who learns in which stage of STCNN, and who does not."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from vosbench.composition import load_stage
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.pixelwise import merged_objects
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.models.stcnn import module as place
from vosbench.models.stcnn.losses import Balance
from vosbench.models.stcnn.training import split_clip
from vosbench.training import fit

SIZE = (40, 56)


def stcnn(**switches):
    torch.manual_seed(0)
    return build("stcnn", "tiny", **switches)


def batch(length=5, clips=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    masks = torch.zeros((clips, length, *SIZE), dtype=torch.uint8)
    masks[..., 10:30, 12:40] = 3
    masks[..., :2] = 255
    return {
        "frames": torch.randint(0, 256, (clips, length, 3, *SIZE), generator=random, dtype=torch.uint8),
        "masks": masks,
        "sizes": torch.tensor([SIZE] * clips),
    }


def digests(module, parameters_only=True):
    """Hash of every part."""
    found = {}
    for name, part in (*module.network.named_children(), ("discriminator", module.discriminator)):
        named = part.named_parameters() if parameters_only else part.state_dict().items()
        digest = hashlib.sha256()
        for _, value in named:
            digest.update(value.detach().numpy().tobytes())
        found[name] = digest.hexdigest()
    return found


def changed(module, before, **how):
    after = digests(module, **how)
    return {name for name in after if after[name] != before[name]}


class Turns(pl.Callback):
    """Sets whose turn it is before a step, and notes who learned in it, and whose turn is next."""

    def __init__(self, balances=()):
        self.balances = balances
        self.learned = []
        self.next = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if self.balances:
            module.balance = self.balances[batch_idx]
        self.before = digests(module)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.learned.append(changed(module, self.before))
        self.next.append((module.balance.generator, module.balance.discriminator))


def train(module, steps, turns=None, folder=None, batches=None):
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[turns] if turns else [],
    )
    data = batches or [batch(seed=number) for number in range(steps)]
    trainer.fit(module, DataLoader(data, batch_size=None))
    return trainer


def configured(stage, **switches):
    module = stcnn(**switches)
    settings = load_stage("stcnn_tiny", stage)
    module.configure_stage(stage, settings)
    return module


@pytest.mark.parametrize(
    ("stage", "balance", "wanted"),
    [
        ("temporal", Balance(), {"generator", "discriminator"}),
        ("temporal", Balance(generator=False), {"discriminator"}),
        ("temporal", Balance(discriminator=False), {"generator"}),
        ("joint", Balance(), {"segmentation", "generator", "discriminator"}),
        ("joint", Balance(generator=False), {"segmentation", "discriminator"}),
        ("joint", Balance(discriminator=False), {"segmentation", "generator"}),
    ],
)
def test_those_learn_whose_turn_it_is(stage, balance, wanted, tmp_path):
    turns = Turns([balance])
    train(configured(stage), 1, turns, tmp_path)
    assert turns.learned == [wanted]


def test_turns_follow_the_losses_of_the_discriminator(tmp_path, monkeypatch):
    """Below 0.3 the discriminator rests, above 0.7 the generator, until both do: then both learn again."""
    losses = [(0.2, 0.5), (0.5, 0.5), (0.8, 0.5), (0.5, 0.8)]
    given = iter(torch.tensor(losses))
    monkeypatch.setattr(place, "teach_discriminator", lambda *_: next(given))
    turns = Turns()
    train(configured("temporal"), 4, turns, tmp_path)
    assert turns.next == [(True, False), (True, False), (True, True), (False, True)]
    assert turns.learned == [{"generator"}] * 4


def test_the_joint_stage_begins_without_the_generator(tmp_path):
    turns = Turns()
    train(configured("joint"), 1, turns, tmp_path)
    assert "generator" not in turns.learned[0]
    assert {"segmentation", "discriminator"} <= turns.learned[0]


@pytest.mark.parametrize("norm", ["frozen", "trained"])
def test_the_spatial_stage_trains_the_spatial_branch_alone(norm, tmp_path):
    module = configured("spatial", norm=norm)
    before, statistics = digests(module, False), module.network.segmentation.encoder.bn1.running_mean.clone()
    train(module, 1, None, tmp_path)
    assert changed(module, before, parameters_only=False) == {"segmentation"}
    same = torch.equal(module.network.segmentation.encoder.bn1.running_mean, statistics)
    assert same == (norm == "frozen")


def test_without_temporal_branch_the_joint_stage_trains_the_spatial_one(tmp_path):
    module = configured("joint", tcb=False)
    assert module.discriminator is None
    weight = module.network.segmentation.decoder.fuse[1].weight
    before = weight.detach().clone()
    train(module, 1, None, tmp_path)
    assert not torch.equal(weight, before)


def test_the_segmentation_teaches_the_temporal_branch_only_where_it_may(tmp_path):
    """Of two networks that differ in this switch the generators differ after a step, else nothing does."""
    weights = {}
    for detach in (True, False):
        module = configured("joint", detach_tcb=detach, adversarial=0.0)
        with torch.no_grad():
            module.network.segmentation.decoder.joins[0][0].weight.mul_(3)
        train(module, 1, Turns([Balance()]), tmp_path)
        weights[detach] = digests(module)
    assert weights[True]["generator"] != weights[False]["generator"]
    assert weights[True]["segmentation"] == weights[False]["segmentation"]


def test_side_maps_count_less_and_less(tmp_path, monkeypatch):
    seen = []
    loss = place.segmentation_loss
    monkeypatch.setattr(
        place,
        "segmentation_loss",
        lambda logits, masks, side, dice: seen.append(side) or loss(logits, masks, side, dice),
    )
    train(configured("joint", tcb=False), 4, None, tmp_path)
    assert seen == [1.0, 0.75, 0.5, 0.25]


def test_biases_learn_twice_as_fast_and_do_not_decay():
    module = configured("spatial")
    groups = module.configure_optimizers()["optimizer"].param_groups
    weights, biases = groups
    assert biases["lr"] == 2 * weights["lr"]
    assert (weights["weight_decay"], biases["weight_decay"]) == (0.01, 0)
    assert sum(each.numel() for each in biases["params"]) == sum(
        each.numel() for name, each in module.network.segmentation.named_parameters() if name.endswith("bias")
    )


def test_learning_rates_of_the_published_stages():
    """Section 4: G 1e-7 then 1e-8, D 1e-4, the spatial branch 1e-3 then 1e-4."""
    for stage, wanted in (("temporal", [1e-7, 1e-4]), ("joint", [1e-4, 1e-4, 1e-4])):
        module = stcnn()
        module.configure_stage(stage)
        found = [each.param_groups[0] for each in module.configure_optimizers()]
        assert [group["lr"] for group in found] == wanted
        assert {group["weight_decay"] for group in found} == {{"temporal": 2e-4, "joint": 5e-4}[stage]}
    assert load_stage("stcnn", "spatial").optimizer.lr == 1e-3
    module = stcnn(adversary_decay=0.0)
    module.configure_stage("joint")
    found = [each.param_groups[0]["weight_decay"] for each in module.configure_optimizers()]
    assert found == [5e-4, 0.0, 0.0]


def test_clips_of_the_temporal_stage_are_resized_without_their_padding():
    clip = batch(length=6)
    clip["sizes"] = torch.tensor([[20, 28]])
    clip["frames"][..., 20:, :] = 0
    clip["frames"][..., 28:] = 0
    clip["frames"][..., :20, :28] = 200
    past, present = split_clip(clip, 4, (10, 12))
    assert past.shape == (1, 12, 10, 12)
    assert present.shape == (1, 3, 10, 12)
    torch.testing.assert_close(present, torch.full_like(present, 200))
    torch.testing.assert_close(past, torch.full_like(past, 200 / 127.5 - 1))


def test_past_and_present_of_a_clip():
    clip = batch(length=6)
    past, present = split_clip(clip, 4)
    torch.testing.assert_close(past[:, :3], clip["frames"][:, 1] / 127.5 - 1)
    torch.testing.assert_close(present, clip["frames"][:, -1].float())
    assert set(merged_objects(clip["masks"]).unique().tolist()) == {0, 1, 255}


@pytest.mark.parametrize(
    ("stage", "switches", "change", "said"),
    [
        ("temporal", {"tcb": False}, {}, "begin with stage=spatial"),
        ("joint", {"train_phase": "online_only"}, {}, "leave joint out"),
        ("temporal", {}, {"accumulate": 2}, "leave accumulate"),
        ("joint", {}, {"clip_gradients": 1.0}, "clip_gradients"),
        ("joint", {"delta": 6}, {}, "recipe.joint.clip.length=7"),
        ("appearance", {}, {}, "stage of stcnn"),
    ],
)
def test_stages_that_make_no_sense_say_so(stage, switches, change, said):
    settings = load_stage("stcnn_tiny", stage) if stage in ("temporal", "joint") else None
    for key, value in change.items():
        setattr(settings, key, value)
    with pytest.raises(InputError, match=said):
        stcnn(**switches).configure_stage(stage, settings)


def test_the_temporal_stage_has_nothing_to_validate():
    with pytest.raises(InputError, match=r"data\.val_split=null"):
        configured("temporal").validation_step(batch(), 0)


def test_weights_go_from_stage_to_stage_with_or_without_discriminator():
    trained = configured("temporal")
    later = configured("joint")
    with torch.no_grad():
        trained.discriminator.body[0].weight.fill_(0.5)
    later.load_state_dict(trained.state_dict())
    assert digests(later) == digests(trained)
    plain = stcnn()
    plain.load_state_dict(trained.state_dict())
    assert not any(name.startswith("discriminator") for name in plain.state_dict())
    own = digests(later)["discriminator"]
    later.load_state_dict(stcnn().state_dict())
    assert digests(later)["discriminator"] == own


def test_a_checkpoint_says_whose_turn_it_is():
    module, other = configured("temporal"), configured("temporal")
    module.balance = Balance(generator=False)
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    assert other.balance == module.balance
    assert checkpoint["vosbench"]["name"] == "stcnn"
    assert "encoder_weights" not in checkpoint["vosbench"]["variant"]


def test_whose_turn_it_is_survives_an_interruption(tmp_path, monkeypatch):
    """The discriminator rests after the first step; losses in between do not wake it after a stop."""
    losses = {0: (0.2, 0.5), 1: (0.5, 0.5)}
    epochs = []

    def given(*_):
        return torch.tensor(losses[len(epochs)])

    monkeypatch.setattr(place, "teach_discriminator", given)

    def session(epoch, checkpoint):
        turns = Turns()
        saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
        trainer = pl.Trainer(
            max_epochs=epoch + 1,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[turns, saving],
        )
        trainer.fit(
            configured("temporal"),
            DataLoader([batch()], batch_size=None),
            ckpt_path=checkpoint,
            weights_only=True,
        )
        epochs.append(epoch)
        return turns.next

    assert session(0, None) == [(True, False)]
    assert session(1, tmp_path / "last.ckpt") == [(True, False)]


@pytest.mark.slow
def test_on_two_devices_the_same_learn_on_both(tmp_path):
    """The losses of one device would let the discriminator rest, the mean of both does not."""
    script = Path(__file__).with_name("stcnn_two_devices.py")
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=300, capture_output=True)
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert told[0]["own"] != told[1]["own"]
    assert told[0]["next"] == told[1]["next"] == [[False, True], [False, True], [True, True]]
    assert told[0]["weights"] == told[1]["weights"]


def fit_stage(stage, folder, *more):
    """Train on rendered scenes, each stage one step."""
    return fit(
        [
            *("model=stcnn", "size=tiny", "recipe=stcnn_tiny", "data.edition=mini", f"stage={stage}"),
            *(f"recipe.{name}.epochs=1" for name in ("temporal", "spatial", "joint")),
            *(f"recipe.{name}.batch_size=2" for name in ("temporal", "spatial", "joint")),
            *("trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.accelerator=cpu"),
            *("trainer.num_sanity_val_steps=0", "trainer.enable_progress_bar=false", "workers=0"),
            *(f"runs={folder}", *more),
        ]
    )


@pytest.mark.slow
def test_three_stages_on_rendered_scenes(tmp_path, monkeypatch):
    """Each stage changes its parts and hands the rest on; the last checkpoint segments."""
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    run = fit_stage("all", tmp_path / "runs")
    stages = ("temporal", "spatial", "joint")
    states = [read_state(run / stage / "checkpoints/last.ckpt")[0] for stage in stages]

    def parts(before, after):
        return {
            key.removeprefix("network.").split(".")[0]
            for key in after
            if not torch.equal(before[key], after[key])
        }

    assert parts(states[0], states[1]) == {"segmentation"}
    assert {"segmentation", "discriminator"} <= parts(states[1], states[2])
    method, described = load_method("stcnn", checkpoint=run / "joint/checkpoints/last.ckpt")
    assert described["size"] == "tiny"
    assert method.discriminator is None
    changed = {"train_phase": "offline_only", "lucid": False, "spatial_gate": False}
    offline, _ = load_method("stcnn", checkpoint=run / "joint/checkpoints/last.ckpt", settings=changed)
    assert offline.tracking.online is None
