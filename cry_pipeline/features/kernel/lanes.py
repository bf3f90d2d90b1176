"""Sixteen frames side by side: vectors of a fixed number of lanes, and what numba can do with them.

Belongs here: the type, and operations of which each lane is computed by itself. Does not: what is computed with them.

LLVM lowers a vector of a fixed number of lanes to whatever registers the machine has, and never computes one lane from
another; multiply-adds are fused where :func:`fma` says so, and nowhere else. So each value is the same to the last bit
whether a machine adds two, four, eight or sixteen numbers at a time.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import register_model

LANES = 16
"""Frames of a block: one register of AVX-512 in float32, two of AVX2, four of SSE and NEON."""
PAIRS = LANES // 2
"""Complex numbers of which each holds two frames: one register of AVX-512 in float64."""


intrinsic: Any = numba_intrinsic  # whose functions are called without their first argument
register_global: Any = infer_global


class Lanes(types.Type):
    """``count`` numbers of ``dtype``, held and computed side by side."""

    def __init__(self, dtype: types.Type, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(f"Lanes({dtype}, {count})")


SINGLE, DOUBLE = Lanes(types.float32, LANES), Lanes(types.float64, PAIRS)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(manager[lanes.dtype].get_value_type(), lanes.count))


def _lower(operation: Any, instruction: str) -> None:
    """Let two vectors of the same kind be the operands of ``operation``."""

    @register_global(operation)
    class _Typed(AbstractTemplate):
        def generic(self, args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(operation, Lanes, Lanes)
    def _lowered(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple[ir.Value, ir.Value]) -> ir.Value:
        return getattr(builder, instruction)(*args)


_lower(operator.add, "fadd")
_lower(operator.sub, "fsub")
_lower(operator.mul, "fmul")
_lower(operator.truediv, "fdiv")


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any, count: int) -> Any:
    """Return where ``count`` values of ``array`` lie from ``index`` on, and how they are aligned."""
    value = context.get_value_type(array_type.dtype)
    first = builder.gep(context.make_array(array_type)(context, builder, array).data, [index])
    return builder.bitcast(first, ir.VectorType(value, count).as_pointer()), context.get_abi_sizeof(value)


@intrinsic
def load(typingctx, array, index):
    """Return the lanes that lie in ``array``, float32 or float64, from ``index`` on."""
    lanes = SINGLE if array.dtype == types.float32 else DOUBLE

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        place, align = _place(context, builder, sig.args[0], args[0], args[1], lanes.count)
        value = builder.load(place)
        value.align = align
        return value

    return lanes(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, lanes):
    """Put ``lanes`` into ``array`` from ``index`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        place, align = _place(context, builder, sig.args[0], args[0], args[1], sig.args[2].count)
        builder.store(args[2], place).align = align
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), codegen


@intrinsic
def spread(typingctx, value):
    """Return lanes that all hold ``value``, float32 or float64."""
    lanes = SINGLE if value == types.float32 else DOUBLE

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        undefined = ir.Constant(context.get_value_type(lanes), ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, undefined, _order([0] * lanes.count))

    return lanes(value), codegen


@intrinsic
def columns(typingctx, array, start, step, last):
    """Return eight lanes for each of eight samples, float64: of frames whose samples lie in ``array``, float32.

    The first frame's lie from ``start`` on, each next one's ``step`` further; those behind frame ``last`` repeat it.
    Eight frames' next eight samples are read as they lie, and transposed in registers.
    """
    result = types.UniTuple(DOUBLE, PAIRS)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        samples, start, step, last = args
        rows = []
        for frame in range(PAIRS):
            number = ir.Constant(start.type, frame)
            held = builder.select(builder.icmp_signed("<", number, last), number, last)
            index = builder.add(start, builder.mul(held, step))
            place, align = _place(context, builder, sig.args[0], samples, index, PAIRS)
            row = builder.load(place)
            row.align = align
            rows.append(row)
        for _ in range(3):  # three times row i with row i + 4, interleaved: 8 × 8 transposed
            halves = [(rows[row], rows[row + PAIRS // 2]) for row in range(PAIRS // 2)]
            rows = [builder.shuffle_vector(*half, order) for half in halves for order in _INTERLEAVED]
        double = context.get_value_type(DOUBLE)
        return context.make_tuple(builder, result, [builder.fpext(row, double) for row in rows])

    return result(array, types.intp, types.intp, types.intp), codegen


def _order(indices: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), indices)


_INTERLEAVED = tuple(
    _order([lane + half for lane in range(first, first + PAIRS // 2) for half in (0, PAIRS)])
    for first in (0, PAIRS // 2)
)


@intrinsic
def narrowed(typingctx, first, second):
    """Return the lanes of ``first`` and then those of ``second``, float64, as float32."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        half = ir.VectorType(ir.FloatType(), PAIRS)
        halves = [builder.fptrunc(lanes, half) for lanes in args]
        return builder.shuffle_vector(*halves, _order(list(range(LANES))))

    return SINGLE(DOUBLE, DOUBLE), codegen


def _called(builder: ir.IRBuilder, name: str, args: Any) -> ir.Value:
    lanes = args[0].type
    of = "f32" if isinstance(lanes.element, ir.FloatType) else "f64"
    function = ir.FunctionType(lanes, [lanes] * len(args))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.v{lanes.count}{of}"), args
    )


@intrinsic
def fma(typingctx, left, right, addend):
    """Return ``left · right + addend``, rounded once."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return _called(builder, "fma", args)

    return left(left, right, addend), codegen


@intrinsic
def square_root(typingctx, lanes):
    """Return the square roots."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return _called(builder, "sqrt", args)

    return lanes(lanes), codegen


@intrinsic
def where_greater(typingctx, left, right, then, otherwise):
    """Return ``then`` where ``left > right``, and ``otherwise`` elsewhere and where one of them is no number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        left, right, then, otherwise = args
        return builder.select(builder.fcmp_ordered(">", left, right), then, otherwise)

    return then(left, right, then, otherwise), codegen


@intrinsic
def split(typingctx, lanes):
    """Return mantissas in [√½, √2) and exponents of base 2, both float32, of positive normal numbers."""
    result = types.UniTuple(SINGLE, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        integers = ir.VectorType(ir.IntType(32), LANES)
        half_root, mantissa_bits = (ir.Constant(integers, [bits] * LANES) for bits in (0x3F3504F3, 23))
        bits = builder.bitcast(args[0], integers)
        exponent = builder.ashr(builder.sub(bits, half_root), mantissa_bits)
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, mantissa_bits)), args[0].type)
        return context.make_tuple(builder, result, [mantissa, builder.sitofp(exponent, args[0].type)])

    return result(lanes), codegen
