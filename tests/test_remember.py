"""Memory in the episode graph: recalled, credited, distilled, frozen, resumed."""

import asyncio

import pytest
from harness import Bench
from lamarck.agent.distiller import LLMDistiller, ScriptDistiller, llm_same, parse_list, unfit
from lamarck.agent.hooks import Hooks, Recalled, Situation
from lamarck.agent.prompting import Prompts
from lamarck.agent.remember import Remembering, render
from lamarck.agent.scripted import ScriptedLLM, first_llm
from lamarck.config import CollectConfig, SolverConfig
from lamarck.config_memory import DistilConfig
from lamarck.core import Message, Step, Task
from lamarck.errors import EnvironmentFailure, ModelError, StoreError
from lamarck.memory.scripts import distil, script
from lamarck.store import Store
from memories import episode, item, memory, walked
from worlds import Corridor, Walks

RIGHT = ScriptedLLM(lambda messages: "right", name="righteous")


def remembering(m, store, **more):
    return Remembering(m, Prompts(), store, distiller=ScriptDistiller(DistilConfig()), **more)


async def play(tmp_path, m, llm, *, taskset=None, learning=True, **more):
    with Store.open(tmp_path / "store.db") as store:
        hooks = remembering(m, store, learning=learning).hooks()
        bench = Bench(tmp_path, llm, taskset=taskset or Walks(n=2), hooks=hooks, **more)
        bench.result = await bench.run()
    return bench


async def test_what_one_episode_learns_the_next_one_recalls(tmp_path):
    with memory(tmp_path / "memory") as m:
        collect = CollectConfig(concurrency=1, samples=2)
        bench = await play(tmp_path, m, RIGHT, taskset=Walks(n=1), collect=collect)
        first, second = sorted(bench.trajectories, key=lambda t: t.started_at)
        assert first.steps[0].recalled == () and len(second.steps[0].recalled) >= 1
        assert "What helped before" in second.steps[0].messages[1].content
        assert m.learned([first.id, second.id]) == {first.id, second.id}
        for ident in second.steps[0].recalled:
            kept = m.item(ident)
            assert kept.q_value == pytest.approx(0.3) and kept.trajectory_ids[0] == first.id
            assert kept.model == "righteous" and kept.release_id == first.release_id


async def test_a_frozen_memory_stays_as_it_is(tmp_path):
    with memory(tmp_path / "memory") as m:
        m.remember([item(Corridor.goal, "1. right")])
        before = m.head
        bench = await play(tmp_path, m, RIGHT, learning=False)
        assert all(step.recalled for t in bench.trajectories for step in t.steps)
        assert m.head == before and m.item(bench.trajectories[0].steps[0].recalled[0]).q_value == 0.0


async def test_failures_of_infrastructure_touch_no_memory(tmp_path):
    class Broken(Corridor):
        def step(self, action):
            raise EnvironmentFailure("the lamp fell over")

    class Breaking(Walks):
        def environment(self):
            return Broken()

    with memory(tmp_path / "memory") as m:
        m.remember([item(Corridor.goal, "1. right")])
        bench = await play(tmp_path, m, RIGHT, taskset=Breaking(n=2), collect=CollectConfig(attempts=2))
        assert bench.result.failed == 2 and all(t.failure for t in bench.trajectories)
        assert m.reading.event_counts() == {"created": 1}


async def test_what_a_crash_left_is_learned_on_resume(tmp_path):
    with memory(tmp_path / "memory") as m:
        # A run that stored its episodes and died before it learned anything.
        bench = Bench(tmp_path, RIGHT, taskset=Walks(n=3))
        await bench.run()
        assert m.learned([t.id for t in bench.trajectories]) == set()
        again = await play(tmp_path, m, RIGHT, taskset=Walks(n=3))
        assert again.result.already == 3 and again.result.finished == 0
        assert m.learned([t.id for t in bench.trajectories]) == {t.id for t in bench.trajectories}
        events = m.reading.event_counts()
        await play(tmp_path, m, RIGHT, taskset=Walks(n=3))
        assert m.reading.event_counts() == events


