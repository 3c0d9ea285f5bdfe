"""The losses of dpo and kto: from our settings to TRL's, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config_training import PreferenceSettings, TrainConfig
from .examples import Judged


def pair_config(config: TrainConfig, **settings: Any) -> Any:
    """Return TRL's configuration of dpo with the loss as set."""
    from trl import DPOConfig

    wanted = config.preferences
    return DPOConfig(
        max_length=None,
        beta=config.beta,
        loss_type=list(wanted.loss),
        loss_weights=list(wanted.loss.values()),
        label_smoothing=wanted.smoothing,
        **settings,
    )


def judged_config(config: TrainConfig, judged: Sequence[Judged], **settings: Any) -> Any:
    """Return TRL's configuration of kto for these answers, with the loss and the weights as set."""
    from trl import KTOConfig

    good, bad = balance(config.preferences, judged)
    return KTOConfig(
        max_length=None,
        beta=config.beta,
        loss_type=config.preferences.kto_loss,
        desirable_weight=good,
        undesirable_weight=bad,
        **settings,
    )


def balance(wanted: PreferenceSettings, judged: Sequence[Judged]) -> tuple[float, float]:
    """Return the weights of good and of bad answers in kto.

    As set, or such that the rarer kind weighs as much in all as the other: the lower end of the range 1 to 4/3 of
    lambda_D n_D / (lambda_U n_U) that is recommended (Ethayarajh et al. 2024, KTO; equation 8, as TRL cites it).
    """
    if wanted.good is not None or wanted.bad is not None:
        return wanted.good or 1.0, wanted.bad or 1.0
    good = sum(one.label for one in judged)
    bad = len(judged) - good
    return max(1.0, bad / max(1, good)), max(1.0, good / max(1, bad))


def loss_in_words(config: TrainConfig) -> str:
    """Return the loss of preferences and its settings: `sigmoid + 0.5 sft, beta 0.1`."""
    wanted, beta = config.preferences, f"beta {config.beta:g}"
    if config.kind == "kto":
        given = {"good": wanted.good, "bad": wanted.bad}
        weights = [f"{name} ones weigh {weight:g}" for name, weight in given.items() if weight is not None]
        return ", ".join([wanted.kto_loss, beta, *(weights or ["good and bad ones weigh the same in all"])])
    terms = [name if weight == 1 else f"{weight:g} {name}" for name, weight in wanted.loss.items()]
    smoothed = [f"smoothing {wanted.smoothing:g}"] if wanted.smoothing else []
    return ", ".join([" + ".join(terms), beta, *smoothed])
