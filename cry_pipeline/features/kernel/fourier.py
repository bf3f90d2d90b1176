"""The discrete Fourier transform of many frames at once, by Stockham's algorithm, in float64.

Belongs here: how a length is taken apart, and one step of each radix. Does not: what is transformed.

A step of radix r on data of length n takes r numbers that lie n/r apart and puts r numbers side by side, so that the
result comes out in order (Stockham 1966; the form with a stride is Van Loan's, Computational Frameworks for the Fast
Fourier Transform, 1992, § 1.7). Every number is of :data:`.lanes.PAIRS` lanes.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from cry_pipeline.features.kernel.lanes import PAIRS, load, spread, store

RADICES = (4, 5, 3, 2)


class Steps(NamedTuple):
    """The steps of one length."""

    radix: np.ndarray
    length: np.ndarray
    """Of what is still to be transformed, before the step."""
    stride: np.ndarray
    """How many of them lie interleaved."""
    first: np.ndarray
    """Where the step's factors begin."""
    factors: np.ndarray
    """exp(−2πi·j·p/length), for each p below length/radix the real and imaginary parts of j = 1 … radix − 1."""


def factored(length: int) -> list[int] | None:
    """Return ``length`` as a product of :data:`RADICES`, or None where it has another prime factor."""
    radices = []
    for radix in RADICES:
        while length % radix == 0:
            radices.append(radix)
            length //= radix
    return radices if length == 1 else None


