"""Mends a leak: under Python 3.11, TensorFlow 2.15 loses a block of memory with every eager tensor that it frees.

Python gives a new tensor an array for its attributes, and TensorFlow's own deallocator does not know of it: 48 bytes
that are never freed (github.com/tensorflow/tensorflow/issues/62551). A tensor made without that array works alike:
its attributes, where somebody sets any, are in a dict.
"""

import ctypes
import sys

from tensorflow.python.framework.ops import EagerTensor

_NEW = 39 * ctypes.sizeof(ctypes.c_void_p)  # where CPython 3.11's PyTypeObject has tp_new
_HAS_ARRAY = 1 << 4  # Py_TPFLAGS_MANAGED_DICT, of 3.11


def mend_eager_tensors() -> None:
    """Has tensors made without the array from now on; does nothing if they are not made as it knows them."""
    if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11):
        return
    new, usual = _slot(EagerTensor), _slot(object)
    if EagerTensor.__flags__ & _HAS_ARRAY and new.value == usual.value:
        # `object`'s constructor allocates and makes the array; this one only allocates.
        new.value = ctypes.cast(ctypes.pythonapi.PyType_GenericNew, ctypes.c_void_p).value


def _slot(of: type) -> ctypes.c_void_p:
    return ctypes.c_void_p.from_address(id(of) + _NEW)
