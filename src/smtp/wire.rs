//! The bytes of one connection: plain or TLS, one buffer each way, a deadline for each read and write.

use super::reply::{Answer, ReplyError, ReplyParser};
use super::tls::{self, Tls};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

const READ_BYTES: usize = 8 * 1024;

/// Why nothing more can be said on a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("connection lost: {0}")]
    Lost(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error(transparent)]
    Junk(#[from] ReplyError),
    #[error("{0}")]
    OutOfPlace(String),
    /// The certificate, or what both sides speak of TLS.
    #[error("no TLS: {0}")]
    Insecure(String),
}

impl Fault {
    /// Whether the other side broke the protocol, which pipelining may have provoked.
    pub fn is_protocol_error(&self) -> bool {
        matches!(self, Fault::Junk(_) | Fault::OutOfPlace(_))
    }

    fn lost(error: &std::io::Error) -> Fault {
        Fault::Lost(error.to_string())
    }
}

/// A write that failed, and how many bytes of it may have left.
#[derive(Debug)]
pub struct WriteFault {
    pub written_bytes: usize,
    pub fault: Fault,
}

impl From<WriteFault> for Fault {
    fn from(failed: WriteFault) -> Fault {
        failed.fault
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub struct Wire {
    transport: Transport,
    input: Box<[u8]>,
    /// The part of `input` that is not read yet.
    unread: std::ops::Range<usize>,
    parser: ReplyParser,
    /// What the next `flush` writes.
    pub output: Vec<u8>,
}

impl Wire {
    pub fn plain(stream: TcpStream) -> Wire {
        Wire {
            transport: Transport::Plain(stream),
            input: vec![0; READ_BYTES].into_boxed_slice(),
            unread: 0..0,
            parser: ReplyParser::default(),
            output: Vec::new(),
        }
    }

    /// The handshake. What came in plain text and was not read is dropped: it may have been injected (RFC 3207 §6).
    pub async fn secured(self, tls: &Tls, within: Duration) -> Result<Wire, Fault> {
        let Transport::Plain(stream) = self.transport else {
            return Err(Fault::OutOfPlace("TLS is already on".to_string()));
        };
        let stream = timeout(within, tls.wrap(stream))
            .await
            .map_err(|_| Fault::Silent(within))?
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::InvalidData => Fault::Insecure(error.to_string()),
                _ => Fault::lost(&error),
            })?;
        Ok(Wire {
            transport: Transport::Tls(Box::new(stream)),
            input: self.input,
            unread: 0..0,
            parser: ReplyParser::default(),
            output: self.output,
        })
    }

    /// What protects the connection, if anything does.
    pub fn tls_description(&self) -> Option<String> {
        match &self.transport {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => Some(tls::description(stream)),
        }
    }

    /// The next reply. Given up half-way it goes on where it was, so it may be dropped.
    pub async fn next_answer(&mut self) -> Result<Answer, Fault> {
        loop {
            while !self.unread.is_empty() {
                let bytes = self.input.get(self.unread.clone()).unwrap_or_default();
                let (taken, answer) = self.parser.push(bytes)?;
                self.unread.start += taken;
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            let count = match &mut self.transport {
                Transport::Plain(stream) => stream.read(&mut self.input).await,
                Transport::Tls(stream) => stream.read(&mut self.input).await,
            }
            .map_err(|error| Fault::lost(&error))?;
            if count == 0 {
                return Err(Fault::Lost("the relay hung up".to_string()));
            }
            self.unread = 0..count;
        }
    }

    pub async fn answer(&mut self, within: Duration) -> Result<Answer, Fault> {
        timeout(within, self.next_answer())
            .await
            .unwrap_or(Err(Fault::Silent(within)))
    }

    /// Writes one line.
    pub async fn say(&mut self, line: &str, within: Duration) -> Result<(), Fault> {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(self.flush(within).await?)
    }

    /// Writes `output` and empties it. The deadline begins anew whenever something is taken.
    pub async fn flush(&mut self, within: Duration) -> Result<(), WriteFault> {
        let mut written_bytes = 0;
        let outcome = loop {
            let Some(rest) = self
                .output
                .get(written_bytes..)
                .filter(|rest| !rest.is_empty())
            else {
                break Ok(());
            };
            match timeout(within, write(&mut self.transport, rest)).await {
                Ok(Ok(count)) if count > 0 => written_bytes += count,
                Ok(Ok(_)) => break Err(Fault::Lost("the relay accepts no more data".to_string())),
                Ok(Err(error)) => break Err(Fault::lost(&error)),
                Err(_) => break Err(Fault::Silent(within)),
            }
        };
        self.output.clear();
        let outcome = match (outcome, &mut self.transport) {
            (Ok(()), Transport::Tls(stream)) => match timeout(within, stream.flush()).await {
                Ok(flushed) => flushed.map_err(|error| Fault::lost(&error)),
                Err(_) => Err(Fault::Silent(within)),
            },
            (outcome, _) => outcome,
        };
        outcome.map_err(|fault| WriteFault {
            written_bytes,
            fault,
        })
    }

    /// Ends the connection; whether the other side hears of it matters no more.
    pub async fn close(&mut self, within: Duration) {
        let closing = async {
            match &mut self.transport {
                Transport::Plain(stream) => stream.shutdown().await,
                Transport::Tls(stream) => stream.shutdown().await,
            }
        };
        // Nothing depends on it, and the socket is closed right after.
        let _ = timeout(within, closing).await;
    }
}

async fn write(transport: &mut Transport, bytes: &[u8]) -> std::io::Result<usize> {
    match transport {
        Transport::Plain(stream) => stream.write(bytes).await,
        Transport::Tls(stream) => stream.write(bytes).await,
    }
}
