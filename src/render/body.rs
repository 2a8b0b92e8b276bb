//! The bodies of a message: plain text, HTML, or both as alternatives. At least one, by type.

/// Which kind of body a template is rendered for. The key of the campaign file decides, not the name of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nothing is escaped: the text, and all header fields.
    Plain,
    /// Values are escaped, also in templates that are included, extended or imported.
    Html,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<T> {
    Text(T),
    Html(T),
    /// The same content twice; a mail program shows one of them (RFC 2046 §5.1.4).
    Alternatives {
        text: T,
        html: T,
    },
}

impl<T> Body<T> {
    /// `None` if neither is given.
    pub fn new(text: Option<T>, html: Option<T>) -> Option<Body<T>> {
        match (text, html) {
            (Some(text), Some(html)) => Some(Body::Alternatives { text, html }),
            (Some(text), None) => Some(Body::Text(text)),
            (None, Some(html)) => Some(Body::Html(html)),
            (None, None) => None,
        }
    }

    pub fn text(&self) -> Option<&T> {
        match self {
            Body::Text(text) | Body::Alternatives { text, .. } => Some(text),
            Body::Html(_) => None,
        }
    }

    pub fn html(&self) -> Option<&T> {
        match self {
            Body::Html(html) | Body::Alternatives { html, .. } => Some(html),
            Body::Text(_) => None,
        }
    }

    pub fn try_map<U, E>(
        &self,
        mut map: impl FnMut(Part, &T) -> Result<U, E>,
    ) -> Result<Body<U>, E> {
        Ok(match self {
            Body::Text(text) => Body::Text(map(Part::Plain, text)?),
            Body::Html(html) => Body::Html(map(Part::Html, html)?),
            Body::Alternatives { text, html } => Body::Alternatives {
                text: map(Part::Plain, text)?,
                html: map(Part::Html, html)?,
            },
        })
    }
}
