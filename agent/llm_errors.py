"""Naming what litellm and its providers raise: what happened, with which model and address, and what to do next."""

from __future__ import annotations

from typing import Any

from ..errors import ModelError
from .retry import Transient

NOBODY = ("connection error", "cannot connect to host")
"""How a server that is not there is named; for vLLM litellm makes a status 500 of it."""


def name_error(name: str, api_base: str | None, error: Exception) -> ModelError:
    """Return our error for a foreign one; those that another try may cure are `Transient`."""
    kind = type(error).__name__
    status = getattr(error, "status_code", None)
    where = f"model {name}" + (f" at {api_base}" if api_base else "")
    reason = _reason(error)
    if kind == "ContextWindowExceededError":
        return ModelError(f"{where}: the prompt is too long.", hint="Lower solver.history.", kind="context_length")
    if "missing credentials" in reason.lower() or ("api_key" in reason and "must be set" in reason):
        return ModelError(f"{where} has no API key.", hint="Set the provider's key variable.", kind="no_key")
    if kind in ("AuthenticationError", "PermissionDeniedError") or status in (401, 403):
        return ModelError(f"{where} refused the API key ({reason}).", hint="Check the key.", kind="auth")
    if kind == "NotFoundError" or status == 404:
        return ModelError(
            f"{where} does not exist there ({reason}).", hint="Check the name and URL.", kind="unknown_model"
        )
    if kind == "ContentPolicyViolationError":
        return ModelError(f"{where} refused to answer ({reason}).", kind="refused")
    if kind == "RateLimitError" or status == 429:
        return Transient(f"{where} is busy (429)", kind="rate_limit", after_s=_retry_after(error))
    if kind in ("Timeout", "APITimeoutError"):
        return Transient(f"{where} timed out", kind="timeout")
    if kind == "APIConnectionError" or any(word in reason.lower() for word in NOBODY):
        hint = "Is the server running?" if api_base else "Check the network."
        return Transient(f"{where} cannot be reached ({reason})", kind="connection", hint=hint)
    if isinstance(status, int) and 400 <= status < 500:
        return ModelError(f"{where} refused the request ({reason}).", kind="bad_request")
    if isinstance(status, int) and status >= 500:
        return Transient(f"{where} failed with {status} ({reason})", kind="server", after_s=_retry_after(error))
    return Transient(f"{where} gave an unusable answer ({kind}: {reason})", kind="bad_reply")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = lines[0].removeprefix("litellm.").strip()
    return first if len(first) <= 160 else first[:157] + "..."


def _retry_after(error: Any) -> float | None:
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after")))
    except (TypeError, ValueError):
        return None