def steps_of(length: int) -> Steps:
    """Return the steps that transform ``length`` numbers.

    Raises:
        ValueError: ``length`` has a prime factor above 5.
    """
    radices = factored(length)
    if radices is None:
        raise ValueError(f"{length} has a prime factor above 5")
    lengths, strides, firsts, factors = [], [], [], []
    stride = 1
    for radix in radices:
        lengths.append(length)
        strides.append(stride)
        firsts.append(sum(map(len, factors)))
        turns = np.exp(-2j * np.pi * np.outer(np.arange(length // radix), np.arange(1, radix)) / length)
        factors.append(turns.ravel().view(np.float64))
        length //= radix
        stride *= radix
    steps = (np.array(each) for each in (radices, lengths, strides, firsts))
    return Steps(*steps, factors=np.concatenate(factors))


@njit
def transformed(real, imaginary, other_real, other_imaginary, steps):
    """Return real and imaginary parts, [length · PAIRS] each, of the transform of the first two arrays.

    The four arrays are written over; those returned are two of them.
    """
    for step in range(len(steps.radix)):
        radix, first, stride = steps.radix[step], steps.first[step], steps.stride[step]
        apart = steps.length[step] // radix
        if radix == 4:
            _four(real, imaginary, other_real, other_imaginary, apart, stride, steps.factors, first)
        elif radix == 2:
            _two(real, imaginary, other_real, other_imaginary, apart, stride, steps.factors, first)
        elif radix == 3:
            _three(real, imaginary, other_real, other_imaginary, apart, stride, steps.factors, first)
        else:
            _five(real, imaginary, other_real, other_imaginary, apart, stride, steps.factors, first)
        real, imaginary, other_real, other_imaginary = other_real, other_imaginary, real, imaginary
    return real, imaginary


@njit
def _two(xr, xi, yr, yi, apart, stride, factors, first):
    between, beside = stride * apart * PAIRS, stride * PAIRS
    for p in range(apart):
        wr, wi = spread(factors[first + 2 * p]), spread(factors[first + 2 * p + 1])
        for q in range(stride):
            at, to = (q + stride * p) * PAIRS, (q + stride * 2 * p) * PAIRS
            ar, ai, br, bi = load(xr, at), load(xi, at), load(xr, at + between), load(xi, at + between)
            store(yr, to, ar + br)
            store(yi, to, ai + bi)
            _turned(yr, yi, to + beside, ar - br, ai - bi, wr, wi)


@njit
def _turned(yr, yi, to, real, imaginary, wr, wi):
    """Store the product of two complex numbers."""
    store(yr, to, real * wr - imaginary * wi)
    store(yi, to, real * wi + imaginary * wr)


@njit
def _three(xr, xi, yr, yi, apart, stride, factors, first):
    half, sine = spread(0.5), spread(0.8660254037844386)
    between, beside = stride * apart * PAIRS, stride * PAIRS
    for p in range(apart):
        w = first + 4 * p
        w1r, w1i, w2r, w2i = spread(factors[w]), spread(factors[w + 1]), spread(factors[w + 2]), spread(factors[w + 3])
        for q in range(stride):
            at, to = (q + stride * p) * PAIRS, (q + stride * 3 * p) * PAIRS
            ar, ai = load(xr, at), load(xi, at)
            br, bi = load(xr, at + between), load(xi, at + between)
            cr, ci = load(xr, at + 2 * between), load(xi, at + 2 * between)
            sr, si, dr, di = br + cr, bi + ci, sine * (br - cr), sine * (bi - ci)
            store(yr, to, ar + sr)
            store(yi, to, ai + si)
            mr, mi = ar - half * sr, ai - half * si
            _turned(yr, yi, to + beside, mr + di, mi - dr, w1r, w1i)
            _turned(yr, yi, to + 2 * beside, mr - di, mi + dr, w2r, w2i)


@njit
def _four(xr, xi, yr, yi, apart, stride, factors, first):
    between, beside = stride * apart * PAIRS, stride * PAIRS
    for p in range(apart):
        w = first + 6 * p
        w1r, w1i, w2r, w2i = spread(factors[w]), spread(factors[w + 1]), spread(factors[w + 2]), spread(factors[w + 3])
        w3r, w3i = spread(factors[w + 4]), spread(factors[w + 5])
        for q in range(stride):
            at, to = (q + stride * p) * PAIRS, (q + stride * 4 * p) * PAIRS
            ar, ai = load(xr, at), load(xi, at)
            br, bi = load(xr, at + between), load(xi, at + between)
            cr, ci = load(xr, at + 2 * between), load(xi, at + 2 * between)
            dr, di = load(xr, at + 3 * between), load(xi, at + 3 * between)
            evens_r, evens_i, even_r, even_i = ar + cr, ai + ci, ar - cr, ai - ci
            odds_r, odds_i, odd_r, odd_i = br + dr, bi + di, br - dr, bi - di
            store(yr, to, evens_r + odds_r)
            store(yi, to, evens_i + odds_i)
            _turned(yr, yi, to + beside, even_r + odd_i, even_i - odd_r, w1r, w1i)
            _turned(yr, yi, to + 2 * beside, evens_r - odds_r, evens_i - odds_i, w2r, w2i)
            _turned(yr, yi, to + 3 * beside, even_r - odd_i, even_i + odd_r, w3r, w3i)


@njit
def _five(xr, xi, yr, yi, apart, stride, factors, first):
    # cos and sin of 2π/5 and 4π/5
    c1, c2, s1, s2 = (
        spread(0.30901699437494745),
        spread(-0.8090169943749475),
        spread(0.9510565162951535),
        spread(0.5877852522924731),
    )
    between, beside = stride * apart * PAIRS, stride * PAIRS
    for p in range(apart):
        w = first + 8 * p
        for q in range(stride):
            at, to = (q + stride * p) * PAIRS, (q + stride * 5 * p) * PAIRS
            ar, ai = load(xr, at), load(xi, at)
            br, bi = load(xr, at + between), load(xi, at + between)
            cr, ci = load(xr, at + 2 * between), load(xi, at + 2 * between)
            dr, di = load(xr, at + 3 * between), load(xi, at + 3 * between)
            er, ei = load(xr, at + 4 * between), load(xi, at + 4 * between)
            p1r, p1i, m1r, m1i = br + er, bi + ei, br - er, bi - ei
            p2r, p2i, m2r, m2i = cr + dr, ci + di, cr - dr, ci - di
            store(yr, to, ar + p1r + p2r)
            store(yi, to, ai + p1i + p2i)
            u1r, u1i = ar + c1 * p1r + c2 * p2r, ai + c1 * p1i + c2 * p2i
            u2r, u2i = ar + c2 * p1r + c1 * p2r, ai + c2 * p1i + c1 * p2i
            v1r, v1i = s1 * m1r + s2 * m2r, s1 * m1i + s2 * m2i
            v2r, v2i = s2 * m1r - s1 * m2r, s2 * m1i - s1 * m2i
            _turned(yr, yi, to + beside, u1r + v1i, u1i - v1r, spread(factors[w]), spread(factors[w + 1]))
            _turned(yr, yi, to + 2 * beside, u2r + v2i, u2i - v2r, spread(factors[w + 2]), spread(factors[w + 3]))
            _turned(yr, yi, to + 3 * beside, u2r - v2i, u2i + v2r, spread(factors[w + 4]), spread(factors[w + 5]))
            _turned(yr, yi, to + 4 * beside, u1r - v1i, u1i + v1r, spread(factors[w + 6]), spread(factors[w + 7]))
