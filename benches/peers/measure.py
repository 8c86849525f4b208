"""What a process cost: CPU time and memory, as the kernel accounts for them."""

import os


def tree(pid):
    """The process and all its descendants."""
    pids, found = [pid], []
    while pids:
        pid = pids.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    pids += [int(child) for child in children.read().split()]
        except FileNotFoundError:
            pass
    return found


def threads_ns(process):
    """Nanoseconds on a processor, user and kernel, of each thread of one process that lives."""
    found = []
    try:
        for task in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{task}/schedstat") as stat:
                found.append((task, int(stat.read().split()[0])))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def cpu_ns(pid):
    """Nanoseconds on a processor, over all threads of the process and its descendants."""
    return sum(ns for process in tree(pid) for _, ns in threads_ns(process))


def memory_kb(pid):
    """Resident memory that is the process's own, in kB."""
    total = 0
    for process in tree(pid):
        try:
            with open(f"/proc/{process}/smaps_rollup") as rollup:
                fields = dict(line.split()[:2] for line in rollup if line.count(" ") and ":" in line)
            total += int(fields.get("Private_Clean:", 0)) + int(fields.get("Private_Dirty:", 0))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total
