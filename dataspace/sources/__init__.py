"""What feeds the spaces: authoritative sources, each with the right to the items of its own authority and no other.

registry   which sources there are, what they may bring, when they were last heard
schema     the JSON Schema of what a record of an item looks like, made from the catalogue
incoming   one record as a source brings it, unchecked; JSON without doubled keys
checking   whether it is one that this source may bring; or which rule it breaks
receiving  from unchecked to kept: checked, stored, counted
storing    a batch of them becomes versions of records: what is known already changes nothing
quality    freshness, completeness and errors, per source, item and day
lines      numbered lines of a file of any size
formats    CSV and NDJSON: lines into records
imports    a file brought in batches, each a transaction, from where the last run stopped
connector  what a source looks like to us; other kinds are other implementations of it
http       JSON over HTTP: pages, asked for conditionally
file       a file that is taken in whenever it is another one
pulling    asking the sources that are due
"""
