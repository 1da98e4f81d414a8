"""What is kept and what goes: the needs of nights and versions, and everything held against them.

`needs.py` says from policy and ledger what must stay, `things.py` holds each snapshot, version,
run, report and logged row against that, `sweeping.py` deletes what is left.
"""
