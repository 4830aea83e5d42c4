#!/usr/bin/env python3
"""test_bench.py MIDDEN FAULTY_WORKER README_SCRIPT: the whole of `midden bench`, at tiny sizes.

Nothing here depends on how fast the machine is. Prints `N passed, N failed` at the end."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

MIDDEN, FAULTY, README_SCRIPT = (os.path.abspath(path) for path in sys.argv[1:4])
HEAPS = ["midden", "boehm", "malloc", "mimalloc", "jemalloc"]
PHASES = {
    "binary-trees": ["run"], "gcbench": ["run"], "churn": ["fill", "churn"],
    "r1": ["full", "refilled", "shrunk"], "r2": ["full", "refilled", "shrunk"], "r3": ["full", "shrunk", "refilled"], "r4": ["full", "shrunk", "refilled"],
    "rings": ["run"], "list-drop": ["build", "drop"],
    "chase": ["fresh-ordered", "fresh-random", "churned-ordered", "churned-random"],
    "steady": ["build", "steady"],
    "micro": ["alloc+release", "alloc+release-1024", "get", "peek", "store"],
    "larson": ["run"], "xmalloc-test": ["run"], "mstress": ["run"], "mt-gcbench": ["run"], "shared-map": ["run"],
    "messages": ["run"], "stops": ["to-stop", "waits"], "evacuate": ["evacuate", "bare", "whole"],
    "small-cycles": ["run"], "grid": ["run"], "old-root": ["build", "old-root"], "idle": ["idle"], "actors": ["run"],
}
THREADED = ["larson", "xmalloc-test", "mstress", "mt-gcbench", "shared-map", "messages", "actors"]
GARBAGE = {("steady", "steady"), ("small-cycles", "run"), ("grid", "run"), ("actors", "run")}
OWN = ["stops", "evacuate"]  # of midden alone
MEMORY = ["r1", "r2", "r3", "r4"]
MIDDEN_PHASES = {"chase": ["compacted-ordered", "compacted-random", "deep-ordered", "deep-random"], "micro": ["retain+release", "load+release"]}
KEYS = {"workload", "params", "phase", "heap", "variant", "repeat", "seconds", "cpu_seconds", "operations", "ns_per_op",
        "live_bytes", "peak_rss_bytes", "net_rss_bytes", "call_ns", "pause_ns", "mutator_cpu_seconds", "gap_ns", "garbage",
        "long_calls", "mmu", "heap_longest_ns", "heap_pauses", "heap_mmu", "background_cpu_seconds", "resident", "stops",
        "evacuation_cpu_seconds", "pools"}
passed = failed = 0


def check(good, what):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("FAILED:", what)


def bench(*args, program=MIDDEN, **env):
    done = subprocess.run([program, "bench", *args], capture_output=True, text=True, env={**os.environ, **env})
    return done.returncode, done.stdout, done.stderr


def refused(what, *args, says):
    """The command is refused with status 2 before anything ran, and says why."""
    status, _, err = bench(*args)
    check(status == 2 and says in err and "[round" not in err, f"{what}: status {status}, {err.strip()!r}")


def load(path):
    with open(path) as file:
        return json.load(file)


def whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def check_latencies(value, keys, where):
    if value is None:
        return
    check(set(value) == keys and all(whole(v) and v >= 0 for v in value.values()), f"{where}: {value}")
    check(value["p50"] <= value["p99.9"] <= value["max"], f"{where}: not in order: {value}")


def check_result(r):
    where = f"{r.get('workload')} {r.get('phase')} {r.get('heap')} {r.get('variant')}"
    check(set(r) == KEYS, f"{where}: keys {sorted(set(r) ^ KEYS)}")
    check(all(isinstance(r[k], str) for k in ("workload", "phase", "heap", "variant")), f"{where}: names")
    check(all(whole(r[k]) for k in ("repeat", "operations", "live_bytes", "peak_rss_bytes", "net_rss_bytes")),
          f"{where}: counts")
    check(isinstance(r["seconds"], float) and r["seconds"] >= 0 and r["cpu_seconds"] >= 0, f"{where}: times")
    if r["operations"]:
        check(abs(r["ns_per_op"] - r["seconds"] * 1e9 / r["operations"]) <= 0.01 + 1e-3 * r["ns_per_op"], f"{where}: ns_per_op")
    else:
        check(r["ns_per_op"] is None, f"{where}: ns_per_op without operations")
    check(r["peak_rss_bytes"] >= max(r["net_rss_bytes"], 1), f"{where}: peak below net")
    check(all(whole(v) or k in ("garbage", "hold") for k, v in r["params"].items()) and r["params"], f"{where}: params")
    check_latencies(r["call_ns"], {"p50", "p99", "p99.9", "max"}, where)
    check_latencies(r["pause_ns"], {"count", "p50", "p99.9", "max"}, where)
    check((r["pause_ns"] is None) == (r["heap"] not in ("midden", "boehm")), f"{where}: pauses")
    timed = r["phase"] in ("steady", "drop", "to-stop", "waits", "old-root") or r["workload"] == "small-cycles"
    check((r["call_ns"] is not None) == timed, f"{where}: call latencies")
    check(isinstance(r["mutator_cpu_seconds"], float) and r["mutator_cpu_seconds"] >= 0, f"{where}: the mutator's time")
    check(abs(r["background_cpu_seconds"] - max(0, r["cpu_seconds"] - r["mutator_cpu_seconds"])) < 1e-6, f"{where}: the rest")
    check((r["garbage"] is not None) == ((r["workload"], r["phase"]) in GARBAGE), f"{where}: garbage")
    if r["garbage"]:
        check_garbage(r, f"{where} {r['params']}")
    check_pauses(r)
    check_memory(r, where)


def check_memory(r, where):
    """The peak is the highest of all readings, and the last reading is at the phase's end; a rest counts into the integral."""
    resident, own = r["resident"], r["heap"] == "midden" and r["workload"] in MEMORY
    check((resident is not None) == (r["workload"] in MEMORY), f"{where}: resident {resident}")
    check((r["stops"] is not None) == own and (r["pools"] is not None) == own and
          (r["evacuation_cpu_seconds"] is not None) == own, f"{where}: stops {r['stops']}, {r['pools']}")
    if resident:
        check(0 < resident["peak"] <= r["peak_rss_bytes"], f"{where}: {resident} in a peak of {r['peak_rss_bytes']}")
        check(0 <= resident["settle_background_seconds"] <= r["background_cpu_seconds"] + 0.005, f"{where}: {resident}")
        check(resident["byte_seconds"] > 0 and resident["settle_seconds"] >= 0, f"{where}: {resident}")
        rest = r["params"]["idle"] / 1000 if r["phase"] == "shrunk" else 0
        check(resident["byte_seconds"] >= 0.5 * rest * min(resident["peak"], max(r["net_rss_bytes"], 0)), f"{where}: {resident}")
    if own:
        check(1 <= r["pools"]["optimal"] <= r["pools"]["in_use"], f"{where}: {r['pools']}")
        check(r["stops"]["max"] == 0 if r["stops"]["count"] == 0 else r["stops"]["max"] > 0, f"{where}: {r['stops']}")


