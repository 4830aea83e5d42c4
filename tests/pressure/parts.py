"""The parts of show.py: each yields (holds, text)."""
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time

from cgroups import Cgroup, Refused, stalled

MIB = 1 << 20


def say(text):
    print("   ", text, flush=True)


class Subject:
    """tests/pressure/subject.c, in a cgroup or not; its lines come as they are printed."""

    def __init__(self, build, mode, options="", mib=32, cgroup=None, more=()):
        self.process = subprocess.Popen([f"{build}/pressure/subject", mode, options, str(mib), *map(str, more)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=cgroup.enter if cgroup else None,
                                        env={k: v for k, v in os.environ.items() if k != "MIDDEN_OPTIONS"})
        self.lines = []

    def until(self, word):
        """The figures of the line that begins with it; None if the program ends before."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(word + " "):
                words = line.split()[1:]
                return dict(zip(words[::2], map(int, words[1::2])))
        return None

    def line(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.lines += [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait()

    def log(self):
        """(microseconds, bytes returned, text) of each entry."""
        entries = [line.split(" ", 3)[1:] for line in self.lines if line.startswith("log ")]
        return [(int(at), int(count), text) for at, count, text in entries]


def switches(pid):
    """Times that each thread of a process has run and gone to sleep, by name."""
    sums = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            text = file.read()
        name = re.search(r"^Name:\s+(\S+)", text, re.M).group(1)
        sums[f"{name}/{task}"] = sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))
    return sums


# --- survive


def one_run(build, options, mode="survive"):
    """(survived, peak, limit, status) of one."""
    with Cgroup("survive") as cgroup:
        subject = Subject(build, mode, options, 32, cgroup)
        ready = subject.until("ready")
        if ready is None:
            raise Refused(f"the program ended at once: {subject.end()}")
        needed = ready["live"] + 16 * ready["objects"]
        limit = (12 * needed // 10 + 16 * MIB) // 4096 * 4096
        cgroup.set(limit)
        subject.line()
        done = subject.until("done")
        status = subject.end()
        return done is not None and status == 0, cgroup.peak(), limit, status, subject.lines


def survive(build, runs=10):
    survived, peak, limit, status, lines = one_run(build, "daemon=off")
    say(f"without a daemon: {'survives' if survived else f'ends with {status}'}, limit {limit / MIB:.1f} MiB, "
        f"round {sum(line.startswith('round') for line in lines)} of 12")
    yield not survived and status == -signal.SIGKILL, "without a daemon the program is killed"
    good, peaks = 0, []
    for _ in range(runs):
        survived, peak, limit, status, lines = one_run(build, "")
        good += survived
        peaks.append(peak)
        if not survived:
            say(f"ended with {status} after round {sum(line.startswith('round') for line in lines)}")
    say(f"with it: limit {limit / MIB:.1f} MiB, peaks {min(peaks) / MIB:.1f} to {max(peaks) / MIB:.1f} MiB")
    yield good == runs, f"with its daemon it survives, {good} of {runs}"
    storms = sum(one_run(build, "", "storm")[0] for _ in range(runs))
    say(f"without a rest it survives {storms} of {runs}: no claim, it depends on who else wants a processor")


# --- press


class Thrashing:
    """A neighbour that reads a file again and again in a cgroup too small for it."""

    def __init__(self, cgroup, path):
        code = f"import os\nfd = os.open({path!r}, os.O_RDONLY)\nsize = os.fstat(fd).st_size\n" \
               "while True:\n    for at in range(0, size, 65536):\n        os.pread(fd, 65536, at)\n"
        self.all = [subprocess.Popen(["python3", "-c", code], preexec_fn=cgroup.enter) for _ in range(6)]

    def end(self):
        for process in self.all:
            process.kill()
            process.wait()


def press_once(build, folder, seconds=20):
    """The program's log and what of its heap was resident when, while the neighbour thrashes."""
    with Cgroup("program") as mine, Cgroup("neighbour", 64 * MIB) as other:
        subject = Subject(build, "press", "", 64, mine)
        subject.until("ready")
        mine.set(mine.usage() * 3 // 2)  # less than half of it is free: the gate is open
        before, begun = stalled(), time.monotonic()
        neighbour = Thrashing(other, os.path.join(folder, "file"))
        time.sleep(seconds)
        after, passed = stalled(), time.monotonic() - begun
        neighbour.end()
        done = subject.end()
    say(f"stalled for {(after[0] - before[0]) / passed / 1000:.0f} ms a second (some), {(after[1] - before[1]) / passed / 1000:.0f} ms (full)")
    resident = [tuple(map(int, line.split()[1:])) for line in subject.lines if line.startswith("resident ")]
    return (subject.log(), resident) if done == 0 else ([], [])


def press(build):
    with tempfile.TemporaryDirectory(dir=build) as folder:
        with open(os.path.join(folder, "file"), "wb") as file:
            for _ in range(192):
                file.write(os.urandom(MIB))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # who reads it first pays for it: the neighbour
        log, resident = press_once(build, folder)
    heard = next((entry for entry in log if "note: stalls," in entry[2] and "->" in entry[2]), None)
    if heard is None:
        for entry in log[-8:]:
            say(entry[2])
        yield False, "the daemon hears of the stalls"
        return
    if not resident:
        raise Refused("no /proc/self/pagemap")
    within = [entry for entry in log if heard[0] <= entry[0] <= heard[0] + 1000000]
    for entry in within[:8]:
        say(entry[2])
    returned = sum(entry[1] for entry in within)
    # The program goes on, and takes memory meanwhile, which is returned again: what counts is each fall from one reading to the next.
    seen = [used for at, used in resident if heard[0] - 40000 <= at <= heard[0] + 1000000]
    fallen = sum(max(was - used, 0) for was, used in zip(seen, seen[1:]))
    say(f"returned by the log {returned / MIB:.1f} MiB; resident of the heap's ranges, by the kernel: {max(seen, default=0) / MIB:.1f} MiB at most, "
        f"{min(seen, default=0) / MIB:.1f} at least, {fallen / MIB:.1f} less in all, from reading to reading, in that second")
    yield returned > 0 and any("pressure (stalls)" in entry[2] for entry in within), "signal, action and bytes returned within a second"
    yield fallen >= returned // 2, "the kernel's figures agree: at least half of those bytes are not used any more"


# --- idle


def idle(build, seconds=60, tries=3):
    """A trigger is the whole machine's: where others stall it fires, and the daemon wakes rightly. Then it is tried again."""
    for attempt in range(tries):
        subject = Subject(build, "idle", "", 300)
        ready = subject.until("ready")
        time.sleep(5)
        before, stalls = switches(subject.process.pid), stalled()
        time.sleep(seconds)
        after, stalls = switches(subject.process.pid), stalled()[0] - stalls[0]
        subject.line()
        done = subject.until("done")
        subject.end()
        woken = {name: after[name] - count for name, count in before.items()}
        could = ready["committed"] - ready["needed"]
        share = 100 * (ready["committed"] - done["committed"]) / could
        say(f"committed {ready['committed'] / MIB:.1f} -> {done['committed'] / MIB:.1f} MiB, needed {ready['needed'] / MIB:.1f}; "
            f"threads {woken}; the machine stalled for {stalls / 1000:.1f} ms meanwhile")
        if sum(woken.values()) == 0 or stalls < 70000 or attempt == tries - 1:
            break
    yield sum(woken.values()) == 0, f"{sum(woken.values())} wakeups in {seconds} s of an idle program"
    yield share >= 95, f"{share:.1f} % of what could be returned has been, and nobody asked"
