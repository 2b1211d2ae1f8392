"""Measures what programs ask most beside a floor in the same run: ``python -m bench`` (``make bench``).

__main__    the run: databases, servers, measurements, tables
operations  what is measured: reads, introspection, tokens by code and by refreshing, pushed requests, userinfo
imports     bringing in a file of records: its pace and its memory
seed        a world to read from, and the volume behind it
requests    prepared requests: proofs and assertions signed before the clock starts
load        the load generator: keep-alive sockets, latencies, no parsing beyond the status line
floor       a bare Flask application doing the same statements and signature checks with the raw driver
"""