def check_utilisation(value, where):
    check(set(value) == {"1", "5", "10", "50"} and all(0 <= v <= 1 for v in value.values()), f"{where}: utilisation {value}")


def check_pauses(r):
    """What the driver saw, and what the heap says of itself. Where the driver has timed every call of the phase, each long pause of
    the heap lies within a long call; short pauses are stops, of less than 10 us each."""
    where = f"{r['workload']} {r['phase']} {r['heap']} {r['variant']}: pauses"
    timed = r["phase"] in ("steady", "drop")
    check((r["long_calls"] is not None) == timed and (r["mmu"] is not None) == timed, f"{where} seen by the driver")
    if timed:
        check_utilisation(r["mmu"], where)
        check((r["long_calls"]["count"] == 0) == (r["long_calls"]["ns"] == 0), f"{where}: {r['long_calls']}")
        check((r["long_calls"]["count"] == 0) == all(v == 1 for v in r["mmu"].values()), f"{where}: {r['mmu']}")
    own = r["heap"] == "midden"
    check((r["heap_pauses"] is not None) == own and (r["heap_mmu"] is not None) == own, f"{where} of the heap's account")
    if not own:
        return
    check_utilisation(r["heap_mmu"], where)
    causes = r["heap_pauses"].values()
    check(all(c["cpu_max"] <= c["max"] and (c["count"] != 0 or c["ns"] == 0) for c in causes), f"{where}: {r['heap_pauses']}")
    check(r["heap_longest_ns"]["wall"] == max([c["max"] for c in causes], default=0), f"{where}: {r['heap_longest_ns']}")
    if r["phase"] == "steady":
        seen, count, took = r["long_calls"]["ns"], sum(c["count"] for c in causes), sum(c["ns"] for c in causes)
        check(took <= seen + 10000 * count, f"{where}: {took} ns in {count} by the heap's account, {seen} ns in long calls")


