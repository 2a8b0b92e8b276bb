//! Opens files that a user names, so that no command waits for ever or reads without an end: a FIFO, a device and a file
//! that is too long are errors. A FIFO may be a stream that is read once, such as `<(…)` of a shell.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How long a FIFO may be without a writer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a file is that is neither a regular one nor a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unusual {
    Fifo,
    Socket,
    Device,
}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unusual::Fifo => "a FIFO",
            Unusual::Socket => "a socket",
            Unusual::Device => "a device",
        })
    }
}

/// The bytes of a file, at most `max_bytes`.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed, to notice a file that is too long.
    let mut file = open(path)?.take(max_bytes.saturating_add(1));
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max_bytes {
        true => Err(io::Error::other(format!("longer than {max_bytes} bytes"))),
        false => Ok(bytes),
    }
}

/// The same as text.
pub fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, max_bytes)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not valid UTF-8"))
}

/// A file for a reader that stops by itself. Errors: it is a FIFO, a socket or a device.
pub fn open(path: &Path) -> io::Result<File> {
    let file = open_at_once(path)?;
    match unusual(&file)? {
        Some(what) => Err(io::Error::other(format!(
            "it is {what}, not a regular file"
        ))),
        None => Ok(file),
    }
}

/// A file that is read once, from its beginning to its end. Errors: it is a socket, a device that is no terminal, or a
/// FIFO that nobody writes to.
pub fn open_stream(path: &Path) -> io::Result<File> {
    let file = open_at_once(path)?;
    match unusual(&file)? {
        Some(Unusual::Fifo) => wait_for_writer(&file)?,
        Some(Unusual::Device) if file.is_terminal() => {}
        Some(what) => return Err(io::Error::other(format!("it is {what}"))),
        None => return Ok(file),
    }
    // Else a read that has to wait is an error.
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// Errors: nobody writes to it for too long.
fn wait_for_writer(fifo: &File) -> io::Result<()> {
    let mut readable = [PollFd::new(fifo, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    // A signal that does not end the process ends the wait only for a moment.
    let ready = rustix::io::retry_on_intr(|| poll(&mut readable, Some(&patience)))?;
    if ready == 0 {
        let seconds = PATIENCE.as_secs();
        let what = format!("nobody has written to this FIFO for {seconds} s");
        return Err(io::Error::new(io::ErrorKind::TimedOut, what));
    }
    Ok(())
}

/// Without `NONBLOCK` opening a FIFO waits for its writer. It changes nothing for a regular file.
fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

fn unusual(file: &File) -> io::Result<Option<Unusual>> {
    let kind = file.metadata()?.file_type();
    Ok(match () {
        () if kind.is_fifo() => Some(Unusual::Fifo),
        () if kind.is_socket() => Some(Unusual::Socket),
        () if kind.is_char_device() || kind.is_block_device() => Some(Unusual::Device),
        () => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_never_ends() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let long = folder.path().join("long");
        std::fs::write(&long, "12345").unwrap();
        let error = |path: &Path, max| read(path, max).unwrap_err().to_string();
        assert_eq!(error(&fifo, 9), "it is a FIFO, not a regular file");
        let device = Path::new("/dev/zero");
        assert_eq!(error(device, 9), "it is a device, not a regular file");
        assert_eq!(error(&long, 4), "longer than 4 bytes");
        assert_eq!(read_text(&long, 5).unwrap(), "12345");
        assert!(open_stream(device).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_of_a_terminal_wait() {
        // Each opening is a new terminal.
        let terminal = open_stream(Path::new("/dev/ptmx")).unwrap();
        assert!(terminal.is_terminal());
        let flags = rustix::fs::fcntl_getfl(&terminal).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "{flags:?}");
    }

    #[test]
    fn reads_a_fifo_with_a_writer_as_a_stream() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let path = fifo.clone();
        let writer = std::thread::spawn(move || std::fs::write(path, "text").unwrap());
        let mut text = String::new();
        open_stream(&fifo)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "text");
        writer.join().unwrap();
    }
}
