"""Tables of grouped items, as Parquet files: read from archives, merged, freed of repeated ids and small groups, repaired.

Tables have the columns `id` (string), `group` (string; null means none), `shard`, `image` (see `payloads.IMAGES`) and any
metadata. Relative paths of pictures start from the folder of their table, those of ingest from where it was done; tables that are
written elsewhere have absolute ones.
They are read in slices of a few rows; only ids, groups and digests of a whole table are ever in memory. What is written
is there whole or not at all: a folder of new tables appears when its last table is on the disk, and a table repaired in place
takes the place of the old one when it is. What a killed process leaves is a hidden folder beside, `.NAME.PID.tmp`.

DataError names the file for what cannot be read, a column that is missing, or one of the wrong type; nothing is written then.
"""