def test_agreement(folder):
    """Enough garbage that collections stop the program: the driver's timing of calls and the heap's account are of the same."""
    path = os.path.join(folder, "steady.json")
    status, out, err = bench("--check", "--workload", "steady", "--live", "20000", "--operations", "120000", "--heap", "midden",
                             "--heap", "malloc", "--json", path)
    check(status == 0, f"steady: status {status}, {err}")
    for r in load(path)["results"] if status == 0 else []:
        check_result(r)
        stops = sum(c["count"] for c in (r["heap_pauses"] or {}).values())
        check(r["heap"] != "midden" or r["phase"] != "steady" or stops > 0, "steady: the heap says of no pause")
    check("least share of 50 ms" in out and "by its own account" in out, f"the table of pauses: {out}")


def test_hold(folder):
    """What the driver refers to may be held by the heap itself. Its array is live like the rest: four bytes a reference on midden,
    eight on the others; the data are the same."""
    path = os.path.join(folder, "held.json")
    status, out, err = bench("--quick", "--check", *(f"--workload={w}" for w in MEMORY), "--variant", "default", "--variant", "deep",
                             "--variant", "atomic", "--json", path)
    check(status == 0, f"held: status {status}, {err}")
    live = {}
    for r in load(path)["results"] if status == 0 else []:
        check_result(r)
        key = (r["workload"], r["phase"], r["heap"], r["variant"])
        live.setdefault(key, {})[r["params"]["hold"]] = r["live_bytes"]
    array = {key: both["array"] - both["beside"] for key, both in live.items()}
    variants = [("midden", "default"), ("midden", "deep"), ("boehm", "atomic"), ("malloc", "default")]
    for workload in MEMORY:
        for phase in PHASES[workload]:
            got = [array.get((workload, phase, *v)) for v in variants]
            check(None not in got and got[0] > 0 and got == [got[0], got[0], 2 * got[0], 2 * got[0]], f"{workload} {phase}: {got}")
    check("pools / least" in out and " deep " in out, f"the table of memory given back: {out}")
    status, _, err = bench("--quick", "--check", "--workload", "chase", "--heap", "midden", MIDDEN_OPTIONS="deep=depth,idle=1ms")
    check(status == 0, f"a walk whose references the daemon may give anew: {err}")


def check_garbage(r, where):
    """On midden, which is asked to check itself, everything dropped is watched, and what is watched is outstanding."""
    most, every, curve = r["garbage"]["most"], r["garbage"]["watched_every"], r["garbage"]["curve"]
    operations, outstanding, watched = curve["operations"], curve["outstanding"], curve["watched"]
    points = len(operations)
    check(2 <= points <= 202 and all(len(column) == points for column in curve.values()), f"{where}: {points} points")
    check(sorted(operations) == operations and min(curve["rss_bytes"]) > 0 and min(curve["reachable"]) >= 0, f"{where}: curve")
    check(max(outstanding) <= most, f"{where}: more outstanding than the most: {max(outstanding)}, {most}")
    if r["heap"] not in ("midden", "boehm"):
        check(most == 0 and every == 0 and max(watched) == 0, f"{where}: garbage where the program frees")
    elif r["heap"] == "boehm":
        check(every in (1, 64) and watched == outstanding, f"{where}: watched and outstanding differ")
        check(r["workload"] != "steady" or 0 < most < r["operations"], f"{where}: {most} uncollected, nothing was seen to go")
    elif r["params"].get("threads", 1) == 1:
        check(every in (1, 64) and all(w <= o for w, o in zip(watched, outstanding)),
              f"{where}: {watched} watched of {outstanding}")
        if r["params"].get("garbage") == "acyclic":
            check(most == 0, f"{where}: {most} uncollected that no cycle holds")
        else:
            check(most > 0, f"{where}: cycles that died by counting")


