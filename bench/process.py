"""Reads what the kernel counts of processes and cores: memory, CPU time."""

import os
from pathlib import Path

import attrs

PROC = Path("/proc")


def family(pid: int) -> tuple[int, ...]:
    """Return the process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in sorted((PROC / str(parent) / "task").glob("*/children")):
            found += [int(child) for child in task.read_text().split()]
    return tuple(found)


def parse_rss(status: str) -> int:
    """Return VmRSS in bytes out of the text of /proc/PID/status.

    Raises:
        ValueError: there is no such line (a kernel thread, a zombie).
    """
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmRSS in the process's status")


def resident_bytes(pids: tuple[int, ...]) -> int:
    """Return the resident set size of these processes together."""
    return sum(parse_rss((PROC / str(pid) / "status").read_text()) for pid in pids)


@attrs.frozen
class CoreTime:
    """Seconds a core has been busy since boot, and seconds stolen from it by the host.

    Interrupts (irq, softirq) are in `busy`: without CONFIG_IRQ_TIME_ACCOUNTING the kernel charges
    them to the process they interrupted, and what is compared with this is processes' time.
    """

    busy: float
    stolen: float

    def since(self, earlier: "CoreTime") -> "CoreTime":
        """Return what was spent since then."""
        return CoreTime(busy=self.busy - earlier.busy, stolen=self.stolen - earlier.stolen)


def parse_core_time(stat: str, core: int, ticks_per_second: int) -> CoreTime:
    """Read a core's line out of the text of /proc/stat (proc(5)).

    Raises:
        ValueError: there is no such core.
    """
    for line in stat.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return CoreTime(
                busy=(user + nice + system + irq + softirq) / ticks_per_second,
                stolen=steal / ticks_per_second,
            )
    raise ValueError(f"no core {core}")


def core_time(core: int) -> CoreTime:
    """Read a core's line of /proc/stat."""
    return parse_core_time((PROC / "stat").read_text(), core, os.sysconf("SC_CLK_TCK"))


def parse_cpu_seconds(stat: str, ticks_per_second: int) -> float:
    """Return utime + stime out of the text of /proc/PID/stat, whatever the command's name holds."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks_per_second


def cpu_seconds(pids: tuple[int, ...]) -> float:
    """Return the CPU time these processes have taken."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(parse_cpu_seconds((PROC / str(pid) / "stat").read_text(), ticks) for pid in pids)
