"""The crash suite: a workload, faults, and a checker that shares no code with the product."""
