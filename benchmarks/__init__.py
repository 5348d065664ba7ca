"""How fast Millrace is, beside what the same machine can do in the same run.

Every figure is a ratio of two measurements made minutes apart on one machine: figures of different
machines can't be compared, ratios can. `make bench` runs everything, `python -m benchmarks NAME` one.
"""
