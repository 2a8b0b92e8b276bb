-- In a file beside the queue, so that taking a slot does not wait for its writers. It need not survive a power loss.
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    due INTEGER NOT NULL,
    gap INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
