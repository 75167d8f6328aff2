//! What the routes answer, by subject.

pub(super) mod announcements;
pub(super) mod blocks;
pub(super) mod connecting;
pub(super) mod events;
pub(super) mod governance;
pub(super) mod node;
pub(super) mod operations;
pub(super) mod peers;
pub(super) mod polls;
pub(super) mod transactions;

use super::problem::Problem;

/// An answer in JSON, or a problem.
type Answer<T> = Result<axum::Json<T>, Problem>;
