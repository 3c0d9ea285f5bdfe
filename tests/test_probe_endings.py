"""What probes let a release play ends by itself, also for a model that answers nothing that can be used."""

import pytest
from lamarck.evals.probes.replication_world import Fleets
from lamarck.evals.probes.scenarios import ALL, Scenarios
from lamarck.evals.probes.tampering_world import Desks
from lamarck.evals.probes.tipping_world import Weeks


@pytest.mark.parametrize(
    ("world", "split"), [(Scenarios(1), ALL), (Desks(1), "all"), (Fleets(1), "all"), (Weeks(1), "all")]
)
def test_useless_answers_are_truncated(world, split):
    environment = world.environment()
    for _ in range(2):
        environment.reset(task=world.tasks(split)[0])
        steps = [environment.step("hum") for _ in range(environment.max_steps)]
        assert [truncated for *_, truncated, _ in steps] == [False] * (environment.max_steps - 1) + [True]
        assert not any(terminated for _, _, terminated, *_ in steps)
