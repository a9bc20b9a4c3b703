"""Other streaming Whispers on the same recordings, by the same figures, in the same run as this project.

Each peer is installed from the package index into a virtual environment of its own (`environments`), runs in
a process of its own (`processes`), is fed in real time over its own protocol (`conversation`), and what it
says becomes the events that every system is measured by (`transcripts`). One module a peer says how it is
started, at which settings, and what of its messages is shown and what is committed.
"""
