"""Releases: one id for one content, whole or not there, one head at a time, and files that are not believed."""

import gzip
import io
import json
import random
import shutil
import sqlite3
import tarfile
import threading
import time

import pytest
from lamarck.cli.release_play import shelved
from lamarck.cli.wire_made import Making
from lamarck.config import RunConfig
from lamarck.core import Release
from lamarck.errors import ConfigError, LamarckError, StoreError
from lamarck.memory.ledger import Ledger
from lamarck.promotions import Promotion, heads
from lamarck.release_files import RELEASE
from lamarck.release_memory import copy_memory, memory_id
from lamarck.release_pack import export, import_, unpack
from lamarck.releases import Releases
from lamarck.store import Store
from lamarck.tools.made_log import Source, ToolLog
from released import adapter, draft, in_child, item, opened, remember, report, statistic

ITEMS = {"heat an egg": 0.5, "cool a pan": -0.25}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with A at the head and B grown from it, beside what they are made of."""
    place = tmp_path_factory.mktemp("built")
    remember(place / "memory", ITEMS)
    with opened(place / "home") as releases:
        first = releases.put(draft(place / "memory"))
        releases.begin(first.id)
        remember(place / "memory", {"heat an egg": 0.9, "clean a fork": 0.1})
        grown = releases.child("head", memory=place / "memory", adapter=adapter(place / "adapter"))
        second = releases.put(grown)
    return place, first, second


@pytest.fixture
def home(built, tmp_path):
    """A copy of it."""
    place, first, second = built
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    with opened(tmp_path / "home") as releases:
        yield releases, first, second


# Ids.


def test_ids_of_before_stay_and_the_gate_is_no_part_of_them():
    fields = {
        "base_model": "m", "adapter": "a", "parent": "p", "tools": ("python",), "prompts": {"first": "f"},
        "settings": {"history": 10},
    }  # fmt: skip
    assert Release.of(**fields).id == "4505c7b91106d06279eba59389e4436b"
    judged = Release.of(**fields, gate_report="g", created_at=7.0)
    assert (judged.id, judged.gate_report, judged.created_at) == ("4505c7b91106d06279eba59389e4436b", "g", 7.0)
    assert Release.of(**{**fields, "adapter": "b"}).id != judged.id


def test_the_same_content_is_one_release_wherever_and_whenever(tmp_path):
    remember(tmp_path / "one", ITEMS)
    remember(tmp_path / "two", dict(reversed(ITEMS.items())), at=999.0, source="another attempt")
    with opened(tmp_path / "home") as releases, opened(tmp_path / "other") as others:
        made = [releases.put(draft(tmp_path / "one")), releases.put(draft(tmp_path / "one"))]
        made += [others.put(draft(tmp_path / "two")), releases.put(draft(tmp_path / "two"))]
        assert len({one.id for one in made}) == 1 and len(releases.tree()) == 1
        different = [
            draft(), draft(tmp_path / "one", prompt="Do."), draft(tmp_path / "one", **{"solver.history": 5}),
            draft(tmp_path / "one", adapter(tmp_path / "a")), draft(tmp_path / "one", parent=made[0].id),
            draft(tmp_path / "one", **{"model.max_tokens": 9}),
        ]  # fmt: skip
        ids = {releases.put(one).id for one in different}
        assert len(ids | {made[0].id}) == 7
        same = draft(tmp_path / "one", **{"model.api_base": "http://x", "model.retries": 9, "collect.seed": 3})
        assert releases.put(same).id == made[0].id, "what is the machine's or the run's own is not inherited"
        assert all(releases.verify(one.release.id) is None for one in releases.tree())


def test_the_name_of_a_memory_is_what_is_visible_in_it(tmp_path):
    file = remember(tmp_path, ITEMS) / "store.db"
    names = [memory_id(file)]
    with Store.open(file) as store:
        ledger, log = Ledger(store, lambda: 5.0), ToolLog(store, clock=lambda: 5.0)
        ledger.snapshot("before")
        assert memory_id(file) == names[0], "a snapshot changes nothing"
        remember(tmp_path, {"open a box": 0.0})
        names.append(memory_id(file))
        ledger.restore(1)
        assert memory_id(file) == names[0], "what is hidden does not count"
        remember(tmp_path, {"cool a pan": -0.26})
        names.append(memory_id(file))
        ledger.set_status([item("cool a pan").id], "retired", "by hand")
        names.append(memory_id(file))
        statistic(tmp_path, "similarity", 40)
        names.append(memory_id(file))
        log.propose(Source("r", "t", "c"), "count", {})
        names.append(memory_id(file))
    assert len(set(names)) == 6
    assert names[5].partition("+")[0] == names[4], "made tools are named apart"
    copy_memory(file, tmp_path / "copy" / "store.db")
    assert memory_id(tmp_path / "copy" / "store.db") == names[5]


def test_a_copy_takes_the_memory_and_leaves_the_rest(tmp_path):
    file = remember(tmp_path, ITEMS) / "store.db"
    with Store.open(file) as store:
        store.put_run("r", config={})
        copy_memory(file, tmp_path / "copy.db")  # while it is open
    with Store.open(tmp_path / "copy.db") as copy:
        assert copy.counts()["runs"] == 0 and copy.select("SELECT count(*) FROM vectors") == [(2,)]
    with Store.open(tmp_path / "empty" / "store.db"):
        pass
    with pytest.raises(ConfigError, match="nothing was ever remembered"):
        copy_memory(tmp_path / "empty" / "store.db", tmp_path / "x.db")
    with pytest.raises(ConfigError, match=r"no memory in .*nowhere"):
        copy_memory(tmp_path / "nowhere" / "store.db", tmp_path / "x.db")
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END")
    raw.close()
    with pytest.raises(StoreError, match="has 't', which is no table"):
        copy_memory(file, tmp_path / "x.db")


def test_who_judges_is_inherited_where_it_sends_the_solver_back():
    judged = {"verify.by": "rule", "verify.withhold": True, "verify.gate.score": 0.25}
    alone = draft(**judged).player
    assert alone.verify.by == "none" and not any(key.startswith("verify.") for key in alone.flat())
    player = draft(**judged, **{"repair.by": "verifier"}).player
    assert (player.verify.by, player.verify.gate.score, player.verify.withhold) == ("rule", 0.25, False)
    assert player.flat()["verify.by"] == "rule" and "verify.withhold" not in player.flat()


def test_what_does_not_go_together_is_refused(tmp_path):
    remember(tmp_path / "m", ITEMS)
    with opened(tmp_path / "home") as releases:
        with pytest.raises(ConfigError, match="no one release 'feed'"):
            releases.put(draft(parent="feed"))
        with pytest.raises(ConfigError, match="made tools live in a memory"):
            releases.put(draft(**{"tools.make": True}))
        with pytest.raises(ConfigError, match="there is no adapter"):
            releases.put(draft(adapter=tmp_path / "none"))
        with pytest.raises(ConfigError, match="there is no memory"):
            releases.put(draft(tmp_path / "none"))
        assert not releases.tree() and not list((tmp_path / "home" / "releases").glob(".new-*"))
    with pytest.raises(ConfigError, match="there are no releases in"):
        Releases.open(tmp_path / "m")


# Damage.


def spoil(file, old=b"a", new=b"b"):
    file.write_bytes(file.read_bytes().replace(old, new, 1))


def run_sql(file, text):
    with sqlite3.connect(file) as connection:
        connection.execute(text)
    connection.close()


DAMAGES = {
    r"release.json was changed: it says": lambda f: spoil(f / RELEASE, b"follower", b"expert!!"),
    r"release.json cannot be read": lambda f: (f / RELEASE).unlink(),
    r"release.json is no release": lambda f: (f / RELEASE).write_text("{}"),
    r"player.toml was changed": lambda f: spoil(f / "player.toml", b"history = 10", b"history = 11"),
    r"prompts/first.md was changed": lambda f: spoil(f / "prompts" / "first.md"),
    r"prompts/turn.md is missing": lambda f: (f / "prompts" / "turn.md").unlink(),
    r"the adapter in .* is damaged": lambda f: spoil(f / "adapter" / "adapter_model.safetensors", b"w", b"v"),
    r"there is no adapter in": lambda f: shutil.rmtree(f / "adapter"),
    r"memory/store.db is missing": lambda f: (f / "memory" / "store.db").unlink(),
    r"its memory was changed: it is": lambda f: run_sql(f / "memory" / "store.db", "UPDATE item_log SET q_value = 1"),
    r"damaged or no store": lambda f: (f / "memory" / "store.db").write_bytes(b"x" * 5000),
    r"the vectors of its memory": lambda f: run_sql(f / "memory" / "store.db", "UPDATE vectors SET vector = x'00'"),
    r"its folder is gone": shutil.rmtree,
}


@pytest.mark.parametrize("said", DAMAGES)
def test_what_is_damaged_is_named_and_used_for_nothing(home, said):
    releases, first, second = home
    folder = releases.folder(second.id)
    assert releases.verify(second.id) is None
    DAMAGES[said](folder)
    line = releases.verify(second.id)
    assert line is not None and "\n" not in line
    releases.put_report(report(second, first))
    uses = [releases.promote, releases.child, lambda i: releases.diff(first.id, i)]
    for use in [*uses, lambda i: export(releases, i, folder.parent / "x.tar.gz")]:
        with pytest.raises(ConfigError, match=rf"release {second.id[:12]} in .* is damaged: .*{said}"):
            use(second.id)
    assert releases.head().id == first.id and releases.verify("head") is None


def test_a_damaged_release_is_not_put_over(home, tmp_path):
    releases, first, _ = home
    shutil.rmtree(tmp_path / "memory")
    remember(tmp_path / "memory", ITEMS)
    spoil(releases.folder(first.id) / "player.toml", b"follower", b"fallower")
    with pytest.raises(StoreError, match=r"player\.toml was changed"):
        releases.put(draft(tmp_path / "memory"))
    shutil.rmtree(releases.folder(first.id))
    assert releases.put(draft(tmp_path / "memory")).id == first.id and releases.verify("head") is None


# The tree.


def test_the_tree_and_what_changed(home, tmp_path):
    releases, first, second = home
    third = releases.put(releases.child(first.id, adapter=adapter(tmp_path / "a2", b"other")))
    fourth = releases.put(draft(parent=second.id, prompt="Else."))
    releases.put_report(report(second, first, "not_yet"))
    nodes = {node.release.id: node for node in releases.tree()}
    assert [nodes[one.id].depth for one in (first, second, third, fourth)] == [0, 1, 1, 2]
    assert nodes[first.id].changed == () and nodes[first.id].head
    assert nodes[second.id].changed == ("adapter", "memory") and nodes[second.id].decision == "not_yet"
    assert nodes[third.id].changed == ("adapter",) and nodes[third.id].decision is None
    assert nodes[fourth.id].changed == ("adapter", "memory", "prompts", "settings")
    order = [node.release.id for node in releases.tree()]
    assert order.index(fourth.id) == order.index(second.id) + 1, "each behind its parent"


def test_what_differs_by_hand(home):
    releases, first, second = home
    change = releases.diff("head", second.id[:8])
    assert (change.memory.added, change.memory.removed, change.memory.changed) == (1, 0, 1)
    found = {line["applies"]: (line["before"], line["after"]) for line in change.memory.top}
    assert found == {"heat an egg": (0.5, 0.9), "clean a fork": (None, 0.1)}
    assert [line["applies"] for line in change.memory.top] == ["heat an egg", "clean a fork"], "0.4 before 0.1"
    assert change.settings == {} and change.prompts == () and change.old.adapter is None
    other = releases.put(draft(prompt="Else.", **{"solver.history": 5}))
    change = releases.diff(first.id, other.id, top=1)
    assert change.settings == {"memory.mode": ("read", "off"), "solver.history": (10, 5)}
    assert change.prompts == ("first",) and change.memory.removed == 2 and len(change.memory.top) == 1


def test_releases_are_found_by_what_they_are_called(home):
    releases, first, second = home
    assert releases.get("head").id == releases.get(first.id[:6]).id == first.id
    for wrong, said in (("head~1", "there were 1 heads"), ("", "there is none"), ("xyz", "there is none")):
        with pytest.raises(ConfigError, match=said):
            releases.get(wrong)
    releases.promote(second.id, force="try")
    assert releases.get("head~1").id == first.id and releases.get("head").id == second.id


# What is in force.


def test_only_the_gate_promotes(home):
    releases, first, second = home
    with pytest.raises(ConfigError, match=r"has no gate report\. Let the gate weigh it"):
        releases.promote(second.id)
    releases.put_report(report(second, first, "not_yet", at=1.0))
    with pytest.raises(ConfigError, match="says not_yet"):
        releases.promote(second.id)
    releases.put_report(report(second, second, at=2.0))
    with pytest.raises(ConfigError, match=rf"compares it with {second.id[:12]}, and the head is {first.id[:12]}"):
        releases.promote(second.id)
    good = report(second, first, number=2, at=3.0)
    with pytest.raises(ConfigError, match="was changed"):
        releases.put_report(good.model_copy(update={"candidate": first.id}))
    releases.put_report(good)
    releases.put_report(report(second, first, "refuse", at=4.0))
    with pytest.raises(ConfigError, match="says refuse"):
        releases.promote(second.id)
    with pytest.raises(ConfigError, match="no gate report"):
        releases.promote(second.id, "feed")
    row = releases.promote(second.id, good.id)
    assert (row.number, row.action, row.before, row.report_id) == (2, "promote", first.id, good.id)
    assert releases.promote(second.id, good.id) == row, "again changes nothing"
    assert releases.head().gate_report == good.id and len(releases.log.rows()) == 2


def test_a_roll_back_is_not_undone_by_who_goes_on(home):
    releases, first, second = home
    good = report(second, first)
    releases.put_report(good)
    releases.promote(second.id)
    row = releases.rollback(reason="it talked nonsense")
    assert (row.release_id, row.action, row.reason) == (first.id, "rollback", "it talked nonsense")
    with pytest.raises(StoreError, match="was used already, by promotion 2"):
        releases.promote(second.id)
    assert releases.rollback(first.id) == row, "to the head itself nothing is written"
    with pytest.raises(ConfigError, match=r"head~1: there were 1 heads"):
        releases.rollback()
    forced = releases.promote(second.id, force="I looked")
    assert (forced.action, forced.reason, forced.report_id) == ("force", "I looked", None)
    assert releases.promote(second.id, force="again") == forced


def test_heads_as_if_what_was_rolled_back_had_never_been(home):
    def row(release, action="promote"):
        return Promotion(0, release, action, None, None, "", 0.0)

    rows = [row("a"), row("b"), row("c")]
    assert heads(rows) == ["a", "b", "c"]
    assert heads([*rows, row("b", "rollback")]) == ["a", "b"]
    assert heads([*rows, row("b", "rollback"), row("a", "rollback")]) == ["a"]
    assert heads([*rows, row("a", "rollback"), row("c", "rollback")]) == ["a", "c"]
    releases, _, second = home
    with pytest.raises(ConfigError, match="was never the head"):
        releases.rollback(second.id)
    with pytest.raises(ConfigError, match="has a head already"):
        releases.begin(second.id)


def test_of_two_promotions_that_expect_the_same_head_one_wins(home, tmp_path):
    releases, first, second = home
    rivals = [second, *(releases.put(releases.child(first.id, adapter=adapter(tmp_path / f"r{n}", b"%d" % n)))
                        for n in range(3))]  # fmt: skip
    for one in rivals:
        releases.put_report(report(one, first))
    gate, won, lost = threading.Barrier(len(rivals)), [], []

    def run(one):
        with Releases.open(releases.home) as mine:
            gate.wait()
            try:
                won.append(mine.log.append(one.id, "promote", expect=first.id, report_id=report(one, first).id))
            except StoreError as error:
                lost.append(error.kind)

    threads = [threading.Thread(target=run, args=(one,)) for one in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and lost == ["conflict"] * 3
    assert releases.head().id == won[0].release_id and [row.number for row in releases.log.rows()] == [1, 2]


# Kills.


def whole(folder):
    """What is there after a kill: every release whole, the log without gaps, nothing left over."""
    with Releases.open(folder) as releases:
        ids = [node.release.id for node in releases.tree()]
        assert all(releases.verify(one) is None for one in ids)
        assert not list((folder / "releases").glob(".new-*"))
        assert {one.name for one in (folder / "releases").iterdir()} == {one[:12] for one in ids} | {".lock"}
        rows = releases.log.rows()
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert {row.release_id for row in rows} <= set(ids)
        return sorted(ids), [row.release_id for row in rows]


@pytest.mark.parametrize("what", ["put", "promote", "rollback", "import"])
def test_a_kill_leaves_the_old_or_the_new(home, tmp_path, what):
    releases, first, second = home
    releases.put_report(report(second, first))
    third = releases.put(releases.child(second.id, adapter=adapter(tmp_path / "a3", b"third")))
    if what == "rollback":
        releases.promote(second.id)
    file = tmp_path / "third.tar.gz"
    export(releases, third.id, file)
    releases.close()
    base = tmp_path / "home"
    if what in ("put", "import"):
        shutil.rmtree(base / "releases" / third.id[:12])
        run_sql(base / "store.db", f"DELETE FROM releases WHERE id = '{third.id}'")
    before = whole(base)

    def act(place):
        with Releases.open(place, clock=lambda: 1000.0) as mine:
            if what == "put":
                mine.put(mine.child(second.id, adapter=tmp_path / "a3"))
            elif what == "promote":
                mine.promote(second.id)
            elif what == "rollback":
                mine.rollback()
            else:
                import_(mine, file)

    place = shutil.copytree(base, tmp_path / "all")
    points = in_child(lambda: act(place), place)
    after = whole(place)
    assert after != before and points > 10
    draw = random.Random(what)
    for number, at in enumerate(sorted(draw.sample(range(1, points + 1), min(points, 6)))):
        place = shutil.copytree(base, tmp_path / f"cut{number}")
        assert in_child(lambda place=place: act(place), place, at) is None
        found = whole(place)
        assert found in (before, after)
        if what != "rollback" or found == before:  # once more would go back once more
            act(place)
            assert whole(place) == after


# Files.


def archive(path, *members, compress=gzip.compress):
    """Write a tar of (name, content, changed fields of its header)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as out:
        for name, content, *fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in dict(*fields).items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(content) if info.isreg() else None)
    path.write_bytes(compress(raw.getvalue()))
    return path


