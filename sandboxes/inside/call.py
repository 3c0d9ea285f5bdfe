"""One run of code or of a program: its output, its time, and the ways it can end."""

import _signal as signal
import errno
import os
import select
import struct
import time

from wire import Gone, encoded, parse

ANSWER = 4 * 1024 * 1024
CHUNK = 1 << 16


class Output:
    """What comes out of a pipe: kept up to a limit, counted beyond it."""

    def __init__(self, limit):
        self.limit, self.kept, self.total = limit, [], 0

    def take(self, data):
        room = self.limit - min(self.total, self.limit)
        if room:
            self.kept.append(data[:room])
        self.total += len(data)

    def bytes(self):
        return b"".join(self.kept)


class Call:
    """One run of code or of a program, with its output, its time and the ways it can end."""

    def __init__(self, supervisor, request, pipes, ticks):
        self.supervisor, self.ticks = supervisor, ticks
        self.outputs = {fd: Output(request["output"]) for fd in pipes}
        self.flood = request["flood"]
        self.started = time.monotonic()
        self.deadline = self.started + request["timeout"]
        self.grace = request["grace"]
        self.status, self.lost, self.answer, self.signal = "ok", False, None, None
        self.cpu, self.peak = 0.0, 0
        self.number = None
        self.program = False
        self.asked = 0  # how often it was told to stop

    def run(self, kernel, message):
        poll = select.poll()
        for fd in (*self.outputs, kernel.answer, kernel.ask):
            poll.register(fd, select.POLLOUT if fd == kernel.ask else select.POLLIN)
        poll.register(self.supervisor.source, 0)
        got, rest, dying = bytearray(), memoryview(message), False
        while True:
            for fd, event in poll.poll(1 if dying else self.patience()):
                if fd == self.supervisor.source:
                    raise Gone
                if fd == kernel.ask:
                    try:
                        rest = rest[os.write(fd, rest) :]
                    except OSError as error:
                        if error.errno != errno.EAGAIN:
                            rest = rest[len(rest) :]
                    if not rest:
                        poll.unregister(fd)
                elif fd == kernel.answer:
                    data = os_read(fd)
                    got += data
                    if not data:
                        poll.unregister(fd)
                        dying = True
                elif not self.take(fd) and event & select.POLLHUP:
                    poll.unregister(fd)
            if len(got) >= 4:
                size = struct.unpack_from("<I", got)[0]
                if size > ANSWER:
                    return self.give_up(kernel, "killed")
                if len(got) >= 4 + size:
                    self.finish(kernel, bytes(got[4 : 4 + size]))
                    return None
            self.supervisor.reap()
            if kernel.pid in self.supervisor.ended:
                self.signal = os.waitstatus_to_exitcode(self.supervisor.ended[kernel.pid])
                return self.give_up(kernel, "killed")
            self.watch(kernel)
            if self.lost:
                return None

    def finish(self, kernel, data):
        try:
            answer = parse(data)
            if not isinstance(answer, dict) or answer.get("number") != self.number:
                raise ValueError("not an answer to this call")
            error = answer.get("error") or {"type": "", "message": "", "traceback": ""}
            texts = [answer.get("value") or "", *(error[key] for key in ("type", "message", "traceback"))]
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("not texts")
        except (ValueError, RecursionError, TypeError, KeyError):
            return self.give_up(kernel, "killed")
        self.answer = answer
        self.drain()
        if self.asked and answer.get("interrupted") is True:
            self.status = "output_limit" if self.flooded() else "timeout"
        elif isinstance(answer.get("error"), dict):
            self.status = "memory" if answer["error"].get("type") == "MemoryError" else "error"

    def watch(self, kernel):
        """Interrupt the code when its time or its output is used up, and kill it when that does not help."""
        now = time.monotonic()
        if not self.asked and (now >= self.deadline or self.flooded()):
            self.asked = 1
            self.deadline = min(self.deadline, now) + self.grace
            os.kill(kernel.pid, signal.SIGINT)
        elif self.asked and now >= self.deadline:
            self.give_up(kernel, "output_limit" if self.flooded() else "timeout")

    def give_up(self, kernel, status):
        self.cpu, self.peak = kernel.cpu(), kernel.peak()
        self.status, self.lost = status, True
        self.supervisor.kill_all()
        self.drain()

    def wait(self, pid, feed, data):
        """Run a program to its end."""
        self.program = True
        poll, rest = select.poll(), memoryview(data)
        for fd in self.outputs:
            poll.register(fd, select.POLLIN)
        poll.register(self.supervisor.source, 0)
        if rest:
            poll.register(feed, select.POLLOUT)
        else:
            os.close(feed)
        ended = self.supervisor.ended
        pause = 1
        while ended[pid] is None:
            events = poll.poll(min(pause, self.patience()))
            pause = 1 if events else min(2 * pause, 50)
            for fd, event in events:
                if fd == self.supervisor.source:
                    raise Gone
                if fd == feed:
                    try:
                        rest = rest[os.write(fd, rest[:CHUNK]) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        rest = rest[len(rest) :]
                    if not rest:
                        poll.unregister(fd)
                        os.close(fd)
                elif not self.take(fd) and event & select.POLLHUP:
                    poll.unregister(fd)
            self.supervisor.reap()
            now = time.monotonic()
            if self.status == "ok" and ended[pid] is None and (now >= self.deadline or self.flooded()):
                self.status = "output_limit" if self.flooded() else "timeout"
                if not self.supervisor.kill_since(self.ticks, self.supervisor.kernel.pid):
                    self.supervisor.kill_all()
        if rest:
            os.close(feed)

    def flooded(self):
        return sum(output.total for output in self.outputs.values()) > self.flood

    def patience(self):
        return max(0, min(100, int((self.deadline - time.monotonic()) * 1000) + 1))

    def take(self, fd):
        data = os_read(fd)
        self.outputs[fd].take(data)
        return bool(data)

    def drain(self):
        """Read what was written before the end; background processes may go on writing, so not for ever."""
        for fd, output in self.outputs.items():
            before = output.total
            while self.take(fd) and output.total - before < 1 << 20:
                pass

    def result(self):
        out, err = self.outputs.values()
        answer = self.answer or {}
        done = {
            "status": self.status,
            "stdout": encoded(out.bytes()),
            "stderr": encoded(err.bytes()),
            "stdout_bytes": out.total,
            "stderr_bytes": err.total,
            "state_lost": self.lost,
            "wall_s": time.monotonic() - self.started,
            "signal": self.signal,
            "ooms": oom_kills() if self.lost or self.program else 0,
        }
        for key in ("value", "error", "cut"):
            if key in answer:
                done[key] = answer[key]
        return done


def os_read(fd):
    """Return what can be read at once."""
    try:
        return os.read(fd, 1 << 20)
    except OSError:
        return b""


def oom_kills():
    """Return how many processes were killed for memory, where the control group can be seen from inside."""
    for path in ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"):
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            for line in os.read(fd, 4096).splitlines():
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
        finally:
            os.close(fd)
    return 0
