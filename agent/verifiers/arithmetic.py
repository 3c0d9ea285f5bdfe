"""Computing again: exact arithmetic on what stands in a text, also as a tool that a model may call."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from fractions import Fraction

from ...errors import ToolError
from ...tools.tool import Tool, tool

LONGEST = 200
LARGEST_POWER = 64
BIGGEST = Fraction(10) ** 60
_BINARY: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value_of(expression: str) -> Fraction:
    """Compute an expression of numbers with + - * / ** and brackets, exactly.

    Raises:
        ToolError: it is something else, divides by zero, or its value is astronomical.
    """
    text = expression.replace(",", "").strip()
    if len(text) > LONGEST:
        raise ToolError(f"an expression of {len(text)} characters is too long; at most {LONGEST}.")
    try:
        found = _value(ast.parse(text, mode="eval").body, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError(f"{text!r} is no arithmetic.") from None
    except ZeroDivisionError:
        raise ToolError(f"{text!r} divides by zero.") from None
    return found


def calculator() -> Tool:
    """Return the tool that computes an expression."""

    @tool(name="calculate")
    async def calculate(expression: str) -> str:
        """Compute an expression of numbers with + - * / ** and brackets, exactly.

        Args:
            expression: for example (388 - 120) * 7.
        """
        return shown(value_of(expression))

    return calculate


def shown(value: Fraction) -> str:
    """Return a number as a person writes it, a fraction where it has no short decimal form."""
    if value.denominator == 1:
        return str(value.numerator)
    decimal = float(value)
    return repr(decimal) if Fraction(repr(decimal)) == value else f"{value.numerator}/{value.denominator}"


def _value(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(Fraction(ast.get_source_segment(text, node) or str(node.value)), text)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        inner = _value(node.operand, text)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, text), _value(node.right, text)
        if isinstance(node.op, ast.Pow):
            if right.denominator != 1 or abs(right) > LARGEST_POWER:
                raise ToolError(f"{text!r}: powers are whole and at most {LARGEST_POWER}.")
            return _bounded(Fraction(left ** int(right)), text)
        if type(node.op) in _BINARY:
            return _bounded(_BINARY[type(node.op)](left, right), text)
    raise ToolError(f"{text!r} is no arithmetic.")


def _bounded(value: Fraction, text: str) -> Fraction:
    if abs(value) > BIGGEST or value.denominator > BIGGEST:
        raise ToolError(f"{text!r} is too large to compute.")
    return value
