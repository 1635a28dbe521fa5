import pytest

from vosbench.config import compose_fit, group_options, load_stage
from vosbench.data.catalogue import CATALOGUE, dataset_spec
from vosbench.data.hold_out import HELD_OUT
from vosbench.errors import InputError
from vosbench.training.stage_data import check_data


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
    chosen = compose_fit([f"data={data}"]).data
    compared = dataset_spec(chosen.name).kind == "evaluation" or chosen.name == "ft3d"
    assert chosen.val_split in ((HELD_OUT, None) if compared else (HELD_OUT, None, "val", "moving_val"))
    if chosen.val_split == HELD_OUT:
        assert 0 < chosen.hold_out < 1


@pytest.mark.parametrize("data", [data for data in group_options("data") if data != "own"])
def test_every_packaged_data_set_composes_and_leaves_the_recipe_alone(data):
    config = compose_fit([f"data={data}"])
    assert config.data.name in CATALOGUE
    assert config.recipe == compose_fit([]).recipe


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
        ("trainer.maxsteps=2", "did you mean max_steps"),
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
