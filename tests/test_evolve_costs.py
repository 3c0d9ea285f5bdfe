"""What an evolution spends beside playing: on a model that distils, and on asking the verifier of held-out games."""

import asyncio
import json
import shutil

import pytest
import signs  # noqa: F401  # the world that the settings name
from judgements import attempt
from lamarck.agent.distiller import LLMDistiller, llm_same
from lamarck.agent.prompting import Prompts
from lamarck.agent.scripted import ScriptedLLM
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.auditing import Auditing
from lamarck.cli.evolving.budget import spent
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.learned import Learned
from lamarck.cli.evolving.others import HELD_OUT
from lamarck.cli.evolving.remembering import Learning
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig
from lamarck.config_memory import DistilConfig
from lamarck.core import Reply, Usage
from lamarck.errors import ModelError
from lamarck.memory.items import make_item
from test_evolve_verify import SETTINGS

PRICE = Usage(prompt_tokens=30, completion_tokens=5, cost_usd=0.5, calls=1)
ITEM = json.dumps([{"kind": "principle", "applies": "at a sign", "content": "Red goes left."}])
FEW = {"propose.tasks": 6, "generations": 3, "gated": False, "learn.by": "environment", "run.verify.by": "none"}


def evolved(folder, **settings):
    config = EvolveConfig.load(None, SETTINGS | settings)
    check(config)
    return evolve(config, Home(folder), resume=False, quiet=True)


@pytest.fixture
def script(tmp_path):
    """A model that says the same of everything, at a price."""
    file = tmp_path / "script.jsonl"
    file.write_text((Reply(text=ITEM, usage=PRICE).model_dump_json() + "\n") * 40)
    return {"run.memory.distil.by": "llm", "run.memory.distil.model": f"scripted:{file}"}


def test_what_distilling_takes_is_in_the_figures_and_in_the_budget(tmp_path, script):
    # Six attempts at 35 tokens and half a dollar; nothing else costs anything here, so 3 dollars end it after one.
    [record] = evolved(tmp_path / "home", **FEW, **script, **{"budget.max_cost_usd": 3.0})
    assert (record.figures["distil"]["tokens"], record.figures["distil"]["cost_usd"]) == (6 * 35, 3.0)
    assert record.figures["distil"]["new"] == 1
    assert record.figures["collect"]["tokens"] == 0
    assert spent(record, "tokens") == 210 and spent(record, "cost_usd") == 3.0


def test_a_script_that_distils_costs_nothing(tmp_path):
    records = evolved(tmp_path / "home", **FEW | {"generations": 2}, **{"budget.max_tokens": 1})
    assert [(one.figures["distil"]["tokens"], one.figures["distil"]["cost_usd"]) for one in records] == [(0, 0.0)] * 2


def test_what_it_took_before_a_crash_is_kept(tmp_path, script):
    """Half of the attempts were distilled when the process died: the other half is asked for, and all of it counts."""
    [record] = evolved(tmp_path / "home", **FEW | {"generations": 1}, **script)
    home = Home(shutil.copytree(tmp_path / "home", tmp_path / "killed"))
    folder = home.generation(1)
    whole = Learned.read(folder)
    assert whole.usage.calls == 6
    half = whole.model_copy(update={"attempts": whole.attempts[:3], "usage": PRICE + PRICE + PRICE})
    half.write(folder)
    config = home.load()
    again = asyncio.run(Learning(home, config, Verifying(home, config)).distil(record))
    assert again == record.figures["distil"] and Learned.read(folder).usage == whole.usage


async def test_a_distiller_counts_what_was_usable_and_what_was_not_and_who_compares():
    answers = iter([Reply(text="nothing usable", usage=PRICE), Reply(text="yes", usage=PRICE), ModelError("no")])
    llm = ScriptedLLM(lambda messages: next(answers))
    distiller = LLMDistiller(llm, Prompts(), DistilConfig())
    same = llm_same(llm, Prompts(), distiller.count)
    await distiller.distil([attempt("go").model_copy(update={"success": True, "reward": 1.0})])
    one, other = (make_item("principle", "at a sign", text, trajectory_ids=["t"]) for text in ("Left.", "Go left."))
    assert await asyncio.to_thread(same, one, other)
    assert distiller.took() == PRICE + PRICE
    # Nothing twice; and who does not answer is not paid.
    assert distiller.took() == Usage()
    assert not await asyncio.to_thread(same, one, other)
    assert distiller.took() == Usage()


def test_held_out_games_are_judged_only_where_that_is_wanted(tmp_path):
    settings = {"generations": 1, "propose.tasks": 6}
    [on] = evolved(tmp_path / "on", **settings)
    [off] = evolved(tmp_path / "off", **settings, **{"held_out.audit": False})
    assert on.candidate == off.candidate and on.decision == off.decision
    audit, gated = on.figures["gate"]["audit"], off.figures["gate"]
    assert "audit" not in gated
    # Four games of each release at 3 tokens, for no more than being looked at.
    assert [side["tokens"] for side in audit.values()] == [12, 12]
    assert on.figures["gate"]["tokens"] == gated["tokens"] + 24
    assert {key: value for key, value in on.figures["gate"].items() if key not in ("audit", "tokens", "said")} == {
        key: value for key, value in gated.items() if key not in ("tokens", "said")
    }
    assert list((tmp_path / "on" / "evaluations").rglob("verdicts"))
    assert not list((tmp_path / "off" / "evaluations").rglob("verdicts"))
    assert off.figures["settle"]["alarms"] == []


def test_each_generation_counts_what_it_had_judged_itself(tmp_path):
    home, settings = Home(tmp_path / "home"), SETTINGS | {"propose.tasks": 6}
    config = EvolveConfig.load(None, settings | {"generations": 1})
    evolve(config, home, resume=False, quiet=True)
    # Six held-out games now: two more of the release in force, and all of the new candidate, at 3 tokens each.
    more = EvolveConfig.load(None, settings | {"generations": 2, "held_out.limit": 6})
    first, second = evolve(more, home, resume=True, quiet=True)
    assert first.head == second.head and first.candidate != second.candidate
    audits = [one.figures["gate"]["audit"] for one in (first, second)]
    assert [[side["tokens"] for side in one.values()] for one in audits] == [[12, 12], [6, 18]]
    assert second.figures["gate"]["tokens"] == 24
    # Gone through again after a kill, nothing is judged again, and what was is counted still.
    assert asyncio.run(Auditing(home, more).audit(second, HELD_OUT)) == audits[1]
