"""What is handed to a torch module: arrays as it takes them, and why some can be none."""

from typing import Any

import numpy as np

from engine.parameters import as_array

Tensor = Any
IGNORED = -100  # a class that torch's cross-entropy leaves out


def given(module: Any, torch: Any, name: str, value: Any) -> Tensor:
    """A copy, as the module takes it: the caller's stays as it is."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
    else:
        found = as_array(name, value)
        if found.dtype.kind not in "biuf":
            kind = f"{type(value).__name__} of {found.dtype}"
            raise ValueError(f"{name}: {kind}; allowed: one array or tensor of real numbers")
        wide = {"f": np.float64, "u": np.int64}.get(found.dtype.kind) if found.dtype.itemsize > 1 else None
        keep = found.dtype.kind == "f" and found.dtype.itemsize < 8
        native = found.dtype.newbyteorder("=") if keep or wide is None else wide
        with np.errstate(over="ignore"):
            value = torch.from_numpy(np.array(found, native, order="C"))
    if value.is_complex() or value.layout is not torch.strided or value.device.type == "meta":
        kind = f"a tensor of {value.dtype}, {value.layout}, on {value.device}"
        raise ValueError(f"{name}: {kind}; allowed: one array or tensor of real numbers")
    if value.dtype in (torch.uint16, torch.uint32, torch.uint64):  # torch computes next to nothing with them
        value = value.long()
    value = value.clone()
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    if like is None:
        return value
    return value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)


def check_parameters(torch: Any, module: Any) -> None:
    """Raises ValueError for a module whose parameters can have no gradient."""
    for name, p in module.named_parameters():
        if p.device.type == "meta" or p.is_inference():
            what = "on the device meta, without numbers" if p.device.type == "meta" else "made in torch.inference_mode"
            raise ValueError(f"module: {name} is {what}; allowed: parameters that have a gradient")


def check_classes(y: Tensor, classes: int) -> None:
    """Raises ValueError for a class that the output has no place for."""
    known = y[y != IGNORED]
    if known.numel() and not 0 <= int(known.min()) <= int(known.max()) < classes:
        found = f"classes from {int(known.min())} to {int(known.max())}"
        raise ValueError(f"y: {found}; allowed: 0 to {classes - 1}, as the output has {classes}")
