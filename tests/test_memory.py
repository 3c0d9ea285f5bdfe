"""A memory as its users see it: recall, credit, merging, forgetting, snapshots, files."""

import random
import threading
from itertools import pairwise

import pytest
from lamarck.core import Failure, Verdict
from lamarck.errors import ConfigError, StoreError
from lamarck.memory.bank import Memory
from lamarck.memory.files import export_items, import_items
from lamarck.memory.state import State
from memories import WordEmbedder, episode, item, memory

CLEAN, HOT = "put a clean mug in the cabinet", "put a hot mug in the cabinet"


def test_an_empty_memory_recalls_nothing(tmp_path):
    with memory(tmp_path) as m:
        assert m.recall(["anything"]).items == () and m.recall(["", "  "]).items == ()
        assert m.stats()["items"] == {} and m.forget() == [] and m.reindex() == 0
        assert m.snapshot().items == 0
    with memory(tmp_path) as m:
        assert m.recall(["anything"]).items == ()


def test_nothing_under_the_threshold_is_recalled(tmp_path):
    with memory(tmp_path) as m:
        m.remember([item(CLEAN)])
        assert [found.applies for found in m.recall([CLEAN]).items] == [CLEAN]
        assert m.recall(["quarterly report of the bank"]).items == ()


def test_recall_takes_what_proved_its_worth(tmp_path):
    with memory(tmp_path, recall={"select": 1, "explore": "none", "weight": 0.6}) as m:
        near, proven = item(CLEAN, "one"), item(CLEAN + " now", "two")
        m.remember([near, proven], merge=False)
        assert m.recall([CLEAN]).items[0].id == near.id
        for n in range(4):
            m.learn(episode(f"good-{n}", shown=[proven.id]))
            m.learn(episode(f"bad-{n}", shown=[near.id], success=False))
        found = m.recall([CLEAN])
        assert [i.id for i in found.items] == [proven.id] and len(found.candidates) == 2
        assert found.items[0].q_value == pytest.approx(1 - 0.7**4) and found.items[0].reward_count == 4
    with memory(tmp_path, recall={"select": 1, "rank": "similarity"}) as m:
        assert m.recall([CLEAN]).items[0].id == near.id


def test_two_phase_score_by_hand(tmp_path):
    with memory(tmp_path, recall={"explore": "none", "threshold": 0.1}) as m:
        a, b = item(CLEAN, "one"), item(HOT, "two")
        m.remember([a, b], merge=False)
        m.learn(episode("t", shown=[b.id]))
        scores = {c.id: c for c in m.recall([CLEAN]).candidates}
        sims = [scores[a.id].similarity, scores[b.id].similarity]
        mean, deviation = sum(sims) / 2, abs(sims[0] - sims[1]) / 2
        # Two values lie one deviation from their mean; Q is 0 and .3.
        assert scores[a.id].score == pytest.approx(0.5 * (sims[0] - mean) / deviation + 0.5 * -1.0)
        assert scores[b.id].score == pytest.approx(0.5 * (sims[1] - mean) / deviation + 0.5 * 1.0)


def test_kinds_statuses_budget_and_bars(tmp_path):
    with memory(tmp_path) as m:
        long, short = item(CLEAN, "x" * 10_000), item(CLEAN, "short", kind="warning")
        m.remember([long, short], merge=False)
        assert [i.id for i in m.recall([CLEAN]).items] == [short.id]
        assert m.recall([CLEAN], barred=[short.id]).items == ()
        m.retire([short.id])
        assert m.recall([CLEAN]).items == () and m.item(short.id[:10]).status == "retired"
        assert m.revive([short.id]) == 1 and m.revive([short.id]) == 0
        assert [i.id for i in m.recall([CLEAN]).items] == [short.id]
    with memory(tmp_path, recall={"kinds": ["skill"]}) as m:
        assert m.recall([CLEAN]).items == ()
    with memory(tmp_path, recall={"statuses": ["active"]}) as m:
        assert m.recall([CLEAN]).items == ()


