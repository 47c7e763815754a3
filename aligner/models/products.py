"""Products with the matrices of a network, where torch's own way is not the fastest.

oneDNN multiplies faster where a matrix lies in the order in which it is read, and uses wider instructions than MKL does
on processors of other makers. In whole numbers matrices are a quarter as long: each row has its scale, inputs have one
a product, found as they come (dynamic quantisation). Torch does this with kernels of FBGEMM; sums are exact, so all
that is lost is in the rounding.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

ENGINE = "fbgemm"
_LARGEST = 127
_ROWS = 2048
_PAGE_OUT = 21  # MADV_PAGEOUT of asm-generic/mman-common.h
_FEW = 8  # rows that MKL multiplies while it reads a matrix once


def product(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Rows times a large matrix, as `functional.linear` without a bias.

    For a few rows this takes the time in which the matrix is read. MKL reads it once where the product is one of
    several, and about once a row where it is the only one: so it is taken in equal parts.

    Parameters
    ----------
    hidden : tensor, shape (..., width)
    weight : tensor, shape (outputs, width)
    """
    rows = hidden.flatten(0, -2)
    parts = next((n for n in range(2, 32) if not len(weight) % n), 1)
    if len(rows) > _FEW or parts == 1 or weight.dtype != torch.float32 or not weight.is_cpu:
        return functional.linear(hidden, weight)
    products = torch.bmm(weight.view(parts, -1, weight.shape[1]), rows.T.expand(parts, -1, -1))
    return products.view(len(weight), -1).T.contiguous().view(*hidden.shape[:-1], -1)


def supported() -> bool:
    """Whether this machine has the kernels."""
    return ENGINE in torch.backends.quantized.supported_engines


class PackedLinear(nn.Module):
    """In the place of `nn.Linear`, the matrix laid out once as oneDNN reads it.

    Parameters
    ----------
    weight : tensor, shape (outputs, inputs)
        Any precision.
    bias : tensor, shape (outputs,), optional
    dtype : torch.dtype
        float32 or bfloat16, as `fits`.
    """

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self._packed = torch.ops.mkldnn._reorder_linear_weight.default(weight.to(dtype))
        self._bias = None if bias is None else bias.to(dtype)

    @staticmethod
    def fits(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether this machine multiplies so in a precision."""
        if device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return False
        return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())

    @property
    def weight(self) -> torch.Tensor:
        """The matrix in rows."""
        rows: torch.Tensor = self._packed.to_dense()
        return rows

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        if hidden.requires_grad:  # the product has no gradient
            return functional.linear(hidden, self.weight, self._bias)
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(
            hidden, self._packed, self._bias, "none", [], ""
        )
        return found


def page_out(tensor: torch.Tensor) -> None:
    """Let the system take back the pages of a tensor that is mapped from a file: it is read again where it is used."""
    if platform.system() == "Linux":
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = tensor.data_ptr() + tensor.nbytes - start
        if length > 0:
            # A request that changes nothing but where pages are, whatever memory this is; kernels before 5.4 refuse it.
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _PAGE_OUT)


class Int8Linear(nn.Module):
    """In the place of `nn.Linear`.

    Parameters
    ----------
    weight : tensor, shape (outputs, inputs)
        Any precision.
    bias : tensor, shape (outputs,), optional
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        scale = (weight.abs().amax(1).float() / _LARGEST).clamp(min=1e-12)
        parts = zip(weight.split(_ROWS), scale.split(_ROWS), strict=True)  # so that no second copy is ever whole
        whole = torch.cat([(rows.float() / step[:, None]).round_().to(torch.int8) for rows, step in parts])
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = ENGINE
        with warnings.catch_warnings():
            # These tensors leave torch one day; setup.cfg holds it to versions that have them.
            warnings.filterwarnings("ignore", ".*quantized tensor", UserWarning)
            zero = torch.zeros(len(scale), dtype=torch.long)
            scaled = torch._make_per_channel_quantized_tensor(whole, scale.double(), zero, 0)
            self._packed = torch.ops.quantized.linear_prepack(scaled, None if bias is None else bias.float())
        torch.backends.quantized.engine = before
        # Without such instructions pairs of products are added in 16 bits: one bit less, or they overflow.
        known = torch.cpu.get_capabilities()
        self._narrow = not (known.get("avx512_vnni") or known.get("avx_vnni"))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs), float32."""
        return torch.ops.quantized.linear_dynamic(hidden, self._packed, self._narrow)


def replace_linear(
    network: nn.Module,
    weights: dict[str, torch.Tensor],
    made: Callable[[torch.Tensor, torch.Tensor | None], nn.Module],
) -> None:
    """Put something else in the place of every linear layer.

    Parameters
    ----------
    network : nn.Module
        Its own weights are not looked at.
    weights : dict of tensors
        By the network's names; those of the layers leave it.
    made : callable
        Takes weight and bias.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear):
            held = weights.pop(f"{name}.weight"), weights.pop(f"{name}.bias", None)
            network.set_submodule(name, made(*held))
