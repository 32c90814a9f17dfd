#!/usr/bin/env python3
"""A second configuration of the same build asks the compiler for the same as the first: otherwise the scripts,
which configure each time, compile each time.

    configured_twice.py
"""
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def asked_of_compiler(folder):
    """What decides whether objects are compiled again: the lines with flags of all units, in their order."""
    subprocess.run(["cmake", "--preset", "release", "-B", folder], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    lines = (Path(folder) / "build.ninja").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(("  FLAGS = ", "  DEFINES = ", "  INCLUDES = "))]


def main():
    with tempfile.TemporaryDirectory(prefix="us-twice-") as folder:
        try:
            first, second = asked_of_compiler(folder), asked_of_compiler(folder)
        except (subprocess.CalledProcessError, OSError) as problem:
            print(f"cannot configure: {problem}\n{getattr(problem, 'stderr', '')}", file=sys.stderr)
            return 2
    if not first:
        print("no unit is compiled: nothing was compared", file=sys.stderr)
        return 2
    for before, after in zip(first, second):
        if before != after:
            print(f"first:  {before}\nsecond: {after}")
    print(f"{len(first)} lines compared: {'the same' if first == second else 'a second configuration compiles again'}")
    return 0 if first == second else 1


if __name__ == "__main__":
    sys.exit(main())
