//! The file `run`: one step a line.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Mailq(Call),
    /// Waits for the end of a call that is in the background.
    Wait {
        name: String,
        exit: i32,
    },
    Signal {
        name: String,
        kill: bool,
    },
    WaitForMails(u64),
    Sleep(Duration),
    StopRelay,
    /// With another script, if one is named.
    StartRelay(Option<String>),
    Write {
        path: String,
        text: Vec<u8>,
        append: bool,
    },
    Remove(String),
    Copy {
        from: String,
        to: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub arguments: Vec<String>,
    pub variables: Vec<(String, String)>,
    /// How many files the process may have open.
    pub files: Option<u32>,
    pub exit: i32,
    pub end: End,
}

/// How a call comes to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Itself,
    KilledAfterMails(u64),
    TerminatedAfterMails(u64),
    /// SIGKILL once the file has so many bytes.
    KilledWhen {
        path: String,
        bytes: u64,
    },
    Background(String),
}

/// Steps with the numbers of their lines.
pub fn parse(script: &str) -> Result<Vec<(usize, Step)>, String> {
    let mut lines = script.lines().enumerate();
    let mut steps = Vec::new();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: String| format!("run:{}: {what}", number + 1);
        let step = match line.strip_suffix("<<") {
            None => step(line),
            Some(line) => {
                let mut text = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, "<<")) => break,
                        Some((_, more)) => text.push(more),
                        None => {
                            return Err(wrong("the text is never closed by a line `<<`".into()));
                        }
                    }
                }
                document(line, &text)
            }
        };
        steps.push((number + 1, step.map_err(wrong)?));
    }
    Ok(steps)
}

fn document(line: &str, text: &[&str]) -> Result<Step, String> {
    let words = words(line);
    let [verb, path] = words.as_slice() else {
        return Err(format!("`{line} <<` is not `write FILE <<`"));
    };
    let whole: String = text.iter().flat_map(|line| [*line, "\n"]).collect();
    let text = match verb.as_str() {
        "write" | "append" => whole.into_bytes(),
        "bytes" => unescaped(&whole)?,
        _ => return Err(format!("`{verb}` takes no text")),
    };
    Ok(Step::Write {
        path: path.clone(),
        text,
        append: verb == "append",
    })
}

/// `\xNN` is a byte, `\*N,TEXT\*` is the text N times, and a backslash before the end of a line joins the next.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let text = text.replace("\\\n", "");
    let mut out = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        if let Some(code) = after.strip_prefix('x') {
            let byte = code
                .get(..2)
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            out.push(byte.ok_or("`\\x` is not followed by two hexadecimal digits")?);
            rest = &code[2..];
        } else if let Some(repeat) = after.strip_prefix('*') {
            let (count, tail) = repeat.split_once(',').ok_or("`\\*` without a comma")?;
            let (what, tail) = tail.split_once("\\*").ok_or("`\\*` is never closed")?;
            let count = count.parse().map_err(|_| "`\\*` without a count")?;
            out.extend(what.repeat(count).into_bytes());
            rest = tail;
        } else {
            return Err("a backslash that is neither `\\xNN` nor `\\*N,TEXT\\*`".into());
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn step(line: &str) -> Result<Step, String> {
    let words = words(line);
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match texts.as_slice() {
        ["sleep", span] => {
            Step::Sleep(mailq::domain::duration::parse(span).map_err(|e| e.to_string())?)
        }
        ["stop-relay"] => Step::StopRelay,
        ["start-relay"] => Step::StartRelay(None),
        ["start-relay", script] => Step::StartRelay(Some(script.to_string())),
        ["wait-mails", count] => Step::WaitForMails(number(count)?),
        ["rm", path] => Step::Remove(path.to_string()),
        ["cp", from, to] => Step::Copy {
            from: from.to_string(),
            to: to.to_string(),
        },
        ["rows", path, count] => Step::Write {
            path: path.to_string(),
            text: rows(number(count)?).into_bytes(),
            append: false,
        },
        ["kill", name] | ["term", name] => Step::Signal {
            name: name.to_string(),
            kill: texts[0] == "kill",
        },
        ["wait", name] => Step::Wait {
            name: name.to_string(),
            exit: 0,
        },
        ["expect", exit, "wait", name] => Step::Wait {
            name: name.to_string(),
            exit: number(exit)?,
        },
        _ => Step::Mailq(call(&texts).ok_or(format!("`{line}` is no step"))?),
    })
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn rows(count: usize) -> String {
    let row = |n: usize| format!("u{n}@example.com,Name {n}\n");
    std::iter::once("email,name\n".to_string())
        .chain((0..count).map(row))
        .collect()
}

/// `None`: not a call.
fn call(words: &[&str]) -> Option<Call> {
    let mut call = Call {
        arguments: Vec::new(),
        variables: Vec::new(),
        files: None,
        exit: 0,
        end: End::Itself,
    };
    let mut rest = words;
    loop {
        rest = match rest {
            ["mailq", arguments @ ..] => {
                call.arguments = arguments.iter().map(|word| word.to_string()).collect();
                return Some(call);
            }
            ["expect", exit, rest @ ..] => {
                call.exit = exit.parse().ok()?;
                rest
            }
            ["kill-after-mails", count, rest @ ..] => {
                call.end = End::KilledAfterMails(count.parse().ok()?);
                rest
            }
            ["term-after-mails", count, rest @ ..] => {
                call.end = End::TerminatedAfterMails(count.parse().ok()?);
                rest
            }
            ["kill-when", path, bytes, rest @ ..] => {
                call.end = End::KilledWhen {
                    path: path.to_string(),
                    bytes: bytes.parse().ok()?,
                };
                rest
            }
            ["background", name, rest @ ..] => {
                call.end = End::Background(name.to_string());
                rest
            }
            ["files", count, rest @ ..] => {
                call.files = Some(count.parse().ok()?);
                rest
            }
            ["env", pair, rest @ ..] => {
                let (name, value) = pair.split_once('=')?;
                call.variables.push((name.to_string(), value.to_string()));
                rest
            }
            _ => return None,
        };
    }
}

/// At blanks; double quotes hold together.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => found.extend(part.split_whitespace().map(str::to_string)),
            _ => found.push(part.to_string()),
        }
    }
    found
}

pub fn reads_steps_and_refuses_others() {
    let script =
        "# why\nexpect 2 env A=b mailq run \"a b.toml\"\nwrite x.csv <<\na\n<<\nsleep 1s\n";
    let call = Call {
        arguments: vec!["run".into(), "a b.toml".into()],
        variables: vec![("A".into(), "b".into())],
        files: None,
        exit: 2,
        end: End::Itself,
    };
    let write = Step::Write {
        path: "x.csv".into(),
        text: b"a\n".to_vec(),
        append: false,
    };
    let sleep = Step::Sleep(Duration::from_secs(1));
    let wanted = vec![(2, Step::Mailq(call)), (3, write), (6, sleep)];
    assert_eq!(parse(script).unwrap(), wanted);
    assert_eq!(unescaped("a\\x00\\*3,xy\\*\\\nb").unwrap(), b"a\0xyxyxyb");
    for wrong in [
        "mailq2 run",
        "expect two mailq run",
        "sleep soon",
        "bytes a <<\n\\q\n<<",
        "write a <<\nb\n",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
