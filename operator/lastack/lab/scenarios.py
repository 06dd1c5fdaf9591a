"""The closed set of things that a lab can show. Called by cli.lab, lab.pairs and tests."""

from lastack.lab import plans, queue_scenarios, socket_scenarios

_BY_NAME = {scenario.name: scenario for scenario in (*queue_scenarios.SCENARIOS, *socket_scenarios.SCENARIOS)}

SCENARIOS: dict[plans.Name, plans.Scenario] = {name: _BY_NAME[name] for name in plans.Name}
"""Every scenario, in the order of the names."""
