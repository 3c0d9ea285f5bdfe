"""The view of an evolution that goes on: what a person reads on a terminal, and what is left when it is stopped."""

import asyncio
import contextlib
import signal

import pytest
from generations import record
from harness import Bench
from lamarck.agent.events import Event
from lamarck.agent.evolution.generation import Generation
from lamarck.agent.scripted import ScriptedLLM
from lamarck.cli.evolving.curves import scalars
from lamarck.cli.evolving.live_view import sparkline
from lamarck.cli.evolving.standing import Standing, used
from lamarck.cli.evolving.watching import EvolutionWatch
from lamarck.cli.evolving.words import fitting
from lamarck.cli.train_watch import TrainWatch
from lamarck.cli.watch import Watch, own_signals, sigterm_stops
from lamarck.core import Failure, Step, Task, Trajectory, Usage
from lamarck.training.watching import Progress
from terminal import console, seen


def generation(number, decision="refuse", **more):
    return record(number, "p" * 32, "p" * 32, f"{number:032d}", decision, **more)


def going(number, **figures):
    return Generation(number=number, parent="p" * 32, head="p" * 32, figures=figures)


def episode(number, success, tokens=100, failure=None):
    task = Task(id=f"t{number}", goal="", environment="e")
    steps = (Step(index=0, observation="", action="go", usage=Usage(prompt_tokens=tokens, calls=1)),)
    return Trajectory(
        id=f"x{number}", run_id="r", task=task, steps=steps, stop="terminated", failure=failure, success=success,
        usage=Usage(prompt_tokens=tokens, calls=1),
    )  # fmt: skip


def watching(tmp_path, records=(), *, generations=6, quiet=False, **size):
    return EvolutionWatch(generations, tmp_path / "logs", records=records, console=console(**size), quiet=quiet)


def screen(watch):
    return seen(watch.console.file.getvalue())


def refresh(watch):
    watch._live.refresh()
    return "\n".join(screen(watch)[0])


@contextlib.contextmanager
def playing(watch, number=3):
    """Let a phase go on in which 3 of 12 episodes have ended, 2 of them solved."""
    watch(going(number, propose={"tasks": 4, "categories": {"look": 3, "heat": 1}}), "collect")
    with Watch(f"generation {number}: playing", screen=watch.screen) as inner:
        inner(Event("planned", total=12, done=0))
        for n in range(3):
            inner(Event("step"))
            inner(Event("finished", trajectory=episode(n, n < 2)))
        yield inner


def test_the_panel_says_where_an_evolution_stands(tmp_path):
    records = [generation(1, "refuse"), generation(2, "promote", alarms=[("one answer", "All is the same.")])]
    with watching(tmp_path, records) as watch:
        with playing(watch):
            text = refresh(watch)
        after = refresh(watch)
    assert "generation 3 of 6, about 13 min left" in text
    assert "generation 3: playing" in text and " 3/12" in text and "2/3 solved" in text
    assert "✓propose ▸collect ·verify" in text
    rows = [line.split() for line in text.splitlines()]
    assert [
        "│",
        "1",
        "11/40",
        "[16,",
        "43]",
        "40/100",
        "[31,",
        "50]",
        "60/100",
        "[50,",
        "69]",
        "3",
        "refuse",
        "│",
    ] in rows
    assert any(row[1:2] == ["2"] and "promote" in row for row in rows) and any(row[1:2] == ["3"] for row in rows)
    assert "▄▅ 40 % → 60 % of held-out games" in text
    assert "4 candidate, 2 active, 2 retired; value +0.25 on average, spread 0.12" in text
    assert "look 3, heat 1" in text and "right 90 % of the time, its word weighs 0.75" in text
    assert "3,300 tokens" in text and "0.0200 USD" in text
    assert "generation 2: alarm, one answer: All is the same." in text
    assert "3/12" not in after and "3,300 tokens" in after


def test_training_is_drawn_in_the_same_panel(tmp_path):
    with watching(tmp_path) as watch:
        watch(going(1), "train")
        with TrainWatch("generation 1: training", screen=watch.screen) as inner:
            inner.show(Progress(3, 10, 5.0, figures={"loss": 1.25}, tokens_per_s=50.0, seconds_left=7.0))
            text = refresh(watch)
    assert "training" in text and "3/10" in text and "loss 1.2500" in text
    assert text.count("╭") == 1


def test_a_failure_stands_above_the_panel(tmp_path):
    broken = Failure(boundary="model", kind="x", message="no answer")
    with watching(tmp_path) as watch, playing(watch, 1) as inner:
        inner(Event("failed", trajectory=episode(9, None, failure=broken)))
        lines = refresh(watch).splitlines()
    assert "model failure, task t9" in lines[0] and lines[1].startswith("╭") and sum("╭" in line for line in lines) == 1


@pytest.mark.parametrize(
    "size", [{"width": 80, "height": 24}, {"width": 60, "height": 20}, {"width": 140, "height": 50}]
)
def test_it_is_never_larger_than_the_terminal(tmp_path, size):
    alarms = [("reward without success", "Reward rose while held-out success fell, over six generations.")]
    records = [generation(n, alarms=alarms) for n in range(1, 201)]
    with watching(tmp_path, records, generations=300, **size) as watch, playing(watch, 201):
        lines = refresh(watch).splitlines()
    assert len(lines) <= size["height"] and max(map(len, lines)) <= size["width"]
    assert any(line.split()[1:2] == ["201"] for line in lines)


