"""Black-box checks of ``rtstt.v1``: is what answers at an address a server by every rule of the protocol?

A check is one small function with an id, which opens a session of its own and says exactly what it wants said
(`rules`, one file a rule). `run.examine` runs them; `report` writes what came of it.
"""
