"""The same action with the same result, again and again."""

from lamarck.agent.loops import WINDOW, fruitless, note, remaining, repeats


def tried(*pairs):
    out = []
    for action, observation in pairs:
        out = note(out, action, observation)
    return out


def test_an_action_counts_as_fruitless_only_with_the_same_result():
    seen = tried(("look", "a"), ("look", "b"), ("look", "a"), ("open", "c"))
    assert fruitless(seen, 2) == {"look"}
    assert fruitless(seen, 3) == frozenset()
    assert repeats(seen) == 1
    assert repeats(tried(("look", "a"), ("look", "a"))) == 2
    assert repeats([]) == 0


def test_fruitless_actions_leave_the_list_unless_none_would_be_left():
    seen = tried(("look", "a"), ("look", "a"))
    assert remaining(["look", "go"], seen, 2) == ["go"]
    assert remaining(["look"], seen, 2) == ["look"]


def test_the_window_is_bounded():
    seen = []
    for n in range(5 * WINDOW):
        seen = note(seen, f"go {n}", "x")
    assert len(seen) == WINDOW
