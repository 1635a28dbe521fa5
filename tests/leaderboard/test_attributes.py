import pytest

from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.attributes import attribute_value, attributes_of


@pytest.fixture
def board(make_record):
    records = [
        make_record(sequence=name, j=(value, value))
        for name, value in {"camel": 0.2, "cows": 0.6, "blackswan": 1.0}.items()
    ]
    return make_boards([*records, make_record("other", "camel", (0.9, 0.9))])[0]


def test_attributes_are_those_the_authors_gave_to_the_sequences_shown(board):
    found = {each.code: each.sequences for each in attributes_of(board)}
    # blackswan has none; occlusion is annotated on cows only
    assert found["CS"] == ("camel", "cows")
    assert found["OCC"] == ("cows",)
    assert not any("blackswan" in sequences for sequences in found.values())
    assert "FM" not in found


def test_the_value_of_an_attribute_is_the_mean_over_its_sequences(board):
    row = next(row for row in board.rows if row.model == "mpnet")
    shake = next(each for each in attributes_of(board) if each.code == "CS")
    assert shake.name == "camera shake"
    assert attribute_value(board, row, shake, "J_mean") == pytest.approx(0.4)


def test_a_method_that_lacks_a_sequence_of_an_attribute_has_no_value(board):
    other = next(row for row in board.rows if row.model == "other")
    values = {each.code: attribute_value(board, other, each, "J_mean") for each in attributes_of(board)}
    assert values["CS"] is None
    assert values["OCC"] is None


def test_rendered_videos_and_other_data_sets_have_no_attributes(make_record):
    assert attributes_of(make_boards([make_record(sequence="camel", edition="mini")])[0]) == []
    fbms = make_record(dataset="fbms", split="test", protocol="fbms-proposed", sequence="camel")
    assert attributes_of(make_boards([fbms])[0]) == []
