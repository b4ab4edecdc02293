"""The examples: the ScaledObjects of the seeds, unchanged, and beside each what is built in."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from aggregator.scaling.spec import read_spec
from cli.convert import convert
from shared.api.autoscaler import AutoscalerSpec
from tests.support.builders import NOW

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "autoscaling"
SEEDS = ROOT / "tests" / "data" / "seeds" / "scaledobjects"
NAMES = {"marked": "plain", "max-available": "max-available"} | {
    name: name for name in ("min-available", "cpu")
}


@pytest.mark.parametrize(("name", "seed"), NAMES.items())
def test_the_scaled_object_is_the_seeds(name, seed):
    example = EXAMPLES / f"{name}.scaledobject.yaml"
    assert example.read_text() == (SEEDS / f"{seed}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_autoscaler_beside_it_is_what_convert_makes_of_it(name):
    scaled_object = yaml.safe_load((EXAMPLES / f"{name}.scaledobject.yaml").read_text())
    autoscaler = yaml.safe_load((EXAMPLES / f"{name}.autoscaler.yaml").read_text())
    assert autoscaler == convert(scaled_object, name)[0]


def test_no_example_stands_alone():
    kinds = {path.name.split(".", 1)[0] for path in EXAMPLES.glob("*.yaml")}
    assert kinds == set(NAMES)


def test_the_autoscaler_in_the_documentation_is_one():
    text = (ROOT / "docs" / "autoscaling.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    spec = AutoscalerSpec.model_validate(yaml.safe_load(block)["spec"])
    intent = read_spec(spec, NOW)
    assert intent.policy.min_available == Fraction(1, 5)
    assert [window.name for window in intent.windows] == ["evening"]