async def test_a_memory_that_cannot_learn_stops_the_run_and_loses_nothing(tmp_path):
    class Sick:
        async def learn(self, trajectory):
            raise ModelError("the embedding server is away")

        async def unlearned(self, ids):
            return []

    bench = Bench(tmp_path, RIGHT, taskset=Walks(n=2), hooks=Hooks(learn=Sick()), collect=CollectConfig(concurrency=1))
    with pytest.raises(StoreError, match=r"embedding server is away.*--resume"):
        await bench.run()
    with Store.open(tmp_path / "store.db") as store:
        [kept] = store.trajectories(run_id="run")
        assert kept.success and kept.failure is None


async def test_recall_again_when_the_situation_changes(tmp_path):
    with memory(tmp_path / "memory", recall={"again": 0.5}) as m, Store.open(tmp_path / "store.db") as store:
        m.remember([item("walk to the end", "walk"), item("a dark cave full of bats", "light a lamp", kind="warning")])
        hooks = remembering(m, store)
        task = Task(id="t", goal="walk to the end", environment="e")
        start = await hooks.recall(Situation(task, "a green meadow", 0, 0, 1, Recalled("", ())))
        assert "walk" in start.text and "lamp" not in start.text and start.anchor == "a green meadow"
        same = await hooks.recall(Situation(task, "a green meadow", 1, 0, 2, start))
        assert same is start
        cave = await hooks.recall(Situation(task, "a dark cave full of bats", 2, 0, 3, start))
        assert "What helped before:\n\nFor: walk to the end\nwalk" in cave.text
        assert "What failed before, to be avoided:\n\nFor: a dark cave full of bats\nlight a lamp" in cave.text
        assert len(cave.ids) == 2 and cave.anchor == "a dark cave full of bats"
        still = await hooks.recall(Situation(task, "a dark cave full of bats.", 3, 0, 4, cave))
        assert still.text == cave.text
    with memory(tmp_path / "never", recall={"again": -1}) as m, Store.open(tmp_path / "store.db") as store:
        hooks = remembering(m, store)
        before = Recalled("x", ("i",), (), "a green meadow")
        assert await hooks.recall(Situation(task, "a dark cave", 5, 0, 1, before)) is before


async def test_what_is_left_out_stays_out_for_the_episode(tmp_path):
    settings = {"credit": {"leave_out": 0.5}, "recall": {"again": 1.0, "explore": "none"}}
    with memory(tmp_path / "memory", **settings) as m:
        m.remember([item(Corridor.goal, "one"), item(Corridor.goal, "two")], merge=False)
        bench = await play(tmp_path, m, RIGHT, taskset=Walks(n=12))
        held = [t for t in bench.trajectories if t.steps[0].withheld]
        assert 0 < len(held) < 12
        for trajectory in held:
            assert len({step.withheld for step in trajectory.steps}) == 1
            assert all(trajectory.steps[0].withheld[0] not in step.recalled for step in trajectory.steps)
        assert m.reading.event_counts()["left_out"] == len(held)


