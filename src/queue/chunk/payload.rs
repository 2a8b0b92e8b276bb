//! The payload of a chunk: one gzip member of text that `gunzip` shows.
//!
//! The first line is `{"shared":[LENGTH,…]}`, and the shared texts follow, each with a line end. Then for each message
//! a JSON line, a line that says how it is cut, and its own bytes with a line end. The cut is empty where the message
//! shares nothing, else `TEXT:FROM+COPIED+OWN,FROM+COPIED+OWN…`: so many bytes of that shared text, then so many
//! of its own. In version 1 there are neither shared texts nor cuts, and each message is whole.

use super::ChunkError;
use super::headers::Version;
use super::texts::Texts;
use crate::domain::chunk::{
    MAX_COMPRESSED_BYTES, MAX_MESSAGE_BYTES, MAX_ROWS, MAX_STORED_BYTES, Message, MessageLine,
};
use crate::domain::content::{MessageContent, Part};
use crate::domain::ids::Row;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::{Read, Write};

/// Templated mail compresses well at any level; enqueue is bound by this step.
pub const LEVEL: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Preface {
    shared: Vec<usize>,
}

pub fn write(first: Row, messages: &[(MessageLine, MessageContent)]) -> Result<Bytes, ChunkError> {
    let texts = shared_texts(messages);
    let mut writer = Writer::new(first);
    let preface = Preface {
        shared: texts.iter().map(|text| text.len()).collect(),
    };
    writer.json(0, &preface)?;
    for text in &texts {
        writer.bytes(text)?;
        writer.bytes(b"\n")?;
    }
    for (position, (line, content)) in messages.iter().enumerate() {
        let line = MessageLine {
            bytes: u32::try_from(content.len()).map_err(|_| writer.too_large(content.len()))?,
            ..line.clone()
        };
        writer.json(position, &line)?;
        let text = texts
            .iter()
            .position(|text| is_same(text, content.shared()));
        match text {
            Some(text) => {
                writer.bytes(cut(text, content.parts()).as_bytes())?;
                writer.bytes(b"\n")?;
                writer.bytes(content.own())?;
            }
            None => {
                writer.bytes(b"\n")?;
                content.pieces().try_for_each(|piece| writer.bytes(piece))?;
            }
        }
        writer.bytes(b"\n")?;
    }
    writer.finish()
}

/// A text that only one message has is written with it.
fn shared_texts(messages: &[(MessageLine, MessageContent)]) -> Vec<&Bytes> {
    let mut texts: Vec<(&Bytes, usize)> = Vec::new();
    for (_, content) in messages
        .iter()
        .filter(|(_, content)| !content.parts().is_empty())
    {
        let known = texts
            .iter_mut()
            .find(|(text, _)| is_same(text, content.shared()));
        match known {
            Some((_, count)) => *count += 1,
            None => texts.push((content.shared(), 1)),
        }
    }
    let shared = texts.into_iter().filter(|(_, count)| *count > 1);
    shared.map(|(text, _)| text).collect()
}

/// One buffer, or buffers of the same bytes.
fn is_same(left: &Bytes, right: &Bytes) -> bool {
    left.len() == right.len() && (left.as_ptr() == right.as_ptr() || left == right)
}

fn cut(text: usize, parts: &[Part]) -> String {
    let mut cut = format!("{text}:");
    for (index, part) in parts.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(cut, "{comma}{}+{}+{}", part.from, part.copied, part.own);
    }
    cut
}

struct Writer {
    first: Row,
    gzip: GzEncoder<Vec<u8>>,
    stored: usize,
}

