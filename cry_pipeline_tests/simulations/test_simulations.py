"""The command of simulations: what it finds beside it, and how it prints what they found."""

import pytest
from scipy.stats import beta

from cry_pipeline_tests.simulations.__main__ import simulations
from cry_pipeline_tests.simulations.rates import Figure, Rate, table


def test_every_simulation_is_found_and_says_what_it_simulates() -> None:
    found = simulations()
    assert not {"rates", "installation"} & set(found)
    assert all(len(about) > 20 for about in found.values())


def test_a_rate_has_the_exact_interval_and_a_promise_is_broken_only_by_more_than_its_error() -> None:
    rate = Rate("called above chance", 12, 300, at_most=0.025)
    assert rate.interval == pytest.approx((beta.ppf(0.025, 12, 289), beta.ppf(0.975, 13, 288)))
    assert rate.kept
    assert not Rate("", 30, 300, at_most=0.025).kept
    assert Rate("", 300, 300).kept
    assert str(rate) == "| called above chance | 4.0 % [2.1, 6.9] | 12 of 300 | at most 2.5 %: kept |"
    assert "BROKEN" in table([Figure("sd", "0.03"), Rate("", 30, 300, at_most=0.025)])
