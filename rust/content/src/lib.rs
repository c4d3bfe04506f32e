//! What content addresses are made of: content ids, the blocks of UnixFS, headers of CAR files.
//!
//! All of it is hostile. Each function takes bytes that are there already, says no to more than its
//! limits, and gives back what is no larger than some times its input. Panics of the crates beneath
//! stop at the fence, as errors.

pub mod car;
pub mod id;
pub mod node;
mod unixfs;

use std::fmt::Display;
use ww_fence::{ErrorKind, Failure};

/// What is wrong with bytes from elsewhere.
fn wrong<T>(text: impl Display) -> Result<T, Failure> {
    Err(failure(text))
}

fn failure(text: impl Display) -> Failure {
    Failure::new(ErrorKind::Other, text)
}