def test_a_release_goes_out_and_comes_in_once(home, tmp_path):
    releases, first, second = home
    file = tmp_path / "b.tar.gz"
    export(releases, second.id, file)
    with opened(tmp_path / "there") as there:
        release, new = import_(there, file)
        assert (release.id, new, there.verify(second.id)) == (second.id, True, None)
        assert import_(there, file)[1] is False and there.head() is None
        node = there.tree()[0]
        assert node.depth == 0 and node.release.parent == first.id, "its parent is not here"
        assert not list((tmp_path / "there").rglob("foreign*"))
        grown = there.put(there.child(second.id))
        assert grown.parent == second.id and grown.adapter == second.adapter
    assert import_(releases, file)[1] is False
    with pytest.raises(ConfigError, match=r"Name it .tar.gz"):
        export(releases, second.id, tmp_path / "b.zip")
    with tarfile.open(file) as found:
        names = {name.partition("/")[2] for name in found.getnames()}
    assert "release.json" in names and "memory/store.db" in names and not any("index" in name for name in names)


TOP = "0123456789ab/"
HOSTILE = {
    "no file that a release has": [("../evil", b"x")],
    "'/etc/evil' is no file": [("/etc/evil", b"x")],
    f"'{TOP}../../evil' is no file": [(TOP + "../../evil", b"x")],
    f"'{TOP}prompts/../x.md' is no file": [(TOP + "prompts/../x.md", b"x")],
    "is no plain file": [(TOP + "release.json", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})],
    "release.json' is no plain": [(TOP + "release.json", b"", {"type": tarfile.LNKTYPE, "linkname": "x"})],
    "player.toml' is no plain": [(TOP + "player.toml", b"", {"type": tarfile.FIFOTYPE})],
    "is no plain file.": [(TOP + "prompts", b"", {"type": tarfile.DIRTYPE})],
    "LongLink' is no plain": [(TOP + "prompts/" + "a" * 300 + ".md", b"x")],
    "release.json' comes twice": [(TOP + "release.json", b"{}"), (TOP + "release.json", b"{}")],
    "it has no release.json": [(TOP + "player.toml", b"")],
    "release.json is no release": [(TOP + "release.json", b"{}")],
    "is too large": [(TOP + "player.toml", b"\0" * ((4 << 20) + 1))],
    "too large: .* 1,100,000 bytes": [(TOP + "memory/store.db", b"\0" * 1_100_000)],
}


