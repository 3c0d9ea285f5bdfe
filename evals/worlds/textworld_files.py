"""TextWorld's game files: found in a folder, made by `tw-make`, compiled where only their description is there."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...core import content_id
from ...errors import ConfigError, EnvironmentFailure
from ...wheels import cache_folder

KINDS = ("custom", "tw-simple", "tw-cooking", "tw-coin_collector", "tw-treasure_hunter")
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "custom": {"world_size": 4, "nb_objects": 8, "quest_length": 4},
    "tw-simple": {"rewards": "dense", "goal": "detailed"},
    "tw-cooking": {"recipe": 2, "take": 2, "go": 6, "open": True, "cook": True, "cut": True},
    "tw-coin_collector": {"level": 5},
    "tw-treasure_hunter": {"level": 5},
}
"""What is asked of `tw-make` where the user says nothing of it."""
OURS = ("output", "seed", "format", "force", "silent", "verbose", "overview", "save_overview", "third_party")
"""Options of `tw-make` that are not the user's to set here."""
MAKING_S = 300.0


def require_textworld() -> None:
    """Check that TextWorld is installed.

    Raises:
        ConfigError: it is not; says how to install it.
    """
    missing = [name for name in ("textworld", "jericho") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"TextWorld games need {' and '.join(missing)}.",
            hint="Run: pip install 'lamarck-agents[textworld]' (needs a C compiler; brings GPL libraries).",
        )


def found_games(path: Path) -> list[Path]:
    """Return the games in a file or below a folder, sorted; of each, the form that plays best.

    Raises:
        ConfigError: there is none.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix == ".json" or _is_story(file))
    else:
        files = [path.with_suffix(".json") if path.suffix == ".ulx" else path]
    best: dict[Path, Path] = {}
    for file in files:
        if not file.is_file() or (file.suffix == ".json" and not described(file)):
            continue
        stem = file.with_suffix("")
        if stem not in best or best[stem].suffix == ".json":
            best[stem] = file
    if not best:
        raise ConfigError(
            f"there is no TextWorld game in {path}.",
            hint="A game is NAME.z8 with NAME.json beside it; NAME.ulx plays by its NAME.json only.",
        )
    return [best[stem] for stem in sorted(best)]


def described(game: Path) -> dict[str, Any]:
    """Return TextWorld's own description of a game, or nothing where there is none."""
    try:
        found = json.loads(game.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and "quests" in found and "objective" in found else {}


def made_game(kind: str, settings: Mapping[str, Any], seed: int) -> Path:
    """Return a game that `tw-make` makes of these settings, from the cache where it was made before.

    Raises:
        ConfigError: `tw-make` refuses the settings.
    """
    version = importlib.metadata.version("textworld")
    name = f"{kind}-{seed}-{content_id(kind, dict(settings), seed, version)[:12]}"

    def make(target: Path) -> None:
        flags = [*_flags(settings), "--seed", str(seed), "--output", str(target), "--silent", "--force"]
        try:
            # A process of its own: the generator keeps state, and is slow to import.
            done = subprocess.run(
                [sys.executable, str(_tw_make()), kind, *flags],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=MAKING_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"tw-make {kind} with seed {seed} took more than {MAKING_S:g} s.") from None
        if done.returncode or not target.is_file():
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["no game came of it"]
            raise ConfigError(f"tw-make {kind} with seed {seed}: {_reason(said)}", hint="See taskset.options.settings.")

    return _kept(name, make)


def playable(game: Path) -> Path:
    """Return the story file of a game, compiled into the cache where there is only a description.

    Raises:
        EnvironmentFailure: it cannot be compiled.
    """
    if game.suffix != ".json":
        return game

    def make(target: Path) -> None:
        from textworld import GameOptions
        from textworld.generator import compile_game
        from textworld.generator.game import Game

        options = GameOptions()
        options.path = str(target)
        try:
            compile_game(Game.load(str(game)), options)
        except Exception as error:
            raise EnvironmentFailure(f"game {game} does not compile: {type(error).__name__} {error}") from error

    return _kept(f"compiled-{hashlib.sha256(game.read_bytes()).hexdigest()[:24]}", make)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return a game of the cache; two who make it at once do not meet, since only whole games are moved there."""
    folder = cache_folder("textworld")
    kept = folder / f"{name}.z8"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            fresh = Path(work) / f"{name}.z8"
            make(fresh)
            # The story last: who sees it finds its description there.
            fresh.with_suffix(".json").replace(kept.with_suffix(".json"))
            fresh.replace(kept)
    return kept


def _flags(settings: Mapping[str, Any]) -> list[str]:
    flags: list[str] = []
    for key, value in settings.items():
        if key.replace("-", "_") in OURS or not key.replace("-", "_").isidentifier():
            raise ConfigError(f"textworld settings: {key} is not for you to set, or no option of tw-make.")
        name = f"--{key.replace('_', '-')}"
        flags += [name] if value is True else [] if value is False else [name, str(value)]
    return flags


def _reason(lines: list[str]) -> str:
    """Return the line of an error output that says what is wrong."""
    marked = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return (marked or lines)[-1].strip()


@functools.cache
def _tw_make() -> Path:
    """Return the script that TextWorld installed; it is not always on the PATH.

    Raises:
        ConfigError: there is none.
    """
    for file in importlib.metadata.files("textworld") or ():
        if file.name == "tw-make":
            return Path(str(file.locate())).resolve()
    raise ConfigError("TextWorld is installed without its tw-make.", hint="Pass games with taskset.options.data.")


def _is_story(file: Path) -> bool:
    return len(file.suffix) == 3 and file.suffix[:2] == ".z" and file.suffix[2] in "12345678"
