//! What a fake relay has seen, for assertions and, one JSON line a message, for scripts.

use std::io::Write;
use std::time::SystemTime;

/// A message that was answered with 250, or would have been: a drop after the dot is recorded too, as `answered:
/// false`, because a real relay would have the mail.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub connection: u64,
    pub at: SystemTime,
    pub return_path: String,
    pub recipients: Vec<String>,
    pub message_id: String,
    pub size_bytes: usize,
    pub answered: bool,
    /// As the receiver sees it, dots no longer doubled; if the behaviour keeps it.
    pub content: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Default)]
pub struct Log {
    pub connections: u64,
    pub mail_times: Vec<SystemTime>,
    pub accepted: Vec<Accepted>,
    /// Everything but content, in the order of arrival, with the number of the connection.
    pub commands: Vec<(u64, String)>,
    /// Messages whose content came together with commands of the next.
    pub along: u64,
    /// What no client may do, in words.
    pub violations: Vec<String>,
}

impl Log {
    pub fn count(&self, command: &str) -> usize {
        let is_it = |line: &&(u64, String)| line.1.to_ascii_uppercase().starts_with(command);
        self.commands.iter().filter(is_it).count()
    }

    /// One JSON line for each accepted message.
    pub fn write_lines(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for message in &self.accepted {
            let since = message.at.duration_since(SystemTime::UNIX_EPOCH);
            let line = serde_json::json!({
                "connection": message.connection,
                "at_ms": u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
                "return_path": message.return_path,
                "recipients": message.recipients,
                "message_id": message.message_id,
                "bytes": message.size_bytes,
                "answered": message.answered,
            });
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}
