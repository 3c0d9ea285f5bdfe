"""Estimators against slow code written from the published formulas, on random batches, and against TRL's own."""

import math
import random

import pytest
import tiny_model
import torch
import trl
from datasets import Dataset
from lamarck.core import Failure, Step, Task, Trajectory, Verdict
from lamarck.training.credit.attribution import Attribution
from lamarck.training.credit.batch import ReinforcePlusPlus, StepReturn
from lamarck.training.credit.episode import Episode
from lamarck.training.credit.gigpo import GiGPO
from lamarck.training.credit.group import GRPO, RLOO
from lamarck.training.credit.hierarchical import Hierarchical, hae
from lamarck.training.credit.progress import Progress
from lamarck.training.credit.table import credit_table, estimators

SEEDS = range(150)


def groups_of(seed):
    """Return a batch: groups of one, groups of equals, episodes of 1 to 8 steps, few states so that they recur."""
    draw = random.Random(seed)
    return [
        [_episode(draw, f"{g}/{i}", equal) for i in range(size)]
        for g in range(draw.randrange(1, 5))
        for equal, size in [(draw.random() < 0.2, draw.choice([1, 2, 3, 5, 8]))]
    ]


def _episode(draw, ident, equal):
    n = 3 if equal else draw.randrange(1, 9)
    return Episode(
        ident,
        (0.0, 0.0, 1.0) if equal else tuple(draw.choice([0.0, 1.0, -0.125, draw.random()]) for _ in range(n)),
        tuple(draw.choice("abc") for _ in range(n)),
        tuple(sorted(draw.randrange(3) for _ in range(n))),
        tuple(float(draw.choice([-1, 1])) for _ in range(n)),
        tuple(draw.random() for _ in range(n)),
        tuple(draw.random() < 0.7 for _ in range(n)),
    )


def same(found, wanted, tolerance=1e-9):
    assert [[len(e) for e in g] for g in found] == [[len(e) for e in g] for g in wanted]
    for mine, theirs in zip(flat(found), flat(wanted), strict=True):
        assert math.isclose(mine, float(theirs), rel_tol=tolerance, abs_tol=tolerance), (mine, float(theirs))


def flat(groups):
    return [value for group in groups for episode in group for value in episode]


def mean(values):
    return math.fsum(values) / len(values)


def deviation(values, less=1):
    """Return the standard deviation with n - `less` below."""
    if len(values) <= less:
        return 0.0
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - less))


def total(episode):
    return sum(episode.rewards)


def per_step(episode, value):
    return [value] * len(episode.rewards)


def slow_grpo(groups, scale):
    every, out = [total(episode) for group in groups for episode in group], []
    for group in groups:
        own = [total(episode) for episode in group]
        below = {"group": deviation(own) + 1e-4, "batch": deviation(every) + 1e-4, "none": 1}
        out.append([per_step(e, (r - mean(own)) / below[scale]) for e, r in zip(group, own, strict=True)])
    return out


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_grpo(scale):
    for groups in map(groups_of, SEEDS):
        same(GRPO(scale=scale).advantages(groups), slow_grpo(groups, scale))


def test_rloo_takes_off_what_the_others_got():
    for groups in map(groups_of, SEEDS):
        wanted = []
        for group in groups:
            own = [total(episode) for episode in group]
            others = [mean(own[:i] + own[i + 1 :]) if len(own) > 1 else own[i] for i in range(len(own))]
            wanted.append([per_step(e, r - b) for e, r, b in zip(group, own, others, strict=True)])
        same(RLOO().advantages(groups), wanted)


def slow_returns(rewards, gamma):
    return [sum(gamma ** (k - t) * rewards[k] for k in range(t, len(rewards))) for t in range(len(rewards))]


@pytest.mark.parametrize("gamma", [0.0, 0.95, 1.0])
def test_discounted_returns(gamma):
    for groups in map(groups_of, SEEDS):
        same(StepReturn(gamma).advantages(groups), [[slow_returns(e.rewards, gamma) for e in g] for g in groups])


def slow_white(raw):
    values = [value for group in raw for episode in group for value in episode]
    middle, below = mean(values), math.sqrt(deviation(values) ** 2 + 1e-8)
    return [[[(value - middle) / below for value in episode] for episode in group] for group in raw]


