"""Clients of the public HTTP API, and the history of what they asked and heard."""
