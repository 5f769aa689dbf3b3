"""The address book on a large made-up table: right and confidently wrong by style, and times.

    python scripts/bench/addresses.py [--rows 322000] [--per-style 75] [--seed N]
    python scripts/bench/addresses.py --osm FILE.osm.pbf [--seed N]

With ``--osm``: the real addresses of an extract, each asked with one typing error in its street.

Give a fresh seed: a figure on a seed that was tuned on says nothing.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tests_beside import beside_the_tests

from geo_service.addresses import AddressBook
from geo_service.addresses.openstreetmap import read_addresses


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=322_000)
    options.add_argument("--per-style", type=int, default=75)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--osm", type=Path, action="append")
    given = options.parse_args()
    for file in given.osm or ():
        _mistyped(file, given.seed)
    if given.osm:
        return

    styles = beside_the_tests("address_styles")
    table = styles.table(given.rows, given.seed)
    asked = styles.questions(table, given.per_style, given.seed + 1)
    began = time.process_time()
    book = AddressBook(table)
    built_s = time.process_time() - began
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    told: dict[float, Counter[str]] = defaultdict(Counter)
    milliseconds = []
    for question in asked:
        began = time.perf_counter()
        answer = book.find(question.text)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        verdict = styles.judge(question, answer)
        verdicts[question.style][verdict] += 1
        if answer.status == "found":
            told[answer.confidence][verdict] += 1
            told[answer.confidence]["held"] += styles.holds(question, answer)

    for style, counts in verdicts.items():
        right, wrong = _percent(counts, "right"), _percent(counts, "wrong")
        print(f"{style:18} {right:6.1f} right {wrong:6.2f} wrong")
    total = sum(verdicts.values(), Counter())
    print(f"seed {given.seed}, {len(table):,} rows, {len(asked):,} questions")
    right, wrong = _percent(total, "right"), _percent(total, "wrong")
    print(f"right {right:.2f} %, wrong but confident {wrong:.2f} %")
    for confidence, counts in sorted(told.items()):
        count = counts["right"] + counts["wrong"]
        right, held = counts["right"] / count, counts["held"] / count
        print(
            f"confidence {confidence:.3f}: {right:.4f} right, {held:.4f} in the radius, of {count}"
        )
    p50, p99 = np.percentile(milliseconds, (50, 99))
    print(f"p50 {p50:.2f} ms, p99 {p99:.2f} ms; build {built_s:.2f} s, {_megabytes(table):.0f} MiB")


def _mistyped(file: Path, seed: int) -> None:
    styles = beside_the_tests("address_styles")
    table = read_addresses(file)
    book = AddressBook(table)
    counts = Counter(
        styles.judge(asked, book.find(asked.text)) for asked in styles.mistyped(table, 1000, seed)
    )
    right, wrong = _percent(counts, "right"), _percent(counts, "wrong")
    print(f"{file.name}: {counts.total()} asked, {right:.1f} % right, {wrong:.2f} % wrong")


def _percent(counts: Counter[str], verdict: str) -> float:
    return 100.0 * counts[verdict] / sum(counts.values())


def _megabytes(table: Any) -> float:
    tracemalloc.start()
    book = AddressBook(table)
    held = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    del book
    return held


if __name__ == "__main__":
    main()
