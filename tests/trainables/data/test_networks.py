"""What tasks are made of: initialisation, dropout, augmentation and the sizes of published networks."""

import math

import pytest
import torch
from torch import nn

from trainables.data.augmentations import cropped_and_flipped
from trainables.data.networks import initialised
from trainables.run.loop import Run
from trainables.tasks.cifar10_3c3d import Cifar103C3D
from trainables.tasks.cifar10_resnet18 import Cifar10ResNet18
from trainables.tasks.fashion_2c2d import Fashion2C2D
from trainables.tasks.mnist_lenet5 import MnistLeNet5
from trainables.tasks.mnist_logreg import MnistLogreg
from trainables.tasks.shakespeare_gru import ShakespeareGRU
from trainables.testing import cut, same
from trainables.trial import Trial


@pytest.mark.parametrize(
    ("init", "layer", "bound"),
    [
        ("glorot", nn.Linear(200, 100), math.sqrt(6 / 300)),
        ("he", nn.Linear(200, 100), math.sqrt(6 / 200)),
        ("glorot", nn.Conv2d(8, 16, 5), math.sqrt(6 / (25 * 8 + 25 * 16))),
        ("he", nn.Conv2d(8, 16, 5), math.sqrt(6 / (25 * 8))),
    ],
)
def test_initialisation_is_uniform_within_its_bound(init, layer, bound):
    torch.manual_seed(0)
    drawn = initialised(nn.Sequential(layer), init)[0]
    assert 0.99 * bound < drawn.weight.abs().max() <= bound
    assert drawn.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not drawn.bias.any()


def test_the_torch_initialisation_leaves_everything_as_it_is():
    layer = nn.Linear(3, 3)
    before = layer.weight.clone()
    assert torch.equal(initialised(layer, "torch").weight, before)


@pytest.mark.parametrize(
    ("task", "inputs", "count"),
    [
        (MnistLogreg(), (28, 28), 7_850),
        (MnistLeNet5(), (28, 28), 61_706),
        (Fashion2C2D(), (28, 28), 3_274_634),
        (Cifar103C3D(), (3, 32, 32), 895_210),
        (Cifar10ResNet18(), (3, 32, 32), 11_173_962),
    ],
)
def test_networks_have_their_published_numbers_of_parameters(task, inputs, count):
    network = task.model()
    assert sum(param.numel() for param in network.parameters()) == count
    images = torch.randint(0, 256, (2, *inputs), dtype=torch.uint8)
    assert network(task.prepare(task.augment(images))).shape == (2, 10)


def test_2c2d_starts_as_deepobs_does():
    torch.manual_seed(0)
    for name, param in Fashion2C2D().model().named_parameters():
        if name.endswith("bias"):
            assert (param == 0.05).all()
        else:
            assert param.abs().max() <= 0.1
            if param.numel() > 10_000:  # a normal cut at two deviations has .8796 of its deviation left
                assert param.std().item() == pytest.approx(0.05 * 0.8796, rel=0.02)


def test_every_image_of_3c3d_is_standardised_by_itself():
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    images[3] = 7  # flat: nothing to divide by
    prepared = Cifar103C3D().prepare(images)
    torch.testing.assert_close(prepared.mean((1, 2, 3)), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(prepared[:3].var((1, 2, 3), correction=0), torch.ones(3), rtol=1e-4, atol=0)
    assert not prepared[3].any()


def test_cropping_and_flipping_equals_a_loop_over_images():
    images = torch.randint(0, 256, (64, 2, 6, 6), dtype=torch.uint8)
    torch.manual_seed(3)
    ours = cropped_and_flipped(images, padding=2)
    frames = nn.functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, frame in zip(ours, frames, strict=True):
        windows = {
            (down, right): frame[:, down : down + 6, right : right + 6] for down in range(5) for right in range(5)
        }
        found = [(*place, False) for place, window in windows.items() if torch.equal(image, window)]
        found += [(*place, True) for place, window in windows.items() if torch.equal(image, window.flip(-1))]
        assert len(found) == 1
        seen.add(found[0])
    assert {flip for *_, flip in seen} == {False, True}
    assert {down for down, *_ in seen} == {right for _, right, _ in seen} == set(range(5))


class Noisy:
    """The training losses that a run sees, without its own bookkeeping."""

    def __init__(self, flat):
        self.run = cut(Run(Trial.parse({"batch_size": 16, "epochs": 2.0, **flat})), train=32, others=8)

    def losses(self, calls):
        batch = [tensor[self.run.data.train.rows[:16]] for tensor in self.run.data.train[:2]]
        objective = self.run.objective(*batch, [])
        return [objective(self.run.params).item() for _ in range(calls)]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("flat", "quiet"),
    [
        ({"task": "mnist_lenet5", "task.dropout": 0.5}, {"task.dropout": 0.0}),
        ({"task": "cifar10_3c3d"}, {"task.augmented": False}),
        ({"task": "shakespeare_gru", "task.dropout": 0.5, "task.length": 8}, {"task.dropout": 0.0}),
    ],
)
def test_noise_is_the_same_within_a_step_and_another_in_the_next(flat, quiet):
    noisy = Noisy(flat)
    first = noisy.losses(2)
    noisy.run.steps += 1
    second = noisy.losses(2)
    assert first[0] == first[1] != second[0] == second[1]
    still = Noisy(flat | quiet)
    before = still.losses(1)
    still.run.steps += 1
    assert before == still.losses(1)


@pytest.mark.usefixtures("shared")
def test_evaluation_is_without_noise():
    run = cut(Run(Trial.parse({"task": "mnist_lenet5", "task.dropout": 0.5, "epochs": 1.0})), train=32, others=8)
    run.epoch()
    first, second = (run.predictor.scores(run.params, run.buffers, run.data.valid) for _ in range(2))
    assert same(first, second)


@pytest.mark.usefixtures("shared")
def test_shakespeares_targets_are_the_next_characters():
    task = ShakespeareGRU(length=7)
    for part in task.data():
        assert torch.equal(part.inputs.flatten()[1:].long(), part.targets.flatten()[:-1])
    uniform = torch.zeros(2, 7, 65)
    assert task.score(uniform, task.data().train.targets[:2]).item() == pytest.approx(task.chance, rel=1e-6)
