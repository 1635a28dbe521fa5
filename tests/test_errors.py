"""An error about an unknown name offers the nearest known names."""

from vosbench.errors import InputError, unknown_name


def test_near_names_are_offered_first():
    message = str(unknown_name("model", "mp-net", ["mpnet", "stcnn", "lvo"]))
    assert message == "unknown model 'mp-net': did you mean mpnet?"


def test_the_case_of_letters_does_not_hide_a_name():
    assert str(unknown_name("data set", "DAVIS", ["fbms", "davis16", "davis17"])).endswith(
        "did you mean davis17 or davis16?"
    )
    assert str(unknown_name("model", "MP-Net", ["mpnet", "stcnn"])).endswith("did you mean mpnet?")
    # letters of the right case are nearer
    assert str(unknown_name("stage", "AA", ["A", "a"])).endswith("did you mean A?")


def test_every_choice_is_listed_when_none_is_near():
    message = str(unknown_name("data set", "kitti", ["fbms", "davis16"]))
    assert message == "unknown data set 'kitti': choose from davis16, fbms"


def test_a_message_is_one_line_of_bounded_length():
    assert str(InputError("a\nb\r\nc")) == "a b c"
    assert str(InputError("x" * 5000)) == "x" * 2000 + "..."
    assert str(InputError("a  b")) == "a  b"
