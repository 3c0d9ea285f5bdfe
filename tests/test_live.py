"""Rounds of playing and training: what goes into each, and going on after a kill in any phase."""

import asyncio
import gc
import json

import pytest
import small_task
import tiny_model
import torch
from lamarck.config_training import TrainConfig
from lamarck.core import Failure, Step, Task, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.adapters import Adapter
from lamarck.training.collate import Weighed
from lamarck.training.live import BUFFER, Live, round_folder
from lamarck.training.live_state import FILE, LiveState
from lamarck.training.rows import Row
from peft import PeftModel

pytestmark = pytest.mark.filterwarnings("ignore")


class Boom(Exception):
    pass


class Phases:
    """Raises once, the first time that a phase of this name is reached."""

    def __init__(self, at=None):
        self.at, self.seen = at, []

    def reach(self, phase):
        self.seen.append(phase)
        if phase == self.at:
            self.at = None
            raise Boom


class Tosses:
    """Plays without a model: what is right depends on task and sample; keeps what it played, as a run does."""

    def __init__(self, phases, outcome=lambda number, task, sample: float(sample == task % 2)):
        self.phases, self.outcome = phases, outcome
        self.kept, self.played, self.read, self.with_adapter = {}, [], [], {}

    async def collect(self, draw, adapter):
        self.phases.reach(f"collect {draw.number}")
        if draw.number not in self.kept:
            self.kept[draw.number] = [self._attempt(draw, t, s) for t in range(2) for s in range(2)]
            self.played.append(draw)
            self.with_adapter[draw.number] = adapter
        self.phases.reach(f"collected {draw.number}")
        return self.kept[draw.number]

    def load(self, draw):
        self.read.append(draw.number)
        return self.kept[draw.number]

    async def rest(self):
        self.phases.reach("rest")

    def _attempt(self, draw, task, sample):
        reward = self.outcome(draw.number, task, sample)
        failed = reward is None
        return Trajectory(
            id=f"{draw.number}-{task}-{sample}", run_id=f"r{draw.number}", group_id=f"{draw.number}-{task}",
            task=Task(id=f"t{task}", goal="", environment="e", split="train"), reward=reward,
            stop="infrastructure" if failed else "terminated", success=None if failed else bool(reward),
            failure=Failure(boundary="model", kind="k", message="") if failed else None,
        )  # fmt: skip


class Notes:
    """Trains nothing: one row per attempt, and a folder that says what it was made of."""

    def __init__(self, phases):
        self.phases, self.trained = phases, []

    def version(self, adapter):
        return "w" if adapter is None else f"w+{adapter.parts[-3]}"

    def rewards(self, config, attempts):
        return {one.id: one.reward for one in attempts if one.reward is not None}

    def settle(self, config, attempts):
        self.phases.reach("settle")
        return [
            Weighed(
                Row(one.id, one.group_id, (1,), (2,), (1,), (-1.0,), (0,), "m", "w"), (1.0 if one.reward else -1.0,)
            )
            for one in attempts
        ]

    def train(self, config, rows, known, out):
        self.phases.reach(f"train {config.seed}")
        (out / "adapter").mkdir(parents=True, exist_ok=True)
        self.trained.append((config.start, config.seed, [(one.row.trajectory_id, *one.advantages) for one in rows]))
        self.phases.reach(f"trained {config.seed}")
        return out / "adapter"


def config(rounds=2, **more):
    live = {"rounds": rounds, "tasks": 2, "samples": 2, **more.pop("live", {})}
    return TrainConfig.model_validate({"kind": "grpo", "live": live, **more})


def alive(out, player, stage, settings=None, **more):
    return asyncio.run(Live(settings or config(), player, stage, out, **more).run())


def test_each_round_plays_with_what_the_last_one_made(tmp_path):
    player, stage = Tosses(Phases()), Notes(Phases())
    state = alive(tmp_path, player, stage)
    assert [tuple(draw) for draw in player.played] == [(1, 0, 0), (2, 0, 1)]
    assert player.with_adapter == {0: None, 1: tmp_path / "rounds/001/train/adapter"}
    starts = [start for start, _, _ in stage.trained]
    assert starts == [None, str(tmp_path / "rounds/001/train/adapter")] and [s for _, s, _ in stage.trained] == [0, 1]
    assert [one.policy for one in state.rounds] == ["w", "w+001"] and state.parents() == {"w": None, "w+001": "w"}
    first = state.rounds[0]
    assert (first.attempts, first.solved, first.groups, first.informative, first.fresh_rows) == (4, 2, 2, 2, 4)
    assert first.success == 0.5 and state.number == 3 and state.collected is None
    # Run again there is nothing left to do; with another round, one.
    again = alive(tmp_path, player, stage)
    assert again == state and len(player.played) == 2
    assert alive(tmp_path, player, stage, config(3)).rounds[:2] == state.rounds and len(player.played) == 3


