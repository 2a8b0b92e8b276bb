//! The bytes of one connection, plain or TLS: one buffer in each direction, and a timeout for each read and write.

use super::redaction::Redaction;
use super::reply::{ReplyError, ReplyParser, ServerReply};
use super::tls::{self, Tls};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const READ_BYTES: usize = 8 * 1024;

/// Why a connection cannot be used any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    #[error("connection lost: {0}")]
    Lost(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error(transparent)]
    NotAReply(#[from] ReplyError),
    #[error("unexpected reply: `{0}`")]
    UnexpectedReply(String),
    /// A certificate that is not trusted, or no common version of TLS.
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("the relay answers in plain text")]
    PlainText,
}

impl ConnectionError {
    /// Whether the relay broke the protocol. Some relays do when commands are pipelined.
    pub fn is_protocol_error(&self) -> bool {
        matches!(
            self,
            ConnectionError::NotAReply(_) | ConnectionError::UnexpectedReply(_)
        )
    }

    pub fn unexpected(reply: ServerReply) -> ConnectionError {
        ConnectionError::UnexpectedReply(reply.into_reply().to_string())
    }

    fn lost(error: &std::io::Error) -> ConnectionError {
        ConnectionError::Lost(error.to_string())
    }
}

/// A write failed after this many of its bytes were handed to the system.
#[derive(Debug)]
pub struct WriteError {
    pub written_bytes: usize,
    pub error: ConnectionError,
}

impl From<WriteError> for ConnectionError {
    fn from(failed: WriteError) -> ConnectionError {
        failed.error
    }
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection over TCP (`Connection<TcpStream>`), which can still be secured, or over what it has become.
pub struct Connection<S = Box<dyn Stream>> {
    stream: S,
    /// Version and cipher suite.
    tls: Option<String>,
    input: Box<[u8]>,
    /// The part of `input` that has not been parsed yet.
    unread: std::ops::Range<usize>,
    parser: ReplyParser,
    /// The next `flush` writes this.
    pub output: Vec<u8>,
}

impl Connection<TcpStream> {
    pub fn new(stream: TcpStream) -> Connection<TcpStream> {
        Connection {
            stream,
            tls: None,
            input: vec![0; READ_BYTES].into_boxed_slice(),
            unread: 0..0,
            parser: ReplyParser::default(),
            output: Vec::new(),
        }
    }

    /// Returns when the relay has said something, or hung up.
    pub async fn readable(&self) {
        // Reading tells what is wrong.
        let _ = self.stream.readable().await;
    }

    /// The TLS handshake. Bytes that came before it and were not read are dropped: an attacker may have injected them
    /// (RFC 3207 §6).
    pub async fn secured(self, tls: &Tls, within: Duration) -> Result<Connection, ConnectionError> {
        let stream = timeout(within, tls.handshake(self.stream))
            .await
            .map_err(|_| ConnectionError::TimedOut(within))?
            .map_err(|error| match error.kind() {
                _ if tls::is_plain_text(&error) => ConnectionError::PlainText,
                std::io::ErrorKind::InvalidData => ConnectionError::Tls(error.to_string()),
                _ => ConnectionError::lost(&error),
            })?;
        let mut parser = self.parser;
        parser.start_anew();
        Ok(Connection {
            tls: Some(tls::description(&stream)),
            stream: Box::new(stream),
            input: self.input,
            unread: 0..0,
            parser,
            output: self.output,
        })
    }

    /// The connection without TLS.
    pub fn in_plain_text(self) -> Connection {
        Connection {
            stream: Box::new(self.stream),
            tls: None,
            input: self.input,
            unread: self.unread,
            parser: self.parser,
            output: self.output,
        }
    }
}

impl<S: Stream> Connection<S> {
    /// Version and cipher suite of TLS. `None` in plain text.
    pub fn tls(&self) -> Option<&str> {
        self.tls.as_deref()
    }

    /// From now on no reply shows these texts.
    pub fn hide(&mut self, hidden: Redaction) {
        self.parser.hidden = hidden;
    }

    /// Waits for the next reply. Cancel safe: after the future is dropped, the next call goes on with the same reply.
    pub async fn next_reply(&mut self) -> Result<ServerReply, ConnectionError> {
        loop {
            while !self.unread.is_empty() {
                let (read, _) = self.input.split_at(self.unread.end);
                let (_, bytes) = read.split_at(self.unread.start);
                let (used, reply) = self.parser.push(bytes)?;
                self.unread.start += used;
                if let Some(reply) = reply {
                    return Ok(reply);
                }
            }
            let read = self.stream.read(&mut self.input).await;
            let count = read.map_err(|error| ConnectionError::lost(&error))?;
            if count == 0 {
                return Err(ConnectionError::Lost("the relay hung up".to_string()));
            }
            self.unread = 0..count;
        }
    }

    pub async fn reply_within(&mut self, within: Duration) -> Result<ServerReply, ConnectionError> {
        timeout(within, self.next_reply())
            .await
            .unwrap_or(Err(ConnectionError::TimedOut(within)))
    }

    /// Writes one line.
    pub async fn send_line(&mut self, line: &str, within: Duration) -> Result<(), ConnectionError> {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(self.flush(within).await?)
    }

    /// Writes `output` and empties it. The timeout starts again whenever the system accepts some bytes.
    pub async fn flush(&mut self, within: Duration) -> Result<(), WriteError> {
        let output = std::mem::take(&mut self.output);
        let mut rest = output.as_slice();
        let mut written = Ok(());
        while !rest.is_empty() && written.is_ok() {
            match timeout(within, self.stream.write(rest)).await {
                Ok(Ok(0)) => {
                    let why = "the relay accepts no more data".to_string();
                    written = Err(ConnectionError::Lost(why));
                }
                Ok(Ok(count)) => rest = rest.split_at(count).1,
                Ok(Err(error)) => written = Err(ConnectionError::lost(&error)),
                Err(_) => written = Err(ConnectionError::TimedOut(within)),
            }
        }
        // TLS buffers records that the socket did not take.
        let written = match written {
            Ok(()) => match timeout(within, self.stream.flush()).await {
                Ok(flushed) => flushed.map_err(|error| ConnectionError::lost(&error)),
                Err(_) => Err(ConnectionError::TimedOut(within)),
            },
            failed => failed,
        };
        let written_bytes = output.len() - rest.len();
        self.output = output;
        self.output.clear();
        written.map_err(|error| WriteError {
            written_bytes,
            error,
        })
    }

    /// Shuts the connection down. A failure does not matter, because the socket is closed when the connection is
    /// dropped.
    pub async fn close(&mut self, within: Duration) {
        let _ = timeout(within, self.stream.shutdown()).await;
    }
}