impl Writer {
    fn new(first: Row) -> Writer {
        Writer {
            first,
            gzip: GzEncoder::new(Vec::new(), Compression::new(LEVEL)),
            stored: 0,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ChunkError> {
        self.stored += bytes.len();
        if self.stored > MAX_STORED_BYTES {
            return Err(self.too_large(self.stored));
        }
        let written = self.gzip.write_all(bytes);
        written.map_err(|error| ChunkError::Gzip(error.to_string()))
    }

    fn json(&mut self, position: usize, value: &impl Serialize) -> Result<(), ChunkError> {
        let json = serde_json::to_vec(value).map_err(|error| ChunkError::BadMessage {
            position,
            what: error.to_string(),
        })?;
        self.bytes(&json)?;
        self.bytes(b"\n")
    }

    fn too_large(&self, bytes: usize) -> ChunkError {
        ChunkError::StoredTooLarge {
            row: self.first,
            bytes,
        }
    }

    fn finish(self) -> Result<Bytes, ChunkError> {
        let payload = self.gzip.finish();
        let payload = payload.map_err(|error| ChunkError::Gzip(error.to_string()))?;
        if payload.len() > MAX_COMPRESSED_BYTES {
            return Err(ChunkError::CompressedTooLarge {
                row: self.first,
                bytes: payload.len(),
            });
        }
        Ok(Bytes::from(payload))
    }
}

/// Messages in order. Shared texts that are in `texts` already are taken from there.
pub fn read(
    first: Row,
    version: Version,
    payload: &[u8],
    texts: &Texts,
) -> Result<Vec<Message>, ChunkError> {
    let inflated = inflate(first, payload)?;
    let mut rest = Rest { bytes: &inflated };
    let shared = match version {
        Version::Whole => Vec::new(),
        Version::Shared => read_shared(&mut rest, texts)?,
    };
    // A copy without the shared texts: slices of it must not keep those alive a second time.
    let buffer = Bytes::copy_from_slice(rest.bytes);
    let mut rest = Rest { bytes: &buffer };
    let mut messages: Vec<Message> = Vec::new();
    while !rest.bytes.is_empty() {
        let position = messages.len();
        if position == MAX_ROWS {
            return Err(ChunkError::TooManyRows(position + 1));
        }
        let message = read_message(&mut rest, version, &shared, &buffer);
        let message = message.map_err(|what| ChunkError::BadMessage { position, what })?;
        if let Some(before) = messages.last() {
            super::in_order(before.line.row, message.line.row)?;
        }
        messages.push(message);
    }
    Ok(messages)
}

fn read_shared(rest: &mut Rest<'_>, texts: &Texts) -> Result<Vec<Bytes>, ChunkError> {
    let wrong = |what: String| ChunkError::BadMessage { position: 0, what };
    let line = rest.line().map_err(wrong)?;
    let preface: Preface =
        serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    let read = |length: usize| rest.block(length).map(|text| texts.keep(text));
    let shared: Result<Vec<Bytes>, String> = preface.shared.into_iter().map(read).collect();
    shared.map_err(wrong)
}

fn read_message(
    rest: &mut Rest<'_>,
    version: Version,
    shared: &[Bytes],
    buffer: &Bytes,
) -> Result<Message, String> {
    let line: MessageLine =
        serde_json::from_slice(rest.line()?).map_err(|error| error.to_string())?;
    let length = usize::try_from(line.bytes).map_err(|error| error.to_string())?;
    if length > MAX_MESSAGE_BYTES {
        return Err(format!("{length} bytes long (at most {MAX_MESSAGE_BYTES})"));
    }
    let cut = match version {
        Version::Whole => &[][..],
        Version::Shared => rest.line()?,
    };
    let content = if cut.is_empty() {
        MessageContent::whole(buffer.slice_ref(rest.block(length)?))
    } else {
        let (text, parts) = read_cut(cut).ok_or("its cut cannot be read")?;
        let text = shared
            .get(text)
            .ok_or("it shares a text that is not there")?;
        let own: usize = parts.iter().map(|part| part.own as usize).sum();
        let own = buffer.slice_ref(rest.block(own)?);
        MessageContent::of_parts(text.clone(), own, parts)
            .filter(|content| content.len() == length)
            .ok_or("its parts do not make a message of its length")?
    };
    Ok(Message { line, content })
}

/// The reverse of [`cut`].
fn read_cut(text: &[u8]) -> Option<(usize, Vec<Part>)> {
    let (shared, parts) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let parts = parts.split(',').map(|part| {
        let (from, rest) = part.split_once('+')?;
        let (copied, own) = rest.split_once('+')?;
        Some(Part {
            from: from.parse().ok()?,
            copied: copied.parse().ok()?,
            own: own.parse().ok()?,
        })
    });
    Some((shared.parse().ok()?, parts.collect::<Option<_>>()?))
}

/// What has not been read of an inflated payload.
struct Rest<'a> {
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    /// Up to the next line end, which is passed.
    fn line(&mut self) -> Result<&'a [u8], String> {
        let end = memchr::memchr(b'\n', self.bytes).ok_or("no line")?;
        let (line, rest) = self.bytes.split_at(end);
        self.bytes = rest.get(1..).unwrap_or_default();
        Ok(line)
    }

    /// So many bytes, and the line end after them.
    fn block(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (block, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or("shorter than its line says")?;
        self.bytes = rest
            .strip_prefix(b"\n")
            .ok_or("longer than its line says")?;
        Ok(block)
    }
}

/// Inflates one member, at most [`MAX_STORED_BYTES`] of it, and nothing may follow.
fn inflate(first: Row, payload: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let limit = u64::try_from(MAX_STORED_BYTES).unwrap_or(u64::MAX);
    let mut gzip = GzDecoder::new(payload);
    let mut stored = Vec::new();
    gzip.by_ref()
        .take(limit.saturating_add(1))
        .read_to_end(&mut stored)
        .map_err(|error| ChunkError::Gzip(error.to_string()))?;
    if stored.len() > MAX_STORED_BYTES {
        return Err(ChunkError::StoredTooLarge {
            row: first,
            bytes: stored.len(),
        });
    }
    if !gzip.into_inner().is_empty() {
        return Err(ChunkError::Gzip("bytes after the first member".to_string()));
    }
    Ok(stored)
}
