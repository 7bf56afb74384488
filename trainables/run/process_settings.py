"""Settings of the whole process that a loop of somebody's may change, put back when it has ended."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainables.seeds import put_back


@contextmanager
def as_it_was(device: torch.device) -> Iterator[None]:
    """Put back, afterwards, what a loop of somebody's may change for the whole process.

    Args:
        device: whose generator is among them.
    """
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    products, benchmark = _precision_of_products(), torch.backends.cudnn.benchmark
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    anomalies = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    try:
        with put_back(device):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        if products not in (None, _precision_of_products()):
            torch.set_float32_matmul_precision(products)
        if torch.backends.cudnn.benchmark != benchmark:  # after `disable_global_flags` even the same is refused
            torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        torch.autograd.set_detect_anomaly(*anomalies)
        accelerate = sys.modules.get("accelerate.state")
        if accelerate:  # it keeps the first precision for the life of the process
            accelerate.AcceleratorState._reset_state(reset_partial_state=True)


def _precision_of_products() -> str | None:
    """The precision of torch's matrix products; None where its backends were set apart, and it cannot say one."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
