"""Best of n: picking a sample without looking at the outcome, on numbers worked by hand."""

import pytest
from lamarck.core import Round, Step, Task, Trajectory, Verdict
from lamarck.errors import ConfigError
from lamarck.evals.figures.pick import (
    blind_answer,
    borda,
    candidate_of,
    certainty_of,
    likelihood_of,
    pick,
    picked_figures,
)

TASK = Task(id="t", goal="g", environment="e", truth="42")


def tried(sample=0, *, logprobs=(), entropies=(), action="go", success=False, attempt=0, task=TASK, **more):
    steps = (
        Step(index=0, observation="o", action=action, logprobs=logprobs, entropies=entropies, terminated=True),
        *more.pop("steps", ()),
    )
    return Trajectory(
        id=f"{task.id}/{sample}/{attempt}",
        run_id="r",
        task=task,
        sample=sample,
        attempt=attempt,
        steps=steps,
        stop="terminated",
        success=success,
        **more,
    )


def chosen(rule, *trajectories):
    return [(p.chosen.sample, p.by) for p in pick([candidate_of(t) for t in trajectories], rule)]


def test_likelihood_is_the_mean_over_all_sampled_tokens():
    second = Step(index=1, observation="o", logprobs=(-4.0,), rounds=(Round(logprobs=(-1.0, -2.0)),))
    # (-1 - 3 - 1 - 2 - 4) / 5
    assert likelihood_of(tried(logprobs=(-1.0, -3.0), steps=(second,))) == pytest.approx(-2.2)
    assert likelihood_of(tried()) is None
    # A server that left one out says so by a number that is none.
    assert likelihood_of(tried(logprobs=(-1.0, -1e9))) is None


def test_certainty_is_minus_the_mean_entropy():
    # (0.5 + 1.5 + 1.0) / 3
    second = Step(index=1, observation="o", logprobs=(-1.0,), entropies=(1.0,))
    assert certainty_of(tried(logprobs=(-1.0, -1.0), entropies=(0.5, 1.5), steps=(second,))) == pytest.approx(-1.0)
    assert certainty_of(tried(logprobs=(-1.0, -1.0), entropies=(0.5,))) is None
    assert certainty_of(tried()) is None


def test_the_most_certain_and_the_likeliest_can_differ():
    wide = tried(0, logprobs=(-0.1,), entropies=(2.0,))
    sharp = tried(1, logprobs=(-0.9,), entropies=(0.3,))
    assert chosen("certainty", wide, sharp) == [(1, "certainty")]
    assert chosen("likelihood", wide, sharp) == [(0, "likelihood")]
    # Without one sample's entropies they cannot be compared, and the likelihood decides.
    assert chosen("certainty", wide, tried(1, logprobs=(-0.9,))) == [(0, "likelihood")]


def test_a_long_sample_is_not_punished_for_its_length():
    short = tried(0, logprobs=(-1.0,))
    long = tried(1, logprobs=(-0.9,) * 9)
    assert chosen("likelihood", short, long) == [(1, "likelihood")]


def test_the_majority_of_answers_counts_numbers_as_numbers():
    answers = ["41", "$42.0", "forty", "42.", "41 apples"]
    group = [tried(n, action=answer) for n, answer in enumerate(answers)]
    assert chosen("majority", *group) == [(1, "majority")]
    # Without log-probabilities that is what the other rules come to.
    assert chosen("certainty", *group) == [(1, "majority")]
    # Of equals, the first.
    assert chosen("majority", *group[:1], *group[2:3]) == [(0, "majority")]


def test_borda_votes_by_hand():
    # Ranks: b has 3 votes, a 2 and 1: together as many. With a larger power the best wins, with 0 the majority.
    assert borda([0.1, 0.2, 0.9], ["a", "a", "b"], power=1.0) == {"a": 3.0, "b": 3.0}
    assert borda([0.1, 0.2, 0.9], ["a", "a", "b"], power=2.0) == {"a": 5.0, "b": 9.0}
    assert borda([0.1, 0.2, 0.9], ["a", "a", "b"], power=0.0) == {"a": 2.0, "b": 1.0}


