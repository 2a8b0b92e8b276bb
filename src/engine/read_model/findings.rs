//! What does not hold or cannot be read, one line each. A damaged queue must not fill the memory with lines.

const MAX_LINES: usize = 100;

#[derive(Debug, Clone, Default)]
pub struct Findings {
    lines: Vec<String>,
    more: u64,
}

impl Findings {
    pub fn add(&mut self, line: String) {
        if self.lines.len() < MAX_LINES {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}