def test_everything(folder):
    """Every workload on every heap; the checksums are compared by the program, which then ends with 1."""
    path = os.path.join(folder, "all.json")
    status, out, err = bench("--quick", "--check", "--repeat", "2", "--json", path)
    check(status == 0, f"the quick run: status {status}\n{err}")
    if not os.path.exists(path):
        return
    document = load(path)
    check(set(document) == {"machine", "results"}, "top level")
    check(set(document["machine"]["heaps"]) == set(HEAPS), "versions of the heaps")
    seen = {}
    for r in document["results"]:
        check_result(r)
        seen.setdefault((r["workload"], json.dumps(r["params"]), r["heap"], r["variant"], r["repeat"]), []).append(r["phase"])
    for (workload, _, heap, variant, repeat), phases in seen.items():
        wanted = PHASES[workload] + (MIDDEN_PHASES.get(workload, []) if heap == "midden" else [])
        check(sorted(phases) == sorted(wanted), f"{workload} {heap} {variant}: phases {phases}")
    for workload in PHASES:
        for heap in HEAPS:
            rounds = {key[4] for key in seen if key[0] == workload and key[2] == heap}
            wanted = set() if workload in OWN and heap != "midden" else {1, 2}
            check(rounds == wanted, f"{workload} on {heap}: rounds {rounds}")
    for workload in THREADED:
        boehm = {(key[3], json.loads(key[1])["threads"]) for key in seen if key[0] == workload and key[2] == "boehm"}
        check(boehm == {(f"markers={m}", t) for m in (1, 2) for t in (1, 3)}, f"{workload} on boehm: {boehm}")
    alive = [r for r in document["results"] if r["garbage"] and r["heap"] in ("midden", "boehm")]
    for heap in ("midden", "boehm"):
        check(any(max(r["garbage"]["curve"]["watched"]) > 0 for r in alive if r["heap"] == heap), f"{heap}: nothing was watched")
    forms = {r["params"]["garbage"] for r in document["results"] if r["workload"] == "steady"}
    check(forms == {"pairs", "acyclic", "rings", "lists", "giant"}, f"forms of garbage {forms}")
    check(all(r["gap_ns"] is None for r in document["results"]), "gaps that no spinner saw")
    rings = {r["params"]["size"] for r in document["results"] if r["workload"] == "rings"}
    check(len(rings) == 2, f"rings of sizes {rings}")
    check("binary-trees depth=8" in out and "churned-random" in out, "the tables on the terminal")
    order = [line.split("]")[0] for line in err.splitlines() if line.startswith("[round")]
    check(order == sorted(order, key=lambda o: ("round 2" in o)) and order, "rounds one after the other")
    test_table(folder, path, document)


