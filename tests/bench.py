"""`make bench`: cold starts, throughput and memory of the released model, as a table and as JSON.

    python tests/bench.py [--json out.json]

Cold starts are medians of whole processes, with the ratio to `python -c pass` of the same run.
Throughput is that of the examples repeated, on whatever shares the machine: quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SHORT = EXAMPLES / "cbp-release-2025-11-03-squid.txt"
RUNS = 7


def cold(command: list[str]) -> float:
    """Median wall seconds of a whole process."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def batch(copies: int, folder: Path) -> dict[str, float]:
    """Documents a second and peak MB of one triage of the examples, `copies` times over."""
    rows = [
        {"title": path.stem, "text": path.read_text("utf-8")}
        for path in sorted(EXAMPLES.glob("*.txt"))
        if path.stat().st_size
    ]
    stream = folder / f"stream-{copies}.jsonl"
    with stream.open("w") as out:
        for copy in range(copies):
            for row in rows:
                out.write(json.dumps({**row, "id": f"{row['title']}-{copy}"}) + "\n")
    began = time.perf_counter()
    command = [sys.executable, "-m", "whereas.cli", "triage", str(stream)]
    process = subprocess.Popen(
        [*command, "-o", str(folder / f"out-{copies}"), "--format", "none"],
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"triage failed with {status}")
    seconds = time.perf_counter() - began
    count = copies * len(rows)
    return {
        "documents": count,
        "seconds": round(seconds, 2),
        "documents_per_second": round(count / seconds, 1),
        "peak_mb": round(usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    python = [sys.executable]
    floor = cold([*python, "-c", "pass"])
    starts = {
        "python -c pass": floor,
        "whereas --help": cold([*python, "-m", "whereas.cli", "--help"]),
        "whereas triage, one short document": cold(
            [*python, "-m", "whereas.cli", "triage", str(SHORT)]
        ),
        "whereas brief, one short document": cold(
            [*python, "-m", "whereas.cli", "brief", str(SHORT)]
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        batches = [batch(copies, Path(folder)) for copies in (5, 20, 80)]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| cold start | seconds | times `python -c pass` |\n| --- | --- | --- |")
    for name, seconds in starts.items():
        print(f"| {name} | {seconds:.2f} | {seconds / floor:.1f} |")
    print("\n| triage with briefs | documents a second | peak MB |\n| --- | --- | --- |")
    for one in batches:
        print(
            f"| {one['documents']} documents | {one['documents_per_second']} | {one['peak_mb']} |"
        )
    if options.json:
        options.json.write_text(json.dumps({"cold": starts, "batches": batches}, indent=1) + "\n")


if __name__ == "__main__":
    main()
