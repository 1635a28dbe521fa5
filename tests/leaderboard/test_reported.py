from pathlib import Path

import pytest

from vosbench.errors import InputError
from vosbench.leaderboard.reported import DATASETS, load_reported, select


@pytest.fixture(scope="module")
def published():
    return load_reported()


def values(entries):
    return [entry.value for entry in entries]


def write(tmp_path: Path, entry: str) -> Path:
    path = tmp_path / "reported.yaml"
    path.write_text(f"papers: {{'1': 'Doe et al., Title'}}\nentries:\n- {entry}\n")
    return path


ENTRY = (
    "{paper: '1', table: 2, method: M, dataset: DAVIS16, split: val, "
    "metric: J_mean, value: 52.4, unit: percent}"
)


def test_the_shipped_file_loads_as_a_whole(published):
    assert len(published) == 829
    assert {entry.dataset for entry in published} == set(DATASETS.values())


def test_percent_becomes_a_fraction_without_binary_dust(tmp_path):
    (entry,) = load_reported(write(tmp_path, ENTRY))
    assert entry.value == 0.524


def test_a_fraction_a_count_and_seconds_stay(tmp_path):
    for unit, value in (("fraction", 0.838), ("count_of_69", 31), ("seconds", 3.9)):
        text = ENTRY.replace("52.4", str(value)).replace("percent", unit)
        assert load_reported(write(tmp_path, text))[0].value == value


def test_names_become_ours(tmp_path):
    (entry,) = load_reported(
        write(tmp_path, ENTRY.replace("J_mean", "iou_mean").replace("split: val", "split: all50"))
    )
    assert (entry.dataset, entry.split, entry.metric) == ("davis16", "trainval", "J_mean")


def test_iou_mean_keeps_its_name_where_it_is_not_the_davis_j(published):
    names = {entry.metric for entry in published if entry.dataset == "segtrack"}
    assert names == {"iou_mean"}


def test_the_source_names_authors_and_place(tmp_path):
    assert load_reported(write(tmp_path, ENTRY))[0].source == "Doe et al., table 2"
    text = ENTRY.replace("table: 2", "table: text_6.4.1")
    assert load_reported(write(tmp_path, text))[0].source == "Doe et al., text, section 6.4.1"


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("unit: percent", "unit: permille", "entry 1: unknown unit 'permille'"),
        ("DAVIS16", "DAVIS15", "entry 1: unknown dataset 'DAVIS15'"),
        ("paper: '1'", "paper: '7'", "entry 1: paper '7' is not listed"),
        (", value: 52.4", "", "entry 1: lacks value"),
        ("52.4", "high", "entry 1: value must be a number"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(tmp_path, before, after, complaint):
    with pytest.raises(InputError, match=complaint):
        load_reported(write(tmp_path, ENTRY.replace(before, after)))


def test_a_missing_or_broken_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_reported(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("entries: [\n")
    with pytest.raises(InputError, match="not YAML") as error:
        load_reported(broken)
    assert "\n" not in str(error.value)
    broken.write_text("entries: 3\n")
    with pytest.raises(InputError, match="needs 'papers'"):
        load_reported(broken)


def test_mpnet_is_the_four_unit_network_trained_on_ft3d(published):
    found = select(published, dataset="davis16", metric="J_mean", model="mpnet", split="trainval")
    # LDOF, EpicFlow, FlowNet2 on trainval (tables 1 and 2), then FlowNet2 on val (table 3)
    assert values(found) == [0.524, 0.569, 0.626, 0.626]
    assert [entry.split for entry in found] == ["trainval"] * 3 + ["val"]
    assert all(entry.method == "MP-Net" for entry in found)


def test_the_number_of_the_measured_split_comes_first(published):
    found = select(published, dataset="davis16", metric="J_mean", model="mpnet", split="val")
    assert (found[0].value, found[0].source) == (0.626, "Tokmakov et al., table 3")


def test_flow_threshold_is_flow_th_of_fusionseg(published):
    found = select(published, dataset="davis16", metric="J_mean", model="flow_threshold", split="val")
    assert values(found) == [0.4295]


def test_fusionseg_is_its_joint_model_and_its_baselines_keep_their_names(published):
    for model, value in (("fusionseg", 0.7151), ("flow_saliency", 0.3022)):
        found = select(published, dataset="davis16", metric="J_mean", model=model, split="val")
        assert values(found) == [value]


def test_other_methods_go_by_their_own_name_without_ablations_or_repetitions(published):
    found = select(published, dataset="davis16", metric="J_mean", model="lvo", split="val")
    # its own paper first; the same number quoted by another paper only once; 0.759 is another version
    assert values(found) == [0.782, 0.759]
    assert found[0].own


def test_a_method_nobody_reports_has_no_numbers(published):
    assert select(published, dataset="davis16", metric="J_mean", model="centre_box", split="val") == []


def test_an_entry_may_name_its_protocol_itself(tmp_path):
    named = ENTRY[:-1] + ", protocol: davis16-semi-supervised}"
    (entry,) = load_reported(write(tmp_path, named))
    assert entry.protocol == "davis16-semi-supervised"
    with pytest.raises(InputError, match="unknown protocol 'davis61'"):
        load_reported(write(tmp_path, named.replace("davis16-semi-supervised", "davis61")))
