"""What the model is sent: it grows at the end, and never without bound."""

import pytest
from lamarck.agent.prompting import LINE, Prompts, Turn, act_tool, build_messages, new_history, push
from lamarck.core import Task
from lamarck.errors import ConfigError

TASK = Task(id="t", goal="put the cup on the shelf", environment="x")


def walk(steps, keep=3, summary=4):
    history = new_history("You are in a room.")
    for n in range(steps):
        history = push(history, Turn(action=f"go {n}", observation=f"You see {n}."), keep=keep, summary=summary)
    return history


def test_history_keeps_the_latest_steps_in_full_and_earlier_ones_as_lines():
    history = walk(7)
    assert [turn["action"] for turn in history["recent"]] == ["go 3", "go 4", "go 5", "go 6"]
    assert history["summary"] == ["- go 0: You see 0.", "- go 1: You see 1.", "- go 2: You see 2."]
    assert history["dropped"] == 0


def test_history_does_not_grow_with_the_episode():
    def size(steps):
        return sum(len(message.content) for message in build_messages(Prompts(), TASK, walk(steps), protocol="choice"))

    assert abs(size(3000) - size(300)) < 60
    assert walk(3000)["dropped"] == 3000 - len(walk(3000)["recent"]) - 4


def test_prompts_grow_only_at_the_end_while_the_window_stands():
    for protocol in ("choice", "text", "tools"):
        shorter = build_messages(Prompts(), TASK, walk(3), protocol=protocol)
        longer = build_messages(Prompts(), TASK, walk(4), protocol=protocol)
        assert longer[: len(shorter)] == shorter


def test_goal_is_said_once():
    [_, user] = build_messages(Prompts(), TASK, new_history("A room."), protocol="choice")
    assert user.content.count(TASK.goal) == 1
    [_, user] = build_messages(Prompts(), TASK, new_history(f"A room. Task: {TASK.goal}."), protocol="choice")
    assert user.content.count(TASK.goal) == 1


def test_text_and_tools_offer_the_admissible_actions_and_choice_does_not():
    def last(protocol):
        return build_messages(Prompts(), TASK, walk(1), protocol=protocol, admissible=["fly away"])[-1].content

    assert "fly away" in last("text") and "fly away" in last("tools")
    assert "fly away" not in last("choice")
    assert act_tool(["fly away"]).parameters["properties"]["action"]["enum"] == ["fly away"]


def test_recalled_text_and_nudge_reach_the_prompt():
    messages = build_messages(Prompts(), TASK, walk(1), protocol="choice", recalled="Cups are red.", nudge="Stop that.")
    assert "Cups are red." in messages[1].content
    assert messages[-1].content.endswith("Stop that.")


def test_own_prompt_files_replace_ours_and_change_the_hash(tmp_path):
    (tmp_path / "system_choice.md").write_text("Be bold, $name.")
    own = Prompts(tmp_path)
    assert build_messages(own, TASK, walk(0), protocol="choice")[0].content == "Be bold, $name."
    assert own.hashes()["system_choice"] != Prompts().hashes()["system_choice"]
    assert own.hashes()["first"] == Prompts().hashes()["first"]
    with pytest.raises(ConfigError, match="no prompt folder"):
        Prompts(tmp_path / "gone")


def test_dollars_and_braces_in_observations_are_harmless():
    history = new_history("It costs $5 {and} $goal.")
    assert "It costs $5 {and} $goal." in build_messages(Prompts(), TASK, history, protocol="choice")[1].content


def test_a_summary_keeps_one_short_line_for_each_step():
    history = new_history("start")
    for action in ("x = 1\n" * 99, "look", "look"):
        history = push(history, Turn(action=action, observation="Fine.\nSo be it."), keep=1, summary=9)
    [code, *looks] = history["summary"]
    assert code == f"- {('x = 1 ' * 99)[: LINE - 3]}...: Fine. So be it."
    assert looks == ["- look: Fine. So be it."]
