"""The few operations over 64 lanes that numba cannot express: one tile of 64 points at a time, masks as 64-bit integers.

A tile holds 64 points dimension-major, [D, 64] float32, padded with +inf: a padded lane is at distance inf, within no radius.
What is written here is LLVM's portable vector code, 16 lanes at a time: one register with AVX-512, two with AVX2, four with
NEON. The number of dimensions is the length of a tuple, so that every loop over it is unrolled at compile time.

Left to itself numba vectorises such loops too, but keeps no mask: the same search takes 3 to 6 times as long.

numba's cache on disk notices changes in the file of a compiled function only: after a change here, delete `*.nbi` and `*.nbc` in
`__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from likewise.neighbors.lane_code import (
    BITS,
    FLOATS,
    GROUPS,
    INT32,
    INT64,
    INTS,
    LANES,
    WIDTH,
    Builder,
    Value,
    add_square,
    constant,
    element,
    exact_squares,
    joined,
    larger,
    load,
    paired_distances,
    scalar,
    spread,
    squared_distances,
    store,
    summed,
    two_masks,
)

CACHE_LINE = 64  # bytes; only speed depends on it


def operation(function: Callable[..., Any]) -> Any:
    """numba's `intrinsic`, for type checkers, which know nothing of it."""
    return intrinsic(function)


@operation
def paired_masks(typing: Any, tiles: Any, tile: Any, points: Any, first: Any, second: Any, high: Any, low: Any, dims: Any) -> Any:
    """Of two points to one tile: the lanes at squared distance <= high of either, then those of them at >= low."""
    found = types.UniTuple(types.uint64, 4)(
        tiles, types.int64, points, types.int64, types.int64, types.float32, types.float32, dims
    )

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        both = paired_distances(context, builder, signature, arguments, len(dims))
        bound, sure = spread(builder, arguments[5]), spread(builder, arguments[6])
        within = [joined(builder, [builder.fcmp_ordered("<=", total, bound) for total in sums]) for sums in both]
        doubtful = [joined(builder, [builder.fcmp_ordered(">=", total, sure) for total in sums]) for sums in both]
        doubtful = [builder.and_(a, b) for a, b in zip(within, doubtful, strict=True)]
        return context.make_tuple(builder, signature.return_type, within + doubtful)

    return found, generate


@operation
def distances_and_masks(
    typing: Any, tiles: Any, tile: Any, points: Any, point: Any, high: Any, low: Any, dims: Any, kept: Any
) -> Any:
    """(lanes at squared distance <= high, lanes at < low) of one point to tile number `tile`.

    If there are any, the 64 squared distances are left in `kept`.
    """
    found = types.UniTuple(types.uint64, 2)(tiles, types.int64, points, types.int64, types.float32, types.float32, dims, kept)

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        sums = squared_distances(context, builder, signature, arguments, len(dims))
        start = element(context, builder, signature.args[7], arguments[7], constant(0))

        def keep() -> None:
            for group, total in zip(GROUPS, sums, strict=True):
                store(builder, total, start, group)

        within, surely = two_masks(builder, sums, arguments[4], arguments[5], keep)
        return context.make_tuple(builder, signature.return_type, [within, surely])

    return found, generate


@operation
def box_mask(typing: Any, lows: Any, highs: Any, tile: Any, low: Any, high: Any, box: Any, limits: Any, dims: Any) -> Any:
    """The lanes whose box comes as near to box number `box` as the squared distance `limits` (a number, or one for each lane).

    The boxes of the lanes are dimension-major tiles; points are boxes of no extent: pass their tiles twice. The sum has the
    order of operations of a distance and rounding is monotone: what this rules out, that would rule out as well.
    """
    found = types.uint64(lows, highs, types.int64, low, high, types.int64, limits, dims)
    dimensions = len(dims)

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        size = builder.mul(arguments[2], constant(dimensions * LANES))
        lane_low = element(context, builder, signature.args[0], arguments[0], size)
        lane_high = element(context, builder, signature.args[1], arguments[1], size)
        corner = builder.mul(arguments[5], constant(dimensions))
        box_low = element(context, builder, signature.args[3], arguments[3], corner)
        box_high = element(context, builder, signature.args[4], arguments[4], corner)
        sums: list[Value] = []
        for dimension in range(dimensions):
            bottom, top = (
                spread(builder, scalar(builder, box_low, dimension)),
                spread(builder, scalar(builder, box_high, dimension)),
            )
            for number, group in enumerate(GROUPS):
                below = builder.fsub(bottom, load(builder, lane_high, dimension * LANES + group))
                above = builder.fsub(load(builder, lane_low, dimension * LANES + group), top)
                gap = larger(builder, larger(builder, below, above), ir.Constant(FLOATS, [0.0] * WIDTH))
                add_square(builder, sums, number, gap, first=dimension == 0)
        if isinstance(signature.args[6], types.Array):
            start = element(context, builder, signature.args[6], arguments[6], constant(0))
            bounds = [load(builder, start, group) for group in GROUPS]
        else:
            bounds = [spread(builder, arguments[6])] * len(GROUPS)
        return joined(builder, [builder.fcmp_ordered("<=", a, b) for a, b in zip(sums, bounds, strict=True)])

    return found, generate


