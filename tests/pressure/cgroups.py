"""Memory cgroups of our own, v1 or v2, whichever the machine has; and figures of them."""
import os
import time

V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"


class Refused(Exception):
    """This machine does not let us; the text says what."""


def own(controller):
    with open("/proc/self/cgroup", encoding="ascii") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            if controller in names.split(",") or (controller == "" and names == ""):
                return path.lstrip("/")
    return ""


class Cgroup:
    """Made on entry, removed on exit; what was in it must have ended."""

    def __init__(self, name, limit=None):
        self.v1 = os.path.exists(f"{V1}/memory.limit_in_bytes")
        top = os.path.join(V1, own("memory")) if self.v1 else os.path.join(V2, own(""))
        self.path, self.limit = os.path.join(top, f"midden-{os.getpid()}-{name}"), limit

    def __enter__(self):
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise Refused(f"no cgroup can be made: {error}") from error
        if not os.path.exists(self.file("memory.limit_in_bytes", "memory.max")):
            os.rmdir(self.path)
            raise Refused("cgroups here do not count memory")
        if self.limit is not None:
            self.set(self.limit)
        return self

    def __exit__(self, *_):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)

    def file(self, v1, v2):
        return os.path.join(self.path, v1 if self.v1 else v2)

    def set(self, limit):
        with open(self.file("memory.limit_in_bytes", "memory.max"), "w", encoding="ascii") as file:
            file.write(str(limit))

    def enter(self):
        """In the child, before it becomes the program."""
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write("0")

    def number(self, v1, v2):
        with open(self.file(v1, v2), encoding="ascii") as file:
            return int(file.read())

    def usage(self):
        return self.number("memory.usage_in_bytes", "memory.current")

    def peak(self):
        return self.number("memory.max_usage_in_bytes", "memory.peak")


def stalled():
    """Microseconds in which tasks were stalled for want of memory: of some, of all."""
    try:
        with open("/proc/pressure/memory", encoding="ascii") as file:
            return [int(line.rsplit("=", 1)[1]) for line in file]
    except OSError as error:
        raise Refused(f"no PSI: {error}") from error
