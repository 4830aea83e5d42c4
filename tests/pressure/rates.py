"""Parts of show.py that compare times: each yields (holds, text)."""
import os
import statistics
import subprocess
import tempfile

from parts import MIB, Subject, say


def spread(values):
    """Median, and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:+.2f} % ({low:+.2f} to {high:+.2f})"


# --- cost


def turns(build):
    """(nanoseconds of the program's thread, wall, the daemon's microseconds) of each turn, in order: off, on, off, ..."""
    subject = Subject(build, "steady", "", 16)
    subject.until("done")
    subject.end()
    rows = [line.split()[2::2] for line in subject.lines if line.startswith("turn-")]
    return [(int(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in rows]


def cost(build, processes=4):
    """Each turn with the daemon against the two without it around it: what changes slowly meets both."""
    lost, wall, taken, wakeups, own = [], [], [], [], []
    for _ in range(processes):
        rows = turns(build)
        for before, on, after in zip(rows[0::2], rows[1::2], rows[2::2]):
            off = (before[0] + after[0]) / 2
            lost.append(100 * (on[0] / off - 1))
            own.append(100 * (before[0] / after[0] - 1))
            wall.append(100 * (on[1] / ((before[1] + after[1]) / 2) - 1))
            taken.append(100 * on[2] * 1000 / off)
            wakeups.append(on[3] * 1e6 / on[1])
    say(f"{len(lost)} turns on, each between two off, in {processes} processes; load of the machine {os.getloadavg()[0]:.1f}")
    say(f"the program's thread, processor time: {spread(lost)}; off against the next off: {spread(own)}; wall: {spread(wall)}")
    say(f"the daemon's thread, of the program's time: {spread(taken)}; {statistics.median(wakeups):.0f} wakeups a second")
    yield statistics.median(lost) <= 2, f"the program's thread loses at most 2 %: {statistics.median(lost):+.2f} %"
    yield statistics.median(lost) + statistics.median(taken) <= 2, \
        f"with the daemon's own thread it is at most 2 %: {statistics.median(lost) + statistics.median(taken):+.2f} %"


# --- share


# Collections of the whole heap, when it has grown to its limit: what the rule is about. With suspects garbage is found as it comes, whatever the limit.
OPTIONS = "suspect-min=4G,collect-stop=60s"
RATES, LIVE, BUDGET = (80, 5), 50, 220


class Divider:
    """`midden balance` with so many MiB."""

    def __init__(self, build, path, mib):
        self.process = subprocess.Popen([f"{build}/midden", "balance", "--budget", f"{mib}M", "--socket", path],
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def end(self):
        self.process.terminate()
        self.process.wait()


def both(build, folder, budgets):
    """Two programs; each joins the budget at its place. Seconds in collections of both, objects looked at in them, and what each printed."""
    paths = [os.path.join(folder, str(i)) for i in range(len(budgets))]
    dividers = [Divider(build, path, mib) for path, mib in zip(paths, budgets)]
    subjects = [Subject(build, "share", OPTIONS, LIVE, None, (rate, paths[i % len(paths)])) for i, rate in enumerate(RATES)]
    for subject in subjects:
        subject.until("ready")
    for subject in subjects:
        subject.line()
    done = [subject.until("done") for subject in subjects]
    for subject in subjects:
        subject.end()
    for divider in dividers:
        divider.end()
    return sum(one["collecting"] for one in done) / 1e6, sum(one["looked"] for one in done), done


def share(build, rounds=5):
    ratios, work, times = [], [], {"shared": [], "evenly": []}
    with tempfile.TemporaryDirectory(dir=build) as folder:
        for i in range(rounds):
            for name in sorted(times, reverse=i % 2 == 1):
                budgets = [BUDGET] if name == "shared" else [BUDGET // 2] * 2
                seconds, looked, done = both(build, folder, budgets)
                times[name].append((seconds, looked))
                say(f"{name}: {seconds:.2f} s in collections, " + "; ".join(
                    f"{rate} MB/s: {one['collecting'] / 1e6:.2f} s, {one['times']} times, limit {one['limit'] / MIB:.0f} MiB, peak {one['peak'] / MIB:.0f}, "
                    f"took {one['took'] / 1e6:.1f} s" for rate, one in zip(RATES, done)))
            ratios.append(times["shared"][-1][0] / times["evenly"][-1][0])
            work.append(times["shared"][-1][1] / times["evenly"][-1][1])
    middle = statistics.median(ratios)
    say(f"shared against evenly: {middle:.2f}, of {rounds} rounds {min(ratios):.2f} to {max(ratios):.2f}; load of the machine {os.getloadavg()[0]:.1f}")
    say(f"objects looked at, which no load changes: {statistics.median(work):.2f}, {min(work):.2f} to {max(work):.2f}")
    yield middle <= 0.85, f"two programs at 16:1 under one budget: {middle:.2f} of the time in collections of an even split, at most 0.85"
