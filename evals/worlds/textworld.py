"""TextWorld: its games from files, or made by its own `tw-make`, in its own engine.

Côté et al. 2018, "TextWorld: A Learning Environment for Text-based Games".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...core import Origin, Task, content_id
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Environment
from .replay import Progress, check_solutions
from .seeds import SPLITS, seeds_of
from .textworld_files import DEFAULTS, KINDS, described, found_games, made_game, playable, require_textworld

MAX_STEPS = 100
ALL = "all"
_PROMPT = re.compile(r"\n>[^\n]*\Z")
_LOGO = re.compile(r"\A(?:[ _$|<>\\/]*\n)+")
_GAPS = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_REFUSALS = (
    "That's not a verb I recogni",
    "You can't see any such thing",
    "You can't see that",
    "I didn't understand",
    "I only understood",
    "I beg your pardon",
    "There was no verb",
    "You excepted something",
    "You seem to want to talk",
    "What do you want to",
)
"""How Inform's parser says that it did not understand."""
UNKNOWN = "That is not a command of this game."
LONGEST = 197
"""Characters of a command; the interpreter reads no more."""
_UNSAID = re.compile(r"[^\x20-\x7e]")
_META = re.compile(
    r"(?:quit|q|restart|restore|save|undo|script|transcript|noscript|verify|version|notify|tw-\S*)\b", re.IGNORECASE
)
"""Commands to the interpreter rather than the game: they would end it, go back in time, or tell what is hidden."""


class TextWorldTaskset:
    """TextWorld games.

    Args:
        data: a game (`.z8` with its `.json`, or the `.json` alone), or a folder of them; folders below it that are
            called train, valid or test are the splits, else there is the one split `all`. Games are made if not given.
        make: which kind `tw-make` makes.
        settings: options of `tw-make` for that kind, without their dashes; some of ours if not given.
        games: how many are made per split. Making one takes seconds, once: they are kept in the cache folder.
        max_steps: steps after which an episode is truncated.

    Raises:
        ConfigError: TextWorld is not installed, or an option is none that there is.
    """

    name = "textworld"

    def __init__(
        self,
        data: str | None = None,
        make: str = "custom",
        settings: Mapping[str, Any] | None = None,
        games: int = 10,
        max_steps: int = MAX_STEPS,
    ) -> None:
        require_textworld()
        if make not in KINDS:
            raise ConfigError(f"tw-make makes no {make!r}; there are: {', '.join(KINDS)}.")
        if games < 1 or max_steps < 1:
            raise ConfigError(f"textworld needs games >= 1 and max_steps >= 1, not {games} and {max_steps}.")
        self._data = Path(data).expanduser().absolute() if data is not None else None
        if self._data is not None and not self._data.exists():
            raise ConfigError(f"there are no TextWorld games in {self._data}.", hint="Pass a game or a folder.")
        self._make, self._settings = make, dict(settings if settings is not None else DEFAULTS[make])
        self._games, self._max_steps = games, max_steps

    def splits(self) -> list[str]:
        """Return the splits."""
        if self._data is None:
            return list(SPLITS)
        return [split for split in SPLITS if (self._data / split).is_dir()] or [ALL]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the games of a split; those that are to be made are made now.

        Raises:
            ConfigError: there is no such split, no game in it, or `tw-make` refuses the settings.
        """
        if split not in self.splits():
            raise ConfigError(f"textworld has no split {split!r}; there are: {', '.join(self.splits())}.")
        if self._data is None:
            return [
                self._task(split, {"make": self._make, "settings": self._settings, "seed": number}, number)
                for number in seeds_of(self.name, split, seed=seed, count=self._games, limit=limit)
            ]
        root = self._data if self._data.is_dir() else self._data.parent
        games = found_games(root / split if split != ALL else self._data)
        return [self._task(split, {"game": file.relative_to(root).as_posix()}, 0) for file in games[:limit]]

    def environment(self) -> Environment:
        """Return an environment that plays every game of this set."""
        return TextWorldEnvironment(self.path, self._max_steps)

    def path(self, task: Task) -> Path:
        """Return the game file of a task; a made game that the cache lacks is made anew.

        Raises:
            EnvironmentFailure: the task is not one of this set.
        """
        return self._path(task.id, task.options)

    def walkthrough(self, task: Task) -> tuple[str, ...]:
        """Return the commands that win a game, none where its description does not tell."""
        metadata = described(self.path(task)).get("metadata")
        return tuple(metadata.get("walkthrough") or ()) if isinstance(metadata, dict) else ()

    def check(
        self, split: str | None = None, limit: int | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Replay each game's own walkthrough: every one must win.

        Its commands need not be admissible: those of cooking games also open what is open already.

        Raises:
            ConfigError: there is no such split.
        """
        tasks = self.tasks(split or self.splits()[0], limit=limit)
        return check_solutions(self.environment(), tasks, self.walkthrough, progress, listed=False)

    def _path(self, ident: str, options: Mapping[str, Any]) -> Path:
        game, seed, kind, settings = (options.get(name) for name in ("game", "seed", "make", "settings"))
        if self._data is not None and isinstance(game, str):
            root = (self._data if self._data.is_dir() else self._data.parent).resolve()
            path = (root / game).resolve()
            if path.is_relative_to(root):
                return path
        elif kind in KINDS and isinstance(seed, int) and isinstance(settings, dict):
            return made_game(str(kind), settings, seed)
        raise EnvironmentFailure(f"task {ident} names no game of this set.", kind="contract")

    def _task(self, split: str, options: dict[str, Any], seed: int) -> Task:
        # Other settings make another game of the same seed.
        usual = self._settings == DEFAULTS[self._make]
        made = f"{self._make}-{seed}" + ("" if usual else f"-{content_id(self._settings)[:8]}")
        ident = f"{self.name}/{split}/{options.get('game', made)}"
        known = described(self._path(ident, options))
        uuid = str(known.get("metadata", {}).get("uuid", ""))
        return Task(
            id=ident,
            goal=str(known.get("objective", "")),
            environment=self.name,
            options=options,
            seed=seed,
            split=split,
            category=next((kind for kind in KINDS if uuid.startswith(kind)), "custom"),
            origin=Origin(by=self.name),
        )


