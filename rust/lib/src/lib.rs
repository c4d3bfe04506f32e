//! The program's one Rust static library: two would each carry their own standard library.
pub use ww_content;
pub use ww_engine;
pub use ww_eth;
pub use ww_swarm;