@pytest.mark.parametrize("baseline", [False, True])
def test_reinforce_plus_plus(baseline):
    for groups in map(groups_of, SEEDS):
        raw = []
        for group in groups:
            middle = mean([total(episode) for episode in group])
            raw.append([per_step(e, total(e) - middle) if baseline else slow_returns(e.rewards, 0.9) for e in group])
        same(ReinforcePlusPlus(gamma=0.9, baseline=baseline).advantages(groups), slow_white(raw), 1e-7)


def slow_gigpo(group, norm, cross, weight, gamma):
    rows = [(e, t) for e in range(len(group)) for t in range(len(group[e].rewards))]
    whole = [total(group[e]) for e, _ in rows] if cross else [total(episode) for episode in group]
    to_go = [slow_returns(episode.rewards, gamma) for episode in group]

    def standing(value, among):
        below = deviation(among) + 1e-6 if norm == "mean_std" else 1
        return (value - mean(among)) / below

    out = [[] for _ in group]
    for e, t in rows:
        state = group[e].anchors[t]
        alike = [to_go[i][k] for i, k in rows if group[i].anchors[k] == state]
        step = standing(to_go[e][t], alike) if len(alike) > 1 else 0.0
        episode = standing(total(group[e]), whole) if len(group) > 1 else 0.0
        out[e].append(episode + weight * step)
    return out


@pytest.mark.parametrize("norm", ["mean", "mean_std"])
@pytest.mark.parametrize("cross", [False, True])
def test_gigpo(norm, cross):
    for groups in map(groups_of, SEEDS):
        found = GiGPO(norm=norm, cross_steps=cross, weight=0.5, gamma=0.75).advantages(groups)
        same(found, [slow_gigpo(group, norm, cross, 0.5, 0.75) for group in groups], 1e-6)


def slow_attribution(group):
    """A trajectory weighs the same however long it is: every step counts 1 / (n T_i)."""
    marks = [[0.2 * label for label in episode.labels] for episode in group]
    share = [1 / (len(group) * len(row)) for row in marks]
    middle = sum(s * value for s, row in zip(share, marks, strict=True) for value in row)
    square = sum(s * (value - middle) ** 2 for s, row in zip(share, marks, strict=True) for value in row)
    own = [total(episode) for episode in group]
    spread, out = deviation(own, less=0), []
    for row, outcome in zip(marks, own, strict=True):
        steps = [0.1 * (value - middle) / math.sqrt(square + 1e-8) for value in row]
        steps[-1] += (outcome - mean(own)) / (spread or 1)
        out.append([sum(steps[t:]) for t in range(len(steps))])
    return out


def test_attribution():
    for groups in map(groups_of, SEEDS):
        same(Attribution().advantages(groups), [slow_attribution(group) for group in groups], 1e-7)


def test_progress():
    for groups in map(groups_of, SEEDS):
        raw = [
            [
                slow_returns([c + 0.5 * known for c, known in zip(e.progress, e.grounded, strict=True)], 0.5)
                for e in group
            ]
            for group in groups
        ]
        same(Progress(gamma=0.5).advantages(groups), slow_white(raw), 1e-7)


def slow_hae(rewards, segments, low, high, gamma, lam):
    """Both levels as sums of all their deltas, forwards."""
    starts = [t for t in range(len(segments)) if t == 0 or segments[t] != segments[t - 1]]
    stops = [*starts[1:], len(segments)]
    values = [*high, 0.0]
    below = []
    for k, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        ahead = [*low[start + 1 : stop], values[k + 1]]
        deltas = [rewards[t] + gamma * ahead[t - start] - low[t] for t in range(start, stop)]
        below += [sum((gamma * lam) ** (j - i) * deltas[j] for j in range(i, len(deltas))) for i in range(len(deltas))]
    above = []
    for k in range(len(starts)):
        sum_, factor = 0.0, 1.0
        for j in range(k, len(starts)):
            length = stops[j] - starts[j]
            earned = sum(gamma**i * rewards[starts[j] + i] for i in range(length))
            sum_ += factor * (earned + gamma**length * values[j + 1] - values[j])
            factor *= gamma**length * lam
        above.append(sum_)
    return below, above


def flat_gae(rewards, values, gamma, lam):
    ahead = [*values[1:], 0.0]
    deltas = [r + gamma * after - v for r, after, v in zip(rewards, ahead, values, strict=True)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas))) for t in range(len(deltas))]


