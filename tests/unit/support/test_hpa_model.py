"""The HPA model does what is documented, so that closed loops mean something."""

from fractions import Fraction

import pytest

from tests.support.hpa import (
    SCALE_DOWN,
    SCALE_UP,
    AverageValue,
    Hpa,
    Policy,
    Rules,
    Utilization,
    read_rules,
)

AT_ONCE = Rules(0, (Policy("Pods", 1000, 15),))


def free(**fields) -> Hpa:
    return Hpa(scale_up=AT_ONCE, scale_down=AT_ONCE, **fields)


@pytest.mark.parametrize(
    ("status", "total", "tolerance", "desired"),
    [
        pytest.param(20, 30, "0.1", 30, id="growth"),
        pytest.param(20, 10, "0.1", 10, id="shrinking"),
        pytest.param(20, 22, "0.1", 20, id="growth of exactly the tolerance"),
        pytest.param(20, 23, "0.1", 23, id="growth just above it"),
        pytest.param(20, 18, "0.1", 20, id="shrinking of exactly the tolerance"),
        pytest.param(20, 17, "0.1", 17, id="shrinking just above it"),
        pytest.param(20, 19, "0", 19, id="no tolerance"),
        pytest.param(20, 500, "0.1", 100, id="maxReplicas"),
        pytest.param(20, 0, "0.1", 1, id="minReplicas"),
    ],
)
def test_the_ratio_the_tolerance_and_the_bounds(status, total, tolerance, desired):
    hpa = free(tolerance=Fraction(tolerance))
    assert hpa.sync(status, status, [AverageValue(total)], 0) == desired


def test_the_largest_of_several_metrics_counts():
    metrics = [AverageValue(3), Utilization(percent=100, target=50, ready=5)]
    assert free().sync(5, 5, metrics, 0) == 10


def test_cpu_within_the_tolerance_keeps_what_there_is():
    assert free().sync(5, 5, [AverageValue(3), Utilization(54, 50, 5)], 0) == 5


@pytest.mark.parametrize(
    ("metrics", "desired"),
    [
        ([AverageValue(None)], 5),
        ([AverageValue(None), Utilization(20, 50, 5)], 5),
        ([AverageValue(None), Utilization(100, 50, 5)], 10),
    ],
    ids=["none is known", "nothing shrinks", "but it grows"],
)
def test_a_missing_metric_stops_shrinking(metrics, desired):
    assert free().sync(5, 5, metrics, 0) == desired


def test_at_zero_it_is_disabled():
    assert free().sync(0, 0, [AverageValue(9)], 0) == 0


def test_shrinking_goes_to_the_largest_recommendation_of_its_window():
    hpa = Hpa(scale_down=Rules(45, AT_ONCE.policies), tolerance=Fraction(0))
    totals = [10, 8, 6, 6, 6, 6]
    spec, seen = 10, []
    for number, total in enumerate(totals):
        spec = hpa.sync(spec, spec, [AverageValue(total)], number * 15)
        seen.append(spec)
    assert seen == [10, 10, 10, 8, 6, 6]


def test_a_new_hpa_does_not_shrink_in_its_first_window():
    hpa = Hpa(scale_down=Rules(30, AT_ONCE.policies))
    seen = [hpa.sync(10, 10, [AverageValue(5)], second) for second in (0, 15, 30)]
    assert seen == [10, 10, 5]


def test_growth_goes_to_the_smallest_recommendation_of_its_window():
    hpa = Hpa(scale_up=Rules(30, AT_ONCE.policies), tolerance=Fraction(0))
    spec, seen = 10, []
    for number, total in enumerate([10, 14, 20, 20]):
        spec = hpa.sync(spec, spec, [AverageValue(total)], number * 15)
        seen.append(spec)
    assert seen == [10, 10, 14, 20]


def test_the_default_growth_is_four_pods_or_twice_as_many():
    hpa = Hpa()
    spec, seen = 1, []
    for number in range(5):
        spec = hpa.sync(spec, spec, [AverageValue(100)], number * 15)
        seen.append(spec)
    assert seen == [5, 10, 20, 40, 80]


@pytest.mark.parametrize(
    ("select", "seen"), [("Max", [80, 64]), ("Min", [90, 90]), ("Disabled", [100, 100])]
)
def test_policies_limit_shrinking(select, seen):
    down = Rules(0, (Policy("Percent", 20, 15), Policy("Pods", 10, 60)), select)
    hpa = Hpa(scale_down=down)
    spec, actual = 100, []
    for number in range(2):
        spec = hpa.sync(spec, spec, [AverageValue(1)], number * 15)
        actual.append(spec)
    assert actual == seen


def test_what_was_added_in_the_period_counts_as_not_there_at_its_start():
    hpa = Hpa(scale_up=Rules(0, (Policy("Pods", 4, 60),)))
    assert hpa.sync(10, 10, [AverageValue(13)], 0) == 13
    assert hpa.sync(13, 13, [AverageValue(30)], 15) == 14
    assert hpa.sync(14, 14, [AverageValue(30)], 30) == 14
    assert hpa.sync(14, 14, [AverageValue(30)], 60) == 17


def test_too_many_and_too_few_are_mended_at_once():
    hpa = Hpa(min_replicas=3, max_replicas=5)
    assert hpa.sync(9, 9, [AverageValue(4)], 0) == 5
    assert hpa.sync(1, 1, [AverageValue(4)], 0) == 3


def test_a_manifest_is_read_with_the_defaults():
    body = {
        "stabilizationWindowSeconds": 45,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    assert read_rules(body, SCALE_DOWN) == Rules(45, (Policy("Percent", 100, 15),))
    assert read_rules(None, SCALE_UP) == SCALE_UP