def test_table(folder, path, document):
    status, out, _ = bench("--table", path)
    check(status == 0 and out.count("| binary-trees depth=8") == 2, "the table from a file")
    readme, table = os.path.join(folder, "README.md"), os.path.join(folder, "table.md")
    with open(table, "w") as file:
        file.write(out)
    with open(readme, "w") as file:
        file.write("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    check(subprocess.run([README_SCRIPT, table, readme]).returncode == 0, "update_readme.sh")
    with open(readme) as file:
        text = file.read()
    check(text == "before\n<!-- bench -->\n" + out + "<!-- /bench -->\nafter\n", "the table in the README")
    broken = os.path.join(folder, "broken.json")
    del document["results"][0]["phase"]
    for content in (json.dumps(document), "{\"machine\":{}", "[]", "{\"machine\":{},\"results\":{}}"):
        with open(broken, "w") as file:
            file.write(content)
        refused("a broken file of results", "--table", broken, says="broken.json")
    refused("a missing file of results", "--table", os.path.join(folder, "none.json"), says="none.json")


def test_targets(folder):
    """A file made up of round figures: the ratios follow, and are judged."""
    def result(heap, variant, seconds, cpu, peak):
        return {"workload": "binary-trees", "params": {"depth": 18}, "phase": "run", "heap": heap, "variant": variant,
                "repeat": 1, "seconds": seconds, "cpu_seconds": cpu, "operations": 1000, "ns_per_op": seconds * 1e6,
                "live_bytes": 8, "peak_rss_bytes": peak, "net_rss_bytes": peak, "call_ns": None, "pause_ns": None}
    path = os.path.join(folder, "made.json")
    results = [result("midden", "default", 1.0, s, 50) for s in (1.0, 1.1, 9.0)]
    results += [result("midden", "acyclic", 0.1, 0.1, 1), result("boehm", "plain", 4.0, 2.0, 100),
                result("boehm", "markers=1", 2.5, 2.5, 100), result("mimalloc", "default", 0.5, 0.5, 10)]
    with open(path, "w") as file:
        json.dump({"machine": {}, "results": results}, file)
    _, out, _ = bench("--table", path)
    cells = [[c.strip() for c in line.split("|")[2:-1]] for line in out.splitlines() if "| time / " in line or "| peak / " in line]
    wanted = [["time / boehm", "0.45", "0.40", "0.55", "NO"], ["time / mimalloc", "1.50", "2.00", "2.20", "NO"],
              ["peak / boehm", "0.60", "0.50", "-", "yes"]]
    check(cells == wanted, f"targets: {cells}")


def test_targets_of_memory(folder):
    """The same, of what goes back: shares, and figures in milliseconds; the variant that is promised it is the one that is judged."""
    def result(workload, params, phase, variant, **figures):
        whole = {"seconds": 0.5, "cpu_seconds": 0.5, "operations": 1000, "ns_per_op": 5e5, "live_bytes": 100,
                 "peak_rss_bytes": 1000, "net_rss_bytes": 90, "background_cpu_seconds": 0.25}
        return {"workload": workload, "params": params, "phase": phase, "heap": "midden", "variant": variant, "repeat": 1,
                **whole, **figures}
    path = os.path.join(folder, "made.json")
    r1, r3 = {"limit": 100000000, "hold": "array"}, {"bytes": 536870912, "hold": "array"}
    results = [result("r1", r1, "shrunk", "default"),
               result("r1", r1, "shrunk", "deep", net_rss_bytes=113, resident={"settle_seconds": 0.75, "settle_background_seconds": 0.375}, stops={"cpu_max": 1250000}),
               result("r3", {"bytes": 536870912}, "shrunk", "default", evacuation_cpu_seconds=0.075),
               result("r3", r3, "full", "deep"), result("r3", r3, "shrunk", "deep", net_rss_bytes=117),
               result("r3", r3, "shrunk", "default", net_rss_bytes=180),
               result("r3", r3, "refilled", "deep", peak_rss_bytes=1100)]
    with open(path, "w") as file:
        json.dump({"machine": {}, "results": results}, file)
    _, out, _ = bench("--table", path)
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in out[out.find("**Targets**"):].splitlines()[4:]]
    held = "r3 bytes=536870912 hold=array"
    wanted = [["r3 bytes=536870912 shrunk", "net / live", "1.75", "0.90", "-", "yes"],
              ["r3 bytes=536870912 shrunk", "evacuation, CPU ms", "100.00", "75.00", "-", "yes"],
              [f"{held} shrunk", "net / live", "1.75", "1.80", "-", "NO"],
              [f"{held} shrunk", "net / live, deep", "1.18", "1.17", "-", "yes"],
              [f"{held} refilled", "net / live, deep", "1.10", "0.90", "-", "yes"],
              [f"{held} refilled", "peak / peak when full, deep", "1.00", "1.10", "-", "NO"]]
    wanted += [["r1 limit=100000000 hold=array shrunk", *rest] for rest in (
        ["net / live, deep", "1.12", "1.13", "-", "NO"], ["settled, s, deep", "1.00", "0.75", "-", "yes"],
        ["background CPU / time until settled, deep", "0.25", "0.50", "-", "NO"], ["longest stop, CPU ms, deep", "1.00", "1.25", "-", "NO"])]
    check(cells == wanted, f"targets of memory: {cells}")


