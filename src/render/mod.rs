//! From a campaign's templates and a recipient's row to the bytes of a message. Everything is checked before the first
//! row is rendered, and nothing is read from disk after that.

mod body;
mod compose;
mod error;
mod files;
mod header;
mod mailbox;
mod row;
mod scan;
mod template;
mod variables;

pub use compose::{CampaignContent, Composed, Composer, Content, InClear};
pub use error::{
    ContentError, HeaderNameProblem, MailboxProblem, Place, RenderError, RenderProblem,
    TemplateError, UnknownColumn,
};
pub use template::Templates;
