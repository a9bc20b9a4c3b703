"""A notebook-centric laboratory for real-time speech-to-text."""