def test_evacuation_targets(folder):
    """Its speed is the bare loop's time over its own; the whole of it is in milliseconds."""
    def result(phase, cpu, **params):
        return {"workload": "evacuate", "params": {**params, "seed": 1}, "phase": phase, "heap": "midden", "variant": "default",
                "repeat": 1, "seconds": 9.0, "cpu_seconds": cpu, "operations": 1000, "ns_per_op": 9.0, "live_bytes": 8,
                "peak_rss_bytes": 9, "net_rss_bytes": 9, "call_ns": None, "pause_ns": None}
    path = os.path.join(folder, "made.json")
    small, large = ({"size": size, "bytes": 268435456, "keep": 25} for size in (64, 4096))
    results = [result("evacuate", 0.5, **small), result("bare", 0.3, **small), result("evacuate", 0.5, **large),
               result("bare", 0.2, **large), result("whole", 0.09, size=0, bytes=536870912, keep=10)]
    with open(path, "w") as file:
        json.dump({"machine": {}, "results": results}, file)
    _, out, _ = bench("--table", path)
    cells = [[c.strip() for c in line.split("|")[2:-1]] for line in out.splitlines() if line.startswith("| evacuate ")]
    wanted = [["speed / bare loop", "≥ 0.50", "0.60", "-", "yes"], ["speed / bare loop", "≥ 0.50", "0.40", "-", "NO"],
              ["processor time, ms", "100.00", "90.00", "-", "yes"]]
    check(cells == wanted, f"targets of evacuation: {cells}")


def test_threads_table(folder):
    """Speeds made up of round figures: the table of threads and the targets that are least ones."""
    def result(heap, variant, threads, ns, workload="larson", phase="run", call=None):
        params = {"threads": threads, "blocks": 1000, "least": 10, "most": 500, "rounds": 100, "operations": 20000000, "seed": 1}
        return {"workload": workload, "params": params, "phase": phase, "heap": heap, "variant": variant, "repeat": 1,
                "seconds": ns / 1e6, "cpu_seconds": ns / 1e6, "operations": 1000, "ns_per_op": ns, "live_bytes": 8,
                "peak_rss_bytes": 9, "net_rss_bytes": 9, "call_ns": call, "pause_ns": None}
    path = os.path.join(folder, "made.json")
    stop = result("midden", "default", 2, 1.0, "stops", "to-stop", {"p50": 51000, "p99": 52000, "p99.9": 53000, "max": 54000})
    stop["params"] = {"threads": 2, "stops": 2000, "interval": 500, "poll-every": 1000}
    results = [result("midden", "default", 1, 20.0), result("midden", "default", 2, 10.0), result("boehm", "markers=1", 2, 90.0),
               result("boehm", "markers=2", 2, 70.0), result("mimalloc", "default", 1, 10.0), result("mimalloc", "default", 2, 4.0),
               stop]
    with open(path, "w") as file:
        json.dump({"machine": {}, "results": results}, file)
    _, out, _ = bench("--table", path)
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| larson ")]
    speeds = [line for line in lines if len(line) == 11]
    wanted = [["larson", "1", "50.0", "-", "-", "100", "-", "1.00", "1.00", "-", "0.50"],
              ["larson", "2", "100", "14.3", "-", "250", "-", "2.00", "2.50", "7.00", "0.40"]]
    check(speeds == wanted, f"the table of threads: {speeds}")
    cells = [line[1:] for line in lines if len(line) == 6]
    wanted = [["speed / one thread's", "≥ 1.60", "2.00", "-", "yes"], ["that / mimalloc's own", "≥ 1.00", "0.80", "-", "NO"],
              ["speed / boehm", "≥ 8.00", "7.00", "-", "NO"], ["speed / mimalloc", "≥ 0.60", "0.40", "-", "NO"]]
    check(cells == wanted, f"targets of speed: {cells}")
    check("| median time to stop, µs | 50.00 | 51.00 |" in " ".join(out.split()), "the target of time to stop")