def test_filters_look_further_when_the_nearest_are_not_wanted(tmp_path):
    with memory(tmp_path, recall={"candidates": 5}) as m:
        m.remember([item(CLEAN, f"number {n}") for n in range(60)], merge=False)
        wanted = item(CLEAN + " please", "the skill", kind="skill")
        m.remember([wanted], merge=False)
    with memory(tmp_path, recall={"candidates": 5, "kinds": ["skill"]}) as m:
        assert [i.id for i in m.recall([CLEAN]).items] == [wanted.id]


def test_equal_contents_are_shown_once(tmp_path):
    with memory(tmp_path) as m:
        m.remember([item(CLEAN, "same"), item(CLEAN + " now", "same"), item(HOT, "other")], merge=False)
        assert sorted(i.content for i in m.recall([CLEAN]).items) == ["other", "same"]


def test_exploration_is_repeatable_and_only_while_learning(tmp_path):
    settings = {"recall": {"explore": "epsilon", "epsilon": 1.0, "select": 1, "threshold": 0.1}}
    with memory(tmp_path, **settings) as m:
        m.remember([item(f"{CLEAN} {n}", f"c{n}") for n in range(8)], merge=False)
        frozen = {m.recall([CLEAN], seed=str(n)).items[0].id for n in range(12)}
        drawn = [m.recall([CLEAN], seed=str(n), learning=True).items[0].id for n in range(12)]
        assert len(frozen) == 1 and len(set(drawn)) > 3
        assert drawn == [m.recall([CLEAN], seed=str(n), learning=True).items[0].id for n in range(12)]


@pytest.mark.parametrize("explore", ["ucb", "thompson"])
def test_uncertain_items_get_their_chance(tmp_path, explore):
    with memory(tmp_path, recall={"explore": explore, "select": 1, "weight": 1.0}) as m:
        known, unknown = item(CLEAN, "known"), item(CLEAN, "unknown")
        m.remember([known, unknown], merge=False)
        for n in range(30):
            m.learn(episode(f"t{n}", shown=[known.id], success=n % 2 == 0))
        assert m.item(known.id).uncertainty < m.item(unknown.id).uncertainty
        drawn = [m.recall([CLEAN], seed=str(n), learning=True).items[0].id for n in range(20)]
        assert unknown.id in drawn


def test_leaving_out_measures_what_an_item_adds(tmp_path):
    generator = random.Random(3)
    credit = {"leave_out": 0.5, "rank_by_effect": True}
    with memory(tmp_path, recall={"select": 2, "explore": "none"}, credit=credit) as m:
        helpful, idle = item(CLEAN, "helpful"), item(CLEAN, "idle")
        m.remember([helpful, idle], merge=False)
        for n in range(160):
            found = m.recall([CLEAN], learning=True, seed=str(n))
            shown, held = [i.id for i in found.items], [i.id for i in found.withheld]
            assert len(shown) + len(held) == 2
            won = generator.random() < (0.9 if helpful.id in shown else 0.2)
            m.learn(episode(f"t{n}", shown=shown, withheld=held, success=won))
        states = m.reading.states([helpful.id, idle.id], m.lineage)
        assert states[helpful.id].left_out > 20 and states[idle.id].left_out > 20
        assert states[helpful.id].effect(2.0) > 0.7 and abs(states[idle.id].effect(2.0)) < 0.5
        # Q alone cannot tell them apart so well: both were there when things went well.
        assert states[helpful.id].effect(2.0) > states[idle.id].effect(2.0) + 0.4
        assert not m.recall([CLEAN], seed="1").withheld


def test_credit_is_given_once_whoever_gives_it(tmp_path):
    with memory(tmp_path) as m, memory(tmp_path) as other:
        m.remember([item(CLEAN)])
        [known] = m.recall([CLEAN]).items
        won = episode("t", shown=[known.id])
        assert m.learn(won).rewarded == (known.id,)
        assert m.learn(won) is None and other.learn(won) is None
        assert other.item(known.id).q_value == pytest.approx(0.3) and other.learned(["t", "u"]) == {"t"}


