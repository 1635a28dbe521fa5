"""Lines and comments of configuration files, as `fit --cfg` shows them."""

import yaml

from vosbench.composition import CONFIGS
from vosbench.config_sources import flow_text, header, key_sources

TEXT = """\
# A method, section 3;
# its recipe.

# The first stage.
A: &first
  lr: 1.0e-07   # section 3.3; twice
                # for biases
  crop: [2, 3]  # released # code
  name: "a # b"
  steps:        # every 9 epochs
    - 9
  decay: 0.5

B:
  <<: *first
  lr: 2         # [ours]
  crop: null
C: {x: 1}  # in one line
D: *first  # as A
"""


def sources(tmp_path):
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "own.yaml").write_text(TEXT)
    return key_sources(folder / "own.yaml")


def test_a_comment_belongs_to_the_key_before_it_and_goes_on_to_the_right(tmp_path):
    found = sources(tmp_path)
    assert (found["A.lr"].place, found["A.lr"].text) == ("recipe/own.yaml:6", "1.0e-07")
    assert found["A.lr"].comment == "section 3.3; twice for biases"
    assert found["A.crop"].comment == "released # code"
    assert (found["A.name"].text, found["A.name"].comment) == ('"a # b"', "")
    assert found["A.steps"].comment == "every 9 epochs"
    assert found["A.decay"].comment == ""
    assert (found["C"].text, found["C"].comment) == ("{x: 1}", "in one line")
    assert found["C.x"].comment == ""
    assert found["A"].above == ("The first stage.",)
    assert found["B"].above == ()


def test_merged_values_lead_to_where_they_are_written(tmp_path):
    found = sources(tmp_path)
    assert found["B.decay"].place == found["A.decay"].place == "recipe/own.yaml:12"
    assert (found["B.lr"].place, found["B.lr"].comment) == ("recipe/own.yaml:16", "[ours]")
    assert (found["B.crop"].text, found["B.crop"].comment) == ("null", "")
    assert (found["D"].place, found["D"].comment) == ("recipe/own.yaml:19", "as A")
    assert found["D.lr"] == found["A.lr"]


def test_the_first_comment_of_a_file_is_its_header(tmp_path):
    sources(tmp_path)
    assert header(tmp_path / "recipe/own.yaml") == "A method, section 3; its recipe."


def test_every_comment_beside_a_value_of_the_packaged_files_has_its_key():
    """Text after a value that is lost would be a source that nobody sees."""
    for path in sorted(CONFIGS.glob("*.yaml")) + sorted(CONFIGS.glob("[mrd]*/*.yaml")):
        shown = " ".join(source.comment for source in key_sources(path).values())
        for line in path.read_text().splitlines():
            before, sign, comment = line.partition("# ")
            if sign and before.strip() and not before.strip().startswith(("-", "<<")):
                assert comment.strip() in shown, (path.name, line)


def test_values_are_read_again_as_they_were():
    for value in (1e-7, None, True, "val/J", [1.0, "a"], {"class": "EarlyStopping"}, "1", ""):
        text = flow_text(value)
        assert "\n" not in text
        assert yaml.safe_load(text) == value
