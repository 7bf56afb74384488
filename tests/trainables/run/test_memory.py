"""Freed memory is kept, where the C library can."""

import platform

import pytest

from trainables.run.memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_glibc_takes_both_options():
    assert keep_freed_memory()
