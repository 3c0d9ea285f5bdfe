"""The model card of an adapter: what it is, what it was made of, and what it is not good for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..config_training import TrainConfig
from .summary import NOUNS, Summary, trends

NAMED = 20
"""Seeds that are named where many could be."""
METHODS = {
    "sft": "imitation of solved attempts (supervised fine-tuning, on token ids as sampled where there are any)",
    "dpo": "preferences between answers of sibling attempts to the same prompt (DPO, Rafailov et al. 2023)",
    "kto": "single answers that were good or bad (KTO, Ethayarajh et al. 2024)",
    "grpo": "reinforcement on stored attempts with per-token advantages, in TRL's GRPO loss",
}


def card(config: TrainConfig, summary: Summary) -> str:
    """Return the text of `README.md`: Markdown with the header that model hubs read."""
    sections = {
        "How it was made": _made(config, summary),
        "Data": _data(config, summary),
        "Figures": _figures(summary),
        "Best and last": _versions(summary),
        "Limits": _limits(config, summary),
        "Use": ["```", summary.next_command, "```"],
    }
    # A text in JSON is one in YAML too, whatever a folder is called.
    base = json.dumps(summary.base_model, ensure_ascii=False)
    header = ["---", f"base_model: {base}", "library_name: peft", "tags: [lora, lamarck]", "---", ""]
    title = [f"# Adapter {(summary.best or '')[:12]} on {summary.base_model}", ""]
    body = [line for name, lines in sections.items() for line in (f"## {name}", "", *lines, "")]
    return "\n".join([*header, *title, *body])


def _made(config: TrainConfig, summary: Summary) -> list[str]:
    method = METHODS[summary.kind]
    if summary.kind == "grpo":
        wanted = config.grpo
        method += f" (loss {wanted.objective or wanted.loss}, credit {wanted.credit}, beta {wanted.beta:g})"
    start = f"adapter {summary.start}" if summary.start else "a new adapter"
    out = [
        f"- Method: {method}.",
        f"- Base model: {summary.base_model}, weights {summary.base_weights}; training began with {start}.",
        f"- Updates: {summary.steps} of {summary.rows_per_step} {NOUNS[summary.kind]}, {summary.epochs:g} epochs, "
        f"learning rate {summary.learning_rate:g}, {config.optimizer.schedule} schedule.",
        f"- Seed: {summary.seed}. Device: {summary.device}.",
        "- Libraries: " + ", ".join(f"{name} {version}" for name, version in summary.versions.items()) + ".",
        "- All settings: `train.toml`. All figures: `summary.json` and `logs/`.",
    ]
    if not summary.start:
        out.insert(2, f"- LoRA: rank {config.adapter.rank}, alpha {config.adapter.alpha:g}, {config.adapter.targets}.")
    return out + [f"- Note: {note}." for note in summary.notes]


def _data(config: TrainConfig, summary: Summary) -> list[str]:
    data = summary.data
    out = [
        f"- {data.attempts} attempts at {data.tasks} tasks, {data.solved} of them solved; {data.rows} "
        f"{NOUNS[summary.kind]} of {data.tokens:,} tokens, {data.held} more held back.",
        f"- Tasksets: {_counts(data.tasksets)}. Splits: {_counts(data.splits)}.",
        f"- Seeds of the tasks: {_few(data.seeds)}.",
        f"- Runs: {', '.join(data.runs) or 'none'}, read from {', '.join(data.stores)}.",
        f"- Releases that made them: {', '.join(data.releases) or 'not on record'}.",
        f"- Policies that sampled them: {_counts(data.policies)}.",
    ]
    if data.left_out:
        out.append(f"- Left out: {_counts(data.left_out)}.")
    if config.samples.strip_recalled:
        out.append("- What was recalled from memory was taken out of the prompts.")
    return out


def _figures(summary: Summary) -> list[str]:
    out = [f"- {name}: {sentence}." for name, sentence in trends(summary).items()]
    out += [f"- {name}: {value:.4g}." for name, value in summary.data.figures.items()]
    speed = f"- {summary.seconds:.1f} s, {summary.tokens_per_s:,.0f} tokens/s"
    peak = summary.peak_memory_bytes
    return [*out, speed + (f", {peak / 2**30:.1f} GiB at most on the GPU." if peak else ".")]


def _versions(summary: Summary) -> list[str]:
    if summary.held_out_loss is None:
        why = "nothing was held back, so the best is the last"
    else:
        why = f"lowest held-out loss, at update {summary.held_out_loss.best_step}"
    return [
        f"- `best/`: {summary.best} ({why}).",
        f"- `adapter/`: {summary.adapter} (after the last update).",
        f"- Policy version on record when it acts: `{summary.policy_version}`.",
    ]


def _limits(config: TrainConfig, summary: Summary) -> list[str]:
    data = summary.data
    out = [
        "- The loss says how well the rows were learned, not how well tasks are solved: play a held-out split.",
        f"- It knows prompts of the form in the data ({_counts(data.tasksets)}); nothing was trained on others.",
        f"- It fits weights {summary.base_weights} only.",
    ]
    if summary.kind == "sft":
        out.append("- Imitation repeats what solved a task by luck as well as what solved it for a reason.")
    if summary.kind == "grpo" and not config.grpo.beta:
        out.append("- No divergence from the model it began with was penalised; skills not trained on may have gone.")
    if len(data.policies) > 1:
        out.append("- The attempts were sampled by more than one policy.")
    return out


def _few(seeds: Sequence[int]) -> str:
    """Name up to `NAMED` seeds, and how many more there are."""
    more = len(seeds) - NAMED
    named = ", ".join(map(str, seeds[:NAMED])) or "none"
    return f"{named} and {more} more (`summary.json`)" if more > 0 else named


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in found.items()) or "none"
