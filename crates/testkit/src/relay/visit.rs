//! One connection to the fake relay, from greeting to QUIT.

use super::Shared;
use super::behaviour::{Action, Point, Rule, Style, rule_of};
use super::log::Accepted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::{ServerConnection, StreamOwned};

trait Line: Read + Write + Send {}
impl<T: Read + Write + Send> Line for T {}

pub struct Visit<'a> {
    shared: &'a Shared,
    number: u64,
    socket: TcpStream,
    line: Box<dyn Line>,
    input: Vec<u8>,
    /// How much of `input` is used up.
    used: usize,
    output: Vec<u8>,
    is_encrypted: bool,
    is_logged_in: bool,
    return_path: Option<String>,
    recipients: Vec<String>,
    chunks: Vec<u8>,
    said_ehlo: bool,
    carried: u64,
    /// A BDAT was refused, and the transaction is in nobody's hands until RSET (RFC 3030 §2).
    needs_reset: bool,
    block: Vec<u8>,
}

/// The visit is over.
fn over<T>() -> io::Result<T> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

impl Visit<'_> {
    pub fn run(socket: TcpStream, number: u64, shared: &Shared) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let mut visit = Visit {
            shared,
            number,
            line: Box::new(socket.try_clone()?),
            socket,
            input: Vec::new(),
            used: 0,
            output: Vec::new(),
            is_encrypted: false,
            is_logged_in: false,
            return_path: None,
            recipients: Vec::new(),
            chunks: Vec::new(),
            said_ehlo: false,
            carried: 0,
            needs_reset: false,
            block: vec![0; 256 * 1024],
        };
        let outcome = visit.serve();
        // What is left unread must not turn the end into a reset that eats our last reply.
        let _ = visit.socket.shutdown(Shutdown::Write);
        outcome
    }

    fn serve(&mut self) -> io::Result<()> {
        if self.shared.behaviour.tls_is_implicit {
            self.encrypt()?;
        }
        let greeting = self.shared.behaviour.greeting.clone();
        self.say(&greeting)?;
        if !greeting.starts_with('2') {
            return self.flush();
        }
        loop {
            let line = self.read_line()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            if self.shared.behaviour.keeps_commands {
                self.shared.log().commands.push((self.number, line.clone()));
            }
            let verb = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" if self.shared.behaviour.knows_ehlo => self.ehlo()?,
                "HELO" => self.agree("hello")?,
                "STARTTLS" => self.starttls()?,
                "AUTH" => self.auth(&line)?,
                "MAIL" => self.mail(&line)?,
                "RCPT" => self.rcpt(&line)?,
                "DATA" => self.data()?,
                "BDAT" => self.bdat(&line)?,
                "RSET" => {
                    self.needs_reset = false;
                    self.reset();
                    self.agree("reset")?;
                }
                "QUIT" => {
                    self.say("221 2.0.0 bye")?;
                    return self.flush();
                }
                _ => self.say("500 5.5.2 what")?,
            }
        }
    }

    fn ehlo(&mut self) -> io::Result<()> {
        self.said_ehlo = true;
        let offers = &self.shared.behaviour;
        let mut lines = vec!["fake.example".to_string()];
        if offers.offers_pipelining {
            lines.push("PIPELINING".into());
        }
        if offers.offers_chunking {
            lines.push("CHUNKING".into());
        }
        if offers.offers_smtputf8 {
            lines.push("SMTPUTF8".into());
        }
        if let Some(limit) = offers.size_limit_bytes {
            lines.push(format!("SIZE {limit}"));
        }
        if offers.tls.is_some() && !self.is_encrypted {
            lines.push("STARTTLS".into());
        }
        if offers.login.is_some() {
            lines.push(format!("AUTH {}", offers.mechanisms));
        }
        lines.push("8BITMIME".into());
        let last = lines.len() - 1;
        for (number, line) in lines.into_iter().enumerate() {
            let mark = if number == last { ' ' } else { '-' };
            self.output
                .extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
        }
        Ok(())
    }

    fn starttls(&mut self) -> io::Result<()> {
        if self.shared.behaviour.tls.is_none() || self.is_encrypted {
            return self.say("502 5.5.1 no TLS");
        }
        self.say("220 2.0.0 go ahead")?;
        let injected = self.shared.behaviour.injected_after_starttls;
        self.output.extend_from_slice(injected.as_bytes());
        self.flush()?;
        self.encrypt()
    }

    fn encrypt(&mut self) -> io::Result<()> {
        let Some(config) = self.shared.behaviour.tls.clone() else {
            return over();
        };
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        self.line = Box::new(StreamOwned::new(connection, self.socket.try_clone()?));
        self.is_encrypted = true;
        self.input.clear();
        self.used = 0;
        Ok(())
    }

    fn auth(&mut self, line: &str) -> io::Result<()> {
        let Some((user, password)) = self.shared.behaviour.login.clone() else {
            return self.say("503 5.5.1 no login here");
        };
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let first = words.next().map(str::to_string);
        let said = match mechanism.as_str() {
            "LOGIN" => {
                let user = self.challenge("VXNlcm5hbWU6")?;
                format!("{user}\0{}", self.challenge("UGFzc3dvcmQ6")?)
            }
            // The example of RFC 2195 section 2.
            "CRAM-MD5" => {
                self.challenge("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")?
            }
            _ => match first {
                Some(word) => decoded(&word),
                None => self.challenge("")?,
            },
        };
        let wanted = match mechanism.as_str() {
            "PLAIN" => format!("\0{user}\0{password}"),
            "LOGIN" => format!("{user}\0{password}"),
            "CRAM-MD5" => "tim b913a602c7eda7a495b4e6e7334d3890".to_string(),
            _ => format!("user={user}\x01auth=Bearer {password}\x01\x01"),
        };
        self.is_logged_in = said == wanted;
        if self.is_logged_in {
            return self.say("235 2.7.0 welcome");
        }
        if mechanism == "XOAUTH2" {
            self.challenge("eyJzdGF0dXMiOiI0MDAifQ==")?;
        }
        match self.shared.behaviour.repeats_login {
            true => self.say(&format!(
                "535 5.7.8 bad password: {line} ({})",
                said.replace('\0', " ")
            )),
            false => self.say("535 5.7.8 authentication failed"),
        }
    }

    fn challenge(&mut self, text: &str) -> io::Result<String> {
        self.say(&format!("334 {text}"))?;
        let line = self.read_line()?;
        Ok(decoded(&String::from_utf8_lossy(&line)))
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        self.shared.log().mail_times.push(SystemTime::now());
        if self.shared.behaviour.login.is_some() && !self.is_logged_in {
            return self.say("530 5.7.0 log in first");
        }
        if self.return_path.is_some() || self.needs_reset {
            self.violation(format!("MAIL inside a transaction: {line}"));
            return self.say("503 5.5.1 nested MAIL");
        }
        let most = self.shared.behaviour.messages_per_connection;
        if most.is_some_and(|most| self.carried >= most) {
            return self.say("452 4.5.3 Too many messages in this session");
        }
        let return_path = path(line);
        if self.act(Point::Mail, &return_path)? {
            return Ok(());
        }
        self.return_path = Some(return_path);
        self.agree("2.1.0 sender")
    }

    fn rcpt(&mut self, line: &str) -> io::Result<()> {
        if self.return_path.is_none() {
            return self.say("503 5.5.1 MAIL first");
        }
        let recipient = path(line);
        if self.shared.is_over_limit() {
            return self.say("451 4.7.1 too much mail from you");
        }
        if self.act(Point::Rcpt, &recipient)? {
            return Ok(());
        }
        self.recipients.push(recipient);
        self.agree("2.1.5 recipient")
    }

    fn data(&mut self) -> io::Result<()> {
        let first = self.recipients.first().cloned();
        match &first {
            None if self.shared.behaviour.takes_data_without_recipients => {}
            None => return self.say("554 5.5.1 no valid recipients"),
            Some(recipient) => {
                if self.act(Point::Data, recipient)? {
                    return Ok(());
                }
            }
        }
        self.say("354 go ahead")?;
        if first
            .as_ref()
            .is_some_and(|recipient| recipient.starts_with("cut@"))
        {
            self.read_more()?;
            return self.perform(Action::Close);
        }
        let content = self.read_content()?;
        if first.is_none() {
            if !content.is_empty() {
                self.violation("content for nobody".to_string());
            }
            self.reset();
            return self.say("554 5.5.1 no valid recipients");
        }
        self.accept(content)
    }

    fn bdat(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let count: usize = words
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or_default();
        let is_last = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        while self.input.len() - self.used < count {
            self.read_more()?;
        }
        self.chunks
            .extend_from_slice(&self.input[self.used..self.used + count]);
        self.used += count;
        if self.recipients.is_empty() {
            self.chunks.clear();
            return self.say("503 5.5.1 no valid recipients");
        }
        if is_last {
            let content = std::mem::take(&mut self.chunks);
            let carried = self.shared.log().accepted.len();
            self.accept(content)?;
            self.needs_reset = self.shared.log().accepted.len() == carried;
            return Ok(());
        }
        self.agree("2.0.0 chunk")
    }

    fn accept(&mut self, content: Vec<u8>) -> io::Result<()> {
        if self.used < self.input.len() {
            self.shared.log().along += 1;
        }
        if content.iter().filter(|byte| **byte == b'\n').count()
            != content.windows(2).filter(|pair| pair == b"\r\n").count()
        {
            self.violation("a bare LF in the content".to_string());
        }
        let recipient = self.recipients.first().cloned().unwrap_or_default();
        let action = match self.shared.has_too_many_connections() {
            true => Some(Action::Reply(
                "432 4.3.2 Concurrent connections limit exceeded".to_string(),
            )),
            false => self.action(Point::Dot, &recipient),
        };
        let takes_it = matches!(action, None | Some(Action::Close | Action::Stall));
        if takes_it {
            self.record(content, action.is_none());
        }
        self.reset();
        self.carried += 1;
        match action {
            Some(action) => self.perform(action),
            None => self.agree("2.0.0 taken"),
        }
    }

    fn record(&mut self, content: Vec<u8>, answered: bool) {
        let accepted = Accepted {
            connection: self.number,
            at: SystemTime::now(),
            return_path: self.return_path.clone().unwrap_or_default(),
            recipients: self.recipients.clone(),
            message_id: message_id(&content),
            size_bytes: content.len(),
            answered,
            content: self.shared.behaviour.keeps_content.then_some(content),
        };
        self.shared.log().accepted.push(accepted);
    }

    fn reset(&mut self) {
        self.return_path = None;
        self.recipients.clear();
        self.chunks.clear();
    }

    fn violation(&self, what: String) {
        self.shared.log().violations.push(what);
    }

    fn action(&self, point: Point, address: &str) -> Option<Action> {
        let rules = self.shared.behaviour.rules.iter().cloned();
        let of_address = rule_of(address).filter(|_| point != Point::Mail);
        let applies =
            |rule: &Rule| rule.matches(point, address) && self.shared.applies(rule, address);
        rules
            .chain(of_address)
            .find(applies)
            .map(|rule| rule.action)
    }

    /// Whether something else was done than agreeing.
    fn act(&mut self, point: Point, address: &str) -> io::Result<bool> {
        match self.action(point, address) {
            None => Ok(false),
            Some(action) => self.perform(action).map(|()| true),
        }
    }

    fn perform(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Reply(text) => self.say(&text),
            Action::ReplyAndClose(text) => {
                self.say(&text)?;
                self.flush()?;
                over()
            }
            Action::Close => {
                self.flush()?;
                self.socket.shutdown(Shutdown::Both)?;
                over()
            }
            Action::Stall => {
                self.flush()?;
                while self.read_more().is_ok() {}
                over()
            }
        }
    }

    /// 250 in the style of this relay.
    fn agree(&mut self, text: &str) -> io::Result<()> {
        match self.shared.behaviour.style {
            Style::Plain => self.say(&format!("250 {text}")),
            Style::Bare => self.say("250"),
            Style::MultiLine => {
                self.say(&format!("250-{text}"))?;
                self.say("250-and more")?;
                self.say("250 of it")
            }
            Style::Latin1 => {
                self.output.extend_from_slice(b"250 re\xe7u\r\n");
                Ok(())
            }
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        std::thread::sleep(self.shared.behaviour.reply_delay);
        let output = std::mem::take(&mut self.output);
        self.line.write_all(&output)?;
        self.line.flush()
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let rest = &self.input[self.used..];
            if let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
                let line = rest[..end].to_vec();
                self.used += end + 2;
                return Ok(line);
            }
            self.read_more()?;
        }
    }

    /// Up to the lone dot, dots no longer doubled.
    fn read_content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line = self.read_line()?;
            if line == b"." {
                return Ok(content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            content.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what is to be said, then waits: replies to commands that came together leave together.
    fn read_more(&mut self) -> io::Result<()> {
        self.flush()?;
        let is_idle = self.said_ehlo && self.return_path.is_none();
        let patience = self.shared.behaviour.patience;
        let patience =
            patience.filter(|patience| is_idle && self.carried >= patience.after_messages);
        let within = patience.map_or(Duration::from_secs(60), |patience| patience.within);
        self.socket.set_read_timeout(Some(within))?;
        match self.line.read(&mut self.block) {
            Ok(0) => over(),
            Ok(count) => {
                self.input.drain(..self.used);
                self.used = 0;
                self.input.extend_from_slice(&self.block[..count]);
                Ok(())
            }
            Err(error) => {
                if let Some(patience) = patience.filter(|patience| !patience.words.is_empty()) {
                    self.say(patience.words)?;
                    self.flush()?;
                }
                Err(error)
            }
        }
    }
}

fn path(line: &str) -> String {
    let inner = line
        .split_once('<')
        .and_then(|(_, rest)| rest.rsplit_once('>'));
    inner.map_or(String::new(), |(path, _)| path.to_string())
}

fn decoded(word: &str) -> String {
    let bytes = STANDARD.decode(word).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn message_id(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let mut headers = text.lines().take_while(|line| !line.is_empty());
    let is_id = |line: &&str| line.to_ascii_lowercase().starts_with("message-id:");
    let line = headers.find(is_id).unwrap_or_default();
    let id = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    id.map_or(String::new(), |(id, _)| id.to_string())
}
