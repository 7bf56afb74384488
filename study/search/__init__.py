"""Optuna's samplers, quasi-random sequences and stoppers; nothing here knows a study."""
