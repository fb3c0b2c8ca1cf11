"""Available devices, and which precisions they have units for.

Torch half.
"""

from collections.abc import Sequence

import torch

from d3s_dataset.errors import ModelError


def choose_devices(names: Sequence[str] | None) -> list[torch.device]:
    """Return the devices of these names; without any all GPUs, else the CPU.

    Raises:
        ModelError: a device that is not there.
    """
    if names is None:
        return [torch.device("cuda", each) for each in range(torch.cuda.device_count())] or [torch.device("cpu")]
    return [_device(name) for name in names]


def _device(name: str) -> torch.device:
    there = ["cpu", *(f"cuda:{each}" for each in range(torch.cuda.device_count()))]
    if (name if ":" in name or name == "cpu" else f"{name}:0") not in there:
        raise ModelError(f"no device {name!r} here: expected --devices of {', '.join(there)}")
    return torch.device(name)


def fast_bf16(device: torch.device) -> bool:
    """Return whether a device has bf16 units, so that bf16 is worth trying."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_has("amx_bf16") or _cpu_has("avx512_bf16")


def has_tf32(device: torch.device) -> bool:
    """Return whether a device multiplies float32 in TF32: GPUs of compute capability 8.0 (Ampere) and above."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def trains_in_bf16(device: torch.device) -> bool:
    """Return whether bf16 also pays in training, whose backward pass is slow in bf16 on a CPU without matrix units."""
    return fast_bf16(device) and (device.type == "cuda" or _cpu_has("amx_bf16"))


def _cpu_has(feature: str) -> bool:
    # torch 2.11 has no get_capabilities; then bf16 is simply not tried on a CPU.
    return bool(torch.cpu.get_capabilities().get(feature)) if hasattr(torch.cpu, "get_capabilities") else False
