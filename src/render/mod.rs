//! From a campaign's templates and a recipient's row to the bytes of a message. Everything is read and checked before
//! the first row is rendered.

mod address_fields;
mod analysis;
mod body;
mod bounds;
mod cell_type;
mod composer;
mod content;
mod date;
mod encoded_word;
mod error;
mod files;
mod foreign_tags;
mod functions;
mod header;
mod lexer;
mod list_columns;
mod literals;
mod mailbox;
mod mime;
mod other_languages;
mod row;
mod row_tests;
mod scan;
mod slip;
mod template;
mod transfer_encoding;
mod typing;
mod variables;

pub use crate::domain::mailbox::MailboxProblem;
pub use bounds::STACK_BYTES;
pub use cell_type::CellType;
pub use composer::{Composed, Composer, RenderedMessage};
pub use content::{CampaignContent, Content, is_template};
pub use error::{
    ContentError, HeaderNameProblem, Place, RenderError, RenderProblem, TemplateError, TextUse,
    UnknownColumn, UnknownName, cell_name, declared,
};
pub use foreign_tags::ForeignTag;
pub use other_languages::word as word_of_another_language;
pub use slip::SlipKind;
pub use template::Templates;