def test_hierarchical_advantages():
    draw = random.Random(8)
    for _ in range(300):
        n = draw.randrange(1, 12)
        rewards, low = [draw.random() for _ in range(n)], [draw.random() for _ in range(n)]
        segments = sorted(draw.randrange(4) for _ in range(n))
        high = [draw.random() for _ in set(segments)]
        gamma, lam = draw.random(), draw.random()
        found = hae(rewards, segments, low, high, gamma=gamma, lam=lam)
        below, above = slow_hae(rewards, segments, low, high, gamma, lam)
        assert found.low == pytest.approx(below) and found.high == pytest.approx(above)
        single = hae(rewards, range(n), low, low, gamma=gamma, lam=lam)
        assert single.high == pytest.approx(flat_gae(rewards, low, gamma, lam))
        assert single.low == pytest.approx(flat_gae(rewards, low, gamma, 0.0))
        whole = hae(rewards, [0] * n, low, [low[0]], gamma=gamma, lam=lam)
        assert whole.low == pytest.approx(flat_gae(rewards, low, gamma, lam))


def test_hierarchy_with_the_values_of_the_group():
    for groups in map(groups_of, range(40)):
        wanted = []
        for group in groups:
            returns = [slow_returns(e.rewards, 0.95) for e in group]
            state = {
                name: mean([g for e, row in zip(group, returns, strict=True)
                                  for a, g in zip(e.anchors, row, strict=True) if a == name])
                for e in group for name in e.anchors
            }  # fmt: skip
            out = []
            for e in group:
                low = [state[a] for a in e.anchors]
                starts = [t for t in range(len(low)) if t == 0 or e.segments[t] != e.segments[t - 1]]
                below, above = slow_hae(e.rewards, e.segments, low, [low[t] for t in starts], 0.95, 0.95)
                out.append([b + above[sum(s <= t for s in starts) - 1] for t, b in enumerate(below)])
            wanted.append(out)
        same(Hierarchical().advantages(groups), wanted, 1e-7)


def plain_trl(tmp_path, scale, rewards):
    """Return TRL's own trainer, four answers to each of five prompts, with rewards given by position."""
    config = trl.GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=20, num_generations=4, max_completion_length=1,
        scale_rewards=scale, report_to="none", use_cpu=True, bf16=False,
    )  # fmt: skip
    return trl.GRPOTrainer(
        model=tiny_model.model(), args=config, processing_class=tiny_model.tokenizer(),
        reward_funcs=lambda completions, **columns: rewards,
        train_dataset=Dataset.from_dict({"prompt": ["red door"] * 5}),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_grpo_is_trls_own(tmp_path, scale):
    rewards = [0.0] * 20
    plain = plain_trl(tmp_path, scale, rewards)
    draw = random.Random(4)
    for _ in range(10):
        rewards[:] = [draw.choice([0.0, 1.0, draw.random()]) for _ in range(16)] + [0.5] * 4
        theirs = plain._generate_and_score_completions([{"prompt": "red door"}] * 20)["advantages"].tolist()
        groups = [[Episode(f"{g}{i}", (rewards[4 * g + i],)) for i in range(4)] for g in range(5)]
        ours = GRPO(scale=scale).advantages(groups)
        assert flat(ours) == pytest.approx(theirs, abs=1e-5)
        assert torch.tensor(flat(ours)[-4:]).abs().max() < 1e-9


def attempt(n, reward, failure=None):
    return Trajectory(
        id=f"t{n}", run_id="r", task=Task(id="x", goal="", environment="e"), reward=None if failure else reward,
        steps=tuple(Step(index=i, observation="ab"[i], reward=reward * i, info={"progress": i / 2}) for i in range(2)),
        stop="infrastructure" if failure else "terminated", failure=failure,
        verdict=Verdict(passed=True, score=1.0, step_scores=(1.0, -1.0)),
    )  # fmt: skip


def test_what_infrastructure_ended_moves_no_estimate():
    """With two dead attempts among them, every estimator says of the others what it says without."""
    dead = Failure(boundary="environment", kind="crash", message="gone")
    alive = [attempt(n, reward) for n, reward in enumerate((1.0, 0.0, 0.25))]
    among = [alive[0], attempt(8, 0.0, dead), *alive[1:], attempt(9, 1.0, dead)]
    with_dead, without = credit_table(among), credit_table(alive)
    assert with_dead.left_out == ("t8", "t9")
    assert with_dead.columns == without.columns
    assert set(with_dead.columns) | set(with_dead.missing) == {credit.name for credit in estimators()}
    assert len(with_dead.columns) >= 9