@pytest.mark.parametrize("said", HOSTILE)
def test_a_file_that_is_no_release_is_refused_in_a_line(tmp_path, said):
    file = archive(tmp_path / "x.tar.gz", *HOSTILE[said])
    with opened(tmp_path / "home") as releases:
        with pytest.raises(ConfigError, match=said) as caught:
            import_(releases, file, most=(4 << 20) + 4096 if "player" in str(HOSTILE[said]) else 1_000_000)
        assert "\n" not in str(caught.value) and not releases.tree()
    assert sorted(one.name for one in (tmp_path / "home" / "releases").iterdir()) == [".lock"]
    assert not (tmp_path / "evil").exists() and not (tmp_path / "home" / "evil").exists()


def test_sizes_that_are_lies_and_files_that_end_early(home, tmp_path):
    releases, _, second = home
    file = tmp_path / "b.tar.gz"
    export(releases, second.id, file)
    content = file.read_bytes()
    for broken, said in (
        (content[: len(content) // 2], "is no archive"),
        (b"PK" + content, "is no archive"),
        (b"", "it has no release.json|is no archive"),
        (gzip.compress(gzip.decompress(content)[:2000]), "ends too early|has no release.json"),
    ):
        file.write_bytes(broken)
        with pytest.raises(ConfigError, match=said):
            import_(releases, file)
    header = tarfile.TarInfo(TOP + "memory/store.db")
    header.size = 1 << 60
    file.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT)))
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"too large: .*1,152,921,504,606,846,976 bytes"):
        unpack(file, tmp_path / "out")
    assert time.monotonic() - started < 60
    with pytest.raises(ConfigError, match="there is no file"):
        import_(releases, tmp_path / "none.tar.gz")


