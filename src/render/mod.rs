//! From a campaign's templates and a recipient's row to the bytes of a message. Everything is read and checked before
//! the first row is rendered.

mod body;
mod composer;
mod content;
mod encoded_word;
mod error;
mod files;
mod header;
mod lexer;
mod mailbox;
mod mime;
mod row;
mod scan;
mod template;
mod transfer_encoding;
mod variables;

pub use composer::{Composed, Composer, RenderedMessage};
pub use content::{CampaignContent, Content};
pub use error::{
    ContentError, HeaderNameProblem, MailboxProblem, Place, RenderError, RenderProblem,
    TemplateError, UnknownColumn,
};
pub use template::Templates;
