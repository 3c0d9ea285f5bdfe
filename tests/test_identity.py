"""What `--resume` compares: everything that a loss reads is in it, and rounding is not."""

from dataclasses import dataclass, replace

import pytest
from lamarck.training.collate import Weighed
from lamarck.training.examples import Judged, Pair
from lamarck.training.identity import content, identity, tokens_of
from lamarck.training.prepared import Prepared
from lamarck.training.rows import Row

ROW = Row("t", "g", (3, 4), (5, 6, 1), (1, 0, 1), (-1.0, 0.0, -2.0), (0, 0, 1), "tiny", "a" * 12)
WEIGHED, PAIR = Weighed(ROW, (0.5, 0.0, -0.5)), Pair((3,), (4, 1), (5, 1), 1.0)
JUDGED = Judged((3,), (4, 1), True)


@dataclass(frozen=True)
class On:
    """What is asked of a base."""

    weights: str = "a" * 12
    adapter: object = None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ROW, replace(ROW, prompt_ids=(3, 7))),
        (ROW, replace(ROW, completion_ids=(5, 6, 2))),
        (ROW, replace(ROW, prompt_ids=(3,), completion_ids=(4, 5, 6, 1))),
        (ROW, replace(ROW, loss_mask=(1, 1, 1))),
        (ROW, replace(ROW, logprobs=(-1.0, 0.0, -2.5))),
        (ROW, replace(ROW, stripped=True)),
        (ROW, replace(ROW, policy_version="b" * 12)),
        (WEIGHED, Weighed(ROW, (0.5, 0.0, 0.5))),
        (WEIGHED, Weighed(replace(ROW, loss_mask=(1, 1, 1)), WEIGHED.advantages)),
        (PAIR, Pair((3,), (5, 1), (4, 1), 1.0)),
        (JUDGED, Judged((3,), (4, 1), False)),
    ],
)
def test_what_differs_has_another_name(one, other):
    assert content([one]) != content([other]) and content([one, other]) != content([other, one])
    assert content([one]) == content([one])


def test_rounding_is_no_difference():
    assert content([WEIGHED]) == content([Weighed(ROW, (0.5 + 1e-15, 0.0, -0.5))])


def test_what_is_held_back_and_what_it_begins_with_count():
    known = identity(Prepared((JUDGED,), (JUDGED,)), On())
    assert known["rows"] == known["held"] == 1 and known["tokens"] == tokens_of(JUDGED) == 3
    others = (
        identity(Prepared((JUDGED,)), On()),
        identity(Prepared((JUDGED,), (JUDGED._replace(label=False),)), On()),
        identity(Prepared((JUDGED,), (JUDGED,)), On(weights="b" * 12)),
        identity(Prepared((JUDGED,), (JUDGED,)), On(adapter=type("A", (), {"id": "c" * 32}))),
    )
    assert all(other != known for other in others)
    assert [sorted(k for k in known if known[k] != other[k]) for other in others] == [
        ["held", "held_id"], ["held_id"], ["weights"], ["start"],
    ]  # fmt: skip