def test_borda_picks_between_the_most_certain_and_the_most_frequent():
    def group(*told):
        return [tried(n, action=answer, logprobs=(-1.0,), entropies=(h,)) for n, (answer, h) in enumerate(told)]

    # 3 ** 1.2 = 3.74 for the most certain, against 2 ** 1.2 + 1 = 3.30; and against three, 4 ** 1.2 = 5.28 and 7.04.
    two = group(("7", 0.9), ("7", 0.8), ("8", 0.1))
    assert chosen("borda", *two) == [(2, "borda")] and chosen("majority", *two) == [(0, "majority")]
    three = group(("7", 0.9), ("7", 0.8), ("7", 0.7), ("8", 0.1))
    assert chosen("borda", *three) == [(0, "borda")] and chosen("certainty", *three) == [(3, "certainty")]
    # Without entropies by likelihood, without either by the answers alone.
    likely = [tried(n, action=answer, logprobs=(p,)) for n, (answer, p) in enumerate([("7", -3), ("7", -2), ("8", -1)])]
    assert chosen("borda", *likely) == [(2, "borda")]
    assert chosen("borda", *(tried(n, action=answer) for n, answer in enumerate("778"))) == [(0, "majority")]


def test_the_truth_is_not_asked():
    right, other = tried(0, action="it is 42"), tried(0, action="it is 42", task=TASK.model_copy(update={"truth": "x"}))
    assert blind_answer(right) == blind_answer(other) == "it is 42"
    solved = [tried(n, logprobs=(-1.0 - n,), success=n == 2, score=float(n == 2)) for n in range(3)]
    assert chosen("likelihood", *solved) == [(0, "likelihood")]
    # Nor is the environment's verdict taken for a verifier's.
    judged = [
        tried(n, steps=(Step(index=1, observation="o", action="b"),), verdict=Verdict(passed=n == 1, score=float(n)))
        for n in range(2)
    ]
    with pytest.raises(ConfigError, match=r"nothing to pick a sample of task t by certainty.*log-probabilities"):
        chosen("certainty", *judged)


def test_a_verifier_decides_where_nothing_else_can():
    two = (Step(index=1, observation="o", action="b"),)
    group = [
        tried(n, steps=two, verdict=Verdict(passed=True, score=score, judge="strict"))
        for n, score in enumerate([0.2, 0.9, 0.4])
    ]
    assert chosen("likelihood", *group) == [(1, "verifier")]
    with pytest.raises(ConfigError, match="they hold no answers"):
        chosen("majority", *group)


def test_repairs_and_failures():
    first, second = tried(0, logprobs=(-9.0,)), tried(0, logprobs=(-1.0,), attempt=1)
    other = tried(1, logprobs=(-2.0,))
    [picked] = pick([candidate_of(t) for t in (second, other, first)], "likelihood")
    assert (picked.chosen.trajectory_id, picked.of) == ("t/0/1", 2)
    failure = {"boundary": "model", "kind": "timeout", "message": "no"}
    assert candidate_of(tried().model_copy(update={"failure": failure})) is None


def test_figures_count_each_task_once():
    found = []
    for number, right in enumerate([0, 0, 1, 2]):
        task = TASK.model_copy(update={"id": f"t{number}"})
        # The likeliest sample is always the first; it is right in tasks 0 and 1.
        found += [tried(n, logprobs=(-1.0 - n,), success=n == right, task=task) for n in range(3)]
    figures = picked_figures([candidate_of(t) for t in found], "likelihood")
    assert (figures.tasks, figures.by, figures.unknown) == (4, {"likelihood": 4}, 0)
    assert figures.success.value == figures.score.value == 0.5 and figures.success.n == 4
    # Wilson for 2 of 4.
    assert (figures.success.low, figures.success.high) == pytest.approx((0.1500, 0.8500), abs=5e-5)
    assert figures.as_dict()["success"]["method"] == "wilson"
