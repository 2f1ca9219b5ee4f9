"""The groupwise diffusion paper, literally: loops and ifs in float64, one file per family of equations.

This package is the oracle of the tests. It was written from the paper a second time and shares no code with
the library, so that an agreement of the two is evidence.

    groups.py     Sections 3.1, 4.1 and 4.3: which element belongs to which group (labels)
    schedule.py   Eqs. (1), (2), (6), (10), (11), (20), (21): A(t), A'(t), x_t
    losses.py     Eqs. (3), (4), (7), (8), (12), (14)-(16), (19), (22)-(26)
    ode.py        Eqs. (5), (9), (13), (17); the sampling procedures of Appendices C.1 and C.2
    bases.py      Appendix A.4: blur matrices, their eigenvectors, DCT-II, DST-I, Haar, frequency ranks
    mixture.py    Gaussian mixtures: the optimal networks of Eqs. (3), (4), (8); the exact flow of a Gaussian
    solvers.py    textbook Euler, Heun, midpoint, RK4 and AB2 for dy/ds = f(s, y)

Conventions, the same in every file:

- time 0 is data and time 1 is noise;
- `labels` is an integer array of the event's shape, `labels[i] == j` for i in S_j; group 0 comes first;
- `intervals` is a (k, 2) array whose row j is (t_start_j, t_end_j);
- a diagonal matrix is stored as its diagonal, an array of the event's shape;
- a *network* is a callable `(x_t, A) -> u` that sees one sample: arguments and value have the event's shape;
- an orthogonal matrix U is (d, d) and acts on the event flattened in row-major order; its columns
  are the basis vectors.

The loops over A(t) compile with Numba; NUMBA_DISABLE_JIT=1 runs the same functions as plain Python.
"""