async def test_what_prompts_of_ones_own_do_not_show_was_not_recalled(tmp_path):
    """A prompt file without `$recalled`: nothing was seen, so no step names anything and nothing is credited."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/first.md").write_text("$observation$goal$summary")
    settings = {"credit": {"leave_out": 0.5}, "recall": {"explore": "none"}}
    for solver, seen in ((SolverConfig(), True), (SolverConfig(prompts=str(tmp_path / "own")), False)):
        with memory(tmp_path / f"memory-{seen}", **settings) as m:
            kept = m.remember([item(Corridor.goal, "one"), item(Corridor.goal, "two")], merge=False).new
            folder = tmp_path / f"run-{seen}"
            folder.mkdir()
            bench = await play(folder, m, RIGHT, taskset=Walks(n=8), solver=solver)
            steps = [step for one in bench.trajectories for step in one.steps]
            assert any(step.recalled and step.recalled_text for step in steps) is seen
            assert any(step.withheld for step in steps) is seen
            assert any("What helped before" in message.content for step in steps for message in step.messages) is seen
            counts = [m.item(ident).retrieval_count for ident in kept]
            assert (sum(counts) > 0, m.reading.event_counts().get("left_out", 0) > 0) == (seen, seen)


def test_nothing_recalled_is_nothing_shown():
    assert render([], Prompts()) == ""
    shown = render([item("a", "b")], Prompts())
    assert "What helped before" in shown and "What failed" not in shown and "references, not rules" in shown


def test_a_script_keeps_what_mattered():
    walk = [
        "go to drawer 1",
        "open drawer 1",
        "go to shelf 1",
        "examine shelf 1",
        "take mug 1 from shelf 1",
        "move mug 1 to shelf 1",
        "take cup 2 from shelf 1",
        "go to sinkbasin 1",
        "clean cup 2 with sinkbasin 1",
        "go to cabinet 1",
        "open cabinet 1",
        "move cup 2 to cabinet 1",
    ]
    assert script(walked(walk)) == (
        "go to shelf 1",
        "take cup 2 from shelf 1",
        "go to sinkbasin 1",
        "clean cup 2 with sinkbasin 1",
        "go to cabinet 1",
        "open cabinet 1",
        "move cup 2 to cabinet 1",
    )


def test_a_script_leaves_out_circles_and_what_failed():
    steps = walked(
        ["search[x]", "click[a]", "back", "click[b]", "buy"], observations=["start", "list", "a", "list", "b"]
    )
    assert script(steps) == ("search[x]", "click[b]", "buy")
    failed = steps[1].model_copy(update={"validity": "no_effect"})
    assert script((steps[0], failed)) == ("search[x]",)
    # Without a list of admissible actions, equal texts may be different states.
    bare = tuple(step.model_copy(update={"admissible": None}) for step in steps)
    assert script(bare) == ("search[x]", "click[a]", "back", "click[b]", "buy")


GOAL = "put a clean cup in cabinet"
WON = ["go to shelf 1", "take cup 2 from shelf 1", "go to sinkbasin 1", "clean cup 2 with sinkbasin 1"]
WON += ["go to cabinet 1", "move cup 2 to cabinet 1"]


def test_a_success_becomes_an_episode_and_a_skill():
    made = {i.kind: i for i in distil([episode("t", steps=walked(WON), goal=GOAL)], DistilConfig())}
    assert set(made) == {"episode", "skill"} and made["skill"].applies == GOAL
    assert made["skill"].content == (
        "put a clean A in B:\n1. take A\n2. go to sinkbasin\n3. clean A with sinkbasin\n4. go to B\n5. move A to B"
    )
    assert "take cup 2 from shelf 1" in made["episode"].content and made["skill"].trajectory_ids == ("t",)


def test_success_and_failure_of_one_task_are_contrasted():
    lost = episode(
        "f",
        steps=walked(["go to shelf 1", "take cup 2 from shelf 1", "move cup 2 to desk 1"]),
        goal=GOAL,
        success=False,
    )
    won = episode("s", steps=walked(WON), goal=GOAL)
    for group in ([won, lost], [lost, won]):
        [warning] = [i for i in distil(group, DistilConfig()) if i.kind == "warning"]
        assert "did, and this did not: clean cup with sinkbasin; move cup to cabinet" in warning.content
        assert set(warning.trajectory_ids) == {"f", "s"}
    shared = distil([won, episode("s2", steps=walked(WON[1:]), goal=GOAL)], DistilConfig())
    [principle] = [i for i in shared if i.kind == "principle"]
    assert "All 2 attempts" in principle.content and "clean cup with sinkbasin" in principle.content
    assert distil([won, episode("u", steps=walked(WON), goal=GOAL, success=None)], DistilConfig()) == []


SECRET = "the-gold-answer-42"


async def test_the_distiller_never_sees_ground_truth():
    asked = []

    def answer(messages):
        asked.append(messages[-1].content)
        return '[{"kind": "principle", "applies": "all", "content": "be quick"}]'

    step = Step(index=0, observation="a room", action="look", info={"gold": SECRET})
    task = Task(id="t", goal="find it", environment="e", truth=SECRET, options={"answer": SECRET})
    told = episode("t", steps=[step]).model_copy(update={"task": task, "meta": {"gold": SECRET}})
    [made] = await LLMDistiller(ScriptedLLM(answer, name="wise"), Prompts(), DistilConfig()).distil([told])
    assert SECRET not in asked[0] and "find it" in asked[0] and "a room" in asked[0]
    assert made.model == "wise" and made.trajectory_ids == ("t",) and made.meta["by"] == "llm"
    assert SECRET not in str(distil([told], DistilConfig()))


@pytest.mark.parametrize(
    "answer",
    [
        "I have no idea.",
        "[]",
        '[{"kind": "truth", "applies": "a", "content": "b"}]',
        '[{"kind": "skill", "applies": "a", "content": "<action>look</action>"}]',
        '[{"kind": "skill", "applies": "a", "content": "!!!!!!!!!!!!"}]',
        '[{"kind": "skill", "applies": "", "content": "b"}]',
        '[{"kind": "skill", "applies": "a", "content": "' + "x y " * 2000 + '"}]',
        "[" * 3000,
        '[{"kind": "skill", "applies": "a", "content": "\\ud83d"}]',
        ModelError("away"),
    ],
)
async def test_without_a_usable_answer_the_script_is_taken(answer):
    won = episode("t", steps=walked(WON), goal=GOAL)
    made = await LLMDistiller(ScriptedLLM(lambda messages: answer), Prompts(), DistilConfig()).distil([won])
    assert {i.meta["by"] for i in made} == {"script"} and {i.kind for i in made} == {"episode", "skill"}


def test_lists_are_found_in_talk():
    assert parse_list('Sure! [1] is a number. [{"kind": "skill"}] Done.') == [{"kind": "skill"}]
    assert parse_list('[{"a": 1}, 2, {"b": 3}]') == [{"a": 1}, {"b": 3}]
    assert unfit({"kind": "skill", "applies": "a", "content": "go go go go go go go"}, 100) == "repetitions in content"
    assert unfit({"kind": "skill", "applies": "a", "content": 3}, 100) == "no content"
    assert unfit({"kind": "warning", "applies": "a", "content": "b"}, 100) == ""


async def test_a_model_may_say_what_is_the_same():
    answers = iter(["Yes.", "no", ModelError("away")])
    same = llm_same(ScriptedLLM(lambda messages: next(answers)), Prompts())
    one, other = item("a", "turn left"), item("a", "turn right")
    assert [await asyncio.to_thread(same, one, other) for _ in range(3)] == [True, False, False]


async def test_the_follower_follows_notes_and_only_those():
    from lamarck.agent.follower import follower_llm
    from lamarck.core import Sampling

    goal = "Your task is to: put a clean plate in fridge."
    note = item(
        "put a clean cup in cabinet", "put a clean A in B:\n1. take A\n2. go to sinkbasin\n3. clean A with sinkbasin"
    )
    options = ["take plate 3 from desk 1", "take cup 1 from desk 1", "go to sinkbasin 1", "look"]
    told = [Message(role="user", content=f"{goal}\n\n{render([note], Prompts())}")]
    llm = follower_llm()

    async def picks(messages):
        drawn = [await llm.choose(messages, options, sampling=Sampling(seed=n)) for n in range(100)]
        return [sum(reply.text == option for reply in drawn) for option in options]

    assert (await picks(told))[0] > 85
    done = [*told, Message(role="assistant", content=options[0]), Message(role="user", content="You take it.")]
    assert (await picks(done))[2] > 80
    alone = await picks([Message(role="user", content=goal)])
    assert max(alone) < 80
    warned = [
        Message(role="user", content=f"{goal}\n\n{render([note.model_copy(update={'kind': 'warning'})], Prompts())}")
    ]
    assert await picks(warned) == alone
    with pytest.raises(ModelError):
        await llm.choose(told, [])
    assert (await first_llm().choose(told, options)).text == options[0] and SolverConfig().protocol == "choice"
