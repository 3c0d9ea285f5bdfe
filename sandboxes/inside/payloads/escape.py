"""Payload: see, read, write and kill what is not the sandbox's own."""

import ctypes
import errno
import mmap
import os
import resource
import signal
import stat

from common import attempt, in_child, libc, listed, syscall

READ = """
    /etc/shadow /etc/machine-id /root /home /boot /var/lib /proc/kcore /proc/kmsg /proc/kpagecount /proc/vmcore
    /proc/1/environ /proc/1/mem /proc/1/maps /proc/1/root/etc/shadow /proc/1/cwd/. /dev/mem /dev/kmem /dev/port
    /dev/kmsg /dev/kvm /dev/fuse /dev/net/tun /dev/vhost-vsock /dev/vsock /dev/loop-control /dev/mapper/control
    /dev/sda /dev/vda /dev/nvme0n1 /dev/hda /dev/xvda /dev/nbd0 /dev/tty0 /dev/tty1 /dev/input /dev/dri
    /sys/firmware/efi /sys/firmware/dmi/tables/DMI /sys/kernel/debug/kprobes /sys/kernel/tracing/trace
    /sys/kernel/security/lsm /sys/class/dmi/id/product_uuid /sys/class/dmi/id/product_serial
    /var/run/docker.sock /run/docker.sock /run/containerd /run/systemd/private /run/dbus/system_bus_socket
""".split()
WRITE = """
    /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/kernel/panic
    /proc/sys/kernel/hostname /proc/sys/vm/drop_caches /proc/sys/vm/overcommit_memory
    /proc/sys/fs/binfmt_misc/register /proc/sys/fs/file-max /proc/sys/fs/suid_dumpable
    /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger /proc/irq/0/smp_affinity /proc/mtrr /proc/acpi/wakeup
    /proc/1/mem /proc/1/oom_score_adj /proc/1/comm /proc/1/autogroup /proc/1/sched
    /etc/passwd /etc/ld.so.preload /etc/resolv.conf /etc/hosts /usr/bin/python3 /bin/sh /usr/lib/lamarck/worker.py
    /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run /sys/power/state /sys/fs/cgroup/cgroup.procs
    /sys/fs/cgroup/memory/cgroup.procs /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max
    /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/release_agent /sys/fs/cgroup/memory/release_agent
    /dev/kmsg /dev/mem /dev/sda /dev/vda /dev/console
""".split()


def peek(path):
    """Open a file, or list a folder."""
    if os.path.isdir(path):
        os.listdir(path)
    else:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.read(fd, 16)
        finally:
            os.close(fd)


def read_all(paths):
    return {path: attempt(lambda path=path: peek(path)) for path in paths}


def write_all(paths):
    return {path: attempt(lambda path=path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))) for path in paths}


def content(path):
    """Return what is in a file that lies on the host, by each way to it, where there is one."""
    found = []
    ways = [path, "/proc/1/root" + path, "/proc/self/root" + path, "/.." * 12 + path, "/proc/1/cwd/.." + path]
    for pid in listed()[:400]:
        ways += [f"/proc/{pid}/root{path}", f"/proc/{pid}/cwd/../../../../..{path}"]
    for way in ways:
        try:
            with open(way) as file:
                found.append(file.read(200))
        except OSError:
            pass
    return found[:20]


def environments(name):
    """Return every environment variable of that name, of every process that can be read."""
    found = [os.environ[name]] if name in os.environ else []
    for pid in listed():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                found += [entry.decode() for entry in file.read().split(b"\0") if entry.startswith(name.encode())]
        except OSError:
            pass
    return found[:20]


def commands(word):
    """Return how many processes are seen, and the command lines with a word in them."""
    found = []
    for pid in listed():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if word in line:
            found.append(line[:200])
    return len(listed()), found


def kill_host(pids):
    """Signal processes by the ids that they have on the host."""
    found = {}
    for pid in pids:
        found[f"{pid} 0"] = attempt(lambda pid=pid: os.kill(pid, 0))
        found[f"{pid} pidfd"] = attempt(lambda pid=pid: os.close(os.pidfd_open(pid)))
    return found


def supervisors():
    return sorted({1, os.getppid()})


def open_supervisor():
    """Try everything below the folders of the first process and of our parent that would give it away."""
    found = {}
    for pid in supervisors():
        names = ["mem", "environ", "maps", "auxv", "stack", "syscall", "pagemap", "root/.", "cwd/.", "exe", "fd/."]
        names += [f"fd/{fd}" for fd in range(32)] + [f"fdinfo/{fd}" for fd in range(3)]
        names += [f"ns/{kind}" for kind in ("user", "mnt", "pid", "net")] + [f"map_files/{fd}" for fd in range(3)]
        for name in names:
            path = f"/proc/{pid}/{name}"
            found[path] = attempt(lambda path=path: peek(path))
        for name in ("mem", "fd/0", "fd/1", "fd/2", "fd/3", "fd/4", "clear_refs", "oom_score_adj", "coredump_filter"):
            path = f"/proc/{pid}/{name}"
            found[path + " w"] = attempt(lambda path=path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))
    return found


def writable(most=20000):
    """Return the folders in which a file can be made, outside of /proc."""
    found, seen = [], 0
    for folder, inner, _ in os.walk("/"):
        inner[:] = [name for name in inner if os.path.join(folder, name) != "/proc"]
        seen += 1
        name = os.path.join(folder, "lamarck-attack")
        if attempt(lambda name=name: os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))) == "ok":
            os.unlink(name)
            found.append(folder)
        if seen >= most:
            break
    return seen, found


