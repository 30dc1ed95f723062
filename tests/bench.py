"""`make bench`: cold starts, throughput and memory of the released model, as a table and as JSON.

    python tests/bench.py [--json out.json] [--retrain]

`--retrain` needs the train extra and minutes: 500 documents added, heads refitted (`--fast`), with
no sentence states in the cache, with those of the corpus, and with those of all documents.

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

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHORT = EXAMPLES / "cbp-release-2025-11-03-squid.txt"
RUNS = 7
ADDED = 500


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


def added(path: Path, word: str) -> None:
    """Reported documents as if they were others: a word more, ids and events of their own."""
    with path.open("w") as out:
        for line in (
            (ROOT / "training/corpus/reported.jsonl").read_text("utf-8").splitlines()[:ADDED]
        ):
            one = json.loads(line)
            one |= {"id": f"{word}-{one['id']}", "event": f"{word}-{one['event']}"}
            one["text"] += f" {word}."
            one.pop("digest", None)
            out.write(json.dumps(one) + "\n")


def retrain(folder: Path) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of `whereas train --fast` on added documents, by what is in the cache.
    Data outside the repository is left out."""
    environment = {k: v for k, v in os.environ.items() if k != "WHEREAS_DATA"}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    found = {}
    for k, (cached, word) in enumerate(
        (("nothing", "once"), ("the corpus", "twice"), ("everything", "twice"))
    ):
        added(folder / "new.jsonl", word)
        command = [sys.executable, "-m", "whereas.cli", "train"]
        command += [str(ROOT / "training/recipes/whereas.toml"), "--from", "CURRENT", "--fast"]
        command += ["--add", str(folder / "new.jsonl"), "-o", str(folder / f"run-{k}")]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"train failed with {status}")
        seconds = time.perf_counter() - began
        found[cached] = {
            "seconds": round(seconds, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--retrain", action="store_true")
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
        retrained = retrain(Path(folder)) if options.retrain else {}
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| cold start | seconds | times `python -c pass` |\n| --- | --- | --- |")
    for name, seconds in starts.items():
        print(f"| {name} | {seconds:.2f} | {seconds / floor:.1f} |")
    print("\n| triage with briefs | documents a second | peak MB |\n| --- | --- | --- |")
    for one in batches:
        print(
            f"| {one['documents']} documents | {one['documents_per_second']} | {one['peak_mb']} |"
        )
    if retrained:
        print(f"\n| {ADDED} documents added, in the cache | seconds | CPU seconds |")
        print("| --- | --- | --- |")
        for cached, one in retrained.items():
            print(f"| {cached} | {one['seconds']} | {one['cpu_seconds']} |")
    if options.json:
        found = {"cold": starts, "batches": batches, "retrained": retrained}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
