-- Beside the queue: slots must not wait for its writers, and need not survive a power loss.
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    due INTEGER NOT NULL,
    gap INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
