"""`mend_eager_tensors`: fixes TensorFlow 2.15's memory leak under Python 3.11, where every eager tensor leaks 48 bytes.

Python allocates an array for the attributes of a new tensor, which TensorFlow's deallocator does not know of and never
frees (github.com/tensorflow/tensorflow/issues/62551). Tensors that are made without that array work the same: if
attributes are set, they are kept in a dict.
"""

import ctypes
import sys

from tensorflow.python.framework.ops import EagerTensor

_NEW = 39 * ctypes.sizeof(ctypes.c_void_p)  # the offset of tp_new in CPython 3.11's PyTypeObject
_HAS_ARRAY = 1 << 4  # CPython 3.11's Py_TPFLAGS_MANAGED_DICT


def mend_eager_tensors() -> None:
    """Makes tensors be allocated without the array from now on; does nothing on other versions of Python."""
    if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11):
        return
    new, usual = _slot(EagerTensor), _slot(object)
    if EagerTensor.__flags__ & _HAS_ARRAY and new.value == usual.value:
        # `object`'s constructor allocates and makes the array; this one only allocates.
        new.value = ctypes.cast(ctypes.pythonapi.PyType_GenericNew, ctypes.c_void_p).value


def _slot(of: type) -> ctypes.c_void_p:
    return ctypes.c_void_p.from_address(id(of) + _NEW)
