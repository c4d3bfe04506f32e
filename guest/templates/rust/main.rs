//! What a node boots: pid0. It grafts onto the node's epoch, and asks it for something.

mod cell;

use cell::{membrane_capnp, node_capnp, peer_capnp, stem_capnp};
use membrane_capnp::wetware_session;
use std::process::ExitCode;
use stem_capnp::membrane;

fn main() -> ExitCode {
    cell::run("@NAME@", pid0)
}

async fn pid0(
    membrane: membrane::Client<wetware_session::Owned>,
) -> Result<ExitCode, capnp::Error> {
    let grafted = membrane.graft_request().send().promise.await?;
    let session = grafted.get()?.get_session()?;
    let epoch = session.get_issued_epoch()?.get_seq();

    let mut request = session.get_extension()?.get_executor()?.echo_request();
    request.get().set_message("hello");
    let response = request.send().promise.await?;
    println!("@NAME@: epoch {epoch}: {}", response.get()?.get_response()?.to_str()?);
    Ok(ExitCode::SUCCESS)
}
