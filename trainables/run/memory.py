"""Memory that a training frees at one step is kept for the next."""

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
LARGEST = 2**31 - 1  # bytes; the options are C ints


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory; False where the C library is another one.

    Every step makes new tensors for the parameters and their states and frees the old ones. By default glibc gives
    blocks above 32 MiB, and the end of its heap, back to the system at once, and the next step takes them again page
    by page: a seventh of a compiled Adam step on a million parameters. The process stays as large as its largest
    moment, which a training that makes the same step again and again needs anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, LARGEST))