def test_infrastructure_failures_and_unjudged_episodes_teach_nothing(tmp_path):
    with memory(tmp_path) as m:
        m.remember([item(CLEAN)])
        [known] = m.recall([CLEAN]).items
        failure = Failure(boundary="model", kind="timeout", message="away")
        assert m.learn(episode("t", shown=[known.id], success=None, stop="infrastructure", failure=failure)) is None
        assert m.learn(episode("u", shown=[known.id], success=None)) is None
        assert m.item(known.id).q_value == 0.0 and "rewarded" not in m.reading.event_counts()


def test_reward_is_the_verdicts(tmp_path):
    with memory(tmp_path, credit={"reward": "score"}) as m:
        m.remember([item(CLEAN)])
        [known] = m.recall([CLEAN]).items
        judged = episode("t", shown=[known.id], success=True, verdict=Verdict(passed=False, score=0.25))
        assert m.learn(judged).reward == -0.5
        assert m.item(known.id).success_count == 0


def test_the_baseline_is_the_mean_of_the_category(tmp_path):
    with memory(tmp_path, credit={"baseline": True}) as m:
        m.remember([item(CLEAN)])
        [known] = m.recall([CLEAN]).items
        assert m.learn(episode("a", category="easy")).baseline == 0.0
        assert m.learn(episode("b", category="easy")).baseline == 1.0
        assert m.learn(episode("c", category="easy", success=False)).baseline == 1.0
        assert m.learn(episode("d", category="easy", shown=[known.id])).baseline == pytest.approx(1 / 3)
        assert m.item(known.id).q_value == pytest.approx(0.3 * (1 - 1 / 3))
        assert m.learn(episode("e", category="hard")).baseline == 0.0


def test_similarity_statistics_are_learned_and_kept(tmp_path):
    with memory(tmp_path) as m:
        m.remember([item(CLEAN), item(HOT, "other")], merge=False)
        for n in range(5):
            m.recall([CLEAN], learning=True)
            m.learn(episode(f"t{n}"))
        kept = m.stats()["similarity"]
        assert kept["size"] == 10 and 0.5 < kept["mean"] < 1.0
    with memory(tmp_path) as m:
        assert m.stats()["similarity"] == kept and m._recaller.similarity.size == 10


def test_a_frozen_memory_does_not_drift(tmp_path):
    with memory(tmp_path, recall={"threshold": 0.1}) as m:
        m.remember([item(CLEAN), item(HOT, "other")], merge=False)
        for n in range(20):
            m.recall([CLEAN], learning=True)
            m.learn(episode(f"t{n}"))
        before = m.recall([HOT]).candidates
        for n in range(60):
            m.recall([f"something else {n}", "put away"])
        assert m.recall([HOT]).candidates == before and m._recaller.unsaved.size == 0


def test_what_says_the_same_is_merged_with_its_provenance(tmp_path):
    steps = "go to shelf 1 take mug 1 from shelf 1 clean it with sinkbasin 1 put it in cabinet"
    with memory(tmp_path) as m:
        first = item(CLEAN, steps, trajectory_ids=["t1"])
        same = item(CLEAN + " now", steps + " 2", trajectory_ids=["t2"])
        other = item(CLEAN, "call the butler and let him do it", trajectory_ids=["t3"])
        assert m.remember([first]).new == (first.id,)
        done = m.remember([same, other])
        assert done.merged == (first.id,) and done.new == (other.id,)
        assert m.remember([same]).merged == () and m.remember([first]).merged == ()
        exact = item(CLEAN, steps, trajectory_ids=["t4"])
        assert m.remember([exact]).merged == (first.id,)
        assert m.item(first.id).trajectory_ids == ("t1", "t2", "t4")
        assert m.remember([item(CLEAN, steps, kind="warning", trajectory_ids=["t5"])]).new  # another kind is another
        many = item(CLEAN, "one two three four five six", trajectory_ids=["u1", "u2", "u3"])
        for _ in range(3):
            m.remember([many])
        assert m.item(many.id).trajectory_ids == ("u1", "u2", "u3")
        assert [e["event"] for e in m.reading.events(many.id, m.lineage)] == ["created"]
        m.retire([first.id])
        assert m.remember([item(CLEAN + " soon", steps, trajectory_ids=["t6"])]).merged == (first.id,)
        assert m.item(first.id).status == "retired"


