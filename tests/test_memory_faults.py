"""Memories that are killed, torn, cut off and shared."""

import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lamarck.errors import StoreError
from lamarck.memory.ledger import text_id
from memories import FLUSH, WordEmbedder, episode, item, memory, share, write


@pytest.fixture(scope="module")
def forks():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lamarck.memory.bank", "lamarck.memory.folder_index", "chromadb", "memories"])
    return context


def test_fifty_kills_lose_and_double_nothing(tmp_path, forks):
    generator, acks = random.Random(0), tmp_path / "acks"
    acks.touch()
    for kill in range(50):
        before = acks.stat().st_size
        process = forks.Process(target=write, args=(tmp_path / "memory", kill * 10_000, acks))
        process.start()
        deadline = time.monotonic() + 30
        while acks.stat().st_size < before + 200 and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(generator.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    said = [json.loads(line) for line in acks.read_text().splitlines() if line.endswith("]")]
    items, episodes = {i for kind, i in said if kind == "item"}, {i for kind, i in said if kind == "episode"}
    assert len(items) > 100
    with memory(tmp_path / "memory") as m:
        found = {i.id: i for i in m.reading.listing(m.lineage)}
        assert items <= found.keys() and episodes <= m.learned(episodes)
        events = m.store.select("SELECT subject, trajectory_id, count(*) FROM item_log GROUP BY 1, 2, event")
        assert max(count for subject, trajectory, count in events if trajectory) == 1
        first = found[item("task zero", "the first").id]
        learned = m.reading.event_counts()["learned"]
        assert first.reward_count == learned >= len(episodes)
        assert first.q_value == pytest.approx(1 - 0.7**learned)
        # The index holds what the store holds, wherever the kills met it.
        for ident in random.Random(1).sample(sorted(items), 25):
            [hit] = m.index.search(m.embedder.embed([found[ident].applies]), 1)
            assert hit.text_id == text_id(found[ident].applies) and hit.similarity > 0.999
        assert m.reindex() == len(found)


def test_two_writers_share_a_memory(tmp_path, forks):
    count, gate = 60, forks.Barrier(2)
    with memory(tmp_path):
        pass
    writers = [forks.Process(target=share, args=(tmp_path, name, count, gate)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    with memory(tmp_path) as m:
        assert sum(m.reading.counts(m.lineage).values()) == 2 * count + 1
        shared = m.item(item("task zero", "the first").id)
        assert shared.reward_count == count and shared.q_value == pytest.approx(1 - 0.7**count)
        for name in ("left", "right"):
            for n in range(count):
                [hit] = m.index.search(m.embedder.embed([f"task {name} {n}"]), 1)
                assert hit.text_id == text_id(f"task {name} {n}") and hit.similarity > 0.999


def test_what_one_process_adds_another_recalls_at_once(tmp_path):
    with memory(tmp_path) as one, memory(tmp_path) as other:
        for n in range(40):
            writer, reader = (one, other) if n % 2 else (other, one)
            writer.index._flush = reader.index._flush = FLUSH
            writer.remember([item(f"errand number {n} of many", f"c{n}")], merge=False)
            assert reader.recall([f"errand number {n} of many"]).items[0].content == f"c{n}"


def _filled(folder, count=30):
    with memory(folder) as m:
        m.index._flush = FLUSH
        m.remember([item(f"errand {n}", f"c{n}") for n in range(count)], merge=False)
        m.recall(["errand 1"])
        before = [(c.id, round(c.similarity, 4)) for c in m.recall(["errand 7"]).candidates]
    return before


def _gone(folder):
    shutil.rmtree(folder / "index")


def _half_gone(folder):
    shutil.rmtree(folder / "index" / "chroma")


def _no_mark(folder):
    (folder / "index" / "mark.json").write_text("{")


def _torn_database(folder):
    (folder / "index" / "chroma" / "chroma.sqlite3").write_bytes(b"garbage" * 1000)


def _emptied(folder):
    (folder / "index" / "chroma" / "chroma.sqlite3").write_bytes(b"")


@pytest.mark.parametrize("harm", [_gone, _half_gone, _no_mark, _torn_database, _emptied])
def test_a_damaged_index_is_built_anew(tmp_path, harm, caplog):
    before = _filled(tmp_path)
    harm(tmp_path)
    with caplog.at_level(logging.WARNING, "lamarck.memory"), memory(tmp_path) as m:
        after = [(c.id, round(c.similarity, 4)) for c in m.recall(["errand 7"]).candidates]
        assert sorted(after) == sorted(before)
        m.remember([item("errand of another kind", "new")], merge=False)
    said = [record.getMessage() for record in caplog.records]
    if harm in (_half_gone, _torn_database, _emptied):
        assert "is damaged" in said[0] and "is built anew: 30 items" in said[1]
    with memory(tmp_path) as m:
        assert m.index.holds()["texts"] == 31 and m.recall(["errand of another kind"]).items


def test_torn_vector_files_are_built_anew(tmp_path):
    from lamarck.memory import folder_index

    before_sync, folder_index.SYNC = folder_index.SYNC, 10
    try:
        before = _filled(tmp_path, 400)
        files = [path for path in (tmp_path / "index" / "chroma").rglob("*.bin") if path.stat().st_size]
        assert files
        for path in files:
            path.write_bytes(os.urandom(64))
        with memory(tmp_path) as m:
            assert sorted((c.id, round(c.similarity, 4)) for c in m.recall(["errand 7"]).candidates) == sorted(before)
    finally:
        folder_index.SYNC = before_sync


def test_an_index_that_another_process_took_away_is_built_anew(tmp_path):
    with memory(tmp_path) as one, memory(tmp_path) as other:
        one.index._flush = other.index._flush = FLUSH
        one.remember([item(f"errand {n}", f"c{n}") for n in range(30)], merge=False)
        assert one.recall(["errand 7"]).items and other.recall(["errand 7"]).items
        # A reindexing that was killed half way, or a careless hand.
        for path in (tmp_path / "index").iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert other.recall(["errand 7"]).items[0].content == "c7"
        one.remember([item("errand at last", "late")], merge=False)
        assert one.recall(["errand 8"]).items[0].content == "c8"
    with memory(tmp_path) as m:
        assert m.index.holds() == {"texts": 31, "fresh": 0} and m.recall(["errand 9"]).items[0].content == "c9"


def test_reindexing_while_others_write_and_read(tmp_path):
    with memory(tmp_path) as one, memory(tmp_path) as other:
        one.index._flush = other.index._flush = FLUSH
        for n in range(12):
            other.remember([item(f"errand {n}", f"c{n}")], merge=False)
            if n % 3 == 0:
                assert one.reindex() == n + 1
            assert other.recall([f"errand {n}"]).items[0].content == f"c{n}"
    assert len(list((tmp_path / "index").glob("chroma*"))) == 1


def test_a_full_disk_costs_no_index(tmp_path, monkeypatch):
    from lamarck.memory.folder_index import FolderIndex

    _filled(tmp_path)
    with memory(tmp_path) as m:
        m.index._flush = FLUSH

        def full(self, mark, collection):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch, pytest.raises((StoreError, OSError)):
            patch.setattr(FolderIndex, "_publish", full)
            m.reindex()
        assert m.recall(["errand 7"]).items[0].content == "c7" and len(list((tmp_path / "index").glob("chroma*"))) == 1


def test_reindexing_changes_no_answer(tmp_path):
    with memory(tmp_path, recall={"threshold": 0.2, "candidates": 8}) as m:
        m.index._flush = FLUSH
        m.remember([item(f"errand {n} {n % 7}", f"c{n}") for n in range(200)], merge=False)
        ask = [f"errand {n}" for n in range(0, 200, 9)]
        before = [[(c.id, round(c.similarity, 5)) for c in m.recall([q]).candidates] for q in ask]
        calls = m.embedder.calls
        assert m.reindex() == 200
        assert m.embedder.calls == calls  # from the stored vectors, without the model
        assert [[(c.id, round(c.similarity, 5)) for c in m.recall([q]).candidates] for q in ask] == before


def test_another_embedder_is_refused_with_both_numbers_and_can_take_over(tmp_path):
    from lamarck.config_memory import MemoryConfig
    from lamarck.memory.bank import Memory

    _filled(tmp_path)
    with pytest.raises(StoreError, match=r"48 dimensions of words, but wider gives 64") as caught:
        memory(tmp_path, embedder=WordEmbedder(64, "wider"))
    assert caught.value.kind == "dimension" and "reindex --embedding" in str(caught.value)
    with Memory.open(MemoryConfig(), tmp_path, embedder=WordEmbedder(64, "wider"), fresh_index=True) as m:
        assert m.reindex() == 30
    with memory(tmp_path, embedder=WordEmbedder(64, "wider")) as m:
        assert m.recall(["errand 7"]).items
    with pytest.raises(StoreError, match="64 dimensions of wider, but words gives 48"):
        memory(tmp_path)
    # A model that kept its name and changed its length.
    with memory(tmp_path, embedder=WordEmbedder(32, "wider")) as m, pytest.raises(StoreError, match=r"64 .* gives 32"):
        m.recall(["errand 7"])


@pytest.fixture
def chroma(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = []

    def start():
        command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(tmp_path / "server")]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the Chroma server does not start")

    def stop():
        while running:
            process = running.pop()
            process.kill()
            process.wait()

    start.stop, start.url = stop, f"http://127.0.0.1:{port}"
    start()
    yield start
    stop()


def test_a_server_that_goes_away(tmp_path, chroma):
    settings = {"index": chroma.url, "patience_s": 1.0}
    with memory(tmp_path / "memory", **settings) as m:
        m.index._flush = FLUSH
        m.remember([item(f"errand {n}", f"c{n}") for n in range(10)], merge=False)
        assert m.recall(["errand 7"]).items[0].content == "c7" and m.index.holds()["texts"] == 10
        before = m.recall(["errand 7"]).candidates
        chroma.stop()
        started = time.monotonic()
        with pytest.raises(StoreError, match="does not answer") as caught:
            m.recall(["errand 7"])
        assert caught.value.kind == "index_away" and 0.5 < time.monotonic() - started < 10
        # What is learned meanwhile is not lost: the store has it.
        assert m.learn(episode("t", shown=[before[0].id])).rewarded == (before[0].id,)
        chroma()
        assert len(m.recall(["errand 7"]).candidates) == len(before)
        m.remember([item("errand at last", "late")], merge=False)
        assert m.recall(["errand at last"]).items[0].content == "late"
        m.reindex()
        assert m.recall(["errand at last"]).items[0].content == "late"
        # A server that comes back without its data.
        chroma.stop()
        shutil.rmtree(tmp_path / "server")
        chroma()
        assert m.recall(["errand 7"]).items[0].content == "c7"
        m.remember([item("errand after all", "later")], merge=False)
        chroma.stop()
    chroma()  # it was away when the memory was closed, which loses nothing
    with memory(tmp_path / "memory", **settings) as m:
        assert m.recall(["errand after all"]).items[0].content == "later" and m.stats()["index"]["fresh"] == 1
    with memory(tmp_path / "memory", **settings) as m:
        assert m.index.holds() == {"texts": 12, "fresh": 0}