def test_bad_input(folder):
    tiny = ("--quick", "--workload", "binary-trees")
    refused("unknown workload", "--workload", "nothing", says="no such workload: nothing")
    refused("unknown heap", "--heap", "nothing", says="no such heap: nothing")
    refused("unknown variant", "--variant", "nothing", says="no such variant: nothing")
    refused("unknown option", "--nothing", says="--nothing")
    refused("a stray word", "nothing", says="nothing")
    refused("missing value", "--workload", says="--workload")
    refused("a parameter of another workload", *tiny, "--live", "5", says="--live is an option of no chosen workload")
    refused("a parameter that is no number", *tiny, "--depth", "4,x", says="--depth=4,x")
    refused("a negative parameter", *tiny, "--depth", "-4", says="--depth=-4")
    refused("a parameter out of range", *tiny, "--depth", "8,99", says="--depth: from 1 to 30")
    refused("a word that is none of the parameter's", "--quick", "--workload", "steady", "--garbage", "rings,ring",
            says="--garbage=rings,ring")
    refused("a place that is none", "--quick", "--workload", "r3", "--hold", "nowhere", says="--hold=nowhere")
    refused("deep where nothing is held", "--quick", "--workload", "churn", "--variant", "deep", says="no chosen heap")
    refused("a number in place of a word", "--quick", "--workload", "steady", "--garbage", "1", says="--garbage=1")
    refused("a word in place of a number", "--quick", "--workload", "steady", "--live", "rings", says="--live=rings")
    refused("a parameter beyond 64 bits", *tiny, "--depth", "99999999999999999999999", says="--depth: from 1 to 30")
    refused("no thread", "--quick", "--workload", "larson", "--threads", "0", says="--threads: from 1 to")
    refused("stops of a peer", "--quick", "--workload", "stops", "--heap", "malloc", says="no chosen heap")
    refused("no round", *tiny, "--repeat", "0", says="not a number")
    refused("a combination that is empty", *tiny, "--heap", "malloc", "--variant", "acyclic", says="no chosen heap")
    refused("a folder as file", *tiny, "--json", folder, says=folder)
    refused("a missing folder", *tiny, "--json", os.path.join(folder, "none", "x.json"), says="No such file")
    refused("a full disk", *tiny, "--json", "/dev/full", says="No space left")
    check(os.listdir(folder) == [], f"leftovers: {os.listdir(folder)}")


def test_selection(folder):
    path = os.path.join(folder, "some.json")
    status, _, err = bench("--workload", "binary-trees", "--depth", "4,6", "--heap", "malloc", "--heap", "boehm", "--variant",
                           "default", "--variant", "markers=2", "--json", path)
    got = sorted((r["heap"], r["variant"], r["params"]["depth"]) for r in load(path)["results"]) if status == 0 else err
    check(got == [("boehm", "markers=2", 4), ("boehm", "markers=2", 6), ("malloc", "default", 4), ("malloc", "default", 6)],
          f"selection: {got}")
    for variant in ("incremental", "markers=1", "no-interior", "daemon=off"):
        status, _, err = bench("--quick", "--workload", "churn", "--variant", variant)
        check(status == 0, f"variant {variant}: {err}")
    status, out, err = bench("--quick", "--workload", "binary-trees", "--heap", "malloc", "--repeat", "2", "--json", "/dev/stdout")
    document, end = json.JSONDecoder().raw_decode(out.lstrip())
    check(status == 0 and len(document["results"]) == 2 and out.lstrip()[end:].lstrip().startswith("Time"),
          f"to a pipe, one document: {out} {err}")
    status, out, _ = bench("--list")
    check(status == 0 and all(name in out for name in [*PHASES, *HEAPS]), "--list")
    status, out, _ = bench("--micro", "--quick", "--heap", "malloc")
    check(status == 0 and "alloc+release-1024" in out, "--micro")


def test_spinner(folder):
    path = os.path.join(folder, "spun.json")
    status, out, err = bench("--quick", "--workload", "idle", "--workload", "steady", "--garbage", "giant,rings", "--spinner",
                             "--json", path)
    check(status == 0 and "spinner's gap" in out, f"with a spinner: {status} {err}")
    results = load(path)["results"]
    for r in results:
        check_latencies(r["gap_ns"], {"count", "p50", "p99.9", "max"}, f"gaps of {r['workload']} on {r['heap']}")
        gaps = r["gap_ns"]
        check(gaps is not None and (gaps["count"] == 0 or gaps["max"] >= 1000), f"gaps that are readings of the clock: {gaps}")
    check([r["params"]["garbage"] for r in results if r["workload"] == "steady" and r["heap"] == "malloc"] ==
          ["giant", "giant", "rings", "rings"], "values that are words")


