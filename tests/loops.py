"""Loops of users, for the tests of `Training`: a file that a study may name."""

import os
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from trainables.space import Integer, searched
from trainables.training import Training


def blobs(count=200, seed=0):
    """Two classes of points in the plane."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=draws)
    return torch.randn(count, 2, generator=draws) + 1.5 * labels[:, None], labels


@dataclass(frozen=True)
class Plain(Training):
    """A plain loop: a DataLoader that shuffles, dropout, everything kept."""

    metric, mode, chance = "accuracy", "max", 0.5
    width: int = searched(Integer(4, 64), default=8)

    def train(self, session):
        inputs, labels = blobs()
        loader = DataLoader(TensorDataset(inputs[:150], labels[:150]), session.batch_size, shuffle=True)
        model = nn.Sequential(nn.Linear(2, self.width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(self.width, 2))
        optimizer = session.optimizer(model, steps_per_epoch=len(loader))
        for _ in session.epochs(model=model, optimizer=optimizer):
            for batch, targets in loader:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(batch), targets)
                loss.backward()
                optimizer.step()
                time.sleep(float(os.environ.get("NAP", "0")))
            with session.evaluating():
                model.eval()
                score = (model(inputs[150:]).argmax(1) == labels[150:]).float().mean()
                model.train()
            session.report(valid_score=score, train_loss=loss.item())
