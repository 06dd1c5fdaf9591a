"""One file per case. Each has `measure() -> list[Row]`; `benchmarks.table` names them in order.

A case runs in a process of its own, so that it may enter a network namespace of its own.
"""