class TextWorldEnvironment:
    """Plays the game of whatever task it is reset with, in stock TextWorld.

    The engine is not thread-safe, so it runs in child processes. Rewards are the share of the game's points that a
    step earned; they sum up to the score.

    Args:
        path_of: from a task to its game.
        max_steps: after this many steps the episode is truncated.
    """

    concurrency = "process"
    recycle_after = 50

    def __init__(self, path_of: Callable[[Task], Path], max_steps: int = MAX_STEPS) -> None:
        self._path_of = path_of
        self.max_steps = max_steps
        self._game: Any = None
        self._path: Path | None = None
        self._steps = 0
        self._score = 0.0
        self._over = True
        self._known: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the game of `task`; the seed changes nothing, since games hold no chance.

        Raises:
            EnvironmentFailure: no task was given, or its game cannot be played.
        """
        if task is None:
            raise EnvironmentFailure("a TextWorld environment is reset with a task.", kind="contract")
        path = playable(self._path_of(task))
        if path != self._path or self._game is None:
            self.close()
            self._game, self._path = _started(path), path
        state = self._game.reset()
        self._steps, self._over = 0, False
        self._known, self._score = _told(state)
        return shown(state.feedback), self._known

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one command.

        Raises:
            EnvironmentFailure: there is no game to step in.
        """
        if self._game is None or self._over:
            raise EnvironmentFailure("step without an episode under way: reset first.", kind="order")
        command = _UNSAID.sub("", " ".join(action.split())).strip()
        self._steps += 1
        truncated = self._over = self._steps >= self.max_steps
        if not 0 < len(command) <= LONGEST or _META.match(command):
            return UNKNOWN, 0.0, False, truncated, {**self._known, "effective": False}
        state, _, over = self._game.step(command)
        text = shown(state.feedback)
        self._known, score = _told(state)
        reward, self._score = score - self._score, score
        self._over = bool(over) or truncated
        told = {**self._known, "effective": not text.startswith(_REFUSALS)}
        return text, reward, bool(over), truncated and not over, told

    def close(self) -> None:
        """Close the game."""
        if self._game is not None:
            self._game.close()
        self._game = None


def shown(feedback: str) -> str:
    """Return what a game says, without the logo before it and the prompt and status line behind it."""
    text = _PROMPT.sub("", feedback)
    return _GAPS.sub("\n\n", _LOGO.sub("", text)).strip()


def _started(path: Path) -> Any:
    require_textworld()
    import textworld

    known = path.with_suffix(".json").is_file()
    wanted = textworld.EnvInfos(won=True, lost=True, score=True, max_score=True, admissible_commands=known)
    try:
        with warnings.catch_warnings():
            # Its interpreter warns of every game that it has not met before.
            warnings.simplefilter("ignore")
            return textworld.start(str(path), wanted)
    except Exception as error:
        raise EnvironmentFailure(f"game {path} does not start: {type(error).__name__} {error}") from error


def _told(state: Any) -> tuple[dict[str, Any], float]:
    """Return info, and the share of points so far; games that are not TextWorld's own may tell less."""
    told: dict[str, Any] = {}
    if state.get("admissible_commands") is not None:
        told["admissible_actions"] = list(state["admissible_commands"])
    won, most = state.get("won"), state.get("max_score")
    score = min(1.0, max(0.0, float(state.get("score") or 0) / float(most))) if most else 0.0
    if won is not None:
        told["success"] = bool(won)
    if most:
        told["score"] = score
    return told, score
