//! How an operation ended: the values of `WwSwarmEvent::code`.

pub const FAILED: u32 = 1;
pub const NOT_CONNECTED: u32 = 2;
pub const UNSUPPORTED: u32 = 3;
pub const OVERLOADED: u32 = 4;
/// Of a warning: the swarm has ended.
pub const ENDED: u32 = 5;