def test_watched_part(folder):
    """Where one structure in 64 is watched: pairs, of which every other one dies by counting, must not be the ones passed over."""
    path = os.path.join(folder, "part.json")
    status, _, err = bench("--check", "--workload", "steady", "--live", "5000", "--operations", "400000", "--heap", "midden",
                           "--heap", "boehm", "--json", path)
    check(status == 0, f"a part watched: {err}")
    for garbage in (r["garbage"] for r in load(path)["results"] if r["garbage"]):
        most, watched = garbage["most"], max(garbage["curve"]["watched"])
        check(garbage["watched_every"] == 64, f"one in {garbage['watched_every']} watched")
        check(most < 20000 or most / 2 < watched < most * 2, f"a part watched: {watched} for {most}")


def test_older_results(folder):
    """A file from before a parameter was there is read as if it had its default."""
    path = os.path.join(folder, "old.json")
    params = {"live": 1000000, "operations": 12000000, "store-every": 16, "cycle-every": 2, "seed": 1}
    result = {"workload": "steady", "params": params, "phase": "steady", "heap": "midden", "variant": "default", "repeat": 1, "seconds": 1.0, "cpu_seconds": 1.0,
              "operations": 1000, "ns_per_op": 1e6, "live_bytes": 8, "peak_rss_bytes": 9, "net_rss_bytes": 9,
              "call_ns": None, "pause_ns": None}
    with open(path, "w") as file:
        json.dump({"machine": {}, "results": [result]}, file)
    status, out, err = bench("--table", path)
    check(status == 0 and "| steady live=1000000 operations=12000000 | steady" in out, f"older results: {status} {out} {err}")


def check_set(program):
    """The set behind the table, on workers that answer at once: a variant that a line of it names runs beside the others, and what
    is too long for it only in the first round."""
    status, _, err = bench("--repeat", "2", program=program)
    held = [line.split() for line in err.splitlines() if " r3 " in line and "hold=array" in line]
    runs = sorted((words[1], *words[-4:-2]) for words in held)
    wanted = [("1", "boehm", "atomic"), ("1", "boehm", "plain"), *(("1", heap, "default") for heap in sorted(set(HEAPS) - {"boehm"})),
              ("1", "midden", "deep"), ("2", "midden", "default"), ("2", "midden", "deep")]
    check(status == 0 and runs == sorted(wanted), f"the set: status {status}, {runs}")


def test_faults(folder):
    """Workers that fail: the rest is still run and written, and the status is 1."""
    shutil.copy(MIDDEN, os.path.join(folder, "midden"))
    os.mkdir(os.path.join(folder, "bench"))
    for heap in HEAPS:
        shutil.copy(FAULTY, os.path.join(folder, "bench", "worker-" + heap))
    program, path = os.path.join(folder, "midden"), os.path.join(folder, "faults.json")
    says = {"crash": "crashed", "hang": "stopped: not done after 1 s", "status": "failed with status 3", "heap": "it ran on other",
            "garbage": "is no report", "cut": "incomplete", "checksum": "disagree"}
    for fault, text in says.items():
        status, _, err = bench("--quick", "--workload", "binary-trees", "--timeout", "1", "--json", path, program=program,
                               FAULTY_HEAP="boehm", FAULT=fault)
        heaps = {r["heap"] for r in load(path)["results"]}
        check(status == 1 and text in err and set(HEAPS) - {"boehm"} <= heaps, f"{fault}: status {status}, {err}, {heaps}")
        check(fault == "checksum" or "boehm" not in heaps, f"{fault}: a failed run has results")
    status, _, err = bench("--quick", "--workload", "binary-trees", program=program)
    check(status == 0, f"without a fault: {err}")
    check_set(program)
    shutil.rmtree(os.path.join(folder, "bench"))
    status, _, err = bench("--quick", program=program)
    check(status == 2 and "no worker programs" in err, f"no workers: {status} {err}")


for test in (test_bad_input, test_selection, test_targets, test_targets_of_memory, test_evacuation_targets, test_threads_table, test_hold,
             test_spinner, test_watched_part, test_older_results, test_faults, test_agreement, test_everything):
    with tempfile.TemporaryDirectory() as temporary:
        test(temporary)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
