"""Near-duplicates among 64-bit hashes: all that differ in at most so many bits, exact, and far from quadratic.

`pairs` lists the pairs, `groups` joins them without listing, `index` answers what is near a new hash.

Banding: cut the 64 bits into r + 1 bands. Two hashes that differ in at most r bits must agree in one of them, so only hashes of
equal bits in some band are compared, and a pair is reported at the first band in which it agrees. A band in which too many agree
is cut again, by the bits that still differ; where that does not help, all of them are compared, block by block. None is left out.
Sources: Manku, Jain, Das Sarma 2007, "Detecting near-duplicates for web crawling"; Norouzi, Punjani, Fleet 2012, "Fast search in
Hamming space with multi-index hashing".

Equal hashes are one value; only distinct values are compared. The comparing is compiled by numba on its first use, and done by
numpy, 10 to 20 times as slowly, where numba cannot be used. Threads are Python's own: numba's do not survive a fork.
"""
