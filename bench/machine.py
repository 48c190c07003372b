"""Describes the machine a measurement was made on."""

import os
import platform
from pathlib import Path


def cpu_model(cpuinfo: str) -> str:
    """Return the model's name out of the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unknown CPU"


def describe() -> str:
    """Return a line on cores, CPU, kernel, Python and the load it is under."""
    model = cpu_model(Path("/proc/cpuinfo").read_text())
    return (
        f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {os.getloadavg()[0]:.2f} at the start"
    )