def test_others_recall_while_a_slow_check_goes_on(tmp_path):
    with memory(tmp_path) as m:
        m.remember([item(CLEAN, "one")])
        recalled = threading.Event()

        def slowly(old, new):
            asked.start()
            assert recalled.wait(20), "recall waits for the check"
            return True

        def ask():
            m.recall([CLEAN])
            recalled.set()

        asked, m.same = threading.Thread(target=ask), slowly
        assert m.remember([item(CLEAN, "two", trajectory_ids=["t"])]).merged
        asked.join()


def test_useless_old_and_excess_items_are_retired(tmp_path):
    with memory(tmp_path, forget={"min_uses": 3, "floor": 0.3}) as m:
        bad, good = item(CLEAN, "bad"), item(CLEAN, "good")
        m.remember([bad, good], merge=False)
        for n in range(3):
            m.learn(episode(f"b{n}", shown=[bad.id], success=False))
            m.learn(episode(f"g{n}", shown=[good.id]))
        assert [gone.id for gone in m.forget(dry=True)] == [bad.id] and m.item(bad.id).status == "candidate"
        [gone] = m.forget()
        assert gone.id == bad.id and "0.20 under 0.3" in gone.reason and m.item(bad.id).status == "retired"
        assert m.forget() == []
        m.remember([item(f"task {n}", f"c{n}") for n in range(4)], merge=False)
        m.config = m.config.model_copy(update={"forget": m.config.forget.model_copy(update={"max_items": 2})})
        assert len(m.forget()) == 3 and m.item(good.id).status == "active"
    with memory(tmp_path, forget={"max_idle_days": 1}) as m:
        m._clock = lambda: m.item(good.id).created_at + 10 * 86_400
        assert good.id in [gone.id for gone in m.forget()]


def test_what_is_brought_back_has_its_chance(tmp_path):
    with memory(tmp_path, forget={"min_uses": 2}, credit={"q0": 0.25}) as m:
        bad = item(CLEAN, "bad")
        m.remember([bad])
        assert m.item(bad.id).q_value == 0.25
        for n in range(3):
            m.learn(episode(f"b{n}", shown=[bad.id], success=False))
        assert m.forget() and m.revive([bad.id]) == 1 and m.forget() == []
        assert m.item(bad.id).status == "candidate" and m.item(bad.id).reward_count == 0


def test_snapshot_and_restore_bring_back_everything(tmp_path):
    with memory(tmp_path) as m:
        a = item(CLEAN, "a")
        m.remember([a])
        m.learn(episode("t1", shown=[a.id]))
        before = m.item(a.id)
        made = m.snapshot("good times")
        b = item(HOT, "b")
        m.remember([b])
        m.learn(episode("t2", shown=[a.id, b.id], success=False))
        m.retire([a.id])
        seq = m.head.seq
        rows = m.store.select("SELECT count(*) FROM item_log")[0][0]
        m.restore(made.number)
        assert m.store.select("SELECT count(*) FROM item_log")[0][0] == rows  # nothing is rewritten
        assert m.head.seq > seq  # another state, another number
        assert m.item(a.id) == before and [i.id for i in m.recall([HOT]).items] == [a.id]
        with pytest.raises(StoreError, match="no item"):
            m.item(b.id)
        assert m.learned(["t1", "t2"]) == {"t1"}
        # What was hidden may happen again, and then counts again.
        assert m.remember([b]).new == (b.id,) and m.learn(episode("t2", shown=[b.id])).rewarded == (b.id,)
        assert m.item(b.id).q_value == pytest.approx(0.3)
        second = m.snapshot()
        m.restore(made.number)
        m.restore(second.number)
        assert m.item(b.id).q_value == pytest.approx(0.3)
        assert [s.number for s in m.ledger.snapshots()] == [1, 2] and second.items == 2
        with pytest.raises(StoreError, match=r"no snapshot 9.*There are 1 to 2"):
            m.restore(9)
        assert m.stats()["events"]["created"] == 3