def test_ctrl_c_leaves_the_last_moment_and_the_cursor(tmp_path):
    watch = watching(tmp_path, [generation(1)])
    with pytest.raises(KeyboardInterrupt), watch, playing(watch, 2):
        refresh(watch)
        raise KeyboardInterrupt
    watch.console.print("Stopped.")
    lines, cursor = screen(watch)
    text = "\n".join(lines)
    assert cursor and "■ stopped while playing" in text and "generation 2 of 6" in text
    assert lines[0].startswith("╭") and text.count("╭") == text.count("╰") == 1
    assert lines[-2:] == ["Stopped.", ""] and lines[-3].startswith("╰")


def test_sigterm_stops_as_ctrl_c_does_where_nothing_is_played(tmp_path):
    watch, before = watching(tmp_path), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_stops(), watch:
        watch(going(2), "distil")
        assert signal.getsignal(signal.SIGTERM) is not before  # else the next line ends the tests
        signal.raise_signal(signal.SIGTERM)
    lines, cursor = screen(watch)
    assert cursor and "■ stopped while distilling" in "\n".join(lines)
    assert signal.getsignal(signal.SIGTERM) is before


async def test_after_playing_signals_do_what_they_did_before():
    loop = asyncio.get_running_loop()
    with sigterm_stops():
        before = signal.getsignal(signal.SIGTERM)
        with own_signals():
            loop.add_signal_handler(signal.SIGTERM, lambda: None)
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before
    assert not loop.remove_signal_handler(signal.SIGTERM)


def test_an_end_leaves_nothing(tmp_path):
    with watching(tmp_path, [generation(1)]) as watch, playing(watch, 2):
        refresh(watch)
    lines, cursor = screen(watch)
    assert cursor and not any(lines)


@pytest.mark.parametrize(("width", "whole"), [(80, False), (100, False), (160, True)])
def test_the_table_at_the_end_fits_the_terminal_without_cutting_a_word(width, whole):
    shown = console(width=width)
    shown.print(fitting([generation(8, "unchanged"), generation(99, "not_yet")], shown))
    lines = [line for line in seen(shown.file.getvalue())[0] if line]
    assert max(map(len, lines)) <= width and not any("…" in line for line in lines)
    assert [("parent" in lines[0] + lines[1]), len(lines)] == [whole, 6 if whole else 4]
    assert "00000000" in lines[-1 - whole] and "60/100 [50, 69]" in lines[-1 - whole] and "not_yet" in lines[-1 - whole]


def test_without_a_terminal_there_are_lines(tmp_path):
    with watching(tmp_path, terminal=False) as watch:
        assert watch.screen is None
        watch(going(1), "collect")
        watch(generation(1, "promote", alarms=[("one answer", "All is the same.")]), None)
    lines = screen(watch)[0]
    assert lines[0] == "generation 1 of 6: playing"
    assert lines[1].startswith(
        "generation 1, 11 of 40 solved in training, 3 items, trained on 80 rows, held out 60/100"
    )
    assert "about " in lines[1] and lines[2] == "alarm, one answer: All is the same."
    assert list((tmp_path / "logs").glob("events*"))


def test_quiet_says_nothing(tmp_path):
    with watching(tmp_path, quiet=True) as watch:
        assert watch.screen is None


def test_time_left_goes_by_the_latest_generations():
    ended = [
        going(n).model_copy(update={"ended": True, "seconds": {"collect": s}}) for n, s in ((1, 100.0), (2, 200.0))
    ]
    assert Standing(5, tuple(ended)).seconds_left == 3 * 150
    assert Standing(5, (*ended, going(3)), "collect", 50.0).seconds_left == 2 * 150 + 100
    assert Standing(5, (*ended, going(3)), "collect", 500.0).seconds_left == 2 * 150
    assert Standing(5, (going(1),), "collect", 50.0).seconds_left is None


def test_what_was_seen_counts_until_a_record_says_more():
    records = [going(1, collect={"tokens": 500}), going(2)]
    assert used(records, {(1, "collect"): 480.0, (2, "gate"): 70.0}, "tokens") == 570.0


def test_a_sparkline_goes_from_nothing_to_all():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█" and len(sparkline([0.5] * 99)) == 24


def test_curves_have_success_with_its_interval():
    found = scalars(generation(1, "promote"))
    assert found["gate/candidate/success"] == 0.6 and found["gate/incumbent/success"] == 0.4
    assert (found["gate/candidate/success_low"], found["gate/candidate/success_high"]) == (0.502, 0.6906)
    assert found["collect/success_low"] < 11 / 40 < found["collect/success_high"]
    assert found["distil/q_spread"] == 0.125 and found["propose/categories/look"] == 2.0
    assert found["seconds/collect"] == 120.0 and found["settle/promoted"] == 1.0 and found["settle/alarms"] == 0.0


class Impatient(list):
    """Stops a run when it hears how much there is to play."""

    def append(self, event):
        super().append(event)
        if event.kind == "planned":
            self.bench.runner.interrupt()


async def test_ctrl_c_before_anything_is_played_is_not_lost(tmp_path):
    bench = Bench(tmp_path, ScriptedLLM(lambda messages: "right"))
    bench.events = Impatient()
    bench.events.bench = bench
    result = await bench.run()
    assert result.interrupted and result.finished == 0 and not bench.trajectories and bench.runner.interrupted
