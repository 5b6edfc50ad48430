"""Reads a Delta table with polars and with deltalake's own query engine, and compares both with naru's answer.

Arguments: the table's folder, a Parquet file with what `naru sql` gave. Prints `same`, or what differs.
Hidden columns (a leading underscore) are not compared; rows are compared as multisets.
"""

import sys
from collections import Counter

import deltalake
import polars


def rows(frame, names):
    return Counter(tuple(str(value) for value in row) for row in frame.select(names).iter_rows())


def main(table, answer):
    wanted = polars.read_parquet(answer)
    names = [name for name in wanted.columns if not name.startswith("_")]
    expected = rows(wanted, names)
    delta = deltalake.DeltaTable(table)
    engine = deltalake.QueryBuilder().register("t", delta)
    readers = {
        "polars": lambda: polars.read_delta(table),
        "deltalake": lambda: polars.DataFrame(engine.execute("SELECT * FROM t")),
    }
    for reader, read in readers.items():
        got = rows(read(), names)
        if got != expected:
            lacking, extra = expected - got, got - expected
            print(f"{reader}: {sum(got.values())} rows, naru: {sum(expected.values())}")
            print(f"lacks {list(lacking.items())[:10]}\nhas besides {list(extra.items())[:10]}")
            return
    print("same")


main(*sys.argv[1:])