PHASES = [
    "collect 0",
    "collected 0",
    "rest",
    "settle",
    "train 0",
    "trained 0",
    "collect 1",
    "collected 1",
    "train 1",
    "trained 1",
]


@pytest.mark.parametrize("at", PHASES)
def test_it_goes_on_after_a_kill_in_any_phase(tmp_path, at):
    whole, straight = Notes(Phases()), Tosses(Phases())
    settings = config(live={"fresh": 0.6}, replay={"self_imitation": 1.0})
    wanted = alive(tmp_path / "whole", straight, whole, settings)
    phases = Phases(at)
    player, stage = Tosses(phases), Notes(phases)
    with pytest.raises(Boom):
        alive(tmp_path / "cut", player, stage, settings)
    found = alive(tmp_path / "cut", player, stage, settings)
    assert [draw.number for draw in player.played] == [0, 1], "what was played is never played again"
    assert timeless(found) == timeless(wanted)
    assert relative(stage.trained[-1]) == relative(whole.trained[-1]) and stage.trained[-1][2]
    assert not list((tmp_path / "cut").rglob("*.tmp"))
    if at.startswith(("train", "rest")):
        assert player.read, "a round that was collected is read, not collected"
        assert phases.seen.count(f"collect {at[-1] if at != 'rest' else 0}") == 1


def timeless(state):
    return [one.model_copy(update={"collect_seconds": 0.0, "train_seconds": 0.0}) for one in state.rounds]


def relative(trained):
    start, seed, rows = trained
    return start and start.split("rounds")[1], seed, rows


def test_asking_goes_on_until_enough_differs(tmp_path):
    player = Tosses(Phases(), lambda number, task, sample: float(sample) if number in (1, 2, 5) and task else 1.0)
    state = alive(tmp_path, player, Notes(Phases()))
    # Round 1 asks 0, 1, 2 for its two groups; round 2 asks 3, 4, 5 and gives up at three.
    assert [one.asks for one in state.rounds[:1]] == [3] and state.rounds[0].informative == 2
    assert [draw.number for draw in player.played][:4] == [0, 1, 2, 3]
    assert state.rounds[0].attempts == 12 and state.rounds[1].asks == 10 and state.rounds[1].informative == 1


def test_nothing_to_learn_from_is_told_and_can_be_resumed(tmp_path):
    player = Tosses(Phases(), lambda number, task, sample: float(number == 3 and sample))
    with pytest.raises(TrainingError, match=r"round 1 has nothing to learn from: of 4 groups .*\(0 of 8 attempts"):
        alive(tmp_path, player, Notes(Phases()), config(1, live={"asks": 2}))
    state = alive(tmp_path, player, Notes(Phases()), config(1, live={"asks": 5}))
    assert state.rounds[0].asks == 4 and [draw.number for draw in player.played] == [0, 1, 2, 3]


def test_older_rows_are_mixed_in_and_stale_ones_are_not(tmp_path):
    stage = Notes(Phases())
    alive(tmp_path, Tosses(Phases()), stage, config(3, live={"fresh": 0.5}))
    sizes = [len(rows) for _, _, rows in stage.trained]
    assert sizes == [4, 8, 8]
    ids = [[row[0] for row in rows] for _, _, rows in stage.trained]
    assert all(len(set(found)) == len(found) for found in ids)
    assert ids[2][:4] == ["2-0-0", "2-0-1", "2-1-0", "2-1-1"] and not {one[0] for one in ids[2][4:]} & {"2"}
    # Rows of these notes all say that `w` sampled them: two policies ago in round 3.
    stage = Notes(Phases())
    alive(tmp_path / "b", Tosses(Phases()), stage, config(3, live={"fresh": 0.5}, replay={"staleness": 1}))
    assert [len(rows) for _, _, rows in stage.trained] == [4, 8, 4]


