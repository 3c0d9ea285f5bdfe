"""Runs inside every sandbox: executes code in one namespace that lasts from call to call.

What only an error needs is loaded by the first error.
"""

import _signal as signal
import os
import struct
import sys

import _ast
from wire import dump, parse

OURS = ("__main__", "call", "children", "files", "kernel", "wire")
ONLY_AST = 0x400
"""`ast.PyCF_ONLY_AST`"""


class Interrupt(KeyboardInterrupt):
    """The time of a call is up."""


class Cells:
    """The namespace, and the calls so far."""

    def __init__(self):
        self.main = type(sys)("__main__")
        self.names = self.main.__dict__
        self.sources = {}
        self.count = 0
        self.running = False

    def interrupt(self, number, frame):
        if self.running:
            raise Interrupt

    def run(self, code, limit):
        """Return what the supervisor is told of one call."""
        self.count += 1
        name = f"<call {self.count}>"
        self.sources[name] = code
        answer = {}
        # The handler stays for the whole call, so that an interrupt which comes late is swallowed, not fatal.
        signal.signal(signal.SIGINT, self.interrupt)
        try:
            try:
                self.running = True
                value = self.execute(code, name)
                text = repr(value) if value is not None else None
                self.running = False
            finally:
                self.running = False
            if text is not None:
                # The methods of `str` itself: a text may be of a class that lies about its parts.
                answer["value"], cut = str.__getitem__(text, slice(limit)), str.__len__(text) > limit
                if cut:
                    answer["cut"] = True
        except Interrupt:
            answer["interrupted"] = True
            answer["error"] = {"type": "TimeoutError", "message": "interrupted: its time was up", "traceback": ""}
        except SystemExit as end:
            if end.code not in (None, 0):
                answer["error"] = {"type": "SystemExit", "message": str(end.code)[:limit], "traceback": ""}
        except BaseException as error:
            answer["error"] = self.describe(error, limit)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass
        return answer

    def execute(self, code, name):
        tree = compile(code, name, "exec", ONLY_AST)
        last = None
        if tree.body and isinstance(tree.body[-1], _ast.Expr):
            last = _ast.Expression(tree.body.pop().value)
        exec(compile(tree, name, "exec"), self.names)
        return eval(compile(last, name, "eval"), self.names) if last is not None else None

    def describe(self, error, limit):
        try:
            message = str(error)
        except BaseException:
            message = "its message cannot be shown"
        try:
            import linecache
            import traceback

            for name, code in self.sources.items():
                linecache.cache[name] = (len(code), None, code.splitlines(True), name)
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
                trace = trace.tb_next
            text = "".join(traceback.format_exception(type(error), error, trace))
        except BaseException:
            text = ""
        return {"type": type(error).__name__[:200], "message": message[:limit], "traceback": text[-limit:]}


def receive(fd, size):
    parts = []
    while size:
        data = os.read(fd, min(size, 1 << 20))
        if not data:
            os._exit(0)
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def serve(ask, answer):
    """Take calls for ever."""
    cells, own = Cells(), os.getpid()
    # Our own modules stay alive, out of sight: their functions are still on the stack.
    cells.ours = [sys.modules.pop(name) for name in OURS]
    sys.modules["__main__"] = cells.main
    site = os.path.join(os.path.dirname(os.__file__), "site-packages")
    sys.path[:] = [os.getcwd(), *(path for path in sys.path if path != os.path.dirname(__file__)), site]
    sys.argv = [""]
    signal.signal(signal.SIGINT, cells.interrupt)
    sys.stdout.reconfigure(line_buffering=True)  # what was printed before a hard time-out is not lost
    while True:
        (size,) = struct.unpack("<I", receive(ask, 4))
        request = parse(receive(ask, size))
        done = cells.run(request["code"], request["value"])
        done["number"] = request["number"]
        if os.getpid() != own:
            os._exit(0)  # the code forked, and this is its child
        body = dump(done).encode()
        data = memoryview(struct.pack("<I", len(body)) + body)
        while data:
            data = data[os.write(answer, data) :]
