"""One stage of training, of any kind: from stored attempts to an adapter in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from ..config_training import TrainConfig
from ..errors import TrainingError
from ..task_contents import all_names, files_beside, names_file
from ..weights import read_manifest, trained_on
from ..whole import write_whole
from . import adapters
from .base import Base
from .card import card
from .checks import check_labels, check_layers
from .curves import check_reporters, curves
from .device import device, place, reset_peak, threads
from .fit import Fit, fit, rate, remarks
from .headers import NOTHING
from .identity import identity, tokens_of
from .output import TrainDirectory
from .prepared import Prepared, prepare
from .quiet import hushed
from .replay import ages as policy_ages
from .rewarded import rewards_of
from .shortage import shortages
from .sources import Sources
from .summary import NOUNS, Data, Summary, Trend, versions
from .trainers import reached, trainer_for
from .watching import Unwatched, Watch
from .weighing import current, weigh


def train(
    config: TrainConfig,
    sources: Sources,
    base: Base,
    out: str | Path,
    *,
    resume: bool = False,
    watch: Watch | None = None,
    prepared: Prepared[Any] | None = None,
    ages: Mapping[str, int] | None = None,
) -> Summary:
    """Train an adapter and write it, with all there is to know about it, into a folder.

    `base.model` is trained in place and holds the weights of `out/adapter` afterwards, so that several stages can
    follow one another in a process; the next one's base is then `replace(base, adapter=Adapter.read(out/adapter))`.

    Args:
        config: the settings.
        sources: the attempts.
        base: the model with the adapter that is trained.
        out: the folder; see `TrainDirectory`.
        resume: go on from the last whole checkpoint in it.
        watch: who looks on, and may stop it: then there is a checkpoint, and `Summary.interrupted`. Stopped in its
            last update it is finished: whoever would go on to something else has to ask the watch as well.
        prepared: examples in the place of those that `sources` give, where several sorts are mixed (live rounds).
        ages: policy version -> how many policies ago it acted, where that is known better than from `sources`.

    Returns:
        What was done. A stage that had come to its end with the same settings and examples is not begun again: its
        summary is read, and `base.model` is left as it is.

    Raises:
        ConfigError: the folder holds another stage, or a package is missing.
        TrainingError: there is nothing to train on, disk or memory ran out, or the loss is no number.
    """
    directory, looking = TrainDirectory(out), watch or Unwatched()
    directory.check(config, resume=resume)
    check_reporters(config)
    less = (
        "memory by --set optimizer.gradient_checkpointing=true and --resume, or start a new stage with a lower "
        "--batch or samples.max_tokens"
    )
    with hushed(), threads(config.optimizer.threads), shortages(str(out), less, lambda: _left(directory)):
        check_layers(base.model)
        place(base.model)
        given = prepared if prepared is not None else prepare(config, sources, base)
        data = identity(given, base)
        if resume and directory.finished(config, data):
            return Summary.read(directory.summary_path)
        if ages is None:
            ages = policy_ages(sources.trajectories, current(base))
        able, figures = _weighed(config, given, ages, base, looking)
        check_labels(able.train)
        fitted = fit(config.kind, config.optimizer, len(able.train))
        with directory.lock():
            directory.create(config, data, resume=resume)
            return _Stage(config, sources, base, directory, able, figures, fitted, looking).run(resume)


@dataclass(frozen=True)
class _Stage:
    config: TrainConfig
    sources: Sources
    base: Base
    directory: TrainDirectory
    prepared: Prepared[Any]
    figures: dict[str, float]
    fitted: Fit
    watch: Watch

    def run(self, resume: bool) -> Summary:
        from .callbacks import KeepBest, Watching

        checkpoint = self._checkpoint(resume)
        beta = self.config.beta if self.config.kind == "dpo" else None
        watching, held = Watching(self.watch, beta), bool(self.prepared.validate)
        callbacks = [watching, *([KeepBest(lambda: self._save(self.directory.best))] if held else [])]
        with (
            curves(self.config, self.directory, checkpoint, self.watch.say) as drawn,
            _references(self.base.model),
        ):
            trainer = self._trainer([*callbacks, *drawn], fresh=checkpoint is None)
            reset_peak()
            try:
                if checkpoint is None or not reached(trainer, checkpoint):
                    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            except BaseException:
                self.directory.sweep()
                raise
        summary = self._summary(trainer, watching)
        return summary if summary.interrupted else self._finish(summary)

    def _checkpoint(self, resume: bool) -> Path | None:
        """Return where to go on from, and remove what was cut off while it was written."""
        for name in self.directory.sweep():
            self.watch.say(f"{name} was cut off while it was written, and is removed")
        found = self.directory.last_checkpoint()
        if resume:
            self.watch.say(f"going on from {found.name}" if found else "there is no checkpoint yet: from the beginning")
        for note in self._remarks():
            self.watch.say(note)
        rows, each = self.prepared.train, self.fitted.batch * self.fitted.accumulate
        self.watch.say(
            f"{len(rows)} {NOUNS[self.config.kind]} of {sum(map(tokens_of, rows)):,} tokens to train on, "
            f"{each} of them per update"
        )
        return found

    def _trainer(self, callbacks: list[Any], *, fresh: bool) -> Any:
        from transformers import PrinterCallback

        trainer = trainer_for(
            self.config,
            self.prepared,
            self.base,
            self.directory,
            self.fitted,
            callbacks=callbacks,
            **({"returns": self._returns(), "notify": self.watch.say} if self.config.kind == "grpo" else {}),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.args.eval_on_start = fresh and bool(self.prepared.validate)
        trainer.create_model_card = lambda **fields: None  # TRL would write its own among the checkpoints
        return trainer

    def _returns(self) -> Mapping[str, float]:
        """Return what each attempt got by the rewards that are trained on."""
        known = self.prepared.returns
        return rewards_of(self.config, self.sources.trajectories) if known is None else known

    def _remarks(self) -> tuple[str, ...]:
        return remarks(self.config, self.fitted, len(self.prepared.train))

    def _save(self, folder: Path) -> adapters.Adapter:
        splits: list[JsonValue] = [*sorted({one.task.split for one in self.sources.trajectories})]
        return adapters.save(
            self.base.model,
            folder,
            base_model=self.base.name,
            base_weights=self.base.weights,
            parent=self.base.adapter.id if self.base.adapter is not None else None,
            kind=self.config.kind,
            provenance={
                "runs": list(self.sources.runs),
                "seed": self.config.seed,
                "splits": splits,
                "tasks": self._tasks(),
            },
        )

    def _tasks(self) -> list[JsonValue] | None:
        """Return the names of all tasks that were trained on, here and before; None where that is not known."""
        before = frozenset[str]()
        if self.base.adapter is not None:
            known = trained_on(read_manifest(self.base.adapter.folder))
            if known is None:
                return None
            before = known
        tasks = [one.task for one in self.sources.trajectories]
        stores = (*map(Path, self.config.stores), *self.sources.folders)
        files = [files_beside(store.parent if store.is_file() else store) for store in stores]
        if any(names_file(task) and not any(task.id in known for known in files) for task in tasks):
            return None  # another file may hold the same task, and that could not be seen
        ids = {task.id for task in tasks}
        copies = {name for known in files for ident, name in known.items() if ident in ids}
        return [*sorted(before.union(all_names(tasks), copies))]

    def _finish(self, summary: Summary) -> Summary:
        """Write the adapters, the summary and the card, each of them whole."""
        last = self._save(self.directory.adapter)
        held = bool(self.prepared.validate) and self.directory.best.is_dir()
        best = adapters.Adapter.read(self.directory.best) if held else self._save(self.directory.best)
        summary = summary.model_copy(
            update={"adapter": last.id, "best": best.id, "policy_version": best.policy_version}
        )
        write_whole(self.directory.summary_path, summary.model_dump_json(indent=2) + "\n")
        write_whole(self.directory.card_path, card(self.config, summary))
        return summary

    def _summary(self, trainer: Any, watching: Any) -> Summary:
        log, state, notes = trainer.state.log_history, trainer.state, list(self._remarks())
        held = Trend.of(log, "eval_loss")
        if held is not None and held.best >= held.first:
            notes.append("no update lowered the loss on what was held back")
        data = Data.of(
            self.sources,
            self.config.stores,
            left_out=dict(self.prepared.left_out),
            rows=len(self.prepared.train),
            held=len(self.prepared.validate),
            tokens=sum(map(tokens_of, self.prepared.train)),
            figures=self.figures,
        )
        return Summary(
            kind=self.config.kind,
            out=str(self.directory.path),
            interrupted=watching.stopped,
            model=self.config.model,
            base_model=self.base.name,
            base_weights=self.base.weights,
            start=self.base.adapter.id if self.base.adapter is not None else None,
            data=data,
            steps=state.global_step,
            steps_planned=state.max_steps,
            epochs=round(state.epoch or 0.0, 3),
            rows_per_step=self.fitted.batch * self.fitted.accumulate,
            learning_rate=rate(self.config),
            seed=self.config.seed,
            seconds=round(watching.seconds, 3),
            tokens_per_s=round(watching.tokens_per_s, 1),
            loss=Trend.of(log, "loss"),
            held_out_loss=held,
            reward=Trend.of(log, "reward" if self.config.kind == "grpo" else "rewards/margins", high=True),
            versions=versions(),
            notes=tuple(notes),
            **device(self.base.model),
        )


def _weighed(
    config: TrainConfig, prepared: Prepared[Any], ages: Mapping[str, int], base: Base, watch: Watch
) -> tuple[Prepared[Any], dict[str, float]]:
    """Return what is trained on, and figures about it."""
    figures: dict[str, float] = {}
    if config.kind == "grpo":
        prepared, figures = weigh(config, prepared, ages, base, watch)
        if prepared.groups is not None:
            found = prepared.groups
            figures |= {"groups": found.groups, "groups used": found.used, "reward of all, mean": found.reward_mean}
    if not prepared.train:
        why = ", ".join(f"{count} {reason}" for reason, count in prepared.left_out.items())
        raise TrainingError(
            f"nothing is left to train on{f': {why}' if why else ''}.",
            hint="See `lamarck train inspect RUN`.",
            kind=NOTHING,
        )
    return prepared, figures


def _left(directory: TrainDirectory) -> str:
    """Say what there is to go on from."""
    found = directory.last_checkpoint()
    return f"The last checkpoint is {found}." if found is not None else "There is no checkpoint yet."


@contextmanager
def _references(model: Any) -> Iterator[None]:
    """Remove the copies of the adapter that TRL made to compare with, for the next stage to make its own."""
    try:
        yield
    finally:
        for name in set(getattr(model, "peft_config", {})) - {"default"}:
            model.delete_adapter(name)
