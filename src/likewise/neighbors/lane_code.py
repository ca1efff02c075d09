"""LLVM instructions over 64 lanes: what the operations in `neighbors.lanes` are made of.

16 lanes make a vector, four vectors a tile. LLVM splits them as the processor needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 64  # one bit of a mask each
WIDTH = 16  # lanes of one vector
GROUPS = range(0, LANES, WIDTH)

FLOAT, DOUBLE, INT32, INT64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(FLOAT, WIDTH), ir.VectorType(INT32, WIDTH)
BITS = ir.VectorType(ir.IntType(1), WIDTH)

Value = Any  # llvmlite publishes no types
Builder = Any


def squared_distances(context: Any, builder: Builder, signature: Any, arguments: Any, dimensions: int) -> list[Value]:
    """Four vectors of Σ (t - p)², each dimension one subtraction and one fused multiply-add."""
    lanes = element(context, builder, signature.args[0], arguments[0], builder.mul(arguments[1], constant(dimensions * LANES)))
    point = element(context, builder, signature.args[2], arguments[2], builder.mul(arguments[3], constant(dimensions)))
    sums: list[Value] = []
    for dimension in range(dimensions):
        value = spread(builder, scalar(builder, point, dimension))
        for number, group in enumerate(GROUPS):
            difference = builder.fsub(load(builder, lanes, dimension * LANES + group), value)
            add_square(builder, sums, number, difference, first=dimension == 0)
    return sums


def paired_distances(context: Any, builder: Builder, signature: Any, arguments: Any, dimensions: int) -> list[list[Value]]:
    """`squared_distances` of two points, for which the tile is loaded once."""
    lanes = element(context, builder, signature.args[0], arguments[0], builder.mul(arguments[1], constant(dimensions * LANES)))
    starts = [
        element(context, builder, signature.args[2], arguments[2], builder.mul(point, constant(dimensions)))
        for point in arguments[3:5]
    ]
    sums: list[list[Value]] = [[], []]
    for dimension in range(dimensions):
        values = [spread(builder, scalar(builder, start, dimension)) for start in starts]
        for number, group in enumerate(GROUPS):
            tile = load(builder, lanes, dimension * LANES + group)
            for own, value in zip(sums, values, strict=True):
                add_square(builder, own, number, builder.fsub(tile, value), first=dimension == 0)
    return sums


def two_masks(builder: Builder, sums: Sequence[Value], high: Value, low: Value, keep: Callable[[], None]) -> tuple[Value, Value]:
    """Lanes <= high, and lanes < low; the second, and `keep`, only where the first has any: most tiles have none."""
    bound, sure = spread(builder, high), spread(builder, low)
    within = joined(builder, [builder.fcmp_ordered("<=", total, bound) for total in sums])
    surely = cgutils.alloca_once_value(builder, constant(0))
    with builder.if_then(builder.icmp_unsigned("!=", within, constant(0)), likely=False):
        builder.store(joined(builder, [builder.fcmp_ordered("<", total, sure) for total in sums]), surely)
        keep()
    return within, builder.load(surely)


def add_square(builder: Builder, sums: list[Value], number: int, value: Value, *, first: bool) -> None:
    """Add the square of a vector to sum `number`, or begin that sum."""
    if first:
        sums.append(builder.fmul(value, value))
    else:
        kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{WIDTH}f32")
        sums[number] = builder.call(fused, [value, value, sums[number]])


def larger(builder: Builder, a: Value, b: Value) -> Value:
    """The larger of two vectors, lane by lane."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def joined(builder: Builder, masks: Sequence[Value]) -> Value:
    """One 64-bit integer of four vectors of 16 truth values."""
    joined = constant(0)
    for group, mask in zip(GROUPS, masks, strict=True):
        bits = builder.zext(builder.bitcast(mask, ir.IntType(WIDTH)), INT64)
        joined = builder.or_(joined, builder.shl(bits, constant(group)))
    return joined


def element(context: Any, builder: Builder, kind: Any, array: Value, offset: Value) -> Value:
    """A pointer to the element at `offset` of a contiguous array."""
    start = context.make_array(kind)(context, builder, array).data
    return builder.gep(start, [offset], inbounds=True)


def scalar(builder: Builder, start: Value, offset: int) -> Value:
    """The number at `offset`."""
    return builder.load(builder.gep(start, [constant(offset)]))


def load(builder: Builder, start: Value, offset: int, kind: ir.VectorType = FLOATS) -> Value:
    """The vector that begins at `offset`."""
    place = builder.bitcast(builder.gep(start, [constant(offset)]), kind.as_pointer())
    return builder.load(place, align=4)


def store(builder: Builder, value: Value, start: Value, offset: int) -> None:
    """Write a vector from `offset` on."""
    place = builder.bitcast(builder.gep(start, [constant(offset)]), value.type.as_pointer())
    builder.store(value, place, align=4)


def spread(builder: Builder, value: Value) -> Value:
    """The value in all 16 lanes."""
    kind = ir.VectorType(value.type, WIDTH)
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(INTS, [0] * WIDTH))


def constant(value: int) -> Value:
    """A 64-bit integer."""
    return ir.Constant(INT64, value)


def exact_squares(builder: Builder, one: Value, other: Value, start: int, width: int) -> Value:
    """Squared differences of `width` coordinates in float64."""
    kind = ir.VectorType(FLOAT, width)
    wide = ir.VectorType(DOUBLE, width)
    a, b = (builder.fpext(load(builder, place, start, kind), wide) for place in (one, other))
    difference = builder.fsub(a, b)
    return builder.fmul(difference, difference)


def summed(builder: Builder, parts: dict[int, Value]) -> Value:
    """The sum of vectors of 8, 4, 2 and 1, halved until one number is left."""
    total = None
    for width in (8, 4, 2, 1):
        if width in parts:
            total = parts[width] if total is None else builder.fadd(total, parts[width])
        if total is not None and width > 1:
            empty = ir.Constant(total.type, ir.Undefined)
            half = range(width // 2)
            low, high = (
                builder.shuffle_vector(
                    total, empty, ir.Constant(ir.VectorType(INT32, width // 2), [start + lane for lane in half])
                )
                for start in (0, width // 2)
            )
            total = builder.fadd(low, high)
    return builder.extract_element(total, ir.Constant(INT32, 0))
