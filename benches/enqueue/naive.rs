//! What one would write in an afternoon: one thread, csv, minijinja, lettre's MIME, flate2, rusqlite.

use super::sample::{FROM, SUBJECT};
use flate2::Compression;
use flate2::write::GzEncoder;
use lettre::message::{Mailbox, Message, MultiPart};
use minijinja::Environment;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

const CHUNK_ROWS: usize = 500;

pub fn run(folder: &Path) -> u64 {
    let html = std::fs::read_to_string(folder.join("spring.html")).expect("a template");
    let text = std::fs::read_to_string(folder.join("spring.txt")).expect("a template");
    let mut environment = Environment::new();
    for (name, source) in [
        ("a.html", html.as_str()),
        ("a.txt", text.as_str()),
        ("subject", SUBJECT),
    ] {
        environment.add_template(name, source).expect("a template");
    }
    let from: Mailbox = FROM.parse().expect("a mailbox");
    let mut queue = open(&folder.join("naive.db"));
    let mut list = csv::Reader::from_path(folder.join("list.csv")).expect("a list");
    let mut chunk = Chunk::new();
    for row in list.deserialize::<HashMap<String, String>>() {
        let row = row.expect("a row");
        let render = |name| {
            environment
                .get_template(name)
                .expect("it")
                .render(&row)
                .expect("text")
        };
        let message = Message::builder()
            .from(from.clone())
            .to(row
                .get("email")
                .expect("an address")
                .parse()
                .expect("an address"))
            .subject(render("subject"))
            .multipart(MultiPart::alternative_plain_html(
                render("a.txt"),
                render("a.html"),
            ))
            .expect("a message");
        chunk.add(&message.formatted(), &mut queue);
    }
    chunk.flush(&mut queue);
    chunk.queued_bytes
}

fn open(path: &Path) -> Connection {
    let queue = Connection::open(path).expect("a queue");
    queue
        .execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full;
             create table chunk (id integer primary key, payload blob not null);",
        )
        .expect("a table");
    queue
}

struct Chunk {
    gzip: GzEncoder<Vec<u8>>,
    rows: usize,
    queued_bytes: u64,
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            gzip: GzEncoder::new(Vec::new(), Compression::new(3)),
            rows: 0,
            queued_bytes: 0,
        }
    }

    fn add(&mut self, message: &[u8], queue: &mut Connection) {
        self.gzip.write_all(message).expect("memory");
        self.rows += 1;
        if self.rows == CHUNK_ROWS {
            self.flush(queue);
        }
    }

    fn flush(&mut self, queue: &mut Connection) {
        if self.rows == 0 {
            return;
        }
        let empty = GzEncoder::new(Vec::new(), Compression::new(3));
        let payload = std::mem::replace(&mut self.gzip, empty)
            .finish()
            .expect("memory");
        let transaction = queue.transaction().expect("a transaction");
        transaction
            .execute("insert into chunk (payload) values (?1)", params![payload])
            .expect("an insert");
        transaction.commit().expect("a commit");
        self.rows = 0;
        self.queued_bytes += payload.len() as u64;
    }
}
