"""A few of the thousands of hostile inputs that `python -m tests.benchmarks fuzz` tries: no crash, no hang, no lie."""

from __future__ import annotations

from tests.benchmarks.fuzz import SEED, run_cases

# Of kinds that take a tenth of a second each.
CASES = range(20, 60)


def test_a_few_hostile_inputs() -> None:
    outcomes = [outcome for _, outcome in run_cases(CASES, SEED)]
    assert [outcome for outcome in outcomes if outcome.finding] == []
    kinds = {outcome.kind.split()[0] for outcome in outcomes}
    results = {outcome.result for outcome in outcomes}
    assert len(kinds) >= 10
    assert {"ok", "warned", "refused"} <= results
