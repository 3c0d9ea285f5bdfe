"""Runs inside every sandbox: a supervisor that speaks with the host, and a forked kernel that runs the code.

Needs nothing but CPython, and is never imported by Lamarck itself. It uses `_json` and `_signal` where `json` and
`signal` would do: those load `re` and `enum`, half of the time until a sandbox is ready.

The supervisor is the first process of the sandbox where the launcher can make it so; signals from inside do not reach
it, and it cannot be traced or opened. The host writes one JSON object a line and reads one a line. What the kernel
says is never trusted to be well formed.
"""

import _signal as signal
import binascii
import os
import resource
import select
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import files
from call import Call, os_read
from children import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, Kernel, become_program, fork_or_close, prctl
from wire import Gone, dump, encoded, parse

LINE = 64 * 1024 * 1024
LONG_S = 0.002


class Supervisor:
    """Takes requests from the host and answers them, one at a time."""

    def __init__(self, config):
        self.config = config
        self.places = tuple(config.get("places", files.NAMES))
        cleaned = (*self.places, *config.get("scratch", ("/dev/shm",)))
        self.modes = {place: files.marks(place) for place in cleaned if os.path.isdir(place)}
        self.settings = settings()
        self.source, self.sink = os.dup(0), os.dup(1)
        self.private = (self.source, self.sink)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd, inheritable=True)
        os.close(null)
        self.host = select.poll()
        self.host.register(self.source, select.POLLIN)
        self.buffer = bytearray()
        self.ended = {}
        self.usage = None
        self.kernel = Kernel(self)

    # --- the channel -------------------------------------------------------------------------------------------

    def requests(self):
        while True:
            end = self.buffer.find(b"\n")
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[: end + 1]
                yield parse(line)
                continue
            if len(self.buffer) > LINE:
                raise Gone
            if not self.host.poll(1000):
                self.reap()
                continue
            data = os.read(self.source, 1 << 20)
            if not data:
                raise Gone
            self.buffer += data

    def say(self, message):
        data = memoryview(dump(message).encode() + b"\n")
        while data:
            data = data[os.write(self.sink, data) :]

    # --- processes ---------------------------------------------------------------------------------------------

    def reap(self):
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.kernel.pid or pid in self.ended:
                self.ended[pid], self.usage = status, usage

    def others(self):
        """Return (pid, start time) of every process but ours."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        fields = file.read().rpartition(b")")[2].split()
                except OSError:
                    continue
                if fields[0] != b"Z":
                    found.append((int(name), int(fields[19]), int(fields[1])))
        return found

    def kill_since(self, ticks, spare):
        """Kill what was started since then, but for `spare`; say whether nothing of it is left."""
        mine = self.config.get("shared_pids")
        for _ in range(50):  # what forks while this looks is met again
            victims = [pid for pid, started, _ in self.others() if started >= ticks and pid not in (1, spare)]
            if mine:
                victims = [pid for pid in victims if pid in self.descendants()]
            if not victims:
                return True
            for pid in victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            self.reap()
            time.sleep(0.001)
        return False

    def descendants(self):
        parents = {pid: parent for pid, _, parent in self.others()}
        mine, size = {os.getpid()}, 0
        while size != len(mine):
            size = len(mine)
            mine |= {pid for pid, parent in parents.items() if parent in mine}
        return mine - {os.getpid()}

    def kill_all(self):
        if not self.config.get("shared_pids") and os.getpid() == 1:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kill_since(0, None)
        self.reap()

    def refork(self):
        self.kill_all()
        self.kernel.close()
        self.ended = {}
        self.kernel = Kernel(self)

    # --- calls -------------------------------------------------------------------------------------------------

    def serve(self):
        self.say({"hello": 1, "pid": os.getpid(), "python": sys.version.split()[0]})
        for request in self.requests():
            ident = request.get("id")
            try:
                done = getattr(self, "do_" + request["op"])(request)
                self.say({"id": ident, "ok": done})
            except Gone:
                raise
            except Exception as error:
                self.say({"id": ident, "fail": {"type": type(error).__name__, "message": str(error)[:500]}})

    def do_ping(self, request):
        return {}

    def do_reset(self, request):
        """Begin anew as the same process: what was freed of earlier requests would be in every kernel forked later."""
        self.kill_all()
        for place, mode in self.modes.items():
            files.clean(place, mode)
        if settings() != self.settings:
            raise RuntimeError("the supervisor's limits, cores or priority were changed")
        os.dup2(self.source, 0)
        os.dup2(self.sink, 1)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def do_run(self, request):
        kernel = self.kernel
        call = Call(self, request, (kernel.out, kernel.err), self.ticks())
        before = kernel.cpu()
        # An answer that is there before it was asked for is a lie, and so is one that does not know the number.
        if os_read(kernel.answer):
            call.give_up(kernel, "killed")
            self.refork()
            done = self.do_run(request)
            done["state_lost"] = True
            return done
        call.number = binascii.hexlify(os.urandom(8)).decode()
        body = dump({"code": request["code"], "value": request["value"], "number": call.number}).encode()
        call.run(kernel, struct.pack("<I", len(body)) + body)
        done = call.result()
        if not call.lost:
            call.cpu = kernel.cpu() - before
            if done["wall_s"] > LONG_S or not kernel.highest:
                # A call this short has no time for much; asking costs more than a tenth of it.
                call.cpu += kernel.family() - kernel.children
                kernel.children, kernel.highest = kernel.family(), kernel.peak()
            call.peak = kernel.highest
        done["cpu_s"], done["peak_memory"] = max(0.0, call.cpu), call.peak
        if call.lost:
            self.refork()
        elif call.status in ("timeout", "output_limit"):
            done["state_lost"] = not self.clean(call)
        return done

    def clean(self, call):
        """Kill what a call has left running; say whether the kernel could be spared."""
        if self.kill_since(call.ticks, self.kernel.pid):
            return True
        self.refork()  # something forks faster than it can be found; all at once always works
        return False

    def do_exec(self, request):
        out, err, feed = os.pipe(), os.pipe(), os.pipe()
        ticks = self.ticks()
        pid = fork_or_close((*out, *err, *feed))
        if pid == 0:
            become_program(self, request, files.placed(self.places, request["cwd"]), feed[0], out[1], err[1])
        for fd in (feed[0], out[1], err[1]):
            os.close(fd)
        for fd in (out[0], err[0], feed[1]):
            os.set_blocking(fd, False)
        self.ended[pid] = None
        call = Call(self, request, (out[0], err[0]), ticks)
        try:
            call.wait(pid, feed[1], binascii.a2b_base64(request["stdin"]))
            spent = self.usage
            call.lost = not self.clean(call)
            call.drain()
        finally:
            for fd in (out[0], err[0]):
                os.close(fd)
        status, done = self.ended.pop(pid), call.result()
        done["cpu_s"] = spent.ru_utime + spent.ru_stime
        done["peak_memory"] = spent.ru_maxrss * 1024
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            done["exit_code"] = code
            if done["status"] == "ok" and code != 0:
                done["status"] = "killed" if code == -signal.SIGKILL else "error"
        return done

    def do_write(self, request):
        data = binascii.a2b_base64(request["data"])
        files.apart(self, lambda: files.write(self.places, request["path"], data))
        return {}

    def do_read(self, request):
        data = files.apart(self, lambda: files.read(self.places, request["path"], request["max"]))
        return {"data": encoded(data)}

    def do_list(self, request):
        data = files.apart(self, lambda: files.listing(self.places, request["path"], request["max"]))
        return {"files": parse(data)}

    def ticks(self):
        """Return now in the unit of /proc/PID/stat; a little earlier, as it is coarse."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) - 1


def settings():
    """Return what a process of the same user can change of this one, and what a new kernel would inherit.

    Libraries change these of their own threads by number, so the calls cannot be refused: ZeroMQ would abort.
    """
    limits = [resource.getrlimit(number) for number in range(16)]
    policy = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    return limits, policy, os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)


def confine(config):
    """Set the limits of single processes, once for all; they cannot be raised again."""
    for name in ("nofile", "fsize", "nproc", "core", "as"):
        value = config["rlimits"].get(name)
        if value is not None:
            try:
                resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), (value, value))
            except (ValueError, OSError):
                pass  # it is lower already


def main():
    config = parse(sys.argv[1])
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
    confine(config)
    import kernel  # noqa: F401 - before the first fork, so that each fork has it

    supervisor = Supervisor(config)
    try:
        supervisor.serve()
    except (Gone, BrokenPipeError):
        pass
    finally:
        supervisor.kill_all()


if __name__ == "__main__":
    main()
