"""Tables of trials: our own records, and other people's."""
