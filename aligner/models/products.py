"""Products with the matrices of a network, where torch's own way is not the fastest.

A processor decodes about as fast as it reads the weights. OpenAI's are numbers of half precision: kept as such they are
half as long, and products in float32 are what they were. In whole numbers they are a quarter as long: each row has its
scale, inputs have one a product, found as they come (dynamic quantisation); sums are exact, so all that is lost is in
the rounding. Torch has both from FBGEMM. Of many rows, oneDNN multiplies fastest where a matrix lies in the order in
which it is read, and uses wider instructions than MKL does on processors of other makers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

ENGINE = "fbgemm"
_LARGEST = 127
_ROWS = 2048


def supported() -> bool:
    """Whether this machine has FBGEMM."""
    return ENGINE in torch.backends.quantized.supported_engines


@contextmanager
def _engine() -> Iterator[None]:
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


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
        if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # of torch's own compiler, which some builds lack
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


class HalfLinear(nn.Module):
    """In the place of `nn.Linear` for few rows: the matrix in half precision, all else in float32.

    Parameters
    ----------
    weight : tensor, shape (outputs, inputs)
        Of numbers that half precision has; see `fits`.
    bias : tensor, shape (outputs,), optional
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        with _engine():
            packed = torch.ops.quantized.linear_prepack_fp16(weight.float(), None if bias is None else bias.float())
        self._packed = packed

    @staticmethod
    def fits(weight: torch.Tensor) -> bool:
        """Whether a matrix is the same in half precision, and this machine multiplies so."""
        if not supported():
            return False
        return weight.dtype == torch.float16 or all(
            torch.equal(rows.half().to(rows.dtype), rows) for rows in weight.split(_ROWS)
        )

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs), float32."""
        if hidden.requires_grad:  # the product has no gradient
            return functional.linear(hidden, *torch.ops.quantized.linear_unpack_fp16(self._packed))
        return torch.ops.quantized.linear_dynamic_fp16(hidden, self._packed)


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
        with _engine(), warnings.catch_warnings():
            # These tensors leave torch one day; setup.cfg holds it to versions that have them.
            warnings.filterwarnings("ignore", ".*quantized tensor", UserWarning)
            zero = torch.zeros(len(scale), dtype=torch.long)
            scaled = torch._make_per_channel_quantized_tensor(whole, scale.double(), zero, 0)
            self._packed = torch.ops.quantized.linear_prepack(scaled, None if bias is None else bias.float())
        # Without such instructions pairs of products are added in 16 bits: one bit less, or they overflow.
        known = torch.cpu.get_capabilities()
        self._narrow = not (known.get("avx512_vnni") or known.get("avx_vnni"))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs), float32."""
        return torch.ops.quantized.linear_dynamic(hidden, self._packed, self._narrow)


def fastest(weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype, few: bool) -> nn.Module:
    """What multiplies fastest on a processor.

    Parameters
    ----------
    weight, bias
        As of `nn.Linear`.
    dtype : torch.dtype
        Precision of the network.
    few : bool
        Whether it is asked for few rows at a time.
    """
    if dtype == torch.int8:
        return Int8Linear(weight, bias)
    if few and dtype == torch.float32 and HalfLinear.fits(weight):
        return HalfLinear(weight, bias)
    return PackedLinear(weight, bias, dtype)
