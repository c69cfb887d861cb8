"""A CUDA device that is not there: tensors without data, which know their device, type and size."""
import weakref
from contextlib import ExitStack, contextmanager
from unittest import mock

import tiny  # noqa: F401  (the path of the package)
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from layerskip.distil import Answer
from layerskip.model import Config, Llama


@contextmanager
def fake_cuda():
    """All tensors made inside are fake; those on "cuda" do not mix with others, as on the real device. Autocast is on
    where asked for. Backward passes do not run."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch("torch.cuda.amp.common.amp_definitely_not_available", return_value=False))
        stack.enter_context(mock.patch("torch.cuda.is_bf16_supported", return_value=True))
        yield stack.enter_context(FakeTensorMode())


class Peak(TorchDispatchMode):
    """The most bytes that tensors made inside held at one time."""

    def __init__(self):
        super().__init__()
        self.now, self.most, self.known = 0, 0, set()

    def note(self, storage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.gone, key, size)

    def gone(self, key, size) -> None:
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.note(leaf.untyped_storage())
        return out


def fake_model(config: Config, device: str, dtype: torch.dtype = torch.float32) -> Llama:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return Llama(config)
    finally:
        torch.set_default_dtype(usual)


def fake_answers(config: Config, count: int, prompt: int, new: int) -> list[Answer]:
    """Answers of like size, with no content."""
    return [Answer([1] * (prompt + new), prompt, torch.zeros(new, config.dim, dtype=torch.bfloat16),
                   torch.zeros(new, 8, dtype=torch.int32)) for _ in range(count)]
