"""The order of an evolution's phases, and that a kill between or within them changes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from lamarck.agent.evolution.generation import PHASES, Figures, Generation, Ruling
from lamarck.agent.evolution.graph import EvolutionContext, evolve


class Killed(BaseException):
    """Stands for the end of the process."""


class Counting:
    """Phases that count what they do in files, as real ones do: each writes its result once, and finds it later.

    Args:
        folder: where everything is.
        killed_at: at which touch of the folder the process ends; 0 is never.
        rulings: what the gate says, generation by generation.
    """

    def __init__(self, folder: Path, killed_at: int = 0, rulings: tuple[str, ...] = ("promote", "refuse")) -> None:
        self._folder, self._left, self._rulings = folder, killed_at, rulings
        self.calls: list[str] = []

    def _touch(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed

    def _once(self, name: str, value: object) -> object:
        self._touch()
        file = self._folder / f"{name}.json"
        if not file.exists():
            file.write_text(json.dumps(value))
        self._touch()
        return json.loads(file.read_text())

    @property
    def head(self) -> str:
        file = self._folder / "head"
        return file.read_text() if file.exists() else "r0"

    async def choose(self, number: int) -> tuple[str, str]:
        self._touch()
        return self.head, self.head

    async def _count(self, phase: str, now: Generation) -> Figures:
        self.calls.append(f"{now.number} {phase}")
        return {"made": self._once(f"{now.number}-{phase}", f"{phase} of {now.number} on {now.parent}")}

    async def propose(self, now: Generation) -> Figures:
        return await self._count("propose", now)

    async def collect(self, now: Generation) -> Figures:
        return await self._count("collect", now)

    async def verify(self, now: Generation) -> Figures:
        return await self._count("verify", now)

    async def credit(self, now: Generation) -> Figures:
        return await self._count("credit", now)

    async def distil(self, now: Generation) -> Figures:
        return await self._count("distil", now)

    async def train(self, now: Generation) -> Figures:
        return await self._count("train", now)

    async def build(self, now: Generation) -> tuple[str, Figures]:
        figures = await self._count("build", now)
        return (now.parent if self._rulings == ("same",) else f"r{now.number}"), figures

    async def gate(self, now: Generation) -> Ruling:
        figures = await self._count("gate", now)
        ruling = self._rulings[(now.number - 1) % len(self._rulings)]
        return Ruling(ruling, f"report {now.number}", figures)

    async def settle(self, now: Generation) -> Figures:
        figures = await self._count("settle", now)
        if now.decision == "promote":
            self._touch()
            (self._folder / "head").write_text(now.candidate)
            self._touch()
        return figures

    def keep(self, now: Generation) -> None:
        self._touch()
        (self._folder / f"generation-{now.number}").write_text(now.model_dump_json())
        self._touch()

    def kept(self) -> tuple[Generation, ...]:
        files = sorted(self._folder.glob("generation-*"), key=lambda file: int(file.name.partition("-")[2]))
        return tuple(Generation.model_validate_json(file.read_text()) for file in files)


def told(folder: Path) -> dict[str, object]:
    """Return everything in a folder but the times."""
    found = {}
    for file in sorted(folder.iterdir()):
        text = file.read_text()
        if file.name.startswith("generation-"):
            text = Generation.model_validate_json(text).model_copy(update={"seconds": {}}).model_dump_json()
        found[file.name] = text
    return found


def run(phases: Counting, **settings: object) -> tuple[Generation, ...]:
    return asyncio.run(evolve(EvolutionContext(phases, 3, **settings)))


def test_every_generation_goes_through_all_phases_in_order(tmp_path):
    phases = Counting(tmp_path)
    records = run(phases)
    assert phases.calls == [f"{number} {phase}" for number in (1, 2, 3) for phase in PHASES]
    assert [(one.parent, one.candidate, one.decision) for one in records] == [
        ("r0", "r1", "promote"),
        ("r1", "r2", "refuse"),
        ("r1", "r3", "promote"),
    ]
    assert phases.head == "r3"
    assert set(records[0].seconds) == set(PHASES)


def test_a_kill_at_any_point_changes_nothing(tmp_path):
    """Killed at every touch of the folder in turn: the resumed evolution ends as the undisturbed one."""
    whole = tmp_path / "whole"
    whole.mkdir()
    run(Counting(whole))
    kills = 0
    while True:
        kills += 1
        folder = tmp_path / f"killed-{kills}"
        folder.mkdir()
        try:
            run(Counting(folder, kills))
        except Killed:
            run(Counting(folder))
            assert told(folder) == told(whole), f"killed at touch {kills}"
        else:
            break
    assert kills > 3 * 2 * len(PHASES)


def test_a_phase_that_is_switched_off_is_left_out_and_said(tmp_path):
    phases = Counting(tmp_path)
    first = run(phases, on={"credit", "gate"})[0]
    assert first.skipped == {"verify": "switched off", "distil": "switched off", "train": "switched off"}
    assert "1 train" not in phases.calls and "1 collect" in phases.calls


def test_without_a_gate_nothing_is_promoted(tmp_path):
    phases = Counting(tmp_path)
    records = run(phases, on={"credit"})
    assert [one.decision for one in records] == ["ungated"] * 3
    assert phases.head == "r0"


def test_a_candidate_that_acquired_nothing_is_not_weighed(tmp_path):
    phases = Counting(tmp_path, rulings=("same",))
    records = run(phases)
    assert {one.decision for one in records} == {"unchanged"}
    assert records[0].skipped == {"gate": "nothing was acquired"}


def test_it_stops_between_generations_when_told_and_goes_on_later(tmp_path):
    phases = Counting(tmp_path)
    assert len(run(phases, enough=lambda: bool(phases.kept()) and phases.kept()[-1].ended)) == 1
    assert len(run(phases)) == 3


def test_a_watcher_sees_each_phase_begin_and_end(tmp_path):
    seen = []
    run(Counting(tmp_path), watch=lambda now, begins: seen.append((now.number, begins)))
    assert seen[:4] == [(1, "propose"), (1, None), (1, "collect"), (1, None)]


@pytest.mark.parametrize("generations", [0, 1])
def test_no_more_generations_than_asked_for(tmp_path, generations):
    assert len(asyncio.run(evolve(EvolutionContext(Counting(tmp_path), generations)))) == generations