def test_good_attempts_are_imitated_in_later_rounds(tmp_path):
    """Round 1: two of four are right, means .5, so 1 - .5 is left of each; warm-up at 2 of 4 rounds is one half."""
    stage = Notes(Phases())
    # From round 3 on everything but one attempt is right: the median of the means rises, and less is left.
    player = Tosses(Phases(), lambda n, t, s: float(s == t % 2) if n < 2 else float((t, s) != (0, 0) or not t))
    settings = config(4, replay={"self_imitation": 0.8})
    with pytest.raises(TrainingError, match="round 3"):
        alive(tmp_path, player, stage, settings)
    second = stage.trained[1][2]
    assert [row[0] for row in second] == ["1-0-0", "1-0-1", "1-1-0", "1-1-1", "0-0-0", "0-1-1"]
    assert [row[1] for row in second[4:]] == pytest.approx([0.8 * 0.5 * 0.5] * 2)
    kept = json.loads((round_folder(tmp_path, 2) / BUFFER).read_text())
    assert [one["trajectory_id"] for one in kept["entries"]] == ["0-0-0", "0-1-1", "1-0-0", "1-1-1"]
    assert kept["means"] == [0.5] * 4


def test_resampling_and_failures_in_a_round(tmp_path):
    player = Tosses(Phases(), lambda number, task, sample: None if (task, sample) == (0, 0) else float(sample))
    state = alive(tmp_path, player, Notes(Phases()), config(1, live={"asks": 2}))
    first = state.rounds[0]
    assert (first.attempts, first.failed, first.informative, first.fresh_rows) == (6, 2, 2, 4)


def test_what_infrastructure_ended_is_not_told_as_unsolved(tmp_path):
    player = Tosses(Phases(), lambda number, task, sample: None)
    with pytest.raises(TrainingError, match=r"infrastructure ended all 8 attempts \(k\)\. .* plays them again"):
        alive(tmp_path / "a", player, Notes(Phases()), config(1, live={"asks": 2}))
    player = Tosses(Phases(), lambda number, task, sample: None if sample else 0.0)
    with pytest.raises(TrainingError, match=r"of 2 groups none .*\(0 of 2 attempts solved, and infra.* ended 2 more\)"):
        alive(tmp_path / "b", player, Notes(Phases()), config(1, live={"asks": 1}))


class Upside(Notes):
    """Trains on rewards that are the reverse of what the environment gave, where it gave different ones."""

    def rewards(self, config, attempts):
        return {one.id: 1.0 - one.reward for one in attempts if one.run_id == "r1" or one.task.id == "t1"}


def test_rounds_go_by_the_rewards_that_are_trained_on(tmp_path):
    stage = Upside(Phases())
    state = alive(tmp_path, Tosses(Phases()), stage, config(2, live={"asks": 1}, replay={"self_imitation": 1.0}))
    # In round 1 the attempts at t0 have no reward, and the one that the environment calls wrong is what was good.
    assert [one.informative for one in state.rounds] == [1, 2]
    assert {row[0] for row in stage.trained[0][2]} == {"0-1-0", "0-1-1"}
    imitated = [row for row in stage.trained[1][2] if row[0].startswith("0-")]
    assert imitated == [("0-1-0", pytest.approx(0.5))]