def repacked(file, change):
    """Write an archive again with other contents: `change` gets name and content, and returns the new content."""
    with tarfile.open(file) as old:
        members = [(info.name, old.extractfile(info).read()) for info in old.getmembers()]
    return archive(file, *((name, change(name.partition("/")[2], content)) for name, content in members))


def test_what_comes_in_is_held_against_its_id(home, tmp_path):
    releases, _, second = home
    for part, said in {
        "player.toml": "player.toml was changed",
        "prompts/first.md": "prompts/first.md was changed",
        "adapter/adapter_model.safetensors": "is damaged or was changed",
        "release.json": "release.json was changed|no release",
    }.items():
        file = tmp_path / "b.tar.gz"
        export(releases, second.id, file)
        repacked(file, lambda name, content, part=part: content.replace(b"t", b"d") if name == part else content)
        with opened(tmp_path / "there") as there, pytest.raises(LamarckError, match=said):
            import_(there, file)
    assert not [one for one in (tmp_path / "there" / "releases").iterdir() if one.name != ".lock"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item_log SET q_value = 'much'",
        "UPDATE item_log SET q_value = 1e9",
        "UPDATE item_log SET status = 'holy'",
        "UPDATE items SET body = '{}'",
        "UPDATE items SET body = replace(body, 'how to', 'HOW TO')",
    ],
)
def test_figures_that_are_none_do_not_come_in_however_they_are_named(tmp_path, change):
    remember(tmp_path / "m", ITEMS)
    run_sql(tmp_path / "m" / "store.db", change)
    with opened(tmp_path / "home") as releases, opened(tmp_path / "there") as there:
        made = releases.put(draft(tmp_path / "m"))
        export(releases, made.id, tmp_path / "x.tar.gz")
        with pytest.raises(ConfigError, match=r"item '.*' of the memory is none"):
            import_(there, tmp_path / "x.tar.gz")
        assert not there.tree()


