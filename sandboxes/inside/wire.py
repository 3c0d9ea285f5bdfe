"""Lines of JSON, without the `json` module: it loads `re`, a third of the time until a sandbox is ready."""

import _json
import binascii


class Gone(Exception):
    """The host has closed the channel."""


class Plain:
    """What the C scanner asks for."""

    strict, object_hook, object_pairs_hook, memo = True, None, None, None
    parse_float, parse_int, parse_constant = float, int, float


def parse(text):
    text = text if isinstance(text, str) else text.decode()
    try:
        return _json.make_scanner(Plain)(text.strip(), 0)[0]
    except (StopIteration, ArithmeticError) as error:
        raise ValueError("no JSON") from error


def dump(value):
    if isinstance(value, str):
        return _json.encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(dump(str(key)) + ":" + dump(entry) for key, entry in value.items()) + "}"
    return "[" + ",".join(map(dump, value)) + "]"


def encoded(data):
    return binascii.b2a_base64(data, newline=False).decode()
