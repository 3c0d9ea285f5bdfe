"""TRL's SFT, DPO and KTO over token ids as sampled: nothing is tokenised, no template is applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from ..errors import TrainingError
from .examples import Judged, Pair, labels
from .rows import Row

PREPARE = ("self", "dataset", "processing_class", "args", "dataset_name")
"""Parameters of `_prepare_dataset` of TRL's DPO and KTO trainers (1.16 and 1.17); a test compares."""


def imitate(rows: Sequence[Row], *, args: SFTConfig, held: Sequence[Row] = (), **keywords: Any) -> SFTTrainer:
    """Return TRL's SFT trainer over exact ids and labels.

    Args:
        rows: what is imitated.
        args: TRL's configuration.
        held: rows to measure the loss on.
        keywords: what SFTTrainer takes.

    Raises:
        TrainingError: there are no rows, or one is longer than `args.max_length` and would be cut.
    """
    _some(rows, "rows", "Only solved attempts are imitated.")
    held_data = _labelled(held, args.max_length) if held else None
    return SFTTrainer(args=args, train_dataset=_labelled(rows, args.max_length), eval_dataset=held_data, **keywords)


def _labelled(rows: Sequence[Row], most: int | None) -> Dataset:
    both = [labels(row) for row in rows]
    for row, (ids, _) in zip(rows, both, strict=True):
        if most is not None and len(ids) > most:
            raise TrainingError(
                f"a row of trajectory {row.trajectory_id} has {len(ids)} tokens, more than max_length "
                f"{most}; cutting it would drop its end.",
                hint="Raise max_length, or use rows per step.",
            )
    return Dataset.from_dict(
        {"input_ids": [list(ids) for ids, _ in both], "labels": [list(known) for _, known in both]}
    )


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """DPO over pairs of ids.

    Args:
        pairs: what was chosen and rejected.
        args: TRL's configuration.
        held: pairs to measure the loss on.
        keywords: what DPOTrainer takes.
    """

    def __init__(self, *, pairs: Sequence[Pair], args: DPOConfig, held: Sequence[Pair] = (), **keywords: Any) -> None:
        _some(pairs, "pairs", "Siblings must differ in reward and in an answer to the same prompt; raise --samples.")
        held_data = _paired(held) if held else None
        super().__init__(args=args, train_dataset=_paired(pairs), eval_dataset=held_data, **keywords)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: DPOConfig, dataset_name: str) -> Dataset:
        return dataset


class JudgedTrainer(KTOTrainer):  # type: ignore[misc]
    """KTO over single answers that were good or bad.

    Args:
        judged: answers with their labels, of both kinds.
        args: TRL's configuration.
        held: answers to measure the loss on.
        keywords: what KTOTrainer takes.
    """

    def __init__(
        self, *, judged: Sequence[Judged], args: KTOConfig, held: Sequence[Judged] = (), **keywords: Any
    ) -> None:
        _some(judged, "judged answers", "Attempts of a group must differ in reward; raise --samples.")
        if len({one.label for one in judged}) < 2:
            raise TrainingError("all judged answers have the same label.", hint="KTO needs good and bad ones.")
        held_data = _labelled_answers(held) if held else None
        super().__init__(args=args, train_dataset=_labelled_answers(judged), eval_dataset=held_data, **keywords)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: KTOConfig, dataset_name: str) -> Dataset:
        if not self.calculate_KL:
            return dataset
        # KTO estimates its KL from answers to other prompts of the batch: each gets its neighbour's.
        size, answers = args.per_device_train_batch_size, dataset["completion_ids"]
        shifted: list[list[int]] = []
        for start in range(0, len(dataset), size):
            batch = list(answers[start : start + size])
            shifted += [batch[-1], *batch[:-1]]
        return dataset.add_column("KL_completion_ids", shifted)


def _paired(pairs: Sequence[Pair]) -> Dataset:
    rows = {name: [list(getattr(pair, name)) for pair in pairs] for name in Pair._fields[:3]}
    return Dataset.from_dict({"prompt": [""] * len(pairs), **rows})


def _labelled_answers(judged: Sequence[Judged]) -> Dataset:
    rows = {
        "prompt_ids": [list(one.prompt_ids) for one in judged],
        "completion_ids": [list(one.completion_ids) for one in judged],
        "label": [one.label for one in judged],
    }
    return Dataset.from_dict({"prompt": [""] * len(judged), "completion": [""] * len(judged), **rows})


def _some(found: Sequence[Any], what: str, hint: str) -> None:
    if not found:
        raise TrainingError(f"there are no {what} to train on.", hint=hint)
