import inspect
from functools import cache

import pytest

from vosbench.composition import compose_data, compose_fit, group_options, load_stage, recipe_owner
from vosbench.config_hints import SPELLINGS
from vosbench.data.catalogue import CATALOGUE, dataset_spec
from vosbench.data.hold_out import HELD_OUT
from vosbench.errors import InputError
from vosbench.training.stage_data import check_data


@cache
def composed(*overrides):
    """Return a configuration that must not be changed, composed once."""
    return compose_fit(list(overrides))


def test_defaults_are_the_papers_first_stage():
    config = compose_fit([])
    stage = config.recipe["A"]
    assert config.model["name"] == "mpnet"
    assert (stage.epochs, stage.batch_size) == (27, 13)
    assert (stage.optimizer.lr, stage.optimizer.momentum, stage.optimizer.weight_decay) == (0.003, 0.9, 0.005)
    assert (stage.schedule.milestones, stage.schedule.gamma) == ([9, 18], 0.1)
    assert config.data.scale == 0.5


def test_overrides_reach_every_level():
    config = compose_fit(
        ["size=tiny", "model.input=rgb", "recipe.A.optimizer.lr=1", "recipe.A.augment.crop=[64, 96]"]
    )
    assert config.size == "tiny"
    assert config.model["input"] == "rgb"
    assert config.recipe["A"].optimizer.lr == 1.0
    assert config.recipe["A"].augment.crop == [64, 96]


def test_trainer_takes_any_argument_of_lightning():
    config = compose_fit(["trainer.max_steps=7", "trainer.precision=bf16-mixed"])
    assert config.trainer["max_steps"] == 7
    assert config.trainer["precision"] == "bf16-mixed"


@pytest.mark.parametrize("recipe", group_options("recipe"))
def test_every_packaged_recipe_composes_and_names_data_there_are(recipe):
    config = compose_fit([f"recipe={recipe}"])
    named = {name for stage in config.recipe.values() for name in stage.data}
    assert named
    assert named <= set(group_options("data"))


@pytest.mark.parametrize("data", [data for data in group_options("data") if data != "own"])
def test_no_packaged_data_set_is_validated_on_what_methods_are_compared_on(data):
    """Splits that a protocol names, and FlyingThings3D test, are for the tables."""
    chosen = composed(f"data={data}").data
    compared = dataset_spec(chosen.name).kind == "evaluation" or chosen.name == "ft3d"
    assert chosen.val_split in ((HELD_OUT, None) if compared else (HELD_OUT, None, "val", "moving_val"))
    if chosen.val_split == HELD_OUT:
        assert 0 < chosen.hold_out < 1


@pytest.mark.parametrize("data", [data for data in group_options("data") if data != "own"])
def test_every_packaged_data_set_composes_and_leaves_the_recipe_alone(data):
    config = composed(f"data={data}")
    assert config.data.name in CATALOGUE
    assert config.recipe == composed().recipe


def test_data_of_ones_own_need_a_path():
    with pytest.raises(InputError, match=r"data=own does not say which: write data\.name=FOLDER"):
        check_data(compose_fit(["data=own"]).data)
    config = compose_fit(["data=own", "data.name='pond=/a b/frames:/a b/masks'"])
    assert config.data.name == "pond=/a b/frames:/a b/masks"
    assert (config.data.split, config.data.val_split) == ("all", HELD_OUT)


