"""What a release has learned from: what is not known, what makes it known, and for which release."""

import pytest
from evolved import SETTINGS
from lamarck.agent.evolution.generation import Generation
from lamarck.cli.evolving.evaluated import Evaluated
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.origin import of_release
from lamarck.cli.evolving.playing import every
from lamarck.cli.evolving.sides import tasks_of
from lamarck.cli.evolving.starting import check_start, told
from lamarck.config import RunConfig, TasksetConfig
from lamarck.config_evolve import EvolveConfig
from lamarck.core import Task
from lamarck.errors import ConfigError, StoreError
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from released import draft, opened, remember
from test_evolve_others import TESTS


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def releases(home):
    with opened(home.path) as found:
        yield found


@pytest.fixture
def run(tmp_path):
    return place(tmp_path / "run", [Task(id="a", goal="Look.", environment="e", seed=7)])


def config(**settings):
    return EvolveConfig.load(None, SETTINGS | settings)


def place(folder, tasks):
    """Write a folder with a store that holds these tasks; return it as `held_out.seen` names it."""
    folder.mkdir()
    with Store.open(folder / "store.db") as store:
        store.put_tasks(tasks)
    return str(folder)


def with_memory(releases, folder, value, **more):
    """Put a release with a memory that is its own."""
    return releases.put(draft(memory=remember(folder, {"look": value}), **more))


def begun(folder):
    """Make a run as it is when it has begun, and has no store yet."""
    run = RunDirectory(folder)
    run.create(RunConfig(), resume=False)
    return run


@pytest.mark.parametrize("store", ["none", "empty"])
def test_a_kill_before_a_run_has_a_store_is_one_that_has_played_nothing(home, releases, store):
    first = releases.put(draft())
    releases.begin(first.id)
    now = Generation(number=1, parent=first.id, head=first.id)
    home.keep(now)
    runs = [begun(home.generation(1) / "collect"), begun(home.evaluation(first.id, "held-out-000"))]
    if store == "empty":
        for run in runs:
            run.store_path.touch()
    assert told(config(), home, releases) == []
    assert Evaluated(home).spent(now) == {"tokens": 0, "cost_usd": 0.0}
    assert [every(run) for run in runs] == [[], []]


def test_what_was_played_and_is_gone_is_not_taken_for_nothing(home, releases):
    first = releases.put(draft())
    home.keep(Generation(number=1, parent=first.id, head=first.id, figures={"collect": {}}))
    begun(home.generation(1) / "collect")
    with pytest.raises(StoreError, match="there is no store"):
        of_release(home, releases, first.id)


def test_what_is_named_for_one_release_clears_no_other(home, releases, run, tmp_path):
    first = with_memory(releases, tmp_path / "first", 0.1)
    releases.begin(first.id)
    grown = with_memory(releases, tmp_path / "grown", 0.2, parent=first.id)
    brought = with_memory(releases, tmp_path / "brought", 0.3)
    later = with_memory(releases, tmp_path / "later", 0.4, parent=brought.id)
    for number, one in enumerate((grown, later), 1):
        home.keep(Generation(number=number, parent=one.parent, head=first.id, candidate=one.id))

    def unknown(release, *named):
        return of_release(home, releases, release.id, named).unknown

    own, foreign = ((f"the memory of release {one.id[:12]}",) for one in (first, brought))
    assert unknown(first) == unknown(grown) == own and unknown(brought) == unknown(later) == foreign
    assert unknown(first, run) == unknown(grown, run) == ()
    assert unknown(brought, run) == unknown(later, run) == foreign
    for_it = f"{brought.id[:12]}={run}"
    assert unknown(brought, for_it) == unknown(later, for_it) == ()
    assert unknown(first, for_it) == unknown(grown, for_it) == own
    assert unknown(later, run, for_it) == unknown(grown, run, for_it) == ()
    assert of_release(home, releases, later.id, [for_it]).seen
    [line] = told(config(), home, releases)
    assert own[0] in line and "RELEASE=RUN" in line


def test_what_tells_of_no_task_makes_nothing_known(home, releases, tmp_path):
    first = with_memory(releases, tmp_path / "memory", 0.1)
    for named in (str(tmp_path / "memory"), f"{first.id[:12]}={tmp_path / 'memory'}"):
        with pytest.raises(ConfigError, match=r"held_out.seen names .*memory, which tells of no task"):
            check_start(config(**{"held_out.seen": [named]}))
        with pytest.raises(ConfigError, match="tells of no task"):
            of_release(home, releases, first.id, [named])


def test_what_was_learned_from_in_another_environment_is_said_first(tmp_path):
    seen = place(tmp_path / "others", tasks_of(TasksetConfig(**TESTS)))
    check_start(config(**{"held_out.seen": [seen]}))
    with pytest.raises(ConfigError, match=r"3 of the 6 held-out tasks were learned from before, the first is househ"):
        check_start(config(**{"held_out.seen": [seen], "held_out.others": [TESTS]}))
