#!/usr/bin/env python3
"""show.py BUILD [PART...]: what a heap's daemon does when memory is short, on this machine.

Prints figures and, for each part, whether it holds. What the machine refuses is said, and is no failure. Status 1: something does
not hold."""
import sys
import time

import parts
import rates

PARTS = {"survive": parts.survive, "press": parts.press, "idle": parts.idle, "cost": rates.cost,
         "share": rates.share}


def main():
    build, names = sys.argv[1], sys.argv[2:] or list(PARTS)
    bad = 0
    for name in names:
        if name not in PARTS:
            sys.exit(f"show.py: no part is called {name}: {', '.join(PARTS)}")
        begun = time.monotonic()
        print(f"== {name}", flush=True)
        try:
            for holds, text in PARTS[name](build):
                bad += not holds
                print(f"{'holds' if holds else 'DOES NOT HOLD'}: {text}", flush=True)
        except parts.Refused as why:
            print(f"refused: {why}")
        print(f"({time.monotonic() - begun:.0f} s)", flush=True)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
