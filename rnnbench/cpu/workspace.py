"""Scratch memory that outlives a call."""

import threading

import numpy as np


class Workspace(threading.local):
    """Scratch arrays, kept from call to call and grown when needed; one set a Python thread."""

    def __init__(self):
        self.buffers: dict[tuple, np.ndarray] = {}

    def __call__(self, name: object, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array of any content."""
        key, size = (name, np.dtype(dtype).name), int(np.prod(shape))
        if key not in self.buffers or self.buffers[key].size < size:
            self.buffers[key] = np.empty(size, dtype)
        return self.buffers[key][:size].reshape(shape)

    def zeros(self, name: object, shape: tuple[int, ...], dtype) -> np.ndarray:
        array = self(name, shape, dtype)
        array.fill(0)
        return array
