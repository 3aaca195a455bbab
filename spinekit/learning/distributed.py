"""One training in several processes, one for each GPU: they share every batch and end with the same model.

A launcher starts them: ``torchrun`` or ``accelerate launch`` those of a script, ``launch`` here those of a notebook.
Each runs the same code, and ``training.fit`` joins them. Gradients are averaged by torch's DistributedDataParallel.

Batch normalisation takes mean and variance from a process's share of the batch, and the running statistics of all
processes are averaged after each epoch. Not torch's SyncBatchNorm: it exists for GPUs alone and makes each of its
layers wait for the other processes, which the shares here, of several images, are not worth.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate.data_loader import DataLoaderShard, prepare_data_loader
from torch import distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Sampler

from spinekit._compat import import_torchvision
from spinekit.errors import SpinekitError, describe
from spinekit.learning import devices
from spinekit.learning.recipe import TrainRecipe
from spinekit.learning.watching import Progress, watched_by
from spinekit.parallel import SeveralProcesses, cores, launched

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}
TIMEOUT = timedelta(hours=2)  # the others wait while the first one validates, for longer than NCCL's ten minutes
ADDRESS = "127.0.0.1"

Loss = Callable[[nn.Module, Any], torch.Tensor]
Result = TypeVar("Result")


class ProcessFailed(SpinekitError):
    """Another of the processes that train together stopped at an error. Mend what the message names, and start all of
    them again."""


def processes() -> int:
    """Number of processes that train together; 1 before ``join``."""
    return dist.get_world_size() if _is_joined() else 1


def rank() -> int:
    """Number of this process among them, from 0."""
    return dist.get_rank() if _is_joined() else 0


def is_first() -> bool:
    """Whether this is the process that writes files and reports; so is one that trains alone."""
    return rank() == 0


def _is_joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def join() -> None:
    """Join the processes that a launcher started together with this one, each on a GPU of its own where models run on
    GPUs. Nothing to do for a single process, or where they have joined already.

    Raises: `SeveralProcesses` where they have no way to meet, or no GPU for each.
    """
    if _is_joined() or (count := launched()) == 1:
        return
    if absent := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise SeveralProcesses(
            f"WORLD_SIZE is {count}, but {absent[0]} is not set: start the processes with torchrun, or unset WORLD_SIZE"
        )
    device = devices.device()
    if device.type not in BACKENDS or device.index is not None:
        raise SeveralProcesses(f"{count} processes were launched for device {device}: leave it to auto, or name cpu")
    if device.type == "cuda":
        gpu, gpus = int(os.environ.get("LOCAL_RANK", os.environ["RANK"])), torch.cuda.device_count()
        if gpu >= gpus:
            raise SeveralProcesses(f"process {gpu + 1} of this machine has no GPU of its own: launch {gpus} of them")
        torch.cuda.set_device(gpu)
    dist.init_process_group(BACKENDS[device.type], timeout=TIMEOUT)


def agree(digest: str) -> None:
    """Check that the processes are about to train the same.

    Raises: `SeveralProcesses`, in each of them, where they are not.
    """
    if processes() == 1:
        return
    digests = [""] * processes()
    dist.all_gather_object(digests, digest)
    if len(set(digests)) > 1:
        raise SeveralProcesses(
            f"{len(digests)} processes came to one training with different models, data or recipes: give each the "
            "same, and the same seed before a model is made. Different trainings are started one by one"
        )


def from_first(compute: Callable[[], Result]) -> Result:
    """What ``compute`` gives in the first process, in each of them; the others wait for it.

    Raises: `ProcessFailed` in the others where it fails in the first one, which raises its own error.
    """
    if processes() == 1:
        return compute()
    box: list[Any] = [None, ""]
    try:
        if is_first():
            box[0] = compute()
    except Exception as error:  # the others would wait for ever
        dist.broadcast_object_list([None, describe(error)])
        raise
    dist.broadcast_object_list(box)
    if box[1]:
        raise ProcessFailed(f"the first of {processes()} processes stopped: {box[1]}")
    return box[0]


def mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the processes."""
    if processes() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / processes()


