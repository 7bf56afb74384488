"""One file a command: the module `x.py` holds the click command `x`, and imports nothing slow at its top."""
