"""One session of an hour of speech, on a server of its own."""