class _Share(BatchSampler):
    """This process's share of each batch of a sampler that is shuffled alike in all of them. ``weight``: of the mean of
    this share, so that the mean over the processes is that of all items."""

    def __init__(self, sampler: Sampler[int], batch: int) -> None:
        super().__init__(sampler, batch, drop_last=True)  # batch normalisation could not take a last batch of one
        self.mine = slice(rank(), None, processes())
        self.weight = len(range(batch)[self.mine]) * processes() / batch

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            yield batch[self.mine]


def shared_loader(data: Dataset, recipe: TrainRecipe, device: torch.device, seed: int) -> DataLoaderShard:
    """A loader of this process's share of each batch, shuffled anew at each epoch, onto its device. Loader processes
    are shared too.

    Raises: `SeveralProcesses` where there are more processes than items in a batch.
    """
    batch = min(recipe.batch_size, len(data))  # type: ignore[arg-type]
    if batch < processes():
        raise SeveralProcesses(f"{processes()} processes cannot share a batch of {batch}: launch at most {batch}")
    share, workers = _Share(RandomSampler(data), batch), -(-recipe.workers // processes())  # type: ignore[arg-type]
    return prepare_data_loader(
        DataLoader(data, batch_sampler=share, num_workers=workers),
        device,
        num_processes=1,  # accelerate would share the shares
        process_index=0,
        put_on_device=True,
        use_seedable_sampler=True,
        data_seed=seed,
    )


class _LossOf(nn.Module):
    """The loss of a batch as one forward pass, whatever a loss calls of its model, which it is given bare.

    The model's weights are part of it, its buffers are not: they would be sent around before each batch.
    """

    def __init__(self, model: nn.Module, weight: float) -> None:
        super().__init__()
        self.weights = nn.ParameterList(model.parameters())
        self.bare, self.weight = (model,), weight

    def forward(self, loss_fn: Loss, batch: Any) -> torch.Tensor:
        return self.weight * loss_fn(self.bare[0], batch)


def loss_of(model: nn.Module, loader: DataLoader) -> nn.Module:
    """A function of a loss and a batch of a ``shared_loader``. Its gradients are the means over the processes."""
    share = loader.batch_sampler
    assert isinstance(share, _Share)
    whole = _LossOf(model, share.weight)
    if processes() == 1:
        return whole
    # Which weights a loss reaches may differ from share to share: a study may lack every crop of a kind.
    return DistributedDataParallel(whole, find_unused_parameters=True)


def average_statistics(*models: nn.Module) -> None:
    """Give the running mean and variance of batch normalisation their means over the processes."""
    if processes() > 1:
        import_torchvision()
        from timm.utils import distribute_bn  # takes seconds: only where there are several processes

        for model in models:
            distribute_bn(model, processes(), reduce=True)


def launch(function: Callable[..., Any], *args: Any, processes: int) -> None:
    """Call ``function(*args)`` in so many fresh processes, one for each GPU, that train together, and wait for them.

    For notebooks: accelerate's ``notebook_launcher`` copies the kernel, and such a copy hangs once torch computed
    anything on the CPU, and cannot use a GPU that the kernel used. The function and its arguments are sent to the
    processes, so it has to be one of a module. What it returns is lost: it leaves its results in files. Progress is
    printed.

    Raises: `SeveralProcesses` for a function of a notebook, `ProcessFailed` where one stops, and with it the others.
    """
    if getattr(function, "__module__", "") == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        raise SeveralProcesses("other processes cannot see a function of a notebook: write it to a .py file, import it")
    with socket.create_server((ADDRESS, 0)) as server:
        port = server.getsockname()[1]
    try:
        multiprocessing.spawn(_call, (processes, port, function, args), processes)
    except (multiprocessing.ProcessRaisedException, multiprocessing.ProcessExitedException) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ProcessFailed(f"process {error.error_index + 1} of {processes} stopped: {reason}") from error


def _call(number: int, count: int, port: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(value) for name, value in (names | {"MASTER_PORT": port}).items()})
    os.environ["MASTER_ADDR"] = ADDRESS
    torch.set_num_threads(max(1, cores() // count))
    with watched_by(_print_progress):
        function(*args)


def _print_progress(progress: Progress) -> None:
    scores = "".join(f", {name} {value:.4f}" for name, value in progress.scores.items())
    name = progress.name or progress.folder.name
    print(f"{name}: step {progress.step} of {progress.steps}, loss {progress.loss:.4f}{scores}", flush=True)
