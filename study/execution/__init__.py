"""Runs a study on Ray: the only room that knows Ray."""