def test_load_stage_is_the_packaged_recipe():
    assert load_stage("mpnet", "A") == compose_fit([]).recipe["A"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=mpnt", "unknown model 'mpnt': did you mean mpnet?"),
        ("data=minni", "unknown data 'minni': did you mean mini?"),
        ("recipe=x", "unknown recipe 'x': choose from .*mpnet, mpnet_davis, mpnet_tiny"),
        ("siz=tiny", "unknown configuration key 'siz': did you mean size?"),
        ("model.imput=rgb", "did you mean model.input"),
        ("recipe.A.optimizer.lrr=1", "did you mean recipe.A.optimizer.lr"),
        ("trainer.maxsteps=2", r"did you mean trainer\.max_steps=2"),
        ("lr=0.1", r"'lr': did you mean recipe\.A\.optimizer\.lr=0\.1\?"),
        ("recipe.C.lr=0.1", r"did you mean recipe\.C\.optimizer\.lr=0\.1\?"),
        ("learning_rate=0.1", r"did you mean recipe\.A\.optimizer\.lr=0\.1\?"),
        ("epochs=3", r"did you mean recipe\.A\.epochs=3\?"),
        ("batch_size=3", r"did you mean recipe\.A\.batch_size=3\?"),
        ("batchsize=3", r"did you mean recipe\.A\.batch_size=3\?"),
        ("scale=1.0", r"did you mean data\.scale=1\.0\?"),
        ("trainer.gpus=8", r"did you mean trainer\.devices=8\?"),
        ("gpus=8", r"did you mean trainer\.devices=8\?"),
        ("max_steps=8", r"did you mean trainer\.max_steps=8\?"),
        ("trainer.logger=wandb", r"did you mean logger=wandb\?"),
        ("trainer.callbacks=[]", r"did you mean callbacks=\[\]\?"),
        ("trainer.default_root_dir=x", r"did you mean run=x\?"),
        ("dataset=mini", r"did you mean data=mini\?"),
        ("fp16=true", r"did you mean trainer\.precision=16-mixed\?"),
        ("recipe.A.optimizer=adam", r"did you mean recipe\.A\.optimizer\.name=adam\?"),
        ("wandb=true", r"did you mean logger=wandb\?"),
        ("qqq=1", "unknown configuration key 'qqq': 'vosbench fit model=NAME --cfg' prints every key"),
        ("trainer.qqq=1", "'vosbench fit model=NAME --cfg' prints every key"),
        ("callbacks=EarlyStopping", "callbacks: "),
        ("recipe.A.epochs=two", "recipe.A.epochs: .*'two'.*Integer"),
        ("seed=1.5", "seed: .*Integer"),
        ("recipe.A.augment.mirror=maybe", "recipe.A.augment.mirror: .*Float"),
        ("seed", "cannot read 'seed': write key=value"),
        ("seed=1,2", "one value"),
        ("~seed", "key=value"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(override, message):
    with pytest.raises(InputError, match=message) as error:
        compose_fit([override])
    assert "\n" not in str(error.value)


def test_unknown_stage_of_a_recipe():
    with pytest.raises(InputError, match="unknown stage of mpnet 'Z'"):
        load_stage("mpnet", "Z")


def test_a_hint_names_the_stage_that_is_trained():
    with pytest.raises(InputError, match=r"did you mean recipe\.memory\.optimizer\.lr=1\?"):
        compose_fit(["model=lvo", "stage=memory", "lr=1"])


def test_every_hint_leads_to_a_key_that_is_there():
    """A spelling of another program must not lead to a second mistake."""
    values = {"optimizer.name": "sgd", "schedule.name": "step", "model": "mpnet", "data": "ft3d"}
    for spelling, wanted in SPELLINGS.items():
        with pytest.raises(InputError, match="did you mean") as error:
            compose_fit([f"{spelling}={values.get(wanted, 1)}"])
        line = str(error.value).partition("did you mean ")[2].removesuffix("?")
        compose_fit([line])


def test_arguments_of_the_trainer_are_those_of_lightning():
    """They are read from its source, as importing it takes seconds."""
    from pytorch_lightning import Trainer

    own = {"logger", "callbacks", "default_root_dir", "self"}
    others = sorted(set(inspect.signature(Trainer.__init__).parameters) - own)
    trainer = compose_fit([f"trainer.{argument}=1" for argument in others]).trainer
    assert [trainer[argument] for argument in others] == [1] * len(others)
    for argument in own:
        with pytest.raises(InputError, match="unknown configuration key"):
            compose_fit([f"trainer.{argument}=1"])


@pytest.mark.parametrize(
    ("line", "read", "value"),
    [
        ("recipe.A.data=davis16", lambda stage: stage.data, ["davis16"]),
        ("recipe.A.flow=dis", lambda stage: stage.flow, ["dis"]),
        ("recipe.A.shares=2", lambda stage: stage.shares, [2.0]),
        ("recipe.A.schedule.milestones=5", lambda stage: stage.schedule.milestones, [5]),
    ],
)
def test_a_single_value_is_a_list_of_one(line, read, value):
    assert read(compose_fit([line]).recipe["A"]) == value


def test_the_recipe_of_another_method_is_refused_by_name():
    message = "recipe=stcnn_tiny is made for stcnn, not for mpnet: choose mpnet or mpnet_davis or mpnet_tiny"
    with pytest.raises(InputError, match=message):
        compose_fit(["model=mpnet", "recipe=stcnn_tiny"])
    for recipe in group_options("recipe"):
        compose_fit([f"model={recipe_owner(recipe)}", f"recipe={recipe}"])


@pytest.mark.parametrize("data", [data for data in group_options("data") if data != "own"])
def test_a_data_set_of_a_stage_is_the_one_that_the_group_composes(data):
    lines = ["data.scale=0.25", "data.val_split=null", "data.hold_out=[bear, boat]"]
    assert compose_data(data, lines) == compose_fit([f"data={data}", *lines]).data
    with pytest.raises(InputError, match=r"data\.scale: .*Float"):
        compose_data(data, ["data.scale=much"])


def test_data_of_ones_own_are_those_of_every_stage():
    lines = ["data=own", "data.name='pond=/a b/frames:/a b/masks'"]
    assert compose_data("own", lines) == compose_fit(lines).data
