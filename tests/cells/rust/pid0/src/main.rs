//! pid0: its bootstrap capability is a Membrane(WetwareSession). It grafts, runs the child that it
//! carries through the session's Executor (with its own arguments), passes on the child's output,
//! and ends as the child did: in failure its code arrives at the host as 1, whatever it was,
//! since std on WASI 0.2 tells no more.

use cell_runtime::{
    membrane_capnp::wetware_session,
    peer_capnp::{byte_stream, executor, process},
    stem_capnp::{Status, membrane, session},
};
use std::{io::Write, process::ExitCode};

const CHILD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/child.wasm"));
const CHUNK: u32 = 64 * 1024;

fn main() -> ExitCode {
    cell_runtime::run("rust-pid0", pid0)
}

async fn pid0(
    membrane: membrane::Client<wetware_session::Owned>,
) -> Result<ExitCode, capnp::Error> {
    // The signer stays null: pid0's Membrane is an open one.
    let grafted = membrane.graft_request().send().promise.await?;
    let session = grafted.get()?.get_session()?;
    describe(session).await?;

    let process = run_child(&session.get_extension()?.get_executor()?).await?;
    let stdout = process.stdout_request().send().promise.await?.get()?.get_stream()?;
    let ended = process.wait_request().send().promise;
    let (copied, ended) = futures::join!(copy_to_stdout(stdout), ended);
    copied?;
    let code = ended?.get()?.get_exit_code();
    println!("rust-pid0: child exited with {code}");
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

async fn describe(
    session: session::Reader<'_, wetware_session::Owned>,
) -> Result<(), capnp::Error> {
    let seq = session.get_issued_epoch()?.get_seq();
    if session.has_status_poller() {
        let polled = session.get_status_poller()?.poll_status_request().send().promise.await?;
        let status = polled.get()?.get_status()?;
        if status != Status::Ok {
            return Err(capnp::Error::failed(format!("the new session's status is {status:?}")));
        }
    }
    let id = session.get_extension()?.get_host()?.id_request().send().promise.await?;
    let length = id.get()?.get_peer_id()?.len();
    println!("rust-pid0: grafted in epoch {seq}, on a host with a peer id of {length} bytes");
    Ok(())
}

async fn run_child(executor: &executor::Client) -> Result<process::Client, capnp::Error> {
    let mut request = executor.run_bytes_request();
    request.get().set_wasm(CHILD);
    let arguments: Vec<String> = std::env::args().collect();
    request.get().set_args(arguments.as_slice())?;
    request.send().promise.await?.get()?.get_process()
}

async fn copy_to_stdout(stream: byte_stream::Client) -> Result<(), capnp::Error> {
    loop {
        let mut request = stream.read_request();
        request.get().set_max_bytes(CHUNK);
        let answer = request.send().promise.await?;
        let data = answer.get()?.get_data()?;
        if data.is_empty() {
            return Ok(());
        }
        std::io::stdout().write_all(data)?;
    }
}
