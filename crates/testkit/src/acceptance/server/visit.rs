//! One connection to the relay: reads commands, answers, and flushes only when nothing more has arrived (RFC 2920).

use super::{Answer, Shared, Trouble, lock};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

const READ_BUFFER_BYTES: usize = 64 * 1024;
/// How often a frozen gate looks whether it goes on.
const FROZEN_POLL: Duration = Duration::from_millis(20);

const HELLO: &[u8] = b"250-acceptance\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 52428800\r\n";
const OK: &[u8] = b"250 2.0.0 ok\r\n";

struct Visit<'a> {
    reader: BufReader<&'a TcpStream>,
    writer: BufWriter<&'a TcpStream>,
    shared: &'a Shared,
    gate: usize,
    line: Vec<u8>,
    /// Place in the ledger of the transaction under way.
    transaction: Option<usize>,
    recipient: Option<(u32, Answer)>,
}

enum Next {
    GoOn,
    HangUp,
}

pub fn run(stream: &TcpStream, gate: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut visit = Visit {
        reader: BufReader::with_capacity(READ_BUFFER_BYTES, stream),
        writer: BufWriter::new(stream),
        shared,
        gate,
        line: Vec::new(),
        transaction: None,
        recipient: None,
    };
    visit.wait_while_frozen();
    visit.reply(b"220 acceptance ESMTP\r\n")?;
    while visit.read_line()? {
        if let Next::HangUp = visit.command()? {
            break;
        }
    }
    visit.writer.flush()
}

impl Visit<'_> {
    /// `false` at the end of the connection.
    fn read_line(&mut self) -> io::Result<bool> {
        self.wait_while_frozen();
        // Replies wait while commands do: one write answers a whole pipeline.
        if !self.reader.buffer().contains(&b'\n') {
            self.writer.flush()?;
        }
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line)?;
        self.wait_while_frozen();
        Ok(self.line.ends_with(b"\n"))
    }

    /// A relay that was stopped reads, counts and answers nothing until it goes on.
    fn wait_while_frozen(&self) {
        while self.shared.has(self.gate, Trouble::Frozen) {
            std::thread::sleep(FROZEN_POLL);
        }
    }

    fn reply(&mut self, line: &[u8]) -> io::Result<()> {
        self.writer.write_all(line)
    }

    fn command(&mut self) -> io::Result<Next> {
        let verb = self.line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_slice() {
            b"EHLO" | b"HELO" => self.reply(HELLO)?,
            b"MAIL" => {
                let place = lock(&self.shared.ledger).mail_from(self.gate);
                self.transaction = Some(place);
                self.recipient = None;
                self.reply(OK)?;
            }
            b"RCPT" => return self.rcpt(),
            b"DATA" => return self.data(),
            b"RSET" => {
                self.transaction = None;
                self.recipient = None;
                self.reply(OK)?;
            }
            b"NOOP" => self.reply(OK)?,
            b"QUIT" => {
                self.reply(b"221 2.0.0 bye\r\n")?;
                return Ok(Next::HangUp);
            }
            _ => self.reply(b"500 5.5.2 unknown command\r\n")?,
        }
        Ok(Next::GoOn)
    }

    fn rcpt(&mut self) -> io::Result<Next> {
        let Some(transaction) = self.transaction else {
            self.reply(b"503 5.5.1 MAIL first\r\n")?;
            return Ok(Next::GoOn);
        };
        let (recipient, attempt) = {
            let mut ledger = lock(&self.shared.ledger);
            let number = number(&self.line).filter(|n| (*n as usize) < ledger.recipients.len());
            let Some(number) = number else {
                ledger.strangers += 1;
                drop(ledger);
                self.reply(b"550 5.1.1 stranger\r\n")?;
                return Ok(Next::GoOn);
            };
            (number, ledger.rcpt_to(transaction, number))
        };
        let answer = match self.shared.has(self.gate, Trouble::Deferring) {
            true => Answer::AtRecipient("451 4.3.2 not now"),
            false => (self.shared.script)(recipient, attempt),
        };
        match answer {
            Answer::AtRecipient(line) => {
                self.reply(line.as_bytes())?;
                self.reply(b"\r\n")?;
            }
            Answer::Goodbye => {
                self.broke();
                self.reply(b"421 4.3.2 closing\r\n")?;
                return Ok(Next::HangUp);
            }
            Answer::Junk => {
                self.broke();
                self.reply(b"\xff\xfe{\"no\": \"reply\"}\r\n")?;
            }
            _ => {
                self.recipient = Some((recipient, answer));
                self.reply(OK)?;
            }
        }
        Ok(Next::GoOn)
    }

    fn broke(&self) {
        lock(&self.shared.ledger).broken += 1;
    }

    fn data(&mut self) -> io::Result<Next> {
        let (Some(transaction), Some((recipient, answer))) =
            (self.transaction.take(), self.recipient.take())
        else {
            self.reply(b"554 5.5.1 no valid recipients\r\n")?;
            return Ok(Next::GoOn);
        };
        self.reply(b"354 go ahead\r\n")?;
        let message_id = self.content()?;
        let Some(message_id) = message_id else {
            return Ok(Next::HangUp);
        };
        lock(&self.shared.ledger).content(recipient, message_id);
        let delay = self.shared.delay_micros.load(Ordering::Relaxed);
        let delay = match answer {
            Answer::AcceptAfter(delay) => delay,
            _ => Duration::from_micros(delay),
        };
        if !delay.is_zero() {
            self.writer.flush()?;
            std::thread::sleep(delay);
        }
        self.wait_while_frozen();
        match answer {
            Answer::AfterDot(line) => {
                self.reply(line.as_bytes())?;
                self.reply(b"\r\n")?;
            }
            Answer::DropAfterDot => {
                self.broke();
                return Ok(Next::HangUp);
            }
            _ => {
                // Taken from here on, whether or not the reply arrives: this is what a duplicate is counted against.
                lock(&self.shared.ledger).accept(transaction);
                self.reply(OK)?;
            }
        }
        Ok(Next::GoOn)
    }

    /// Reads to the final dot. A hash of the Message-ID, 0 without one; `None` when the connection ended before.
    fn content(&mut self) -> io::Result<Option<u64>> {
        let mut message_id = None;
        let mut in_header = true;
        while self.read_line()? {
            if self.line == b".\r\n" {
                return Ok(Some(message_id.unwrap_or(0)));
            }
            if in_header {
                in_header = self.line != b"\r\n";
                let name = self.line.get(..11).unwrap_or_default();
                if name.eq_ignore_ascii_case(b"message-id:") {
                    let mut hasher = DefaultHasher::new();
                    self.line.hash(&mut hasher);
                    message_id = Some(hasher.finish());
                }
            }
        }
        Ok(None)
    }
}

/// 123 of `RCPT TO:<u123@…>`.
fn number(line: &[u8]) -> Option<u32> {
    let line = std::str::from_utf8(line).ok()?;
    let (local, _) = line.split_once('<')?.1.split_once('@')?;
    local.strip_prefix('u')?.parse().ok()
}
