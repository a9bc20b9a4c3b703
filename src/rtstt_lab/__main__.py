"""``python -m rtstt_lab`` is the command ``rtstt``."""

from rtstt_lab.cli import main

if __name__ == "__main__":
    main(prog_name="rtstt")