@operation
def greater_mask(typing: Any, values: Any, tile: Any, value: Any) -> Any:
    """The lanes of tile number `tile` of int32 `values` that are greater than `value`."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        start = element(context, builder, signature.args[0], arguments[0], builder.mul(arguments[1], constant(LANES)))
        bound = spread(builder, arguments[2])
        return joined(builder, [builder.icmp_signed(">", load(builder, start, group, INTS), bound) for group in GROUPS])

    return types.uint64(values, types.int64, types.int32), generate


@operation
def count_lanes(typing: Any, counts: Any, tile: Any, mask: Any) -> Any:
    """Add 1 to those int32 `counts` of tile number `tile` whose bit is set."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        start = element(context, builder, signature.args[0], arguments[0], builder.mul(arguments[1], constant(LANES)))
        for group in GROUPS:
            bits = builder.trunc(builder.lshr(arguments[2], constant(group)), ir.IntType(WIDTH))
            ones = builder.zext(builder.bitcast(bits, BITS), INTS)
            store(builder, builder.add(load(builder, start, group, INTS), ones), start, group)
        return context.get_dummy_value()

    return types.void(counts, types.int64, types.uint64), generate


@operation
def mark_lanes(typing: Any, marks: Any, mask: Any, mark: Any) -> Any:
    """Set the bits of `mark` in those of the 64 uint64 `marks` whose bit is set in `mask`."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        kind = ir.VectorType(INT64, WIDTH)
        start = element(context, builder, signature.args[0], arguments[0], constant(0))
        value = spread(builder, arguments[2])
        for group in GROUPS:
            bits = builder.trunc(builder.lshr(arguments[1], constant(group)), ir.IntType(WIDTH))
            chosen = builder.bitcast(bits, BITS)
            before = load(builder, start, group, kind)
            store(builder, builder.select(chosen, builder.or_(before, value), before), start, group)
        return context.get_dummy_value()

    return types.void(marks, types.uint64, types.uint64), generate


@operation
def ranks(typing: Any, keys: Any, count: Any, first: Any, places: Any) -> Any:
    """How many of the first `count` int32 `keys` are less than each of the 16 keys from `first` on, into `places`.

    `count` is rounded up to a multiple of 4: what stands there must be the largest number.
    """

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        every = element(context, builder, signature.args[0], arguments[0], constant(0))
        key = load(builder, builder.gep(every, [arguments[2]]), 0, INTS)
        total = cgutils.alloca_once_value(builder, ir.Constant(INTS, [0] * WIDTH))
        with cgutils.for_range_slice(builder, constant(0), arguments[1], constant(4), inc=True) as (index, _):
            for step in range(4):  # without a remainder to look after
                other = spread(builder, scalar(builder, builder.gep(every, [index]), step))
                before, less = builder.load(total), builder.icmp_signed("<", other, key)
                one_more = builder.add(before, ir.Constant(INTS, [1] * WIDTH))
                builder.store(builder.select(less, one_more, before), total)
        store(builder, builder.load(total), element(context, builder, signature.args[3], arguments[3], arguments[2]), 0)
        return context.get_dummy_value()

    return types.void(keys, types.int64, types.int64, places), generate


@operation
def exact_square(typing: Any, queries: Any, query: Any, points: Any, point: Any, dims: Any) -> Any:
    """The squared distance of two float32 rows in float64, the dimensions summed eight at a time."""
    dimensions = len(dims)

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        size = constant(dimensions)
        one = element(context, builder, signature.args[0], arguments[0], builder.mul(arguments[1], size))
        other = element(context, builder, signature.args[2], arguments[2], builder.mul(arguments[3], size))
        parts: dict[int, Value] = {}
        done = 0
        for width in (8, 4, 2, 1):
            while dimensions - done >= width:
                square = exact_squares(builder, one, other, done, width)
                parts[width] = builder.fadd(parts[width], square) if width in parts else square
                done += width
        return summed(builder, parts)

    return types.float64(queries, types.int64, points, types.int64, dims), generate


@operation
def expect_writing(typing: Any, array: Any, begin: Any, end: Any) -> Any:
    """Have the memory of array[begin:end] fetched into the cache, to be written soon."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(ir.IntType(8)), INT32, INT32, INT32])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        writing, nearest, data = (ir.Constant(INT32, number) for number in (1, 3, 1))
        line = constant(CACHE_LINE // (signature.args[0].dtype.bitwidth // 8))
        with cgutils.for_range_slice(builder, arguments[1], arguments[2], line, inc=True) as (place, _):
            target = element(context, builder, signature.args[0], arguments[0], place)
            builder.call(fetch, [builder.bitcast(target, ir.PointerType(ir.IntType(8))), writing, nearest, data])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


@operation
def lowest_bit(typing: Any, mask: Any) -> Any:
    """The number of the lowest bit that is set; the mask must not be 0."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@operation
def bit_count(typing: Any, mask: Any) -> Any:
    """How many bits are set."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@operation
def float_bits(typing: Any, value: Any) -> Any:
    """The bits of a float32 as an int32."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        return builder.bitcast(arguments[0], INT32)

    return types.int32(types.float32), generate


@operation
def next_ticket(typing: Any, tickets: Any) -> Any:
    """Take the number in `tickets[0]` and leave the next there; no two threads get the same."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        place = element(context, builder, signature.args[0], arguments[0], constant(0))
        return builder.atomic_rmw("add", place, constant(1), "monotonic")

    return types.int64(tickets), generate
