"""A fuzzer: random programs as source text, through every recorder and every executor."""
