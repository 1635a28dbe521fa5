"""`vosbench list`: everything that has a name."""

import subprocess
import sys

import pytest

from vosbench.composition import group_options
from vosbench.data.catalogue import catalogue
from vosbench.flow.estimators import ESTIMATORS
from vosbench.metrics.specs import METRICS
from vosbench.models.pretrained.zoo import method_names
from vosbench.scoring.protocol import protocols

NAMES = {
    "models": method_names,
    "datasets": catalogue,
    "recipes": lambda: group_options("recipe"),
    "protocols": lambda: [protocol.id for protocol in protocols()],
    "metrics": lambda: METRICS,
    "flow": lambda: ESTIMATORS,
}


@pytest.mark.parametrize("subject", NAMES)
def test_every_name_has_a_line_that_begins_with_it(run, subject):
    status, out, _ = run("list", subject)
    assert status == 0
    first = [line.split()[0] for line in out.splitlines() if line.strip()]
    for name in NAMES[subject]():
        assert name in first


def test_without_a_subject_all_are_listed(run):
    _, out, _ = run("list")
    for names in NAMES.values():
        for name in names():
            assert f" {name} " in out


def test_what_stands_behind_a_name_is_shown(run):
    _, out, _ = run("list", "models")
    (line,) = [line for line in out.splitlines() if line.strip().startswith("stcnn ")]
    assert line.split()[1:5] == ["lite", "temporal,", "spatial,", "joint"]
    _, out, _ = run("list", "recipes")
    (line,) = [line for line in out.splitlines() if line.strip().startswith("stcnn_tiny ")]
    assert "[ours] For a CPU, some minutes on rendered scenes" in line
    _, out, _ = run("list", "metrics")
    assert "T_mean (lower is better)" in out


def test_an_unknown_subject_names_the_others(run):
    status, _, err = run("list", "model")
    assert (status, err.count("\n")) == (2, 1)
    assert "models" in err


def test_names_are_listed_without_pytorch():
    script = (
        "import sys; from vosbench import cli\n"
        "sys.argv = ['vosbench', 'list']\n"
        "try: cli.main()\n"
        "except SystemExit as left: assert not left.code\n"
        "heavy = {'torch', 'torchvision', 'pytorch_lightning', 'torchmetrics'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