def test_a_damaged_state_is_one_line(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(TrainingError, match=r"live\.json cannot be read"):
        LiveState.read(tmp_path)


class Watched:
    def __init__(self):
        self.told = []

    def live(self, state, doing, seconds_left):
        self.told.append((doing, seconds_left is not None))


def test_who_looks_on_is_told_of_each_phase(tmp_path):
    watch = Watched()
    alive(tmp_path, Tosses(Phases()), Notes(Phases()), watch=watch)
    assert watch.told == [
        ("round 1: collecting", False), ("round 1: training", False),
        ("round 2: collecting", True), ("round 2: training", True), ("finished", True),
    ]  # fmt: skip


class TinyPlayer:
    """Lets the tiny transformer say two words, with the adapter that the last round made; a colour first is right."""

    def __init__(self, folder, stage):
        self.folder, self.stage, self.kept, self.played, self.left = folder, stage, {}, [], []

    async def collect(self, draw, adapter):
        if draw.number not in self.kept:
            self.left.append(sum(issubclass(type(one), PeftModel) for one in gc.get_objects()))
            net = tiny_model.model().from_pretrained(self.folder)
            if adapter is not None:
                net = PeftModel.from_pretrained(net, str(adapter)).merge_and_unload()
            self.kept[draw.number] = self._attempts(net.eval(), draw.number, self.stage.version(adapter))
            self.played.append(draw.number)
        return self.kept[draw.number]

    def load(self, draw):
        return self.kept[draw.number]

    async def rest(self):
        pass

    def _attempts(self, net, number, version):
        found, generator = [], torch.Generator().manual_seed(number)
        for n, seen in enumerate(("look door", "open key")):
            prompt = small_task.ids(seen)
            for sample, (tokens, logprobs) in enumerate(small_task.sample(net, [prompt] * 16, generator, most=2)):
                text = " ".join(tiny_model.WORDS[token] for token in tokens if token > 2)
                won = tokens[0] < 6
                step = Step(
                    index=0, observation=seen, completion=text, action=text, prompt_token_ids=prompt,
                    token_ids=tokens, logprobs=logprobs, reward=float(won), policy_version=version,
                    started_at=float(1 + number),
                )  # fmt: skip
                task = Task(id=f"t{n}", goal="", environment="e", split="train")
                found.append(
                    Trajectory(
                        id=f"{number}-{n}-{sample}", run_id=str(number), group_id=f"{number}-{n}", steps=(step,),
                        task=task, stop="terminated", reward=float(won), success=won,
                    )
                )  # fmt: skip
        return found


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live") / "tiny"
    tiny_model.model().save_pretrained(folder)
    tiny_model.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def no_chance():
    """Nothing is collected by chance, nor what other tests have left behind."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Impatient:
    """Stops the first stage after its first update."""

    def __init__(self):
        self.said, self.stop = [], True

    def say(self, text):
        self.said.append(text)

    def show(self, progress):
        pass

    def stopping(self):
        stop, self.stop = self.stop, False
        return stop

    def interrupted(self):
        return self.stop


def test_two_rounds_with_a_model_interrupted_and_resumed(tmp_path, base, one_thread, no_chance):
    from lamarck.training.live_stage import LiveStage

    settings = config(
        model=str(base), live={"fresh": 0.5}, samples={"rows": "step", "max_tokens": 64}, report_to=[], save_steps=1,
        optimizer={"batch": 8, "accumulate": 1, "max_steps": 3, "learning_rate": 1e-2, "dtype": "float32"},
        adapter={"rank": 4}, grpo={"credit": "grpo"},
    )  # fmt: skip
    watch = Impatient()
    stage = LiveStage(base, watch)
    player = TinyPlayer(base, stage)
    with pytest.raises(KeyboardInterrupt):
        alive(tmp_path, player, stage, settings)
    state = LiveState.read(tmp_path)
    assert state.collected is not None and not state.finished and player.played == [0]
    state = alive(tmp_path, player, LiveStage(base, watch), settings)
    assert player.played == [0, 1] and any(said.startswith("going on from checkpoint-1") for said in watch.said)
    assert player.left[1] == player.left[0], "what was trained is let go before there is playing"
    first, second = (Adapter.read(tmp_path / one.adapter) for one in state.rounds)
    assert second.parent == first.id != second.id and state.rounds[1].policy == first.policy_version
    assert 0 < state.rounds[1].replayed_rows <= state.rounds[1].fresh_rows
    weighed = [said for said in watch.said if "are not of the policy in training" in said]
    assert weighed == [
        f"{state.rounds[1].replayed_rows} of {sum_rows(state.rounds[1])} rows are not of the policy in training: "
        "weighing all of them"
    ]
    summary = json.loads((tmp_path / "rounds/002/train/summary.json").read_text())
    assert summary["start"] == first.id and summary["data"]["figures"]["replay/age_max"] == 1
    assert 0 < summary["data"]["figures"]["replay/ess_share"] <= 1


class AtLast(Impatient):
    """Stops the stage in the update before which it was shown as many as these."""

    def __init__(self, shown):
        super().__init__()
        self.left = shown

    def show(self, progress):
        self.left -= "loss" in progress.figures

    def stopping(self):
        return self.left <= 0

    def interrupted(self):
        return self.stopping()


def test_who_stops_in_the_last_update_of_a_round_is_heard(tmp_path, base, one_thread, no_chance):
    """The round's adapter is there, the next one is not played, and what was trained is not trained again."""
    from lamarck.training.live_stage import LiveStage

    settings = config(
        model=str(base), samples={"rows": "step", "max_tokens": 64}, report_to=[],
        optimizer={"batch": 8, "accumulate": 1, "max_steps": 2, "learning_rate": 1e-2, "dtype": "float32"},
        adapter={"rank": 4}, grpo={"credit": "grpo"},
    )  # fmt: skip
    stage = LiveStage(base, AtLast(shown=1))
    player = TinyPlayer(base, stage)
    with pytest.raises(KeyboardInterrupt):
        alive(tmp_path, player, stage, settings)
    made = Adapter.read(tmp_path / "rounds/001/train/adapter")
    assert player.played == [0] and not LiveState.read(tmp_path).finished
    watch = AtLast(shown=9)
    state = alive(tmp_path, player, LiveStage(base, watch), settings)
    assert player.played == [0, 1] and Adapter.read(tmp_path / state.rounds[0].adapter).id == made.id
    assert watch.left == 7, "the first round was finished, so that the second one alone has updates"


def sum_rows(one):
    return one.fresh_rows + one.replayed_rows + one.imitated_rows
