"""Streaming beside offline recognition, measured in one run (``rtstt bench streaming``)."""
