"""What the comparisons of networks share: time that waits for the GPU, and figures as JSON."""

from __future__ import annotations

import json
import os
import time

import torch


def clock(work):
    """Seconds of a call, and what it gave."""
    started = time.perf_counter()
    found = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def describe_machine():
    """What the seconds depend on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"device": device, "threads": torch.get_num_threads(), "cores": os.cpu_count()}


def tell(found, path):
    """Prints the figures, and writes them where a path is given."""
    text = json.dumps(found, indent=2)
    print(text)
    if path:
        path.write_text(text + "\n", encoding="utf-8")