def test_programs_that_a_release_names_have_to_be_trusted(tmp_path):
    with opened(tmp_path / "home") as releases, opened(tmp_path / "there") as there:
        made = releases.put(draft(**{"tools.mcp": ["python evil.py"], "model.vllm.python": "/tmp/evil"}))
        assert releases.player(made.id).model.vllm.python is None, "an interpreter is the machine's own"
        export(releases, made.id, tmp_path / "x.tar.gz")
        with pytest.raises(ConfigError, match=r"starts programs of its own .*'python evil.py'.*--trust"):
            import_(there, tmp_path / "x.tar.gz")
        assert not there.tree()
        assert import_(there, tmp_path / "x.tar.gz", trust=True)[1]


# Made tools.


def test_calls_of_made_tools_are_written_beside_a_release(tmp_path):
    remember(tmp_path / "m", ITEMS)
    config = RunConfig.load(None, {"release": "home", "tools.make": True})

    class Held:
        def __init__(self, store):
            self.store = store

    with Store.open(tmp_path / "m" / "store.db") as inherited, Store.open(tmp_path / "run.db") as own:
        ToolLog(inherited).propose(Source("r", "t", "c"), "count", {})
        making = Making(inherited, "run", frozen=True)
        found = shelved(config, making, Held(inherited), own)
        assert found.store is own and found.upto == 1 and ToolLog(own).shelf().proposed == 1
        ToolLog(own).propose(Source("run", "t2", "c"), "later", {})
        again = shelved(config, making, Held(inherited), own)
        assert again.upto == 1 and ToolLog(inherited).shelf().proposed == 1, "what came later is the run's own"
        assert shelved(config.model_copy(update={"release": None}), making, Held(inherited), own) is making
        ToolLog(inherited).propose(Source("r", "t", "d"), "second", {})
        with pytest.raises(ConfigError, match="has other made tools"):
            shelved(config, making, Held(inherited), own)


def test_adapter_weights_share_their_blocks_and_everything_else_is_a_copy(built):
    place, _, second = built
    there = place / "home" / "releases" / second.id[:12]
    weights, manifest = "adapter_model.safetensors", "lamarck.json"
    assert (there / "adapter" / weights).samefile(place / "adapter" / weights)
    assert not (there / "adapter" / manifest).samefile(place / "adapter" / manifest)
    assert json.loads((there / "sums.json").read_text())["vectors"].keys() == {"words"}