def test_files_keep_everything(tmp_path):
    with memory(tmp_path / "one") as m:
        m.remember([item(CLEAN, "a", trajectory_ids=["t0"]), item(HOT, "ünïcode 💥", kind="warning")], merge=False)
        m.learn(episode("t", shown=[item(CLEAN, "a").id]))
        assert export_items(m, tmp_path / "all.jsonl.gz") == 2
        before = {i.id: i for i in m.reading.listing(m.lineage)}
    with memory(tmp_path / "two") as m:
        report = import_items(m, tmp_path / "all.jsonl.gz")
        assert (report.new, report.same, report.refused) == (2, 0, [])
        after = {i.id: i for i in m.reading.listing(m.lineage)}
        rounded = lambda found: {k: v.model_dump() | {"uncertainty": round(v.uncertainty, 9)} for k, v in found.items()}  # noqa: E731
        assert rounded(after) == rounded(before)
        assert import_items(m, tmp_path / "all.jsonl.gz").same == 2
        assert {i.id: i for i in m.reading.listing(m.lineage)} == after  # and again, counting nothing twice
        bad = item(CLEAN, "bad").model_dump_json()
        for field in ('"q_value":1e308', '"q_value":-7.0', '"uncertainty":9.0', '"retrieval_count":-1'):
            name = field.split(":")[0]
            broken = ",".join(field if part.startswith(name) else part for part in bad.split(","))
            (tmp_path / "bad.jsonl").write_text(broken + "\n")
            assert len(import_items(m, tmp_path / "bad.jsonl").refused) == 1, field
        (tmp_path / "torn.jsonl.gz").write_bytes((tmp_path / "all.jsonl.gz").read_bytes()[:60] + b"garbage" * 9)
        with pytest.raises(ConfigError, match="cannot read"):
            import_items(m, tmp_path / "torn.jsonl.gz")
        (tmp_path / "bad.jsonl").write_text('{"id": "x"}\nnonsense\n')
        report = import_items(m, tmp_path / "bad.jsonl")
        assert len(report.refused) == 2 and "entry 2" in report.refused[1]
        for name in ("none.jsonl", "all.csv"):
            with pytest.raises(ConfigError):
                import_items(m, tmp_path / name)


def test_huge_and_strange_items(tmp_path):
    with memory(tmp_path) as m:
        huge = item("words " * 170_000, "x" * 1_000_000)
        strange = item("Ω≈ç√ \u202e 名前 'quoted\" -- ; DROP TABLE items", "null \x00 byte and 💥")
        m.remember([huge, strange])
        assert m.item(huge.id).content == huge.content and m.item(strange.id).content == strange.content
        assert [i.id for i in m.recall([strange.applies]).items] == [strange.id]
        with pytest.raises(StoreError, match="no item"):
            m.item("%")
        with pytest.raises(StoreError, match="fits several"):
            m.remember([item(f"filler {n}") for n in range(40)], merge=False)
            ids = sorted(i.id for i in m.reading.listing(m.lineage))
            m.item(next(a[0] for a, b in pairwise(ids) if a[0] == b[0]))


def test_hybrid_recall_finds_rare_words(tmp_path):
    settings = {"recall": {"lexical": 0.6, "threshold": 0.55, "explore": "none"}}
    with memory(tmp_path, **settings) as m:
        m.remember([item(f"{CLEAN} {n}", f"c{n}") for n in range(6)], merge=False)
        rare = item("polish the zweihander with care and oil until it is quite bright again", "rub")
        m.remember([rare], merge=False)
        assert rare.id in [i.id for i in m.recall(["zweihander"]).items]
        assert m.recall(['"; DROP *']).items == ()
        m.reindex()
        assert rare.id in [i.id for i in m.recall(["zweihander"]).items]
    with memory(tmp_path, recall={"threshold": 0.55}) as m:
        assert rare.id not in [i.id for i in m.recall(["zweihander"]).items]


def test_a_memory_needs_a_place_that_exists(tmp_path):
    from lamarck.config_memory import MemoryConfig

    with pytest.raises(ConfigError, match="needs a folder"):
        Memory.open(MemoryConfig(), embedder=WordEmbedder())
    with pytest.raises(StoreError, match="there is no memory in"):
        Memory.open(MemoryConfig(), tmp_path / "none", create=False, embedder=WordEmbedder())
    assert State().uncertainty(0.3) == 1.0