def writable_files(roots, most=20000):
    """Return the files below folders that can be opened for writing."""
    found, seen = [], 0
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                path, seen = os.path.join(folder, name), seen + 1
                if os.path.islink(path) or seen > most:
                    continue
                if attempt(lambda path=path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))) == "ok":
                    found.append(path)
    return seen, found[:50]


def devices():
    """Return the device files that can be opened, by name, kind and number."""
    found = []
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            if not stat.S_ISCHR(state.st_mode) and not stat.S_ISBLK(state.st_mode):
                continue
            if attempt(lambda path=path: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))) == "ok":
                kind = "b" if stat.S_ISBLK(state.st_mode) else "c"
                found.append(f"{path} {kind} {os.major(state.st_rdev)}:{os.minor(state.st_rdev)}")
    return found


def make_devices():
    found = {}
    for folder in ("/work", "/tmp", "/dev/shm", "/dev"):
        for kind, major, minor in ((stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0)):
            path, device = f"{folder}/node{major}-{minor}", os.makedev(major, minor)
            found[path] = attempt(lambda a=path, b=kind, c=device: os.mknod(a, 0o666 | b, c))
    return found


def privileged_files():
    """Return the files that would give more rights to who runs them."""
    found = []
    for folder, inner, names in os.walk("/"):
        inner[:] = [name for name in inner if os.path.join(folder, name) != "/proc"]
        for name in names:
            path = os.path.join(folder, name)
            try:
                state = os.lstat(path)
                if stat.S_ISREG(state.st_mode) and state.st_mode & (stat.S_ISUID | stat.S_ISGID):
                    found.append(path)
                if not stat.S_ISLNK(state.st_mode) and "security.capability" in os.listxattr(path):
                    found.append(path)
            except OSError:
                pass
    return found


def become_root():
    found = {}
    calls = {
        "setuid": lambda: os.setuid(0),
        "setgid": lambda: os.setgid(0),
        "setresuid": lambda: os.setresuid(0, 0, 0),
        "setgroups": lambda: os.setgroups([0]),
        "setfsuid": lambda: (libc.setfsuid(0), peek("/proc/1/environ")),
        "chown": lambda: (open("/tmp/own", "w").close(), os.chown("/tmp/own", 0, 0)),
    }
    for name, call in calls.items():
        found[name] = in_child(lambda call=call: attempt(call))
    return found


def loose_mounts():
    """Return the file systems on which one can write, and which lack `nosuid` or `nodev`."""
    found = []
    with open("/proc/self/mounts") as file:
        for line in file:
            _, place, kind, options, *_ = line.split()
            needed = {"nosuid"} if kind == "devpts" else {"nosuid", "nodev"}
            if os.path.isdir(place) and os.access(place, os.W_OK) and not needed <= {*options.split(",")}:
                found.append(f"{place} {kind} {options}")
    return found


def rights():
    """Return the lines of /proc/self/status that say what we may do."""
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {name: lines.get(name, "") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp")}


def raise_limits():
    found = {}
    for name in ("NOFILE", "NPROC", "FSIZE", "CORE", "AS", "MEMLOCK", "RTPRIO", "NICE", "MSGQUEUE", "SIGPENDING"):
        number = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(number)[1]
        if hard == resource.RLIM_INFINITY:
            continue  # it is not what limits here

        def go(number=number, hard=hard):
            try:
                resource.setrlimit(number, (hard + 1, hard + 1))
            except ValueError as error:
                raise PermissionError(1, str(error)) from error

        found[name] = attempt(go)
    found["nice"] = attempt(lambda: os.nice(-5))
    found["FIFO"] = attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)))
    found["real-time input"] = syscall(251 if os.uname().machine == "x86_64" else 30, 1, 0, 1 << 13)
    found["oom_score_adj"] = attempt(lambda: spare_us("-1000"))
    return found


def spare_us(score):
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    try:
        os.write(fd, score.encode())
    finally:
        os.close(fd)


def namespaces(flags, unshare, clone):
    """Return what came of making each kind of namespace, by both calls that can."""
    found = {}
    for name, flag in flags.items():
        found["unshare " + name] = in_child(lambda flag=flag: syscall(unshare, flag))
        found["clone " + name] = in_child(lambda flag=flag: cloned(clone, flag | signal.SIGCHLD))
    return found


def cloned(number, flags):
    done = libc.syscall(ctypes.c_long(number), ctypes.c_ulong(flags), *[ctypes.c_ulong(0)] * 4)
    if done == 0:
        os._exit(0)
    return "ok" if done > 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def clone3(number, flags):
    fields = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, signal.SIGCHLD)

    def go():
        done = libc.syscall(ctypes.c_long(number), fields, ctypes.c_ulong(88))
        if done == 0:
            os._exit(0)
        return "ok" if done > 0 else errno.errorcode.get(ctypes.get_errno(), "?")

    return in_child(go)


def make_calls(calls):
    """Return what came of system calls, by name: [number, argument, ...]. All arguments are ones that do nothing."""
    return {name: in_child(lambda call=call: syscall(*call)) for name, call in calls.items()}


def machine_code(code):
    """Run bytes as a function in a child; return the number it returns."""

    def go():
        area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        area.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)()

    return in_child(go)
