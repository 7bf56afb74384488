"""Recording a step as a CUDA graph: only where that is asked for; what cannot be recorded runs as it is, said once."""

import pytest
import torch

from trainables.run import capture

GPU = torch.device("cuda")


def doubled(tensor):
    return 2 * tensor


def test_nothing_is_recorded_unasked(monkeypatch):
    monkeypatch.delenv(capture.ASKED, raising=False)
    assert capture.captured(doubled, GPU) is doubled
    monkeypatch.setenv(capture.ASKED, "1")
    assert capture.captured(doubled, torch.device("cpu")) is doubled
    assert capture.captured(doubled, GPU) is not doubled


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU, on which nothing is recorded")
def test_what_cannot_be_recorded_runs_as_it_is_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setenv(capture.ASKED, "1")
    call = capture.captured(doubled, GPU)
    for value in (1.0, 2.0):
        assert call(torch.tensor(value)) == 2 * value
    assert capsys.readouterr().err.count("the step is not captured as a CUDA graph and runs as it is") == 1
