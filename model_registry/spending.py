"""How often one test set may be asked: the error it may make, spent look by look.

A set of rows that judges every night wears out: given enough looks, luck passes. Whatever
is spent over all looks bounds the chance that a set ever lets through a model that is no
better (the union bound of group-sequential tests: Lan & DeMets 1983,
https://doi.org/10.1093/biomet/70.3.659). Half is spent on the first look, because new rows
make most nights' sets new, the other half evenly over the rest of the set's life: power is
concave in what is spent, so even shares lose least. `docs/GATE.md` compares the schedules.
"""

from __future__ import annotations


def level_of(look: int, *, alpha: float, life: int) -> float:
    """The one-sided significance level of a look.

    Args:
        look: Which look at this set it is, from 1.
        alpha: What all looks of the set's life spend together.
        life: How many looks it has; later ones have nothing to spend.
    """
    if look < 1:
        raise ValueError(f"look: expected 1 or more, got {look}; the first look is number 1")
    if look > life:
        return 0.0
    if life == 1:
        return alpha
    return alpha / 2 if look == 1 else alpha / 2 / (life - 1)


def even_level_of(look: int, *, alpha: float, life: int) -> float:
    """The level of a look at rows that become more from look to look: each has the same share.

    A first share of half would go to the look with the fewest rows.

    Args:
        look: Which look it is, from 1.
        alpha: What all looks spend together.
        life: How many there are; later ones have nothing to spend.
    """
    if look < 1:
        raise ValueError(f"look: expected 1 or more, got {look}; the first look is number 1")
    return alpha / life if look <= life else 0.0
