-- The embedded queue, format 1. A position is `partition.id << 40 | offset`, so each partition is a range of one B-tree.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    low INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
) STRICT;

-- appended_at: microseconds since 1970. headers: JSON, [[name, value], …]. payload NULL: a tombstone.
CREATE TABLE record (
    position INTEGER PRIMARY KEY,
    appended_at INTEGER NOT NULL,
    key TEXT,
    headers TEXT NOT NULL,
    payload BLOB
) STRICT;

-- Compacted topics only: where the one record of each key is.
CREATE TABLE latest (
    partition INTEGER NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (partition, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE progress (
    partition INTEGER PRIMARY KEY,
    offset INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

-- expires: nanoseconds of the boot-time clock. Both tables are emptied when meta.boot is not the current boot.
CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE lease (
    partition INTEGER PRIMARY KEY,
    member INTEGER NOT NULL,
    token INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
