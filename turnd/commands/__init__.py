"""The commands of `turnd` besides `run`."""
