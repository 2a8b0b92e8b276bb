//! The one question that the client library does not ask for us: which node coordinates a group (API 10, version 1).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(2);
const FIND_COORDINATOR: u16 = 10;
const VERSION: u16 = 1;

/// None when the broker knows none at the moment.
pub fn coordinator_of(port: u16, group: &str) -> io::Result<Option<u32>> {
    let mut body = Vec::new();
    body.extend(FIND_COORDINATOR.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(1u32.to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    body.extend(
        u16::try_from(group.len())
            .map_err(io::Error::other)?
            .to_be_bytes(),
    );
    body.extend(group.as_bytes());
    body.push(0);
    let reply = ask(port, &body)?;
    // Correlation (4 bytes), throttle time (4), error (2), its text (length in 2), node (4).
    let error = number(&reply, 8, 2)?;
    let text = match number(&reply, 10, 2)? {
        0xffff => 0,
        length => usize::try_from(length).map_err(io::Error::other)?,
    };
    let node = number(&reply, 12 + text, 4)?;
    Ok((error == 0).then_some(node))
}

fn ask(port: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), body].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut reply = Vec::new();
    stream
        .take(u32::from_be_bytes(length).into())
        .read_to_end(&mut reply)?;
    Ok(reply)
}

fn number(reply: &[u8], at: usize, bytes: usize) -> io::Result<u32> {
    let field = reply.get(at..at + bytes);
    let field = field.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(field
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}
