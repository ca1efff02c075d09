"""The losses by their definitions, in float64 loops."""

import math

import numpy as np


def cosine_of(x, y):
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def negatives_of(row, columns, pairs):
    out = {b for a, b, label, weight in pairs if a == row and (label == 1 or weight == 0)}
    return [column for column in range(columns) if column not in out]


def infonce_one_way(rows, columns, pairs, scale):
    terms = []
    for a, b, label, weight in pairs:
        if label == 1 and weight > 0:
            exponents = [scale * cosine_of(rows[a], columns[n]) for n in negatives_of(a, len(columns), pairs)]
            own = scale * cosine_of(rows[a], columns[b])
            top = max([own, *exponents])
            total = sum(math.exp(e - top) for e in [own, *exponents])
            terms.append((weight, -(own - top - math.log(total))))
    return terms


def mean(terms):
    return sum(w * t for w, t in terms) / sum(w for w, _ in terms) if terms else 0.0


def infonce_reference(rows, columns, pairs, scale, symmetric):
    terms = infonce_one_way(rows, columns, pairs, scale)
    if symmetric:
        terms = terms + infonce_one_way(columns, rows, [(b, a, label, weight) for a, b, label, weight in pairs], scale)
    return mean(terms)


def triplet_terms(rows, columns, pairs, margin, distance, hardest):
    def apart(r, c):
        return 1 - cosine_of(rows[r], columns[c]) if distance == "cosine" else float(np.linalg.norm(rows[r] - columns[c]))

    terms = []
    for a, b, label, weight in pairs:
        if label == 1 and weight > 0:
            negatives = negatives_of(a, len(columns), pairs)
            if hardest:
                negatives = sorted(negatives, key=lambda n: apart(a, n))[:1]
            terms += [(weight, margin + apart(a, b) - apart(a, n)) for n in negatives]
    return terms


def triplet_reference(rows, columns, pairs, margin, distance, hardest):
    return mean([(w, t) for w, t in triplet_terms(rows, columns, pairs, margin, distance, hardest) if t > 0])


def cosine_reference(rows, columns, pairs, margin):
    scores = [(weight, label, cosine_of(rows[a], columns[b])) for a, b, label, weight in pairs if weight > 0]
    return mean([(weight, 1 - s if label == 1 else max(0.0, s - margin)) for weight, label, s in scores])


def listed_triplet_terms(rows, columns, pairs, margin, distance, hardest):
    """Only columns listed as not alike are negatives."""
    terms = []
    for a, b, label, weight in pairs:
        if label == 1 and weight > 0:
            negatives = [n for row, n, known, w in pairs if row == a and known == 0 and w > 0]
            apart = {n: _apart(rows[a], columns[n], distance) for n in (*negatives, b)}
            if hardest:
                negatives = sorted(negatives, key=lambda n: apart[n])[:1]
            terms += [(weight, margin + apart[b] - apart[n]) for n in negatives]
    return terms


def listed_triplet_reference(rows, columns, pairs, margin, distance, hardest):
    return mean([(w, t) for w, t in listed_triplet_terms(rows, columns, pairs, margin, distance, hardest) if t > 0])


def _apart(one, other, distance):
    return 1 - cosine_of(one, other) if distance == "cosine" else float(np.linalg.norm(one - other))


def balanced_reference(rows, columns, pairs, alike, apart, positive_weight):
    """`alike` and `apart` are terms of a distance."""
    listed = [(w, label, _apart(rows[a], columns[b], "euclidean")) for a, b, label, w in pairs if w > 0]
    positive = mean([(w, alike(d)) for w, label, d in listed if label == 1])
    return mean([(w, apart(d)) for w, label, d in listed if label != 1]) + positive_weight * positive


def hinge_reference(rows, columns, pairs, margin, positive_weight):
    return balanced_reference(rows, columns, pairs, lambda d: d * d, lambda d: max(0.0, margin - d) ** 2, positive_weight)


def logistic_reference(rows, columns, pairs, margin, scale, positive_weight):
    def alike(d):
        return math.log1p(math.exp(scale * (d - margin)))

    def apart(d):
        return math.log1p(math.exp(scale * (margin - d)))

    return balanced_reference(rows, columns, pairs, alike, apart, positive_weight)
