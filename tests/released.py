"""Releases for the tests: memories without an index, adapters without weights that mean anything, children that die."""

import json
import os
import signal
import sys
import traceback

import sqlalchemy as sa
from lamarck.config import RunConfig
from lamarck.core_evolution import Check, GateReport
from lamarck.memory.items import make_item
from lamarck.memory.ledger import Entry, Ledger, text_id
from lamarck.memory.state import State
from lamarck.release_files import Draft, Player, memory_settings
from lamarck.releases import Releases
from lamarck.store import Store
from lamarck.weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MANIFEST, Manifest, adapter_id

EVENTS = {"open", "os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "sqlite3.connect"}


def item(applies):
    return make_item("episode", applies, f"how to {applies}")


def remember(folder, values, *, at=100.0, source="t1"):
    """Write items with these values into a memory; those that are there get them as new values."""
    folder.mkdir(parents=True, exist_ok=True)
    with Store.open(folder / "store.db") as store:
        ledger = Ledger(store, lambda: at)
        made = {applies: item(applies).model_copy(update={"trajectory_ids": (source,)}) for applies in values}
        vectors = {text_id(applies): bytes([len(applies)] * 8) for applies in values}
        states = {applies: State("episode", q_value=value, rewards=1, used_at=at) for applies, value in values.items()}
        new = ledger.add([(made[applies], states[applies]) for applies in values], vectors, "words")
        moved = [Entry(made[a].id, "rewarded", states[a]) for a in values if made[a].id not in new]
        ledger.do("values", lambda transaction: transaction.write(moved))
    return folder


def statistic(folder, subject, size):
    """Write a running statistic, as recall does with the similarities it has seen."""
    with Store.open(folder / "store.db") as store:
        entry = Entry(subject, "seen", State(rewards=size, q_value=0.5))
        Ledger(store, lambda: 1.0).do(subject, lambda transaction: transaction.write([entry]))


def adapter(folder, content=b"weights"):
    folder.mkdir(parents=True)
    (folder / ADAPTER_CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 2, "target_modules": ["q"]}))
    (folder / ADAPTER_WEIGHTS).write_bytes(content)
    manifest = Manifest(id=adapter_id(folder), kind="sft", base_model="tiny", base_weights="a" * 12)
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


def draft(memory=None, adapter=None, parent=None, prompt="Say what to do.", **settings):
    config = RunConfig.load(None, {"model.name": "follower", **settings})
    player = Player.of(config, remembers=memory is not None)
    said = {"memory": memory_settings(player.memory)} if memory is not None else {}
    return Draft(
        player, "follower", {"first": prompt, "turn": "$observation"}, said, parent=parent, adapter=adapter,
        memory=memory,
    )  # fmt: skip


def opened(folder):
    return Releases.open(folder, create=True, clock=lambda: 1000.0)


def report(candidate, incumbent, decision="promote", *, number=1, at=1.0):
    outcome = {"promote": "pass", "refuse": "fail", "not_yet": "unknown"}[decision]
    return GateReport.of(
        candidate=candidate.id, incumbent=incumbent.id, decision=decision, alpha=0.05, test_number=number,
        held_out="h" * 32, checks=(Check(name="better", outcome=outcome, sentence="By 3 of 10."),), created_at=at,
    )  # fmt: skip


def in_child(action, home, at=None):
    """Do something in a child; return how many points it passed, or None where it was killed at point `at`.

    A point is each touch of a file in `home`, each statement, and each end of a transaction.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code, passed = 1, 0

        def tick(*_):
            nonlocal passed
            passed += 1
            if passed == at:
                os.kill(os.getpid(), signal.SIGKILL)

        def heard(event, arguments):
            if event in EVENTS and str(home) in str(arguments[0]):
                tick()

        try:
            sys.addaudithook(heard)
            for name in ("before_cursor_execute", "commit"):
                sa.event.listen(sa.Engine, name, tick)
            action()
            os.write(writer, str(passed).encode())
            code = 0
        except Exception:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as stream:
        passed = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (0 if passed else -signal.SIGKILL), code
    return int(passed) if passed else None
