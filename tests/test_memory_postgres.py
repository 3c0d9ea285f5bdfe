"""The same memory on PostgreSQL."""

import threading

import pytest
from lamarck.errors import StoreError
from memories import episode, item, memory
from postgres_server import postgres


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


def test_a_memory_by_url(tmp_path, server):
    with memory(tmp_path, store=server, recall={"lexical": 0.2}) as m:
        a, b = item("put a clean mug away", "a"), item("put a hot mug away", "ünï 💥", kind="warning")
        assert m.remember([a, b], merge=False).new == (a.id, b.id) and m.remember([a]).new == ()
        assert m.learn(episode("t", shown=[a.id])).rewarded == (a.id,) and m.learn(episode("t", shown=[a.id])) is None
        made = m.snapshot("one")
        m.learn(episode("u", shown=[a.id, b.id], success=False))
        m.retire([b.id])
        assert [i.id for i in m.recall(["put a clean mug away"]).items] == [a.id]
        m.restore(made.number)
        assert m.item(a.id[:12]).q_value == pytest.approx(0.3) and m.item(b.id).status == "candidate"
        assert {i.id for i in m.recall(["put a clean mug away"]).items} == {a.id, b.id}
        assert m.stats()["events"]["rewarded"] == 3 and m.reindex() == 2
        assert [i.content for i in m.reading.listing(m.lineage, kinds=["warning"])] == ["ünï 💥"]
        with pytest.raises(StoreError, match="no snapshot"):
            m.restore(77)


def test_many_writers_credit_once(tmp_path, server):
    shared, count = item("shared by all", "s"), 25
    with memory(tmp_path, store=server) as m:
        m.remember([shared])

    def work(name):
        with memory(tmp_path / name, store=server) as m:
            for n in range(count):
                m.learn(episode(f"many {n}", shown=[shared.id]))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with memory(tmp_path, store=server) as m:
        found = m.item(shared.id)
        assert found.reward_count == count and found.q_value == pytest.approx(1 - 0.7**count)
